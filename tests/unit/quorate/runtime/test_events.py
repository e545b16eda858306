"""Logs are an interface: names and numbers are unique, documented and cover what is used."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from quorate.runtime.events import Event, event_named, log_event

ROOT = Path(__file__).resolve().parents[4]
PURE = ("consensus", "service")
TRACE = re.compile(r"""\b(?:trace|Trace)\(\s*f?["']([^"']+)["']""")


def documented() -> str:
    return (ROOT / "docs" / "reference" / "events.md").read_text()


def test_numbers_and_names_are_unique_and_grouped() -> None:
    numbers = [event.number for event in Event]
    assert len(set(numbers)) == len(numbers) == len(Event.__members__)
    assert numbers == sorted(numbers)


def test_the_page_lists_exactly_these_events() -> None:
    rows = [
        f"| {event.number} | `{event.event_name}` | {logging.getLevelName(event.value.level)} "
        f"| {event.value.meaning} |"
        for event in Event
    ]
    assert [line for line in documented().splitlines() if re.match(r"\| \d", line)] == rows


def test_every_event_that_a_pure_package_names_has_a_number() -> None:
    used = {
        (path.name, name)
        for package in PURE
        for path in (ROOT / "node" / "quorate" / package).rglob("*.py")
        for name in TRACE.findall(path.read_text())
    }
    assert [item for item in sorted(used) if event_named(item[1]) is Event.UNLISTED] == []


def test_an_event_is_found_by_its_name() -> None:
    assert event_named("log_truncated") is Event.LOG_TRUNCATED
    assert event_named("no such thing") is Event.UNLISTED


def test_a_logged_event_carries_its_name_number_and_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("quorate.runtime")
    with caplog.at_level(logging.INFO, logger.name):
        log_event(logger, Event.ROLE_CHANGED, role="leader", term=3)
        log_event(logger, Event.SESSION_OPENED, session=1)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == Event.ROLE_CHANGED.value.meaning
    assert vars(record)["event"] == "role_changed"
    assert vars(record)["number"] == 307
    assert vars(record)["fields"] == {"role": "leader", "term": 3}


def test_every_event_is_emitted_somewhere() -> None:
    """An event that nothing emits is a promise in the logs' reference that nobody keeps."""
    package = ROOT / "node" / "quorate"
    sources = "\n".join(path.read_text() for path in package.rglob("*.py"))
    silent = [
        event.event_name
        for event in Event
        if f"Event.{event.name}" not in sources and f'trace("{event.event_name}"' not in sources
    ]
    assert silent == []
