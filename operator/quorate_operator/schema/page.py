"""Renders the reference page of the resource: every field, from the same tree."""

from __future__ import annotations

from collections.abc import Iterator

from quorate_operator.schema.definition import COLUMNS, ROOT_RULES
from quorate_operator.schema.fields import (
    Field,
    Flag,
    Group,
    Quantity,
    Rows,
    Rule,
    Text,
    Whole,
    Words,
)
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

_HEAD = """\
# ClusterService

`clusterservices.quorate.io`, version `v1`, short name `csvc`, category `quorate`; Kubernetes 1.30
or newer. This page is rendered from the schema by `python -m quorate_operator.schema --write`,
and a test keeps them equal.

Defaults are filled in and stored by the API server when the resource is made. What the schema does
not allow is refused there, with a message that names the field, what must hold and what to do.

```yaml
apiVersion: quorate.io/v1
kind: ClusterService
metadata:
  name: orders
spec:
  image: registry.example/orders:1.4.2
  service:
    class: orders:Orders
```

## Name

At most 40 lower case letters, digits and dashes; it begins with a letter and ends with a letter or
digit. Pods are called `<name>-<seat>`, their claims `log-<name>-<seat>`, the Service for clients
`<name>`, the one that follows the leader `<name>-leader`, the one between members `<name>-members`,
the Secret `<name>-auth`; StatefulSet, ServiceAccount and PodDisruptionBudget have the name itself.
So `orders` and `orders-leader` do not go together in one namespace: what the first has made, the
second waits for and says so (`OwnershipConflict`), without a pod or a volume of its own.
"""

_CHANGES = """
## What a change does

The last column of the next table says what an edit of an existing resource does to its members.

- **restarts the members one at a time**: a hash of the field is on each pod. Followers first,
  the leader last after a hand-over; `status.update` says how far it is. With one replica there is
  an interruption.
- **works at once, without a restart**.
- **refused**: by the API server.
"""

_SPEC_HEAD = """
## spec

| field | type | default | bounds | meaning | a change |
|---|---|---|---|---|---|
"""

_STATUS_HEAD = """
## status

Written by the operator alone, and only when something in it changes: `lagBytes` is what it was
then. Live positions are metrics of the members. Absent means empty or not known.

| field | type | bounds | meaning |
|---|---|---|---|
"""

_COLUMNS_HEAD = """
## Columns of kubectl get

| column | shown | from | meaning |
|---|---|---|---|
"""

_RULES_HEAD = """
## Rules

Conditions beyond the bounds above, in CEL, with what the API server answers when they don't hold.

| of | rule | message |
|---|---|---|
"""

_TYPES: dict[type, str] = {
    Text: "string",
    Quantity: "quantity",
    Whole: "integer",
    Flag: "boolean",
    Words: "map of strings",
    Group: "object",
    Rows: "list",
}
_LARGE = {2**31 - 1: "2^31 - 1", 2**53 - 1: "2^53 - 1"}


def page() -> str:
    """Return the text of the page."""
    parts = [_HEAD, _CHANGES, _SPEC_HEAD]
    parts += [_row(path, item, with_default=True) for path, item in leaves(SPEC, "")]
    parts += [_RULES_HEAD, *(_rule("the resource", rule) for rule in ROOT_RULES)]
    parts += [_rule(f"`{path}`", rule) for path, item in rules(SPEC, "spec") for rule in item]
    parts.append(_STATUS_HEAD)
    parts += [_row(path, item, with_default=False) for path, item in leaves(STATUS, "")]
    parts.append(_COLUMNS_HEAD)
    parts += [
        f"| {name.upper()} | {'with `-o wide`' if priority else 'always'} | `{path}` | {text} |\n"
        for name, _, path, text, priority in COLUMNS
    ]
    return "".join(parts)


def leaves(field: Field, path: str) -> Iterator[tuple[str, Field]]:
    """Yield each field that is not an object of others, by its path; a list ends in ``[]``."""
    match field:
        case Group():
            for name, item in field.fields.items():
                yield from leaves(item, f"{path}.{name}".lstrip("."))
        case Rows():
            yield f"{path}[]", field
            yield from leaves(field.row, f"{path}[]")
        case _:
            yield path, field


def rules(field: Field, path: str) -> Iterator[tuple[str, tuple[Rule, ...]]]:
    """Yield the rules of this field and of all below it."""
    if field.rules:
        yield path, field.rules
    match field:
        case Group():
            for name, item in field.fields.items():
                yield from rules(item, f"{path}.{name}")
        case Rows():
            yield from rules(field.row, f"{path}[]")
        case _:
            pass


def _row(path: str, field: Field, *, with_default: bool) -> str:
    cells = [f"`{path}`", _type(field)]
    if with_default:
        cells.append(_default(field))
    cells += [_bounds(field), field.text]
    if with_default:
        cells.append(field.change.value)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _type(field: Field) -> str:
    if isinstance(field, Text) and field.timestamp:
        return "time"
    return _TYPES[type(field)]


def _default(field: Field) -> str:
    if field.required:
        return "required"
    match field:
        case Text() | Quantity() if field.default is not None:
            return f"`{field.default}`" if field.default else "empty"
        case Whole() | Flag() if field.default is not None:
            return f"`{str(field.default).lower()}`"
        case _:
            return "none"


def _bounds(field: Field) -> str:
    match field:
        case Text():
            return _text_bounds(field)
        case Quantity():
            return "a quantity, not negative"
        case Whole() if field.choices:
            return ", ".join(str(choice) for choice in field.choices)
        case Whole():
            return f"{field.minimum} to {_LARGE.get(field.maximum, f'{field.maximum:,}')}"
        case Words():
            return f"at most {field.count_max} entries, values: {_bounds(field.values)}"
        case _:
            return f"at most {field.count_max} rows" if isinstance(field, Rows) else ""


def _text_bounds(field: Text) -> str:
    if field.choices:
        return " or ".join(f"`{choice}`" for choice in field.choices)
    if field.timestamp:
        return "RFC 3339"
    length = f"at most {field.length_max:,} characters"
    return f"{field.form}; {length}" if field.form else length


def _rule(place: str, rule: Rule) -> str:
    text = rule.rule.replace("|", "\\|")
    return f"| {place} | `{text}` | {rule.message} |\n"
