"""The reference pages for authors and applications name what there is, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from enum import Enum
from inspect import getsource, signature
from pathlib import Path

import pytest

import quorate.client
import quorate.service
import quorate.testing
from quorate.client import ClusterClient, SessionSettings
from quorate.service import ClientSession, CloseReason, Cluster, ClusteredService, Role
from quorate.testing import HarnessSession, ServiceHarness

PAGES = Path(__file__).parents[3] / "docs" / "reference"
SERVICE, CLIENT = (PAGES / f"{name}-api.md" for name in ("service", "client"))
NAME = re.compile(r"`([A-Za-z_]\w*)")


def names_in(page: Path) -> set[str]:
    return set(NAME.findall(page.read_text()))


def first_cells(page: Path, heading: str) -> set[str]:
    """Return the names in the first column of the table that begins with this class."""
    _, begin, rest = re.split(rf"^(\| `{heading}\b)", page.read_text(), flags=re.MULTILINE)
    table = (begin + rest).partition("\n\n")[0]
    rows = [row for row in table.splitlines()[1:] if row.startswith(("| `", "| ..."))]
    return {name for row in rows for name in NAME.findall(row.split("|")[1])}


def public(kind: type) -> set[str]:
    """Return what a class shows to others, and what its objects have from the beginning."""
    set_at_first = re.findall(r"^        self\.(\w+)\b.* = ", getsource(kind), re.MULTILINE)
    names = {*vars(kind), *kind.__annotations__, *set_at_first}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize(
    ("page", "module"),
    [(SERVICE, quorate.service), (SERVICE, quorate.testing), (CLIENT, quorate.client)],
    ids=["service", "testing", "client"],
)
def test_everything_that_is_exported_is_on_its_page(page: Path, module: object) -> None:
    assert set(module.__all__) <= names_in(page)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("page", "kind", "beside"),
    [
        (SERVICE, ClusteredService, set()),
        (SERVICE, Cluster, set()),
        (SERVICE, ClientSession, set()),
        (SERVICE, ServiceHarness, set()),
        (SERVICE, HarnessSession, set()),
        (CLIENT, ClusterClient, {"open"}),
        (CLIENT, SessionSettings, set()),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_each_class_is_shown_whole(page: Path, kind: type, beside: set[str]) -> None:
    listed = first_cells(page, kind.__name__)
    if kind is ClusterClient:
        options = set(signature(ClusterClient.connect).parameters) - {"addresses"}
        assert options <= listed
        listed -= options
    assert listed == public(kind) - beside


@pytest.mark.parametrize("kind", [CloseReason, Role])
def test_each_value_is_named(kind: type[Enum]) -> None:
    assert {each.name for each in kind} <= names_in(SERVICE)


def test_the_defaults_are_those_of_the_code() -> None:
    text = CLIENT.read_text()
    for field in fields(SessionSettings):
        assert f"| `{field.name}` | {field.default:,} |" in text, field.name
