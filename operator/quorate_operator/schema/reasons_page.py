"""Renders the reference page of conditions and reasons."""

from __future__ import annotations

from quorate_operator.schema.explanations import CONDITIONS, GROUPS

_HEAD = """\
# Conditions and reasons

The reasons of a ClusterService's conditions, of the events about it and of the operator's metrics
are one closed list. Rendered by `python -m quorate_operator.schema --write`; a test keeps it equal.

| condition | true means |
|---|---|
"""

_TABLE_HEAD = """
| reason | meaning | what the operator does | what a human does |
|---|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    parts = [_HEAD, *(f"| {name} | {text} |\n" for name, text in CONDITIONS.items())]
    for title, rows in GROUPS:
        parts += [f"\n## {title}\n", _TABLE_HEAD]
        parts += [f"| `{reason}` | {' | '.join(texts)} |\n" for reason, texts in rows]
    return "".join(parts)
