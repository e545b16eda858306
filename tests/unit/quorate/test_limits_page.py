"""The page of limits says what the code does: every number and every reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from quorate.config import ClusterSettings, GatewayConfig, NodeConfig
from quorate.consensus import config as consensus_config
from quorate.consensus.module import Rejection
from quorate.control import admin, connections, metrics, server, status
from quorate.gateway import connection, credit_pool, crowd, patrol, turn_budget
from quorate.gateway.refusals import Refusal
from quorate.protocol import entry_bodies, framing, handshake, session_codec
from quorate.protocol.handshake import LinkRefusal
from quorate.runtime import descriptors, edges
from quorate.service import container
from quorate.transport.interfaces import LinkSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "limits.md"
NOT_NUMBERS = {"messages in a batch"}
LINKS = LinkSettings()
CONSENSUS = consensus_config.ConsensusConfig()
FIXED: dict[tuple[str, str], float] = {
    ("client", "descriptors kept from clients"): descriptors.RESERVED,
    ("client", "the same, behind a redirect"): GatewayConfig().open_timeout_ms,
    (
        "client",
        "message before a session is open, bytes",
    ): session_codec.SMALL_MESSAGE_BYTES_MAX,
    ("client", "message of a client, bytes"): session_codec.CLIENT_MESSAGE_BYTES_MAX,
    ("client", "name of a client, bytes"): entry_bodies.NAME_BYTES_MAX,
    (
        "client",
        "messages of all connections in one turn of the loop",
    ): turn_budget.MESSAGES_PER_TURN,
    ("client", "bytes of all connections in one turn"): turn_budget.BYTES_PER_TURN,
    ("client", "messages other than ingress in a second"): connection.ASIDES_PER_S,
    (
        "client",
        "messages that are not whole, of all connections, bytes",
    ): crowd.INCOMPLETE_BYTES_MAX,
    (
        "client",
        "credit of a connection that has used none, bytes",
    ): credit_pool.FIRST_BYTES_MAX,
    (
        "client",
        "ingress under way of all connections, milliseconds",
    ): credit_pool.QUEUE_NS / 10**6,
    ("client", "the same, bytes"): credit_pool.TOTAL_BYTES_MAX,
    ("client", "the same, on a new leader, bytes"): credit_pool.TOTAL_BYTES_FIRST,
    (
        "client",
        "the same, while the service keeps up, bytes",
    ): credit_pool.TOTAL_BYTES_FREE,
    ("client", "the share of one connection, bytes"): credit_pool.SHARE_BYTES_MIN,
    ("client", "log written and not applied, bytes"): credit_pool.BACKLOG_BYTES_MAX,
    (
        "client",
        "room for log where a disk is nearly full, bytes",
    ): consensus_config.ROOM_RESERVE_BYTES_MAX,
    ("client", "egress buffered for a connection, bytes"): crowd.LAGGING_BYTES,
    (
        "client",
        "egress that full buffers hold, of all connections, bytes",
    ): crowd.LAGGING_TOTAL_BYTES,
    (
        "client",
        "a full buffer that the client does not read, seconds",
    ): patrol.NOT_READ_NS / 10**9,
    (
        "client",
        "the same: what it has to take of it in this time, bytes",
    ): patrol.READ_BYTES_MIN,
    ("client", "sessions that expire in one turn of the loop"): patrol.EXPIRIES,
    ("client", "the same, without a session"): ClusterSettings().session_timeout_ns,
    ("member", "connections without a finished handshake"): LINKS.handshakes_max,
    ("member", "time for a handshake, seconds"): LINKS.handshake_timeout_s,
    (
        "member",
        "message before the handshake is finished, bytes",
    ): handshake.HANDSHAKE_PAYLOAD_BYTES_MAX,
    ("member", "message of a member, bytes"): framing.PAYLOAD_BYTES_MAX,
    ("member", "sent to a follower and not reported, bytes"): CONSENSUS.window_bytes,
    ("member", "sent to a follower and not durable there, bytes"): CONSENSUS.unsynced_bytes_max,
    (
        "member",
        "read at once for a follower that catches up, bytes",
    ): CONSENSUS.read_bytes_max,
    ("member", "recent log in memory, bytes"): CONSENSUS.tail_bytes,
    (
        "member",
        "time for a closed connection to take the rest, seconds",
    ): LINKS.close_timeout_s,
    ("member", "the same refusal in the log, seconds"): edges.REPEATED_AFTER_S,
    ("control", "connections"): connections.CONNECTIONS_MAX,
    ("control", "time to a whole first request, seconds"): connections.FIRST_REQUEST_TIMEOUT_S,
    (
        "control",
        "time between an answer and the next whole request, seconds",
    ): connections.IDLE_TIMEOUT_S,
    ("control", "long polls that wait"): server.POLLS_MAX,
    ("control", "one long poll, seconds"): server.WAIT_MAX_S,
    ("control", "body, bytes"): server.BODY_BYTES_MAX,
    ("control", "time for a body, seconds"): server.BODY_TIMEOUT_S,
    (
        "control",
        "time that what is left of a body is read behind its answer, seconds",
    ): connections.LINGERING_S,
    ("control", "admin results that are pending"): admin.RESULTS_MAX,
    ("control", "time for the outcome of an admin action, seconds"): admin.RESULT_TIMEOUT_S,
    ("control", "answer of `/status`, bytes"): status.STATUS_BYTES_MAX,
    ("control", "pairs of boundary and reason in the metrics"): metrics.REFUSED_LABELS_MAX,
}


class Row(NamedTuple):
    """One row of a table on the page."""

    boundary: str
    limit: str
    default: str
    reason: str


def sections() -> dict[str, str]:
    """Return the text of each section by its heading."""
    _, *found = re.split(r"^## (\w+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(found[::2], found[1::2], strict=True))


def rows() -> list[Row]:
    """Return the rows of all tables."""
    found = []
    for boundary, text in sections().items():
        for line in re.findall(r"^\|(.+)\|$", text, re.MULTILINE)[2:]:
            limit, default, _, reason = (cell.strip() for cell in line.split("|"))
            found.append(Row(boundary, limit, default, reason.strip("`")))
    return found


def value_of(row: Row) -> float:
    """Return what the code has for a row."""
    configured = re.fullmatch(r"`(\w+)\.(\w+)`", row.limit)
    if configured is None:
        return FIXED[row.boundary, row.limit]
    value: float = getattr(getattr(NodeConfig(), configured[1]), configured[2])
    return value


@pytest.mark.parametrize("row", [row for row in rows() if row.limit not in NOT_NUMBERS], ids=str)
def test_the_default_of_a_limit_is_that_of_the_code(row: Row) -> None:
    assert float(row.default.replace(",", "")) == value_of(row)


def test_every_limit_that_this_test_knows_is_on_the_page() -> None:
    assert set(FIXED) <= {(row.boundary, row.limit) for row in rows()}


@pytest.mark.parametrize(
    ("boundary", "reasons"),
    [
        ("client", {*map(str, Refusal), *(rejection.value for rejection in Rejection)}),
        ("member", {reason.name.lower() for reason in LinkRefusal}),
        ("service", set(container.REFUSALS)),
    ],
)
def test_every_reason_is_on_the_page_and_no_other(boundary: str, reasons: set[str]) -> None:
    text = sections()[boundary]
    for reason in reasons:
        assert f"`{reason}`" in text, f"{reason} is not on the page"
    for row in rows():
        if row.boundary == boundary and row.reason and not row.reason.startswith("see "):
            assert row.reason in reasons, row
