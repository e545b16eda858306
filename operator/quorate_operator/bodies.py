"""Reads a ClusterService from its JSON, and writes the JSON of its status."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Union, cast, get_args, get_origin, get_type_hints

from quorate_operator import labels
from quorate_operator.model import ClusterStatus, ConditionRow
from quorate_operator.planning.observed import Body, Resource
from quorate_operator.reasons import Condition, Reason

IDENTITY = ("clusterId", "epoch", "founded")
_KEYS = {"pvc_uid": "pvcUID", "last_transition": "lastTransitionTime"}


def read_resource(body: Body) -> Resource:
    """Return the resource; never raises: what cannot be read is said in ``problems``."""
    meta = _object(body.get("metadata"))
    annotations = _object(meta.get("annotations"))
    return Resource(
        name=str(meta.get("name", "")),
        namespace=str(meta.get("namespace", "")),
        uid=str(meta.get("uid", "")),
        resource_version=str(meta.get("resourceVersion", "")),
        generation=int(str(meta.get("generation", 0))),
        spec=None,
        status=cast("ClusterStatus", _read(ClusterStatus, _object(body.get("status")))),
        problems=("the parser of specs is not here yet",),
        transfer_request=str(annotations.get(labels.TRANSFER_ANNOTATION, "")),
    )


def write_status(status: ClusterStatus) -> dict[str, object]:
    """Return the JSON of a status without its identity, and without what is empty."""
    written = cast("dict[str, object]", _write(status))
    return {key: value for key, value in written.items() if key not in IDENTITY}


def _key(name: str) -> str:
    return _KEYS.get(name) or re.sub(r"_([a-z])", lambda m: m[1].upper(), name)


def _write(value: object) -> object:
    if isinstance(value, ConditionRow):
        rest = {
            _key(f.name): _write(getattr(value, f.name))
            for f in fields(value)
            if f.name != "status"
        }
        return {**rest, "status": "Unknown" if value.status is None else str(value.status)}
    if is_dataclass(value):
        rows = ((_key(item.name), getattr(value, item.name)) for item in fields(value))
        return {key: _write(row) for key, row in rows if row is not None and row not in ("", ())}
    if isinstance(value, Enum):
        return value.value
    return [_write(row) for row in value] if isinstance(value, tuple) else value


def _read(wanted: type, value: Mapping[str, object]) -> object:
    hints = get_type_hints(wanted)
    given = {
        item.name: _read_as(hints[item.name], value[_key(item.name)])
        for item in fields(wanted)
        if _key(item.name) in value
    }
    return wanted(**given)


def _read_as(hint: object, value: object) -> object:
    if hint == bool | None:
        return {"True": True, "False": False}.get(str(value))
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_read_as(get_args(hint)[0], row) for row in value)
    if get_origin(hint) in (Union, types.UnionType):
        return _read_as(get_args(hint)[0], value)
    if hint in (Reason, Condition):
        return cast("type[Enum]", hint)(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _read(hint, _object(value))
    return value


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
