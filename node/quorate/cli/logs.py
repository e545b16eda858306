"""Log handlers, configured here and nowhere else: lines for people, or JSON lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from quorate.errors import ConfigurationError

FORMATS = ("human", "json")
LOG_FORMAT = "QUORATE_LOG_FORMAT"
"""The variable by which an image chooses how its processes log, whatever their arguments are."""
LEVELS = ("debug", "info", "warning", "error")
_OWN_KEYS = frozenset(
    {"time", "level", "logger", "event", "number", "message", "exception", "stack"}
)


def chosen_format(argument: str | None, environment: Mapping[str, str]) -> str:
    """Return the format of the argument, else that of the environment, else the human one.

    Raises:
        ConfigurationError: The environment names another format.

    """
    named = argument or environment.get(LOG_FORMAT) or FORMATS[0]
    if named not in FORMATS:
        raise ConfigurationError([f"{LOG_FORMAT} is {named!r}, not one of {', '.join(FORMATS)}"])
    return named


def configure_logging(log_format: str, level: str) -> None:
    """Send everything from this level on to standard error, in this format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else HumanFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: what every record has, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a field that bears a name of ours gets an underscore behind it."""
        line: dict[str, object] = {
            "time": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
        }
        if hasattr(record, "event"):
            line |= {"event": record.event, "number": getattr(record, "number", 0)}
        line["message"] = record.getMessage()
        for name, value in _fields_of(record).items():
            line[f"{name}_" if name in _OWN_KEYS else name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=_readable, separators=(",", ":"))


class HumanFormatter(logging.Formatter):
    """``time level event: meaning (field=value ...)``, in one line but for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event = getattr(record, "event", record.name)
        text = f"{_time_of(record)} {record.levelname:7} {event}: {record.getMessage()}"
        fields = " ".join(
            f"{name}={_readable(value)}" for name, value in _fields_of(record).items()
        )
        if fields:
            text = f"{text} ({fields})"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"{text}\n{record.stack_info}" if record.stack_info else text


def _readable(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
