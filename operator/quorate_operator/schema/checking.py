"""Checks a body against the tree of fields, and fits what is written into its bounds.

The API server has checked every body already, with our definition or with an older or newer one:
so what is unknown is skipped, what has no default any more is named, and nothing is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from quorate_operator.schema.fields import (
    QUANTITY_LENGTH_MAX,
    QUANTITY_PATTERN,
    Field,
    Flag,
    Group,
    Quantity,
    Rows,
    Text,
    Whole,
    Words,
)

_SHOWN_MAX = 60


def problems(field: Field, value: object, where: str) -> Iterator[str]:
    """Yield a line for everything that the definition of this field would refuse.

    Rules in CEL are left to the API server. Fields with a default must be there: the API server
    fills them in, so a body without one was not admitted by this definition.
    """
    match field:
        case Text():
            yield from _text_problems(field, value, where)
        case Quantity():
            yield from _quantity_problems(value, where)
        case Whole():
            yield from _whole_problems(field, value, where)
        case Flag():
            if not isinstance(value, bool):
                yield f"{where} is {_shown(value)}, not true or false"
        case Words():
            yield from _words_problems(field, value, where)
        case Group():
            yield from _group_problems(field, value, where)
        case Rows():
            yield from _rows_problems(field, value, where)


def fitted(field: Field, value: object) -> object:
    """Return ``value`` cut to the bounds of the field, so that the API server takes it."""
    if isinstance(field, Text) and isinstance(value, str) and len(value) > field.length_max:
        return value[: field.length_max - 1] + "…"
    if isinstance(field, Whole) and isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, field.minimum), field.maximum)
    if isinstance(field, Group) and isinstance(value, Mapping):
        return {key: fitted(field.fields[key], item) for key, item in value.items()}
    if isinstance(field, Rows) and isinstance(value, list):
        return [fitted(field.row, row) for row in value[: field.count_max]]
    return value


def _text_problems(field: Text, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{where} is {_shown(value)}, not a string"
    elif field.choices and value not in field.choices:
        yield f"{where} is {_shown(value)}, not {' or '.join(field.choices)}"
    elif not field.length_min <= len(value) <= field.length_max:
        yield (f"{where} has {len(value)} characters, not {field.length_min} to {field.length_max}")
    elif field.pattern and not re.fullmatch(field.pattern, value, re.ASCII):
        yield f"{where} is {_shown(value)}, not {field.form}"


def _quantity_problems(value: object, where: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | str):
        yield f"{where} is {_shown(value)}, not a quantity"
        return
    text = str(value)
    if len(text) > QUANTITY_LENGTH_MAX or not re.fullmatch(QUANTITY_PATTERN, text, re.ASCII):
        yield f"{where} is {_shown(value)}, not a quantity such as 500m, 2 or 256Mi"


def _whole_problems(field: Whole, value: object, where: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield f"{where} is {_shown(value)}, not a whole number"
    elif field.choices and value not in field.choices:
        yield f"{where} is {value}, not {' or '.join(map(str, field.choices))}"
    elif not field.minimum <= value <= field.maximum:
        yield f"{where} is {value}, not {field.minimum} to {field.maximum}"


def _words_problems(field: Words, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where} is {_shown(value)}, not a map of strings"
        return
    if len(value) > field.count_max:
        yield f"{where} has {len(value)} entries, not at most {field.count_max}"
    for key, item in value.items():
        yield from problems(field.values, item, f"{where}[{key}]")


def _group_problems(field: Group, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where} is {_shown(value)}, not an object"
        return
    for name, item in field.fields.items():
        if name in value:
            yield from problems(item, value[name], f"{where}.{name}")
        elif item.required or is_defaulted(item):
            yield f"{where}.{name} is missing"


def _rows_problems(field: Rows, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where} is {_shown(value)}, not a list"
        return
    if len(value) > field.count_max:
        yield f"{where} has {len(value)} rows, not at most {field.count_max}"
    for index, row in enumerate(value):
        yield from problems(field.row, row, f"{where}[{index}]")


def is_defaulted(field: Field) -> bool:
    """Tell whether the API server fills this field in when it is absent."""
    match field:
        case Group():
            return field.defaulted
        case Text() | Quantity() | Whole() | Flag():
            return field.default is not None
        case Words() | Rows():
            return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
