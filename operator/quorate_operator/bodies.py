"""Reads a ClusterService from its JSON, and writes the JSON of its status.

Both by the schema: what it would refuse makes a spec unreadable, with every problem named, and a
status is cut to its bounds rather than refused by the API server.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Union, cast, get_args, get_origin, get_type_hints

from quorate.config import Durability
from quorate_operator import labels
from quorate_operator.errors import InvalidSpec
from quorate_operator.lenient import finalizers, is_going, mapping, metadata, text
from quorate_operator.model import (
    ClusterSpec,
    ClusterStatus,
    ConditionRow,
    ConsensusSpec,
    ResourcesSpec,
    SchedulingSpec,
    ServiceSpec,
    Spread,
    StorageSpec,
    TlsMode,
    UpdateSpec,
    VolumeRetention,
)
from quorate_operator.planning.observed import Body, Resource
from quorate_operator.schema.checking import fitted, problems
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

IDENTITY = ("clusterId", "epoch", "founded")
"""Written once by the identity manager, and never part of the periodic status."""

_KEYS = {"pvc_uid": "pvcUID", "last_transition": "lastTransitionTime"}
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_CONDITION_STATUS = {"True": True, "False": False, "Unknown": None}


def read_resource(body: Body) -> Resource:
    """Return the resource; never raises: what cannot be read is said in ``problems``."""
    meta = metadata(body)
    annotations = mapping(meta.get("annotations"))
    spec, found = None, list[str]()
    try:
        spec = read_spec(mapping(body.get("spec")))
    except InvalidSpec as error:
        found = error.problems
    return Resource(
        name=_text(meta, "name"),
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        resource_version=_text(meta, "resourceVersion"),
        generation=_whole(meta, "generation"),
        spec=spec,
        status=read_status(mapping(body.get("status"))),
        problems=tuple(found),
        transfer_request=_text(annotations, labels.TRANSFER_ANNOTATION),
        held_by=finalizers(body) if is_going(body) else (),
    )


def read_spec(body: Body) -> ClusterSpec:
    """Return the spec.

    Raises:
        InvalidSpec: With a line for each field that our definition would not have let in.

    """
    found = list(problems(SPEC, body, "spec"))
    if found:
        raise InvalidSpec(found)
    resources = mapping(body["resources"])
    return ClusterSpec(
        replicas=_whole(body, "replicas"),
        image=_text(body, "image"),
        service=_service(mapping(body["service"])),
        config=_text(body, "config"),
        storage=_storage(mapping(body["storage"])),
        consensus=_consensus(mapping(body["consensus"])),
        update=_update(mapping(body["update"])),
        scheduling=_scheduling(mapping(body["scheduling"])),
        resources=ResourcesSpec(
            requests=_quantities(resources["requests"]), limits=_quantities(resources["limits"])
        ),
        tls=TlsMode(_text(mapping(body["tls"]), "mode")),
        paused=body["paused"] is True,
        volumes=VolumeRetention(_text(mapping(body["deletion"]), "volumes")),
    )


def read_status(body: Body) -> ClusterStatus:
    """Return the status as recorded; what this release cannot read is left out."""
    return cast("ClusterStatus", _read(ClusterStatus, body))


def write_status(status: ClusterStatus) -> dict[str, object]:
    """Return the JSON of a status without its identity, without what is empty, within bounds."""
    written = cast("Mapping[str, object]", fitted(STATUS, _write(status)))
    return {key: value for key, value in written.items() if key not in IDENTITY}


def milliseconds(duration: str) -> int:
    """Return a duration of the schema, one number and one unit, in milliseconds."""
    match = re.fullmatch(r"([0-9]+)(ms|s|m|h)", duration)
    assert match is not None, f"{duration!r} was checked against the pattern of durations"
    return int(match[1]) * _MILLISECONDS[match[2]]


def _service(body: Body) -> ServiceSpec:
    code = mapping(body.get("codeFrom"))
    return ServiceSpec(_text(body, "class"), _text(code, "configMap") or None)


def _storage(body: Body) -> StorageSpec:
    return StorageSpec(_text(body, "size"), _text(body, "className") or None)


def _consensus(body: Body) -> ConsensusSpec:
    return ConsensusSpec(
        election_timeout_ms=milliseconds(_text(body, "electionTimeout")),
        heartbeat_ms=milliseconds(_text(body, "heartbeat")),
        durability=Durability[_text(body, "durability").upper()],
    )


def _update(body: Body) -> UpdateSpec:
    return UpdateSpec(
        handover_timeout_ms=milliseconds(_text(body, "handoverTimeout")),
        progress_deadline_ms=milliseconds(_text(body, "progressDeadline")),
        restart=_text(body, "restart"),
    )


def _scheduling(body: Body) -> SchedulingSpec:
    tolerations = cast("list[Mapping[str, object]]", body.get("tolerations", []))
    return SchedulingSpec(
        node_selector={key: str(word) for key, word in mapping(body.get("nodeSelector")).items()},
        tolerations=tuple(tolerations),
        priority_class_name=_text(body, "priorityClassName") or None,
        spread=Spread(_text(body, "spread")),
    )


def _quantities(body: object) -> dict[str, str]:
    return {name: str(quantity) for name, quantity in mapping(body).items()}


def _key(name: str) -> str:
    return _KEYS.get(name) or re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _write(value: object) -> object:
    if isinstance(value, ConditionRow):
        word = next(word for word, flag in _CONDITION_STATUS.items() if flag is value.status)
        return {**_write_fields(value), "status": word}
    if is_dataclass(value) and not isinstance(value, type):
        return _write_fields(value)
    if isinstance(value, Enum):
        return value.value
    return [_write(row) for row in value] if isinstance(value, tuple) else value


def _write_fields(value: object) -> dict[str, object]:
    assert is_dataclass(value)
    rows = ((_key(item.name), getattr(value, item.name)) for item in fields(value))
    return {key: _write(row) for key, row in rows if row is not None and row not in ("", ())}


@cache
def _hints(wanted: type) -> Mapping[str, object]:
    """Return the types of its fields; they are resolved once, since that takes milliseconds."""
    return get_type_hints(wanted)


def _read(wanted: type, value: Mapping[str, object]) -> object:
    """Return the dataclass, or None if a field without a default cannot be read."""
    hints = _hints(wanted)
    given: dict[str, object] = {}
    for item in fields(wanted):
        if _key(item.name) in value:
            try:
                given[item.name] = _read_as(hints[item.name], value[_key(item.name)])
            except (ValueError, TypeError, KeyError):
                continue  # of another release: as good as absent
    # Texts are left out when they are empty, and so is the leader of a transfer that failed.
    for item in fields(wanted):
        if item.name not in given and hints[item.name] in (str, int | None):
            given.setdefault(item.name, "" if hints[item.name] is str else None)
    return wanted(**given)


def _read_as(hint: object, value: object) -> object:
    """Return ``value`` as the annotation says.

    Raises:
        ValueError, TypeError, KeyError: It cannot be read so.

    """
    if hint == bool | None:
        return _CONDITION_STATUS[str(value)]
    if get_origin(hint) is tuple:
        return tuple(_read_rows(get_args(hint)[0], value))
    if get_origin(hint) in (Union, types.UnionType):
        return _read_as(get_args(hint)[0], value)
    assert isinstance(hint, type), f"no field of a status is a {hint}"
    if is_dataclass(hint):
        return _read(hint, mapping(value))
    if issubclass(hint, Enum):
        return hint(value)
    if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


def _read_rows(wanted: type, value: object) -> list[object]:
    rows: list[object] = []
    for row in value if isinstance(value, list) else []:
        try:
            rows.append(_read_as(wanted, row))
        except (ValueError, TypeError, KeyError):
            continue  # such as a condition of a later release
    return rows


def _text(body: Mapping[str, object], key: str) -> str:
    return text(body.get(key))


def _whole(body: Mapping[str, object], key: str) -> int:
    value = body.get(key, 0)
    return value if isinstance(value, int) else 0
