"""Renders the CustomResourceDefinition: a structural schema for Kubernetes 1.30 and newer."""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.schema.fields import (
    QUANTITY_LENGTH_MAX,
    QUANTITY_PATTERN,
    Field,
    Flag,
    Group,
    Json,
    Quantity,
    Rows,
    Rule,
    Text,
    Whole,
    Words,
)
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

NAME_MAX = 40
"""Characters of a ClusterService's name: names of pods and copies of code are longer by 23."""


def _kept(field: str, holds: str, message: str) -> Rule:
    """Return a rule about a field of status that must go on to hold once it is set."""
    old, new = f"oldSelf.status.{field}", f"self.status.{field}"
    unset = f"!has(oldSelf.status) || !has({old})"
    return Rule(f"{unset} || (has(self.status) && has({new}) && ({holds}))", message)


ROOT_RULES = (
    Rule(
        f"self.metadata.name.size() <= {NAME_MAX} && "
        "self.metadata.name.matches('^[a-z]$|^[a-z][-a-z0-9]*[a-z0-9]$')",
        f"metadata.name must be at most {NAME_MAX} lower case letters, digits and dashes, begin "
        "with a letter and end with a letter or digit; choose another name",
    ),
    _kept(
        "clusterId",
        "self.status.clusterId == oldSelf.status.clusterId",
        "status.clusterId cannot be changed or removed once it is set: the volumes carry it; set "
        "it back",
    ),
    _kept(
        "epoch",
        "self.status.epoch >= oldSelf.status.epoch",
        "status.epoch cannot be lowered or removed: members refuse lower ones; set it back",
    ),
    _kept(
        "founded",
        "self.status.founded || !oldSelf.status.founded",
        "status.founded cannot be taken back: founding again would discard what the cluster "
        "knows; set it back",
    ),
)

COLUMNS: tuple[tuple[str, str, str, str, int], ...] = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "All members serve.", 0),
    ("Leader", "string", ".status.leader.pod", "The pod that leads.", 0),
    (
        "Quorate",
        "string",
        '.status.conditions[?(@.type=="Quorate")].status',
        "A majority follows one leader.",
        0,
    ),
    ("Status", "string", ".status.state", "What is being done.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Since it was made.", 0),
    ("Term", "integer", ".status.leader.term", "The leadership term.", 1),
    ("Version", "string", ".status.version", "What the leader runs.", 1),
)
"""Name, type, path, description and priority; those of priority 1 are shown with ``-o wide``."""


def definition() -> dict[str, Json]:
    """Return the body of the CustomResourceDefinition."""
    metadata: dict[str, Json] = {
        "name": f"{labels.PLURAL}.{labels.GROUP}",
        "annotations": {labels.SCHEMA_ANNOTATION: str(labels.SCHEMA_VERSION)},
    }
    names: dict[str, Json] = {
        "kind": labels.KIND,
        "listKind": f"{labels.KIND}List",
        "plural": labels.PLURAL,
        "singular": labels.KIND.lower(),
        "shortNames": [labels.SHORT_NAME],
        "categories": [labels.CATEGORY],
    }
    version: dict[str, Json] = {
        "name": labels.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
        "schema": {"openAPIV3Schema": root()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": labels.GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }


def root() -> dict[str, Json]:
    """Return the schema of the whole resource."""
    return {
        "type": "object",
        "description": "A deterministic Python service that runs as a Raft cluster.",
        "required": ["spec"],
        "x-kubernetes-validations": [_rule(rule) for rule in ROOT_RULES],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # The bound is that of Kubernetes itself; it tells what the rule above costs.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 253}},
            },
            "spec": openapi(SPEC),
            "status": openapi(STATUS),
        },
    }


def openapi(field: Field) -> dict[str, Json]:
    """Return the OpenAPI schema of a field."""
    schema = _typed(field)
    schema["description"] = field.text
    default = default_of(field)
    if default is not None:
        schema["default"] = default
    if field.rules:
        schema["x-kubernetes-validations"] = [_rule(rule) for rule in field.rules]
    return schema


def default_of(field: Field) -> Json:
    """Return what the API server fills in when this field is absent; None for nothing.

    A group's default is written out in full, as the API server judges it by the group's rules
    before it fills in what is below.
    """
    match field:
        case Group() if field.defaulted:
            below = {name: default_of(item) for name, item in field.fields.items()}
            return {name: default for name, default in below.items() if default is not None}
        case Text() | Quantity() | Whole() | Flag():
            return field.default
        case _:
            return None


def _typed(field: Field) -> dict[str, Json]:
    schema: dict[str, Json]
    match field:
        case Text():
            schema = _text(field)
        case Quantity():
            schema = {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "maxLength": QUANTITY_LENGTH_MAX,
                "pattern": QUANTITY_PATTERN,
            }
        case Whole():
            schema = _whole(field)
        case Flag():
            schema = {"type": "boolean"}
        case Words():
            schema = {
                "type": "object",
                "maxProperties": field.count_max,
                "additionalProperties": openapi(field.values),
            }
        case Group():
            schema = _group(field)
        case Rows():
            schema = _rows(field)
    return schema


def _whole(field: Whole) -> dict[str, Json]:
    schema: dict[str, Json] = {
        "type": "integer",
        "format": "int64",
        "minimum": field.minimum,
        "maximum": field.maximum,
    }
    return schema | ({"enum": list(field.choices)} if field.choices else {})


def _text(field: Text) -> dict[str, Json]:
    schema: dict[str, Json] = {"type": "string"}
    if field.choices:
        schema["enum"] = list(field.choices)
        return schema
    schema["maxLength"] = field.length_max
    if field.length_min:
        schema["minLength"] = field.length_min
    if field.pattern:
        schema["pattern"] = field.pattern
    if field.timestamp:
        schema["format"] = "date-time"
    return schema


def _group(field: Group) -> dict[str, Json]:
    schema: dict[str, Json] = {"type": "object"}
    required: list[Json] = [name for name, item in field.fields.items() if item.required]
    if required:
        schema["required"] = required
    schema["properties"] = {name: openapi(item) for name, item in field.fields.items()}
    return schema


def _rows(field: Rows) -> dict[str, Json]:
    schema: dict[str, Json] = {
        "type": "array",
        "maxItems": field.count_max,
        "items": openapi(field.row),
        "x-kubernetes-list-type": "map" if field.key else "atomic",
    }
    if field.key:
        schema["x-kubernetes-list-map-keys"] = [field.key]
    return schema


def _rule(rule: Rule) -> dict[str, Json]:
    return {"rule": rule.rule, "message": rule.message}


def _column(name: str, kind: str, path: str, text: str, priority: int) -> dict[str, Json]:
    column: dict[str, Json] = {
        "name": name,
        "type": kind,
        "jsonPath": path,
        "description": text,
    }
    return column | ({"priority": priority} if priority else {})
