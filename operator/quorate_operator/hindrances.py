"""What keeps the steps of a cluster from having their effect, and what its status says of it.

A refusal is told at once. A change that gets no answer is told when it has got none for several
passes; one that is done each time and never lasts, when that has gone on for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quorate.clock import Clock
from quorate_operator import labels, lenient
from quorate_operator.errors import OperatorError, Refused, Unavailable
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import ApplyChild, Found, Step, Transfer
from quorate_operator.queue import Key
from quorate_operator.reasons import Reason
from quorate_operator.steps import named, object_name

UNANSWERED_PASSES = 4
"""In a row, until a change that the API server does not carry out stands in the status: an answer
may be lost now and then, but an admission webhook that is down fails every time."""
FOUGHT_TIMES, FOUGHT_S = 8, 300.0
"""An object that was applied so often within so long, each time the same, has another writer."""
_ADVICE = "; see whether an admission webhook is down or slow"
_S = 1e-9


@dataclass(slots=True)
class _Applied:
    """What of one object was applied last, and when, in seconds, the latest at the end."""

    hash: str
    times: list[float]


@dataclass(slots=True)
class _Kept:
    """Of one cluster."""

    unanswered: int = 0
    """Passes in a row in which the API server did not carry out a change, and did not refuse it."""
    changed: list[str] = field(default_factory=list)
    """What status must say of steps of the pass that runs, though they were done."""
    applied: dict[str, _Applied] = field(default_factory=dict)


@dataclass(slots=True)
class Hindrances:
    """Remembers from pass to pass what came of the steps of each cluster."""

    clock: Clock
    _kept: dict[Key, _Kept] = field(default_factory=dict)

    def begin(self, key: Key) -> None:
        """Forget what the pass before, which may have been cut off, had to tell."""
        if kept := self._kept.get(key):
            kept.changed.clear()

    def forget(self, key: Key) -> None:
        """Keep nothing of a key that is gone: the next cluster of its name is a new one."""
        self._kept.pop(key, None)

    def note_done(self, key: Key, step: Step, words: str) -> None:
        """Note that a step was done, and what status must say of it, if anything."""
        kept = self._kept.setdefault(key, _Kept())
        if words:
            kept.changed.append(words)
        elif isinstance(step, ApplyChild):
            self._note_applied(kept, step)

    def _note_applied(self, kept: _Kept, step: ApplyChild) -> None:
        annotations = lenient.mapping(lenient.metadata(step.body).get("annotations"))
        wanted = lenient.text(annotations.get(labels.APPLIED_HASH_ANNOTATION))
        name = object_name(step)
        before = kept.applied.get(name)
        times = before.times if before is not None and before.hash == wanted else []
        now_s = self.clock.monotonic() * _S
        kept.applied[name] = _Applied(wanted, [*times, now_s][-FOUGHT_TIMES:])

    def words(
        self, key: Key, status: ClusterStatus, failed: Step | None, error: OperatorError | None
    ) -> str:
        """Return what status says at the end of a pass; empty if nothing hinders.

        Args:
            key: Of the cluster.
            status: As it is recorded.
            failed: The first step that failed, if any did.
            error: Its error.

        """
        kept = self._kept.setdefault(key, _Kept())
        hindered = _hindered(kept, status, failed, error)
        others = kept.changed or self._fought(kept)
        return "; ".join(words for words in (hindered, *others) if words)

    def _fought(self, kept: _Kept) -> list[str]:
        """Return what status says of objects that somebody changes back each time.

        Each change looks like any other that is repaired at once; and where it is the StatefulSet,
        no update goes on, or pods come and go with its number.
        """
        since = self.clock.monotonic() * _S - FOUGHT_S
        return [
            f"{name} is changed or deleted each time it has been applied: see in its "
            "metadata.managedFields and in the audit log who else writes it, such as an autoscaler"
            for name, applied in sorted(kept.applied.items())
            if len(applied.times) == FOUGHT_TIMES and applied.times[0] > since
        ]


def _hindered(
    kept: _Kept, status: ClusterStatus, step: Step | None, error: OperatorError | None
) -> str:
    """Return what status says of the step that failed; empty if it may work next time."""
    if isinstance(error, Refused):
        return str(error)
    if step is None or isinstance(step, Found | Transfer) or not isinstance(error, Unavailable):
        kept.unanswered = 0
        return ""
    kept.unanswered += 1
    told = next((row.message for row in status.conditions if row.reason is Reason.API_REFUSED), "")
    if not told and kept.unanswered < UNANSWERED_PASSES:
        return ""
    head = f"{named(step)} does not get through"
    # An answer may name a port or a time, and is no news for that. What stands behind it is told
    # anew where it is still so: taken along, it were told once more with each pass.
    if told.startswith(head):
        return told.partition(_ADVICE)[0] + _ADVICE
    return f"{head}: {error}{_ADVICE}"
