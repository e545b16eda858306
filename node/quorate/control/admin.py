"""Admin actions: who may ask, and what became of what was asked.

An action's outcome often comes long after the question, and the connection may be gone by
then; so each gets a result that can be asked for, kept in memory for this life of the process.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from aiohttp import web

from quorate.config import is_loopback
from quorate.errors import ConfigurationError

RESULTS_MAX = 64
"""Results kept; the oldest ended one makes room, and with none ended a request is refused."""
TOKEN_LENGTH_MIN = 16
RESULT_TIMEOUT_S = 60.0
"""After this a pending result is told as unknown: nobody waits for ever."""


class AdminState(StrEnum):
    """What has become of an action."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    """Refused, or tried without success; ``reason`` says why."""
    UNKNOWN = "unknown"
    """No outcome within the time limit: look at the status."""


@dataclass(slots=True)
class AdminResult:
    """One action that was asked for."""

    result_id: str
    action: str
    state: AdminState = AdminState.PENDING
    reason: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, completed: bool, reason: str) -> None:  # noqa: FBT001 - the port's callback
        """Set the outcome; only the first one counts."""
        self._end(AdminState.COMPLETED if completed else AdminState.FAILED, reason)

    def expire(self) -> None:
        """Give up waiting for an outcome."""
        self._end(AdminState.UNKNOWN, f"no outcome within {RESULT_TIMEOUT_S:.0f} s")

    def _end(self, state: AdminState, reason: str) -> None:
        if not self.ended.is_set():
            self.state, self.reason = state, reason
            self.ended.set()

    def to_mapping(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "id": self.result_id,
            "action": self.action,
            "state": self.state.value,
            "reason": self.reason,
        }


class AdminResults:
    """The results of this life, newest last."""

    def __init__(self) -> None:
        """Begin without any."""
        self._results: dict[str, AdminResult] = {}

    def begin(self, action: str) -> AdminResult | None:
        """Make a pending result; None when too many are pending."""
        if len(self._results) >= RESULTS_MAX:
            ended = next((key for key, row in self._results.items() if row.ended.is_set()), None)
            if ended is None:
                return None
            del self._results[ended]
        result = AdminResult(secrets.token_hex(8), action)
        self._results[result.result_id] = result
        asyncio.get_running_loop().call_later(RESULT_TIMEOUT_S, result.expire)
        return result

    def find(self, result_id: str) -> AdminResult | None:
        """Return a result of this life, if it is still kept."""
        return self._results.get(result_id)


def read_token(path: str) -> bytes | None:
    """Read the bearer token of admin actions; None when no file is configured.

    Raises:
        ConfigurationError: The file cannot be read, or holds no usable token.

    """
    if not path:
        return None
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        text = f"control.token_file is {path!r}, which cannot be read: {error.strerror}"
        raise ConfigurationError([text]) from error
    if len(token) < TOKEN_LENGTH_MIN or not token.isascii() or len(token.split()) != 1:
        text = (
            f"control.token_file is {path!r}, which does not hold one word of at least "
            f"{TOKEN_LENGTH_MIN} ASCII characters"
        )
        raise ConfigurationError([text])
    return token


def refusal(request: web.BaseRequest, token: bytes | None) -> web.Response | None:
    """Return the answer to one who may not ask, or None for one who may.

    Without a token only this machine may ask, and no web page on it: browsers name the page
    that sends a POST in ``Origin``.
    """
    if token is None:
        if "Origin" in request.headers or not is_loopback(request.remote or ""):
            text = "without control.token_file admin actions are for this machine only\n"
            return web.Response(status=403, text=text)
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    offered = given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "bearer" and hmac.compare_digest(offered, token):
        return None
    return web.Response(
        status=401,
        text="admin actions want the bearer token of control.token_file\n",
        headers={"WWW-Authenticate": 'Bearer realm="quorate"'},
    )
