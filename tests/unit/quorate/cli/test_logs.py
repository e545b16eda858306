"""Log lines for machines and for people."""

from __future__ import annotations

import json
import logging
import sys

from quorate.cli.logs import HumanFormatter, JsonFormatter
from quorate.runtime.events import Event


def record_of(event: Event | None, fields: dict[str, object]) -> logging.LogRecord:
    record = logging.LogRecord("quorate.runtime", logging.INFO, __file__, 1, "what", (), None)
    record.created = 1_700_000_000.5
    if event is not None:
        vars(record).update(event=event.event_name, number=event.number, fields=fields)
    return record


def test_a_json_line_has_the_events_name_number_and_fields() -> None:
    record = record_of(Event.LOG_TRUNCATED, {"position": 64, "chain": b"\x01\xff", "level": 3})
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "INFO",
        "logger": "quorate.runtime",
        "event": "log_truncated",
        "number": 402,
        "message": "what",
        "position": 64,
        "chain": "01ff",
        "level_": 3,
    }


def test_a_line_of_someone_elses_library_is_json_as_well() -> None:
    line = json.loads(JsonFormatter().format(record_of(None, {})))
    assert line["message"] == "what"
    assert "event" not in line


def test_a_human_line_is_one_line() -> None:
    record = record_of(Event.LOG_TRUNCATED, {"position": 64, "chain": b"\x01"})
    assert HumanFormatter().format(record) == (
        "2023-11-14T22:13:20.500Z INFO    log_truncated: what (position=64 chain=01)"
    )
    assert HumanFormatter().format(record_of(None, {})).endswith("quorate.runtime: what")


def test_a_traceback_is_kept() -> None:
    record = record_of(None, {})
    try:
        int("of the author")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in HumanFormatter().format(record)
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(record))["exception"]


def test_a_stack_that_was_asked_for_is_kept_behind_a_traceback() -> None:
    record = record_of(None, {"stack": "of the event"})
    record.stack_info = "Stack (most recent call last):\n  in author"
    assert HumanFormatter().format(record).endswith("\nStack (most recent call last):\n  in author")
    assert json.loads(JsonFormatter().format(record))["stack"].endswith("in author")
