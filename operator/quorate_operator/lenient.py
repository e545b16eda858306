"""Picks values out of JSON that others have written: what is absent or of another type is empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast


def metadata(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return the metadata of an object; empty if it has none."""
    return mapping(body.get("metadata"))


def is_going(body: Mapping[str, object]) -> bool:
    """Tell whether an object is being deleted: it is gone when nothing holds it any more."""
    return metadata(body).get("deletionTimestamp") is not None


def finalizers(body: Mapping[str, object]) -> tuple[str, ...]:
    """Return what holds an object that is to be deleted."""
    names = metadata(body).get("finalizers")
    return tuple(text(name) for name in names) if isinstance(names, list) else ()


def mapping(value: object) -> Mapping[str, object]:
    """Return ``value`` if it is an object; an empty one otherwise."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def rows(value: object) -> Iterator[Mapping[str, object]]:
    """Yield the objects in a list; nothing if it is none."""
    if isinstance(value, list):
        yield from (row for row in value if isinstance(row, Mapping))


def text(value: object) -> str:
    """Return ``value`` if it is a text; an empty one otherwise."""
    return value if isinstance(value, str) else ""
