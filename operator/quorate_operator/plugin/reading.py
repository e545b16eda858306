"""Picks values out of JSON that may lack any of them."""

from __future__ import annotations

from collections.abc import Mapping


def at(body: object, *path: str) -> object:
    """Return what stands at this path, or None."""
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def text_at(body: object, *path: str) -> str:
    """Return the value as text for people; ``-`` for none."""
    found = at(body, *path)
    if found is None or found == "":
        return "-"
    if isinstance(found, bool):
        return "yes" if found else "no"
    return plain(str(found))


def plain(text: str) -> str:
    """Return a text of others in one line, with nothing that steers a terminal or is no sign."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def rows_at(body: object, *path: str) -> list[object]:
    """Return the list at this path; empty for none."""
    found = at(body, *path)
    return found if isinstance(found, list) else []


def table(rows: list[list[str]], indent: str = "") -> list[str]:
    """Return the rows as lines with columns of equal width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
