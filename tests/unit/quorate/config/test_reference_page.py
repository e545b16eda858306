"""The page lists every field with its default and what its docstring says."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from quorate.config import NodeConfig, SeatAddress, from_mapping, to_mapping

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "reference" / "configuration.md"
REQUIRED = {"cluster_id", "seat", "seats", "data_dir", "service"}


def docstrings() -> dict[tuple[str, str], str]:
    """The string behind each field, by class and field."""
    found = {}
    for path in (ROOT / "node" / "quorate" / "config").glob("*.py"):
        for cls in ast.walk(ast.parse(path.read_text())):
            if not isinstance(cls, ast.ClassDef):
                continue
            for field, behind in zip(cls.body, cls.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(behind, ast.Expr):
                    name = ast.unparse(field.target)
                    found[cls.name, name] = " ".join(ast.literal_eval(behind.value).split())
    return found


def rows() -> Iterator[str]:
    texts, defaults = docstrings(), to_mapping(NodeConfig())
    for group in fields(NodeConfig):
        kind = type(getattr(NodeConfig(), group.name))
        for item in fields(kind):
            default = defaults[group.name][item.name]
            shown = f"{default:,}" if isinstance(default, int) else f"`{default}`"
            if default == "":
                shown = "empty"
            if group.name == "member" and item.name in REQUIRED:
                shown = "required"
            text = texts[kind.__name__, item.name].replace("``", "`")
            name = f"{group.name}.{item.name}"
            yield f"| `{name}` | {shown} | {text} |"
    for item in fields(SeatAddress):
        shown = "required" if item.name in ("seat", "host") else f"{item.default:,}"
        text = texts["SeatAddress", item.name].replace("``", "`")
        yield f"| `{item.name}` | {shown} | {text} |"


def test_the_page_lists_exactly_these_fields() -> None:
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(listed) == sorted(rows())


def test_the_example_on_the_page_is_valid() -> None:
    example = PAGE.read_text().split("```toml\n")[1].split("```")[0]
    assert from_mapping(tomllib.loads(example)).own_seat.host == "orders-0.orders.example."
