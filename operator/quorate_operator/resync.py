"""Looks at everything once a minute, whatever the watches told or lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from quorate_operator import labels, lenient
from quorate_operator.errors import OperatorError
from quorate_operator.kube import kinds, read
from quorate_operator.kube.api import Api
from quorate_operator.planning.observed import Body
from quorate_operator.queue import Key, WorkQueue

LOGGER = logging.getLogger("quorate_operator.resync")

RETRY_S = 5.0
"""After a look that failed, and while the definition is not served."""
DEFINITION = f"{labels.PLURAL}.{labels.GROUP}"


@dataclass(slots=True)
class Resync:
    """Wakes every key that exists or is remembered, and reads the served schema's version."""

    api: Api
    queue: WorkQueue
    interval_s: float
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    schema_version: int = 0
    """Of the definition as last read; 0 before."""

    def is_schema_current(self) -> bool:
        """Return whether the served schema has every field that this operator needs."""
        return self.schema_version >= labels.SCHEMA_VERSION

    async def wait_until_served(self) -> None:
        """Return when the API server serves ClusterServices.

        Blocking: until somebody installs the definition.
        """
        said = ""
        while True:
            try:
                await self._read_definition()
                await self.api.list(kinds.CLUSTER_SERVICE, None)
            except OperatorError as error:
                if str(error) != said:
                    said = str(error)
                    LOGGER.warning("waiting for the definition %s: %s", DEFINITION, error)
            else:
                return
            await self.sleep(RETRY_S)

    async def run(self) -> None:
        """Look at once and then each interval, until cancelled."""
        while True:
            try:
                await self._read_definition()
                bodies = await self.api.list(kinds.CLUSTER_SERVICE, None)
            except OperatorError as error:
                LOGGER.warning("the resync failed: %s", error)
                await self.sleep(RETRY_S)
                continue
            # Keys that the list lacks are woken too: their reconciliation forgets them.
            self.queue.wake_all()
            self.queue.wake_all(_key(body) for body in bodies)
            await self.sleep(self.interval_s)

    async def _read_definition(self) -> None:
        body = await self.api.get(kinds.DEFINITION, None, DEFINITION)
        text = lenient.text(
            lenient.mapping(lenient.metadata(body).get("annotations")).get(labels.SCHEMA_ANNOTATION)
        )
        self.schema_version = read.number(text) or 0


def _key(body: Body) -> Key:
    meta = lenient.metadata(body)
    return Key(lenient.text(meta.get("namespace")), lenient.text(meta.get("name")))
