"""File, environment and arguments into one ``NodeConfig``; each overrides the one before.

``QUORATE_<GROUP>__<FIELD>`` in the environment and ``--set group.field=value`` among the
arguments carry plain text; a list of seats is written as in TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from quorate.config import NodeConfig, from_mapping, to_mapping
from quorate.errors import ConfigurationError

PREFIX = "QUORATE_"
_NUMBERS = ("int", "Seat")


def resolve(
    file: Path | None, environment: Mapping[str, str], arguments: Sequence[str]
) -> NodeConfig:
    """Return the effective configuration.

    Args:
        file: A TOML file; None for none.
        environment: Variables that do not begin with ``QUORATE_`` or lack the double
            underscore are not ours.
        arguments: ``group.field=value`` each.

    Raises:
        ConfigurationError: With every problem of all three sources at once.

    """
    problems: list[str] = []
    tables: dict[str, object] = {} if file is None else _read_file(file)
    for name, text in sorted(environment.items()):
        group, separator, field = name.removeprefix(PREFIX).partition("__")
        if name.startswith(PREFIX) and separator:
            _put(tables, group.lower(), field.lower(), text)
    for argument in arguments:
        path, separator, text = argument.partition("=")
        group, dot, field = path.partition(".")
        if separator and dot:
            _put(tables, group, field, text)
        else:
            problems.append(f"--set {argument} is not group.field=value")
    try:
        config = from_mapping(tables)
    except ConfigurationError as error:
        raise ConfigurationError([*problems, *error.problems]) from error
    if problems:
        raise ConfigurationError(problems)
    return config


def masked(config: NodeConfig) -> dict[str, dict[str, object]]:
    """Return the configuration as it may be logged: the service's own text may hold secrets."""
    mapping = to_mapping(config)
    mapping["member"]["service_config"] = f"<{len(config.member.service_config)} characters>"
    return mapping


def _read_file(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"cannot read {file}: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"{file} is not TOML: {error}"]) from error


def _put(tables: dict[str, object], group: str, field: str, text: str) -> None:
    table = tables.get(group, {})
    # What is no table is left for the reader of the whole to complain of.
    if isinstance(table, dict):
        tables[group] = table | {field: _plain_value(group, field, text)}


def _plain_value(group: str, field: str, text: str) -> object:
    """Return what TOML would hold here; text that does not fit is left for the reader."""
    groups = {item.name: getattr(NodeConfig(), item.name) for item in fields(NodeConfig)}
    types = {item.name: item.type for item in fields(groups[group])} if group in groups else {}
    try:
        if types.get(field) in _NUMBERS:
            return int(text)
        if field == "seats":
            return tomllib.loads(f"seats = {text}")["seats"]
    except (ValueError, RecursionError):
        pass
    return text
