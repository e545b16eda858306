"""Events about a resource, each told once in a while: for people, never for decisions."""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from quorate.clock import Clock
from quorate_operator import labels
from quorate_operator.errors import AlreadyExists
from quorate_operator.kube import kinds
from quorate_operator.kube.api import Api
from quorate_operator.planning.actions import Note
from quorate_operator.planning.observed import Resource

REPEAT_S = 600
"""A process tells the same event about the same resource at most once in this time; two processes
tell it twice at most, once in each of two such periods of the clock."""
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
    _told_at: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """By its words, the last one last; wall time in nanoseconds."""

    async def tell(self, resource: Resource, note: Note) -> None:
        """Create an event about the resource, unless it was told lately.

        Raises: as ``Api.create``, but never for one that was told before.
        """
        now_ns = self.clock.wall()
        words = f"{resource.uid}\x00{note.reason}\x00{note.message}"
        told_at = self._told_at.get(words)
        if told_at is not None and 0 <= now_ns - told_at < REPEAT_S * _S_NS:
            return
        name = _name(resource, words, now_ns // _S_NS // REPEAT_S)
        body = _body(resource, note, name, now_ns, self.instance)
        with contextlib.suppress(AlreadyExists):  # told before by another process of this operator
            await self.api.create(kinds.EVENT, resource.namespace, body, labels.FIELD_MANAGER)
        self._told_at[words] = now_ns
        self._told_at.move_to_end(words)
        if len(self._told_at) > TOLD_MAX:
            self._told_at.popitem(last=False)


def _name(resource: Resource, words: str, period: int) -> str:
    digest = hashlib.sha256(f"{words}\x00{period}".encode()).hexdigest()
    return f"{resource.name}.{digest[:16]}"


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
