"""Calls to the API server: dictionaries in and out, one time limit, errors translated once.

The typed models of the client are not used: they drop fields that they do not know, and refuse
what a newer API server accepts. Below this module no exception of the client is known.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config import ConfigException

from quorate_operator.errors import Gone, Unavailable
from quorate_operator.kube.answer import BODY_BYTES_MAX, is_by_budget, judge, parse, seconds
from quorate_operator.kube.kinds import Kind
from quorate_operator.lenient import metadata, text
from quorate_operator.planning.observed import Body

CALL_LIMIT_S = 10.0
"""Of one call with its answer; the client's own default is 300 s."""
LIMIT_S_MIN = 0.001
PAGE_ITEMS = 500
PAGES_MAX = 200
"""Of one list: 100 000 objects."""
RETRIES_MAX = 2
"""After a 429, which says that nothing was done."""
RETRY_AFTER_S_MAX = 5.0
"""A longer wait is left to the work queue."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"

_ODD = (ValueError, ConfigException)
"""Of the client, beside those of its HTTP library: a redirect to what cannot be a host, a page that
goes on at what is no text, a token file that is empty for a moment."""
_MUTATING = frozenset({"create", "update", "patch", "delete"})
_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


class CallObserver(Protocol):
    """Told of each call that ended; ``code`` is an HTTP status or a word such as ``timeout``."""

    def __call__(self, verb: str, group: str, resource: str, code: str) -> None:
        """Count it; must not raise."""
        ...


def nobody(verb: str, group: str, resource: str, code: str) -> None:
    """Observe no call."""


class Api:
    """An API server seen through one client; safe to use from many tasks of one loop."""

    def __init__(
        self,
        client: ApiClient,
        *,
        guard: Callable[[], None],
        on_call: CallObserver = nobody,
        left_s: Callable[[], float] = lambda: math.inf,
        limit_s: float = CALL_LIMIT_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Use ``client``, which its maker closes.

        Args:
            client: Configured; nothing else of it is used than paths, credentials and requests.
            guard: Called directly before each mutating call; raises if it must not happen.
            on_call: Told of each call that ended.
            left_s: How long a mutating call may take from now, in seconds; the server is told.
            limit_s: Of one call, in seconds.
            sleep: Waits between the attempts of a call that was throttled.

        """
        self._client = client
        self._guard = guard
        self._on_call = on_call
        self._left_s = left_s
        self._limit_s = limit_s
        self._sleep = sleep

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body:
        """Return one object.

        Raises: as ``request``.
        """
        return await self.request("get", kind, kind.path(namespace, name))

    async def find(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Return one object, or None if there is none of this name."""
        try:
            return await self.get(kind, namespace, name)
        except Gone:
            return None

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> list[Body]:
        """Return all objects that both selectors match, in the server's order, read live.

        Args:
            kind: Of the objects.
            namespace: None for all.
            selector: By labels; empty matches all.
            fields: By fields; empty matches all.

        Raises:
            Conflict: The list changed under its pages; start again.

        """
        found: list[Body] = []
        query = {"limit": str(PAGE_ITEMS)}
        if selector:
            query["labelSelector"] = selector
        if fields:
            query["fieldSelector"] = fields
        for _ in range(PAGES_MAX):
            page = await self.request("list", kind, kind.path(namespace), query=query)
            items = page.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Unavailable(f"the list of {kind.plural} has no items")
            found += items
            more = text(metadata(page).get("continue"))
            if not more:
                return found
            query["continue"] = more
        raise Unavailable(f"more than {PAGES_MAX * PAGE_ITEMS} {kind.plural}")

    async def create(self, kind: Kind, namespace: str | None, body: Body, manager: str) -> Body:
        """Create an object.

        Raises:
            AlreadyExists: There is one of this name.

        """
        path = kind.path(namespace)
        return await self.request("create", kind, path, body=body, query={"fieldManager": manager})

    async def update(self, kind: Kind, namespace: str, name: str, body: Body) -> Body:
        """Replace an object that has the resourceVersion in ``body``."""
        return await self.request("update", kind, kind.path(namespace, name), body=body)

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        body: Body,
        manager: str,
        *,
        subresource: str = "",
    ) -> Body:
        """Apply ``body`` server-side as ``manager``, taking over fields that others hold.

        A ``metadata.uid`` in the body makes this fail if another object has the name by now,
        instead of changing that one.

        Raises:
            Conflict: The uid or the resourceVersion in the body is not the present one.

        """
        name = text(metadata(body).get("name"))
        return await self.request(
            "patch",
            kind,
            kind.path(namespace, name, subresource),
            body=body,
            query={"fieldManager": manager, "force": "true"},
            content_type=APPLY,
            subresource=subresource,
        )

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Body,
        manager: str,
        *,
        subresource: str = "",
    ) -> Body:
        """Change an object by a merge patch; give ``metadata.uid`` in it, so that it is this one.

        Raises:
            Conflict: The uid or the resourceVersion in the patch is not the present one.
            Gone: There is no such object; a merge patch never creates one.

        """
        return await self.request(
            "patch",
            kind,
            kind.path(namespace, name, subresource),
            body=patch,
            query={"fieldManager": manager},
            content_type=MERGE,
            subresource=subresource,
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = ""
    ) -> None:
        """Delete exactly this object, in its own time; with a resourceVersion, in this state.

        Raises:
            Conflict: Uid or resourceVersion is another one by now.

        """
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body: Body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        await self.request("delete", kind, kind.path(namespace, name), body=body)

    async def evict(
        self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str
    ) -> None:
        """Evict exactly this pod in this state, if its disruption budget allows it.

        Raises:
            Deferred: The budget does not allow it now.
            Conflict: Uid or resourceVersion is another one by now.

        """
        body: Body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {
                "preconditions": {"uid": uid, "resourceVersion": resource_version},
            },
        }
        path = kind.path(namespace, name, "eviction")
        await self.request("create", kind, path, body=body, subresource="eviction")

    async def request(  # noqa: PLR0913 - the parts of a request
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        subresource: str = "",
    ) -> Body:
        """Carry out one call, again after a 429 that asks for a short wait.

        Raises:
            Gone: 404.
            AlreadyExists: 409 that says so.
            Conflict: Any other 409, as where a quota is counted anew at that moment; 410: what was
                read is too old; 422 because the uid is another one.
            Deferred: 429 by a disruption budget.
            Refused: Any other 4xx, and an eviction where two budgets select the pod; the message is
                the server's.
            Unavailable: 401, 429, 5xx, no answer in time, or one that is not an object.
            LeaseLost: This process must not change anything.

        Blocking: at most ``limit_s`` an attempt, a mutating one no longer than is left, and
        ``RETRY_AFTER_S_MAX`` between two.

        """
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        what = f"{verb} {path}"
        for attempt in range(RETRIES_MAX + 1):
            limit_s, asked = self._bounds(verb, query)
            try:
                async with asyncio.timeout(limit_s):
                    code, retry_after, data = await self._send(
                        verb, path, body=body, query=asked, content_type=content_type
                    )
            except (TimeoutError, aiohttp.ClientError, OSError, *_ODD) as error:
                word = "timeout" if isinstance(error, TimeoutError) else "unreachable"
                self._on_call(verb, kind.group, resource, word)
                raise Unavailable(f"{what}: {word}: {_reason(error, limit_s)}") from error
            self._on_call(verb, kind.group, resource, str(code))
            answer = parse(data)
            throttled = code == 429 and not is_by_budget(answer)  # noqa: PLR2004 - HTTP
            if not throttled or attempt == RETRIES_MAX or (retry_after or 1) > RETRY_AFTER_S_MAX:
                return judge(what, code, answer, retry_after)
            await self._sleep(retry_after or 1)
        raise AssertionError("the last attempt is judged")

    def _bounds(
        self, verb: str, query: Mapping[str, str] | None
    ) -> tuple[float, Mapping[str, str]]:
        """Return the limit of an attempt in seconds, and the query that tells the server of it.

        Nobody waits any more for a change that comes after the limit, and by then another process
        may act: the server gives up on it at the same time. It counts from when it has received
        the request, so what is delayed on the way lands later by as much.
        """
        if verb not in _MUTATING:
            return self._limit_s, query or {}
        # None left is for the guard to refuse; the server takes a limit of 0 as none at all.
        limit_s = max(min(self._limit_s, self._left_s()), LIMIT_S_MIN)
        return limit_s, {**(query or {}), "timeout": f"{int(limit_s * 1000)}ms"}

    async def _send(
        self,
        verb: str,
        path: str,
        *,
        body: Body | None,
        query: Mapping[str, str],
        content_type: str,
    ) -> tuple[int, float | None, bytes]:
        headers = {"Accept": JSON, "Content-Type": content_type}
        method, url, headers, _, _ = await self._client.param_serialize(
            _METHODS[verb],
            path,
            query_params=list(query.items()),
            header_params=headers,
            auth_settings=["BearerToken"],
        )
        if verb in _MUTATING:
            self._guard()
        limits = aiohttp.ClientTimeout(total=self._limit_s)
        answer = await self._client.call_api(method, url, headers, body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        try:
            data = await response.content.read(BODY_BYTES_MAX + 1)
            while data and not response.content.at_eof() and len(data) <= BODY_BYTES_MAX:
                data += await response.content.read(BODY_BYTES_MAX + 1)
        finally:
            response.release()
        return response.status, seconds(response.headers.get("Retry-After")), data


def _reason(error: BaseException, limit_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {limit_s:g} s"
    return str(error) or type(error).__name__
