"""Does a child have to be applied? Yes if the intent or the child has changed.

A field that the intent names must have the same value in the child. What else is in the child was
added by the API server, a controller or another owner, and is none of our business: applying
would not remove it, so counting it as drift would write for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from quorate_operator import labels
from quorate_operator.lenient import mapping
from quorate_operator.resources.hashes import hash_of
from quorate_operator.resources.intent import Body
from quorate_operator.resources.quantities import canonical

_KEYS_OF_ROWS = ("uid", "name", "topologyKey")
"""Fields that tell the rows of a list apart, tried in this order."""
_QUANTITY_KEYS = frozenset({"cpu", "memory", "ephemeral-storage", "storage", "sizeLimit"})


def stamped(body: Body) -> dict[str, object]:
    """Return ``body`` with the hash of itself as an annotation."""
    metadata = mapping(body.get("metadata"))
    annotations = {
        **mapping(metadata.get("annotations")),
        labels.APPLIED_HASH_ANNOTATION: intended_hash(body),
    }
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def intended_hash(body: Body) -> str:
    """Return the hash of a body, whether it is stamped or not."""
    metadata = dict(mapping(body.get("metadata")))
    annotations = dict(mapping(metadata.pop("annotations", None)))
    annotations.pop(labels.APPLIED_HASH_ANNOTATION, None)
    return hash_of({**body, "metadata": {**metadata, "annotations": annotations}})


def needs_apply(intended: Body, live: Body | None) -> bool:
    """Tell whether the child must be applied.

    Args:
        intended: Stamped, as ``children`` returns it. Its hash also finds a field that it no
            longer names: a comparison of what it names could not.
        live: As read; None: there is none.

    """
    return live is None or not _covers(_comparable(intended), _comparable(live), key="")


def _comparable(body: Body) -> Mapping[str, object]:
    """Return a body without what lists of objects leave out."""
    return {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}


def _covers(intended: object, live: object, key: str) -> bool:
    if isinstance(intended, Mapping):
        rest = mapping(live)
        return (isinstance(live, Mapping) or not intended) and all(
            _covers(value, rest.get(name), str(name)) for name, value in intended.items()
        )
    if isinstance(intended, list):
        return _covers_rows(intended, live if isinstance(live, list) else [])
    if key in _QUANTITY_KEYS and intended is not None and live is not None:
        return canonical(str(intended)) == canonical(str(live))
    if live is None:
        return not intended  # the API server leaves out what is empty
    return intended == live and isinstance(intended, bool) == isinstance(live, bool)


def _covers_rows(intended: list[object], live: list[object]) -> bool:
    name = _key_of_rows(intended)
    if name is None:
        return len(intended) == len(live) and all(
            _covers(row, other, "") for row, other in zip(intended, live, strict=True)
        )
    found = {mapping(row).get(name): row for row in live}
    return all(_covers(row, found.get(mapping(row)[name]), "") for row in intended)


def _key_of_rows(rows: list[object]) -> str | None:
    present = (name for name in _KEYS_OF_ROWS if rows and all(name in mapping(row) for row in rows))
    return next(present, None)
