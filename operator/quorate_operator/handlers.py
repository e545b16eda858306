"""The kopf handlers: each event puts a key into the work queue, and nothing else.

kopf runs in a thread with a loop of its own: when it ends it cancels every task of its loop that
it does not know, and in the main thread it would take the signals. Event handlers alone make it
write nothing: no finalizer, no annotation. What it remembers is never read; it only wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kopf

from quorate_operator import labels
from quorate_operator.queue import Key

LOGGER = logging.getLogger("quorate_operator.handlers")

REMEMBERED_MAX = 20_000
"""Objects whose last shape is remembered, so that changes which mean nothing wake nobody."""
CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 30.0
INACTIVITY_TIMEOUT_S = 70.0
"""The API server sends a bookmark each minute: a watch silent for longer is dead."""
WATCH_S = 600
"""Of one watch, asked of the server, which takes whole seconds only; the client gives up a
little later."""
PAGE_ITEMS = 500
STOP_LIMIT_S = 10.0

CONFIG_MAPS = "configmaps.v1"
CHILDREN = ("statefulsets.v1.apps", "pods.v1", "persistentvolumeclaims.v1", CONFIG_MAPS)
"""Kinds that are watched by the cluster label."""

_Event = Mapping[str, Any]


class Wakes:
    """Decides which events wake which keys; called in kopf's thread."""

    def __init__(
        self,
        wake: Callable[[Key, bool], None],
        wake_all: Callable[[], None],
        wake_namespace: Callable[[str], None],
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        """Take what to call; each may be called from any thread and return at once.

        Args:
            wake: With a key, and whether its user changed it.
            wake_all: Something changed that concerns any key.
            wake_namespace: Something changed that concerns any key of this namespace.
            remembered_max: Oldest shapes are forgotten beyond this; that only wakes more.

        """
        self._wake = wake
        self._wake_all = wake_all
        self._wake_namespace = wake_namespace
        self._remembered_max = remembered_max
        self._shapes: OrderedDict[str, object] = OrderedDict()

    def on_cluster_service(self, event: _Event) -> None:
        """Wake for what a user does: not for status, which is ours."""
        meta = _metadata(event)
        shape = (
            meta.get("generation"),
            meta.get("deletionTimestamp"),
            meta.get("annotations"),
        )
        if self._is_new(event, shape):
            self._wake(Key(meta["namespace"], meta["name"]), True)

    def on_child(self, event: _Event) -> None:
        """Wake the ClusterService that the cluster label names."""
        meta = _metadata(event)
        name = (meta.get("labels") or {}).get(labels.CLUSTER_LABEL)
        if name:
            self._wake(Key(meta["namespace"], name), False)

    def on_config_map(self, event: _Event) -> None:
        """Wake as a child does, or the whole namespace for a source that many may use."""
        meta = _metadata(event)
        if (meta.get("labels") or {}).get(labels.CLUSTER_LABEL) == "":
            self._wake_namespace(meta["namespace"])
        else:
            self.on_child(event)

    def on_node(self, event: _Event) -> None:
        """Wake everybody when a node is cordoned, uncordoned, made or removed."""
        spec = event["object"].get("spec") or {}
        if self._is_new(event, bool(spec.get("unschedulable"))):
            self._wake_all()

    def _is_new(self, event: _Event, shape: object) -> bool:
        """Return whether the object has another shape than when it was last seen."""
        uid = str(_metadata(event).get("uid"))
        if event.get("type") == "DELETED":
            self._shapes.pop(uid, None)
            return True
        before = self._shapes.pop(uid, None)
        self._shapes[uid] = shape
        if len(self._shapes) > self._remembered_max:
            self._shapes.popitem(last=False)
        return before != shape


def make_registry(wakes: Wakes) -> kopf.OperatorRegistry:
    """Return the handlers: events of six kinds, and the two ways to log in."""
    registry = kopf.OperatorRegistry()
    resource = f"{labels.PLURAL}.{labels.VERSION}.{labels.GROUP}"

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator, unused-ignore]
    def by_service_account(**facts: Any) -> Any:  # noqa: ANN401 - kopf's own values
        return kopf.login_with_service_account(**facts)

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator, unused-ignore]
    def by_kubeconfig(**facts: Any) -> Any:  # noqa: ANN401
        return kopf.login_with_kubeconfig(**facts)

    @kopf.on.event(resource, registry=registry)  # type: ignore[untyped-decorator, unused-ignore]
    async def cluster_service(event: _Event, **_: Any) -> None:  # noqa: ANN401
        wakes.on_cluster_service(event)

    async def child(event: _Event, **_: Any) -> None:  # noqa: ANN401
        wakes.on_child(event)

    async def config_map(event: _Event, **_: Any) -> None:  # noqa: ANN401
        wakes.on_config_map(event)

    for kind in CHILDREN:
        handler = config_map if kind == CONFIG_MAPS else child
        kopf.on.event(kind, registry=registry, id=f"child-{kind}")(handler)

    @kopf.on.event("nodes.v1", registry=registry)  # type: ignore[untyped-decorator, unused-ignore]
    async def node(event: _Event, **_: Any) -> None:  # noqa: ANN401
        wakes.on_node(event)

    return registry


def make_settings() -> kopf.OperatorSettings:
    """Return kopf's settings, each that matters set here, whatever a later default may be."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    # The kinds are known and the definition is served before kopf starts; so it needs no right
    # to watch definitions and namespaces. If ours is removed, its watch ends this process.
    settings.scanning.disabled = True
    settings.watching.server_timeout = WATCH_S
    settings.watching.client_timeout = WATCH_S + INACTIVITY_TIMEOUT_S
    settings.watching.connect_timeout = CONNECT_TIMEOUT_S
    settings.watching.inactivity_timeout = INACTIVITY_TIMEOUT_S
    settings.watching.chunk_size = PAGE_ITEMS
    for kind in CHILDREN:
        settings.watching.label_selectors[kind] = labels.CLUSTER_LABEL
    settings.networking.connect_timeout = CONNECT_TIMEOUT_S
    settings.networking.request_timeout = REQUEST_TIMEOUT_S
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.finalizer = f"{labels.GROUP}/unused"
    return settings


class Watcher:
    """kopf in a thread of its own."""

    def __init__(self, wakes: Wakes) -> None:
        """Prepare; nothing runs yet."""
        self._wakes = wakes
        self._asked_to_stop = threading.Event()
        self._stop: Callable[[], object] | None = None

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            RuntimeError: kopf ended by itself: nothing would wake the queue any more.

        """
        executor = ThreadPoolExecutor(1, thread_name_prefix="kopf")
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(executor, lambda: asyncio.run(self._operate()))
        try:
            await asyncio.wait([running])
        finally:
            self._asked_to_stop.set()
            if self._stop is not None:
                self._stop()
            await asyncio.wait([running], timeout=STOP_LIMIT_S)
            executor.shutdown(wait=False)
        raise RuntimeError("kopf has ended by itself") from running.exception()

    async def _operate(self) -> None:
        # An event of this loop, not of threads: kopf waits for the latter in an executor, which
        # `asyncio.run` then waits for in vain when kopf ends by itself.
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def stop_from_outside() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
                loop.call_soon_threadsafe(stop.set)

        self._stop = stop_from_outside
        if self._asked_to_stop.is_set():
            return
        await kopf.operator(
            registry=make_registry(self._wakes),
            settings=make_settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=stop,
            # Else kopf looks its user up, and the image's is a number without a name.
            identity=f"{labels.GROUP}/operator",  # type: ignore[arg-type] # its NewType is private
        )


def _metadata(event: _Event) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event["object"]["metadata"]
    return found
