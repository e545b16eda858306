"""The mutants of tests/mutants still fit the source; ``make mutants`` runs them."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _texts() -> list[tuple[str, str, str]]:
    """Return name, file and old text of each mutant, read without importing its module."""
    files = (ROOT / "tests" / "mutants").glob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    calls = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Mutant"
    ]
    rows = []
    for call in calls:
        name, file, old = (ast.literal_eval(argument) for argument in call.args[:3])
        rows.append((str(name), str(file), str(old)))
    return rows


def _source(file: str) -> Path:
    root = "operator" if file.startswith("quorate_operator/") else "node/quorate"
    return ROOT / root / file


def test_every_mutant_finds_its_text_exactly_once() -> None:
    rows = _texts()
    assert len(rows) >= 25
    misfits = [
        name
        for name, file, old in rows
        if _source(file).read_text(encoding="utf-8").count(old) != 1
    ]
    assert misfits == [], "mend their texts in tests/mutants"
