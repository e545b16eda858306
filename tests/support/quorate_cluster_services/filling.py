"""What the API server does with a body that it lets in: defaults are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from quorate_operator.schema.definition import default_of
from quorate_operator.schema.fields import Field, Group, Rows


def filled(field: Field, value: object) -> object:
    """Return ``value`` with the defaults of ``field`` where something is absent."""
    if isinstance(field, Rows) and isinstance(value, list):
        return [filled(field.row, row) for row in value]
    if not (isinstance(field, Group) and isinstance(value, Mapping)):
        return value
    body = dict(value)
    for name, item in field.fields.items():
        default = default_of(item)
        if name not in body and default is not None:
            body[name] = deepcopy(default)
        if name in body:
            body[name] = filled(item, body[name])
    return body
