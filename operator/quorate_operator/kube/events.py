"""Events about a resource, each told once in a while: for people, never for decisions."""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from quorate.clock import Clock
from quorate_operator import labels
from quorate_operator.errors import Conflict
from quorate_operator.kube import kinds
from quorate_operator.kube.api import Api
from quorate_operator.planning.actions import Note
from quorate_operator.planning.observed import Resource

REPEAT_S = 600
"""The same event about the same resource is told at most once in this time."""
TOLD_MAX = 4096
"""Events remembered as told, oldest forgotten first."""
NOTE_CHARACTERS_MAX = 1000
"""The API server takes 1024."""
_S_NS = 1_000_000_000


@dataclass(slots=True)
class Herald:
    """Tells events.

    An event's name follows from what it says and when, so that a repetition is the same object:
    also one by another process of the operator.
    """

    api: Api
    clock: Clock
    instance: str
    """Of this process; shown as the reporter."""
    _told: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def tell(self, resource: Resource, note: Note) -> None:
        """Create an event about the resource, unless it was told lately.

        Raises: as ``Api.create``, but never for one that was told before.
        """
        now_ns = self.clock.wall()
        name = _name(resource, note, now_ns // _S_NS // REPEAT_S)
        if name in self._told:
            return
        body = _body(resource, note, name, now_ns, self.instance)
        with contextlib.suppress(Conflict):  # told before by another process of this operator
            await self.api.create(kinds.EVENT, resource.namespace, body, labels.FIELD_MANAGER)
        self._told[name] = None
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)


def _name(resource: Resource, note: Note, period: int) -> str:
    words = "\x00".join((resource.uid, note.reason, note.message, str(period)))
    return f"{resource.name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _body(
    resource: Resource, note: Note, name: str, now_ns: int, instance: str
) -> dict[str, object]:
    time = datetime.fromtimestamp(now_ns / _S_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.name,
        "metadata": {"name": name, "namespace": resource.namespace},
        "eventTime": time,
        "type": "Warning" if note.warning else "Normal",
        "reason": str(note.reason),
        "action": "Reconcile",
        "note": note.message[:NOTE_CHARACTERS_MAX],
        "reportingController": f"{labels.GROUP}/operator",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": f"{labels.GROUP}/{labels.VERSION}",
            "kind": labels.KIND,
            "name": resource.name,
            "namespace": resource.namespace,
            "uid": resource.uid,
            "resourceVersion": resource.resource_version,
        },
    }
