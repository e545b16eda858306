"""The configuration as tables of plain values, as TOML text, and as a hash.

One table a group and one key a field, so a TOML file, the environment and the classes share
their names. Whoever renders a member's file (``quorate dev``, an operator) writes with
what the member reads with, so that the two cannot drift.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from enum import IntEnum
from typing import TypeVar

from quorate.config.addresses import SeatAddress
from quorate.config.cluster import Durability, OnError
from quorate.config.node import NodeConfig
from quorate.config.validation import find_problems
from quorate.consensus.types import CLUSTER_ID_LENGTH, ClusterId, Seat
from quorate.errors import ConfigurationError

_Group = TypeVar("_Group")


def from_mapping(mapping: Mapping[str, object]) -> NodeConfig:
    """Build a configuration from tables of values, as a TOML file holds them, and validate it.

    Raises:
        ConfigurationError: With one line for each problem: unknown keys (with the nearest
            known one), values of the wrong type, and everything that ``validate`` finds.

    """
    problems: list[str] = []
    groups: dict[str, object] = {}
    defaults = NodeConfig()
    known = [group.name for group in fields(NodeConfig)]
    for name, table in mapping.items():
        if name not in known:
            problems.append(_unknown(name, known))
        elif not isinstance(table, Mapping):
            problems.append(f"{name} is {table!r}, not a table")
        else:
            groups[name] = _read_group(name, getattr(defaults, name), table, problems)
    config = _replace(defaults, groups)
    # A value that could not be read left its default behind: do not complain of that as well.
    unread = {_field_of(problem) for problem in problems}
    problems += [text for text in find_problems(config) if _field_of(text) not in unread]
    if problems:
        raise ConfigurationError(problems)
    return config


def to_mapping(config: NodeConfig) -> dict[str, dict[str, object]]:
    """Return every value of the configuration, so that ``from_mapping`` gives it back."""
    return {
        group.name: {
            item.name: _plain(getattr(getattr(config, group.name), item.name))
            for item in fields(getattr(config, group.name))
        }
        for group in fields(config)
    }


def to_toml(config: NodeConfig) -> str:
    """Render the configuration as the text of a TOML file."""
    return mapping_to_toml(to_mapping(config))


def mapping_to_toml(mapping: Mapping[str, Mapping[str, object]]) -> str:
    """Render tables of values, some or all of what ``to_mapping`` returns, as TOML text.

    Whoever renders for members of another release leaves out what is as it always was: an older
    member refuses a field that it does not know.
    """
    lines: list[str] = []
    for group, table in mapping.items():
        rows: list[tuple[str, dict[str, object]]] = []
        lines.append(f"[{group}]")
        for name, value in table.items():
            if isinstance(value, list):
                rows += [(name, row) for row in value]
            else:
                lines.append(f"{name} = {_toml_value(value)}")
        for name, row in rows:
            lines.append(f"[[{group}.{name}]]")
            lines += [f"{key} = {_toml_value(value)}" for key, value in row.items()]
        lines.append("")
    return "\n".join(lines)


def configuration_hash(config: NodeConfig) -> bytes:
    """Return 16 bytes over what all members must agree on to found a cluster.

    Covers the cluster id, the list of seats (in the order of seats), settings and constants.
    """
    mapping = to_mapping(config)
    lines = ["quorate configuration 1", config.member.cluster_id.hex()]
    for row in sorted(config.member.seats, key=lambda row: row.seat):
        addresses = (row.client_port, row.member_port, row.control_port)
        lines.append(f"{row.seat} {row.host.lower()} {' '.join(map(str, addresses))}")
    for group in ("settings", "constants"):
        lines += [f"{group}.{name} {mapping[group][name]}" for name in sorted(mapping[group])]
    return hashlib.sha256("\n".join(lines).encode()).digest()[:16]


def _read_group(
    where: str, default: _Group, table: Mapping[str, object], problems: list[str]
) -> _Group:
    values: dict[str, object] = {}
    types = {item.name: str(item.type) for item in fields(default)}  # type: ignore[arg-type]
    for name, value in table.items():
        if name not in types:
            problems.append(f"{where}.{_unknown(name, list(types))}")
            continue
        try:
            values[name] = _READERS[types[name]](value)
        except ConfigurationError as error:
            problems += [f"{where}.{name}{problem}" for problem in error.problems]
    return _replace(default, values)


def _replace(default: _Group, values: Mapping[str, object]) -> _Group:
    # The values were converted by the field's own reader, which the type checker cannot see.
    return replace(default, **values)  # type: ignore[type-var]


def _field_of(problem: str) -> str:
    return re.split(r"[ \[]", problem, maxsplit=1)[0]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"{name} is unknown; did you mean {near[0]}?" if near else f"{name} is unknown"


def _read_int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError([f" is {value!r}, not a whole number"])
    return value


def _read_str(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError([f" is {value!r}, not a string"])
    if "\0" in value:
        raise ConfigurationError([" holds a zero byte"])
    if not value.isascii() and value.encode(errors="ignore").decode() != value:
        raise ConfigurationError([f" is {value!r}, not UTF-8 text"])
    return value


def _read_cluster_id(value: object) -> ClusterId:
    text = _read_str(value)
    if not re.fullmatch(f"[0-9a-fA-F]{{{CLUSTER_ID_LENGTH * 2}}}", text):
        raise ConfigurationError([f" is {text!r}, not {CLUSTER_ID_LENGTH * 2} hexadecimal digits"])
    return ClusterId(bytes.fromhex(text))


def _read_durability(value: object) -> Durability:
    return Durability[_read_choice(value, [item.name for item in Durability])]


def _read_on_error(value: object) -> OnError:
    return OnError[_read_choice(value, [item.name for item in OnError])]


def _read_choice(value: object, choices: list[str]) -> str:
    if not isinstance(value, str) or value.upper() not in choices:
        raise ConfigurationError([f" is {value!r}, not {' or '.join(choices).lower()}"])
    return value.upper()


def _read_seats(value: object) -> tuple[SeatAddress, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigurationError([f" is {value!r}, not a list of tables with seat and host"])
    problems: list[str] = []
    rows: list[SeatAddress] = []
    for index, row in enumerate(value):
        if not isinstance(row, Mapping):
            problems.append(f"[{index}] is {row!r}, not a table with seat and host")
            continue
        problems += [
            f"[{index}].{name} is required" for name in ("seat", "host") if name not in row
        ]
        rows.append(_read_group(f"[{index}]", SeatAddress(Seat(-1), ""), row, problems))
    if problems:
        raise ConfigurationError(problems)
    return tuple(rows)


_READERS: dict[str, Callable[[object], object]] = {
    "int": _read_int,
    "str": _read_str,
    "Seat": _read_int,
    "ClusterId": _read_cluster_id,
    "Durability": _read_durability,
    "OnError": _read_on_error,
    "tuple[SeatAddress, ...]": _read_seats,
}
"""One for each type that a field may have, by the annotation as written."""


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, tuple):
        return [
            {item.name: _plain(getattr(row, item.name)) for item in fields(row)} for row in value
        ]
    return value


def _toml_value(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, str), f"no group holds a {type(value)}"
    return '"' + "".join(_TOML_ESCAPES.get(char, char) for char in value) + '"'


_TOML_ESCAPES = {chr(code): f"\\u{code:04x}" for code in (*range(32), 127)} | {
    '"': '\\"',
    "\\": "\\\\",
}
