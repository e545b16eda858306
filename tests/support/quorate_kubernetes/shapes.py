"""Whether objects have the fields of their kind, and in them values of the right type.

What an API server that validates strictly would say, without one: the types come from its own
description, as the client library was generated from it. Required fields are not looked at.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from kubernetes.aio import client

_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "datetime": (str, dt.datetime),
}
_NESTED = re.compile(r"(Dict\[str, |List\[)(.*)\]")
_QUANTITIES = (".requests", ".limits")
"""Written as text by the library; the API server takes numbers as well."""


def misfits(body: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object, each with its place; nothing is known of other APIs."""
    model = f"V1{body['kind']}"
    if not hasattr(client, model):
        return []
    return list(_misfits(body, model, f"{body['kind']} {body['metadata']['name']}: "))


def _misfits(value: object, wanted: str, place: str) -> Iterator[str]:
    nested = _NESTED.fullmatch(wanted)
    if wanted == "object" or value is None:
        return
    if wanted in _SCALARS:
        if not isinstance(value, _SCALARS[wanted]) or isinstance(value, bool) != (wanted == "bool"):
            yield f"{place} is {value!r} and not of type {wanted}"
    elif nested is None:
        yield from _fields(value, wanted, place)
    elif nested[1] == "List[":
        yield from _items(value, nested[2], place)
    else:
        yield from _entries(value, nested[2], place)


def _items(value: object, wanted: str, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place} is {value!r} and no list"
        return
    for number, item in enumerate(value):
        yield from _misfits(item, wanted, f"{place}[{number}]")


def _entries(value: object, wanted: str, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {value!r} and no map"
        return
    for key, item in value.items():
        yield from _misfits(key, "str", f"{place} key")
        if not (place.endswith(_QUANTITIES) and isinstance(item, int | float)):
            yield from _misfits(item, wanted, f"{place}[{key!r}]")


def _fields(value: object, model: str, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {value!r} and no {model}"
        return
    kind = getattr(client, model)
    types = {name: kind.openapi_types[field] for field, name in kind.attribute_map.items()}
    for name, item in value.items():
        if name in types:
            yield from _misfits(item, types[name], f"{place}.{name}")
        else:
            yield f"{place}.{name} is no field of {model}"
