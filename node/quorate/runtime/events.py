"""Every event that a member logs: a stable name and a number, so that logs are an interface.

Numbers and names never change their meaning; a retired one is not used again. Levels: ERROR a
human must act; WARNING handled but unusual; INFO a change of state, never per message; DEBUG
whatever a client can cause as often as it likes. ``docs/reference/events.md`` lists them.

The pure packages do not log: they return ``Trace`` effects whose name is an event's name, and
whoever carries out the effects logs them here.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import NamedTuple


class EventDefinition(NamedTuple):
    """What stands behind one event."""

    number: int
    level: int
    meaning: str


class Event(Enum):
    """The events by name, in groups of a hundred."""

    MEMBER_STARTED = EventDefinition(101, logging.INFO, "the process has begun its work")
    CONFIGURATION = EventDefinition(102, logging.INFO, "the effective configuration")
    LISTENING = EventDefinition(103, logging.INFO, "a port accepts connections")
    MEMBER_STOPPING = EventDefinition(104, logging.INFO, "asked to end; leadership goes first")
    MEMBER_STOPPED = EventDefinition(105, logging.INFO, "ended as asked")
    MEMBER_HALTED = EventDefinition(
        106, logging.ERROR, "the process ends itself; exit code says why"
    )
    LOOP_STALLED = EventDefinition(107, logging.WARNING, "one turn of the loop took very long")
    DESCRIPTORS_FEW = EventDefinition(
        108, logging.WARNING, "the limit of open files leaves room for fewer clients"
    )
    CREDENTIAL_UNREADABLE = EventDefinition(
        109, logging.WARNING, "a secret cannot be read any more: the last one stays in force"
    )
    LOOP_HANGS = EventDefinition(
        110, logging.ERROR, "one turn of the loop does not end: the service, as a rule"
    )

    FOUNDED = EventDefinition(203, logging.INFO, "the founded mark is durable here")
    FOUNDING_BROKEN = EventDefinition(204, logging.ERROR, "a seat changed during the founding")
    FOUNDING_DISCARDED = EventDefinition(205, logging.WARNING, "an unfinished founding was dropped")
    FOUNDING_ENDED = EventDefinition(206, logging.INFO, "a request to found has its outcome")
    FOUNDING_REFUSED = EventDefinition(208, logging.WARNING, "the cluster cannot be founded yet")

    CANVASS = EventDefinition(302, logging.INFO, "asking who would vote for this member")
    ELECTION_FAILED = EventDefinition(303, logging.INFO, "a canvass or ballot was not won")
    VOTE_GRANTED = EventDefinition(306, logging.INFO, "voted for another member")
    ROLE_CHANGED = EventDefinition(307, logging.INFO, "role, term or known leader changed")
    NEW_LEADERSHIP_TERM = EventDefinition(308, logging.INFO, "a term's first frame was applied")
    TRANSFER_ENDED = EventDefinition(310, logging.INFO, "a transfer has its outcome")
    HAND_OVER_BEGUN = EventDefinition(
        311, logging.WARNING, "a leader's disk is nearly full: another voter is to lead"
    )

    LOG_RECOVERED = EventDefinition(401, logging.INFO, "what the data directory held at start")
    LOG_TRUNCATED = EventDefinition(402, logging.WARNING, "a tail that lost against the leader's")
    RECOVERING_STARTED = EventDefinition(
        405, logging.WARNING, "this member may have lost what it acknowledged: no vote"
    )
    RECOVERING_ENDED = EventDefinition(406, logging.INFO, "cured: takes part again")
    FRAME_REFUSED = EventDefinition(
        408, logging.WARNING, "a log frame that does not fit was dropped"
    )

    LINK_UP = EventDefinition(501, logging.INFO, "a link to another member stands")
    LINK_DOWN = EventDefinition(502, logging.INFO, "a link to another member broke")
    LINK_REFUSED = EventDefinition(503, logging.WARNING, "a member refused, or was refused")
    REFUSED_MEMBER = EventDefinition(
        504, logging.WARNING, "a directory that the log does not know has connected"
    )
    REFUSED_BY_MEMBER = EventDefinition(
        505, logging.WARNING, "a member's log does not know this directory"
    )
    LINK_GIVEN_UP = EventDefinition(
        506, logging.INFO, "one of two links, or that of a member that ends, was not kept"
    )

    INGRESS_CHANGED = EventDefinition(601, logging.INFO, "clients' messages are taken, held or not")
    SESSION_OPENED = EventDefinition(602, logging.DEBUG, "a client's session began, or resumed")
    SESSION_CLOSED = EventDefinition(603, logging.DEBUG, "a client's session ended")

    SERVICE_STARTED = EventDefinition(701, logging.INFO, "the service was loaded and started")
    CALLBACK_FAILED = EventDefinition(702, logging.ERROR, "a callback of the service raised")
    SERVICE_DIVERGED = EventDefinition(
        704, logging.ERROR, "a majority computed something else: this member stops serving"
    )

    ADMIN_REQUESTED = EventDefinition(801, logging.INFO, "an admin action was asked for")
    ADMIN_REFUSED = EventDefinition(802, logging.WARNING, "an admin action was refused")

    ALARM_RAISED = EventDefinition(901, logging.ERROR, "something that a human should see")
    ALARM_CLEARED = EventDefinition(902, logging.INFO, "an alarm is over")

    UNLISTED = EventDefinition(999, logging.WARNING, "an event that this list lacks: a bug")

    @property
    def number(self) -> int:
        """The number by which logs are searched."""
        return self.value.number

    @property
    def event_name(self) -> str:
        """The name as it is logged: lower case."""
        return self.name.lower()


_BY_NAME = {event.event_name: event for event in Event}


def event_named(name: str) -> Event:
    """Return the event of a ``Trace`` effect, ``UNLISTED`` where the name is not known.

    A log line is no reason to end a member; a test compares the names that the code uses.
    """
    return _BY_NAME.get(name, Event.UNLISTED)


def log_event(logger: logging.Logger, event: Event, **fields: object) -> None:
    """Log an event with its fields; the record carries both for the formatter."""
    number, level, meaning = event.value
    if logger.isEnabledFor(level):
        logger.log(
            level,
            "%s",
            meaning,
            extra={"event": event.event_name, "number": number, "fields": fields},
        )
