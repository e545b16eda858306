"""Callbacks that do not run alike on all members: what they ask for is refused."""

from __future__ import annotations

import pytest

from quorate.config import ClusterSettings, OnError
from quorate.consensus.types import Role
from quorate.errors import ServiceFailed, SnapshotError
from quorate.service import (
    Cluster,
    ClusteredService,
    NotAllowedHere,
    SnapshotInput,
    SnapshotOutput,
)
from quorate.service.container import ServiceContainer
from quorate.testing import ServiceHarness
from quorate.testing.determinism import apply_whole
from quorate_services import Scripted


class Meddling(ClusteredService):
    """Tries to have effects where none are allowed."""

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        self.cluster: Cluster | None = None

    def meddle(self, callback: str) -> None:
        if self.where != callback or self.cluster is None:
            return
        session = next(iter(self.cluster.sessions.values()), None)
        if self.what == "offer" and session is not None:
            session.offer(b"x")
        elif self.what == "close" and session is not None:
            session.close()
        elif self.what == "timer":
            self.cluster.schedule_timer(1, 0)
        elif self.what == "cancel":
            self.cluster.cancel_timer(1)
        else:
            self.cluster.offer(b"x")

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        self.cluster = cluster
        if snapshot is not None:
            self.meddle("on_start")

    def on_role_change(self, role: Role) -> None:
        self.meddle("on_role_change")

    def on_new_leadership_term(self, term: object) -> None:
        self.meddle("on_new_leadership_term")

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        snapshot.write(b"state")
        self.meddle("on_take_snapshot")

    def on_query(self, session: object, message: bytes) -> bytes:
        self.meddle("on_query")
        return message

    def on_terminate(self) -> None:
        self.meddle("on_terminate")


WHAT = pytest.mark.parametrize("what", ["offer", "close", "timer", "cancel", "self"])


@WHAT
@pytest.mark.parametrize("where", ["on_role_change", "on_terminate"])
def test_callbacks_of_one_member_may_have_no_effects(where: str, what: str) -> None:
    harness = ServiceHarness(lambda: Meddling(where, what), tolerate_failures=True)
    harness.open_session()
    before = harness.take_snapshot(), harness.digest
    if where == "on_role_change":
        harness.change_role(Role.LEADER)
    else:
        harness.container.terminate()
    (failure,) = harness.failures
    assert isinstance(failure.error, NotAllowedHere)
    assert (harness.take_snapshot(), harness.digest) == before


@WHAT
def test_taking_a_snapshot_may_have_no_effects(what: str) -> None:
    harness = ServiceHarness(lambda: Meddling("on_take_snapshot", what))
    harness.open_session()
    with pytest.raises(SnapshotError) as raised:
        harness.take_snapshot()
    assert isinstance(raised.value.__cause__, NotAllowedHere)


@WHAT
def test_starting_may_have_no_effects(what: str) -> None:
    harness = ServiceHarness(lambda: Meddling("on_start", what))
    harness.open_session()
    snapshot = harness.take_snapshot()
    with pytest.raises(ServiceFailed) as raised:
        harness.load_snapshot(snapshot)
    assert isinstance(raised.value.__cause__, NotAllowedHere)


@WHAT
def test_a_query_answers_and_may_have_no_effects(what: str) -> None:
    harness = ServiceHarness(lambda: Meddling("on_query", what))
    client = harness.open_session()
    with pytest.raises(ServiceFailed) as raised:
        harness.container.query(client.session_id, b"question")
    assert isinstance(raised.value.__cause__, NotAllowedHere)
    quiet = ServiceHarness(lambda: Meddling("nowhere", what))
    assert quiet.container.query(quiet.open_session().session_id, b"question") == b"question"


def test_effects_between_callbacks_are_refused() -> None:
    harness = ServiceHarness(Scripted)
    harness.open_session().send(b"quiet")
    service = harness.service
    assert isinstance(service, Scripted)
    with pytest.raises(NotAllowedHere):
        service.cluster.offer(b"x")
    with pytest.raises(NotAllowedHere):
        next(iter(service.cluster.sessions.values())).offer(b"x")


def test_a_role_change_inside_a_frame_may_not_answer_for_the_message_being_applied() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say 1", b"say 2")
    failures: list[object] = []
    container = ServiceContainer(Meddling("on_role_change", "offer"), failures.append)
    container.start(None)
    for row in harness.applied[:-1]:
        apply_whole(container, row.frame, 1)
    container.begin(harness.applied[-1].frame)
    assert not container.step(1)
    container.set_role(Role.LEADER)
    assert len(failures) == 2  # the message, which Meddling does not handle, and the role
    with pytest.raises(AssertionError):
        container.take_snapshot()


def test_a_failure_in_on_terminate_is_told_but_does_not_spoil_the_end() -> None:
    failures: list[object] = []
    container = ServiceContainer(Meddling("on_terminate", "offer"), failures.append)
    container.start(None)
    halting = ServiceHarness(Scripted, settings=ClusterSettings(on_error=OnError.HALT))
    for row in halting.applied:
        apply_whole(container, row.frame, 1)
    assert container.settings.on_error is OnError.HALT
    container.terminate()
    assert len(failures) == 1
