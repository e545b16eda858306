"""Asks members for their status and for admin actions; used by the command line and ``dev``."""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import Self, cast

import aiohttp

from quorate.consensus.types import Seat
from quorate.control.status import STATUS_BYTES_MAX, MemberStatus, decode_status
from quorate.errors import AdminRejected, AuthenticationRejected, NotConnected, RemoteProtocolError

CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 5.0
"""Beyond the wait that was asked for."""


class ControlClient:
    """An async context manager that holds the connections to the members' control ports."""

    def __init__(self, token: str = "") -> None:
        """Take the bearer token of admin actions; empty for none."""
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open; connections are made as they are needed."""
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        assert self._session is not None, "entered before it is left"
        await self._session.close()

    async def status(
        self, address: str, *, after: int | None = None, wait_s: int = 20
    ) -> MemberStatus:
        """Return the status of the member whose control port has this ``host:port``.

        Args:
            address: ``host:port``.
            after: Wait until the status version differs from this one.
            wait_s: How long to wait for that.

        Raises:
            NotConnected: Nothing answered there in time.
            RemoteProtocolError: What answered is not a member.

        """
        query = "" if after is None else f"?after={after}&wait={wait_s}s"
        wait = 0 if after is None else wait_s
        code, body = await self._ask("GET", address, f"/status{query}", wait_s=wait)
        if code != 200:  # noqa: PLR2004 - HTTP
            raise _unexpected(address, "/status", code, body)
        return decode_status(body)

    async def found(self, address: str, *, discard: bool = False, wait_s: int = 30) -> str:
        """Found the cluster through any of its members; return what the member says of it.

        Raises:
            AdminRejected: It was refused, or did not succeed within ``wait_s``.
            AuthenticationRejected: The token is missing or wrong.
            NotConnected: Nothing answered there in time.
            RemoteProtocolError: What answered is not a member.

        """
        return await self._act(address, "found", {"discard": discard}, wait_s)

    async def transfer(self, address: str, to: Seat | None = None, *, wait_s: int = 30) -> str:
        """Have the leader at this address hand over, to the best voter if ``to`` is None.

        Raises: as ``found``.
        """
        body: dict[str, object] = {"to": "any" if to is None else to}
        return await self._act(address, "transfer", body, wait_s)

    async def _act(self, address: str, action: str, body: dict[str, object], wait_s: int) -> str:
        path = f"/admin/{action}"
        code, answer = await self._ask("POST", address, path, body=body)
        result = _read_result(address, path, code, answer)
        if result["state"] == "pending":
            path = f"/admin/results/{result['id']}?wait={wait_s}s"
            code, answer = await self._ask("GET", address, path, wait_s=wait_s)
            result = _read_result(address, path, code, answer)
        if result["state"] == "pending":
            raise AdminRejected(f"{action}: no outcome from {address} within {wait_s} s")
        if result["state"] != "completed":
            raise AdminRejected(f"{action}: {result['reason']}")
        return result["reason"]

    async def _ask(
        self,
        method: str,
        address: str,
        path: str,
        *,
        body: dict[str, object] | None = None,
        wait_s: int = 0,
    ) -> tuple[int, bytes]:
        assert self._session is not None, "used inside `async with`"
        limits = aiohttp.ClientTimeout(
            total=ANSWER_TIMEOUT_S + wait_s, sock_connect=CONNECT_TIMEOUT_S
        )
        try:
            async with self._session.request(
                method,
                f"http://{address}{path}",
                json=body,
                headers=self._headers,
                timeout=limits,
                allow_redirects=False,
            ) as response:
                data = await response.content.read(STATUS_BYTES_MAX + 1)
                while data and not response.content.at_eof() and len(data) <= STATUS_BYTES_MAX:
                    data += await response.content.read(STATUS_BYTES_MAX + 1)
                return response.status, data
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise NotConnected(
                f"no answer from a member at {address}: {_describe(error)}"
            ) from error
        except aiohttp.ClientError as error:
            text = f"{address} does not speak HTTP: name the control address of a member"
            raise RemoteProtocolError(text) from error


def _describe(error: Exception) -> str:
    """Name the failure without what the library adds of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        # Look-ups of names have numbers of their own, below zero, with their text.
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return str(error) or type(error).__name__


def _read_result(address: str, path: str, code: int, body: bytes) -> dict[str, str]:
    text = body[:500].decode("utf-8", "replace").strip()
    if code in (401, 403):
        raise AuthenticationRejected(f"{address}: {text}")
    if code in (404, 429, 503):
        raise AdminRejected(f"{address}: {text}")
    try:
        result: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unexpected(address, path, code, body) from error
    if not isinstance(result, dict) or not all(
        isinstance(result.get(key), str) for key in ("id", "state", "reason")
    ):
        raise _unexpected(address, path, code, body)
    return cast("dict[str, str]", result)


def _unexpected(address: str, path: str, code: int, body: bytes) -> RemoteProtocolError:
    text = body[:200].decode("utf-8", "replace").strip()
    return RemoteProtocolError(f"{address} answered {path} with HTTP {code}: {text}")
