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
_Path = tuple[str, ...]
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
    return live is None or bool(drift(intended, live))


def drift(intended: Body, live: Body) -> str:
    """Return the first field that is not as it is meant, such as ``spec.type``; empty for none."""
    found = _differs(_comparable(intended), _comparable(live), ())
    return "" if found is None else ".".join(found)


def _comparable(body: Body) -> Mapping[str, object]:
    """Return a body without what lists of objects leave out."""
    return {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}


def _differs(intended: object, live: object, path: _Path) -> _Path | None:
    """Return where the first difference is; None for none."""
    if isinstance(intended, Mapping):
        if intended and not isinstance(live, Mapping):
            return path
        rest = mapping(live)
        found = (
            _differs(value, rest.get(name), (*path, str(name))) for name, value in intended.items()
        )
        return next((place for place in found if place is not None), None)
    if isinstance(intended, list):
        return _differs_in_rows(intended, live if isinstance(live, list) else [], path)
    if path and path[-1] in _QUANTITY_KEYS and intended is not None and live is not None:
        return None if canonical(str(intended)) == canonical(str(live)) else path
    if live is None:
        # The API server leaves out what is empty. It keeps `false` where we write it: without it a
        # pod has a token, or may gain privileges.
        return None if intended is None or intended == "" else path
    is_same = intended == live and isinstance(intended, bool) == isinstance(live, bool)
    return None if is_same else path


def _differs_in_rows(intended: list[object], live: list[object], path: _Path) -> _Path | None:
    name = _key_of_rows(intended)
    if name is None:
        if len(intended) != len(live):
            return path
        found = (_differs(row, live[i], (*path, str(i))) for i, row in enumerate(intended))
    else:
        found = (_differs_from_its_like(row, live, name, path) for row in intended)
    return next((place for place in found if place is not None), None)


def _differs_from_its_like(
    intended: object, live: list[object], name: str, path: _Path
) -> _Path | None:
    """Compare a row with those of its key; one that is as meant is enough.

    Others may add a row with the same key, such as a second mount of a volume.
    """
    key = mapping(intended)[name]
    rows = [row for row in live if mapping(row).get(name) == key] or [None]
    places = [_differs(intended, row, (*path, str(key))) for row in rows]
    return None if None in places else places[-1]


def _key_of_rows(rows: list[object]) -> str | None:
    present = (name for name in _KEYS_OF_ROWS if rows and all(name in mapping(row) for row in rows))
    return next(present, None)
