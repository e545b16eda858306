"""Properties of the whole container: slices, batches and snapshots never show in the results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.config import ClusterSettings, OnError
from quorate.consensus.types import FrameType, LogPosition, Role
from quorate.errors import ConfigurationError, InvariantBroken, ServiceFailed, SnapshotError
from quorate.examples.echo import Echo
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.entry_bodies import CloseReason, encode_session_close
from quorate.protocol.log_codec import EntryType, frame_body
from quorate.protocol.term_codec import encode_settings
from quorate.service import (
    ClientSession,
    Cluster,
    ClusteredService,
    SnapshotInput,
)
from quorate.service.container import ServiceContainer
from quorate.testing import HarnessSession, ServiceHarness
from quorate.testing.determinism import apply_whole
from quorate_services import Scripted

COMMANDS = st.sampled_from(
    [
        b"say a",
        b"say bb;say ccc",
        b"say " + b"d" * 50,
        b"tell 0 news",
        b"tell 1 x;say y;fail",
        b"timer 1 5;say t",
        b"timer 2 0",
        b"timer 3 -2",
        b"at 1 timer 1 0;tell 0 again",
        b"at 2 self tell 1 from a timer",
        b"cancel 1",
        b"self say nobody hears;self timer 4 3",
        b"say first;self tell 0 second;self kick 1",
        b"self fail",
        b"loop",
        b"say farewell;close",
        b"kick 1;tell 1 last words",
        b"timer 9 1;fail",
        b"answer",
        b"quiet",
    ]
)
Step = Callable[[ServiceHarness, list[HarnessSession]], None]


def _open(script: bytes) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        sessions.append(harness.open_session(name=script.decode(), principal=b"tell 0 one left"))

    return step


def _send(index: int, messages: list[bytes]) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        if sessions:
            sessions[index % len(sessions)].send(*messages)

    return step


def _acknowledge(index: int) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        if sessions:
            sessions[index % len(sessions)].acknowledge()

    return step


def _close(index: int) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        if sessions:
            sessions[index % len(sessions)].close()

    return step


def _advance(duration: int) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        harness.advance(duration)

    return step


def _settings(kept_max: int) -> Step:
    def step(harness: ServiceHarness, sessions: list[HarnessSession]) -> None:
        changed = ClusterSettings(kept_egress_bytes_max=kept_max, self_messages_max=3)
        harness.append_entry(EntryType.SETTINGS, None, encode_settings(changed))

    return step


INDEX = st.integers(0, 3)
STEPS = st.lists(
    st.builds(_open, st.sampled_from([b"", b"say welcome", b"fail", b"timer 7 4"]))
    | st.builds(_send, INDEX, st.lists(COMMANDS, min_size=1, max_size=6))
    | st.builds(_send, INDEX, st.lists(COMMANDS, min_size=1, max_size=6))
    | st.builds(_acknowledge, INDEX)
    | st.builds(_close, INDEX)
    | st.builds(_advance, st.integers(0, 8))
    | st.builds(_settings, st.integers(60, 400)),
    max_size=20,
)
SMALL = ClusterSettings(
    self_messages_max=4,
    kept_egress_bytes_max=200,
    kept_egress_total_bytes_max=300,
    timers_max=4,
    sessions_max=4,
    message_bytes_max=60,
    digest_interval_bytes=512,
)


class StackAware(Scripted):
    """Journals from how deep a stack it is called: there begins what is left for recursion."""

    def _run(self, session: ClientSession | None, script: bytes) -> None:
        depth, frame = 0, inspect.currentframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        self.journal.append(f"depth {depth}")
        super()._run(session, script)


def run(
    steps: list[Step],
    messages_per_step: int = 1000,
    make_service: Callable[[], ClusteredService] = Scripted,
) -> ServiceHarness:
    harness = ServiceHarness(
        make_service, settings=SMALL, tolerate_failures=True, messages_per_step=messages_per_step
    )
    sessions = [harness.open_session(), harness.open_session()]
    for step in steps:
        step(harness, sessions)
    return harness


@settings(max_examples=60)
@given(STEPS, st.integers(1, 5))
def test_slices_do_not_show(steps: list[Step], messages_per_step: int) -> None:
    whole = run(steps, make_service=StackAware)
    sliced = run(steps, messages_per_step, StackAware)
    assert [row.outbox for row in whole.applied] == [row.outbox for row in sliced.applied]
    assert [row.digest for row in whole.applied] == [row.digest for row in sliced.applied]
    assert whole.take_snapshot() == sliced.take_snapshot()
    assert whole.container.take_digests() == sliced.container.take_digests()


@settings(max_examples=30)
@given(STEPS, st.integers(1, 3))
def test_the_progress_of_a_session_is_that_of_its_view_at_any_time(
    steps: list[Step], messages_per_step: int
) -> None:
    container = ServiceContainer(Scripted(), lambda _: None)
    container.start(None)
    for row in run(steps).applied:
        container.begin(row.frame)
        while not container.step(messages_per_step):
            for view in container.sessions():
                assert container.progress_of(view.session_id) == (
                    view.last_ingress_sequence,
                    view.last_egress_sequence,
                    view.is_flushed,
                )


def test_a_second_founding_is_refused() -> None:
    harness = ServiceHarness(Scripted)
    founding = frame_body(harness.applied[0].frame)
    with pytest.raises(InvariantBroken, match=f"founding frame at {harness.container.position}"):
        harness.append_frame(FrameType.FOUNDING, founding, 0, timestamp=harness.time)


@settings(max_examples=60)
@given(STEPS)
def test_a_restored_container_goes_on_identically(steps: list[Step]) -> None:
    """From each frame to the next one, so that nothing which a snapshot lacks stays unseen."""
    harness = run(steps)
    container = ServiceContainer(Scripted(), lambda _: None)
    container.start(None)
    for row in harness.applied:
        assert tuple(apply_whole(container, row.frame, 1000)) == row.outbox
        assert container.digest == row.digest
        snapshot, first = container.take_snapshot(), container
        container = ServiceContainer(Scripted(), lambda _: None)
        container.start(snapshot)
        assert container.take_snapshot() == snapshot
        assert container.position == first.position
        assert container.next_timer_deadline == first.next_timer_deadline
        assert container.sessions() == first.sessions()
    assert container.take_snapshot() == harness.take_snapshot()


@given(st.lists(COMMANDS, max_size=12), st.data())
def test_how_a_client_batches_does_not_show(scripts: list[bytes], data: st.DataObject) -> None:
    wide = ClusterSettings(self_messages_max=4)
    results = []
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(scripts) - 1)), max_size=5)))
    for bounds in ([0, len(scripts)], [0, *cuts, len(scripts)]):
        harness = ServiceHarness(Scripted, settings=wide, tolerate_failures=True)
        client, other = harness.open_session(), harness.open_session()
        for begin, end in pairwise(bounds):
            if begin < end and client.closed is None:
                client.send(*scripts[begin:end])
        service = harness.service
        assert isinstance(service, Scripted)
        results.append(
            (
                service.journal,
                [message for message in client.egress if not message.error_code],
                [message for message in other.egress if not message.error_code],
                [(f.callback, f.ingress_sequence) for f in harness.failures],
            )
        )
    # A timer set in the past fires with the next frame, so batches show there and must.
    if not any(b"timer" in script for script in scripts):
        assert results[0] == results[1]


BATCHES = st.lists(st.tuples(st.integers(-6, 3), st.integers(0, 5)), min_size=1, max_size=12)


@given(BATCHES)
def test_every_message_is_applied_once_and_in_order(batches: list[tuple[int, int]]) -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    applied = 0
    for offset, count in batches:
        first = max(0, applied + 1 + offset)
        client.sequence = first - 1
        client.send(*(b"say %d" % sequence for sequence in range(first, first + count)))
        if first > applied + 1:
            assert client.sequence == applied, "told where to go back to"
        else:
            applied = max(applied, first + count - 1)
        view = harness.container.session(client.session_id)
        assert view is not None
        assert view.last_ingress_sequence == applied
    assert [(m.payload, m.ingress_sequence) for m in client.egress] == [
        (b"%d" % sequence, sequence) for sequence in range(1, applied + 1)
    ]


def test_the_digest_sees_egress_timers_and_ends_of_sessions() -> None:
    digests = set()
    scripts = [b"quiet", b"say a", b"say b", b"timer 1 9", b"timer 2 9", b"cancel 5", b"fail"]
    scripts += [b"close", b"kick 1", b"say a;close", b"say b;close"]
    for script in scripts:
        harness = ServiceHarness(Scripted, tolerate_failures=True)
        client = harness.open_session()
        harness.open_session()
        client.send(b"timer 5 9")
        client.send(script)
        digests.add(harness.digest)
    assert len(digests) == len(scripts)


@pytest.mark.parametrize("what", ["first_sequence", "egress_acknowledged"])
def test_the_digest_sees_how_far_a_session_is(what: str) -> None:
    """Also where nothing is said: a member that skipped a message must not look like the others."""
    digests = set()
    for value in (1, 2):
        harness = ServiceHarness(Scripted)
        client = harness.open_session(name="say a;say b")
        numbers = {"first_sequence": 1, "egress_acknowledged": 0, what: value}
        body = encode_ingress_batch([b"quiet"])
        harness.append_entry(EntryType.SESSION_INGRESS, client, body, message_count=1, **numbers)
        digests.add(harness.digest)
    assert len(digests) == 2


def test_the_digest_sees_failures_that_no_client_is_told_of() -> None:
    digests = set()
    for script in (b"at 1 fail", b"at 1 quit"):
        harness = ServiceHarness(Scripted, tolerate_failures=True)
        client = harness.open_session()
        client.send(script, b"timer 1 5")
        client.close()
        harness.advance(5)
        digests.add(harness.digest)
    assert len(digests) == 2


def test_the_digest_sees_why_a_session_has_ended() -> None:
    digests = set()
    for reason in CloseReason:
        harness = ServiceHarness(Echo)
        client = harness.open_session()
        harness.append_entry(EntryType.SESSION_CLOSE, client, encode_session_close(reason))
        digests.add(harness.digest)
    assert len(digests) == len(CloseReason)


@pytest.mark.parametrize("interval", [64, 128, 192, 256, 320, 1024, 1 << 20])
def test_digests_are_taken_where_a_frame_crosses_the_interval(interval: int) -> None:
    harness = ServiceHarness(Scripted, settings=ClusterSettings(digest_interval_bytes=interval))
    client = harness.open_session()
    for _ in range(40):
        client.send(b"say x")
    expected = [
        (row.frame.end, row.digest)
        for row in harness.applied
        if row.frame.position // interval < row.frame.end // interval
    ]
    assert harness.container.take_digests() == expected
    assert harness.container.take_digests() == []


def test_an_interval_of_zero_takes_no_digests() -> None:
    harness = ServiceHarness(Scripted, settings=ClusterSettings(digest_interval_bytes=0))
    harness.open_session()
    assert harness.container.take_digests() == []


def test_the_first_frame_is_the_founding_and_frames_follow_each_other() -> None:
    harness = ServiceHarness(Scripted)
    harness.open_session()
    founding, opening = (row.frame for row in harness.applied)
    container = ServiceContainer(Scripted(), lambda _: None)
    container.start(None)
    with pytest.raises(InvariantBroken):
        container.begin(opening)
    container.begin(founding)
    with pytest.raises(InvariantBroken):
        container.begin(founding)
    assert container.position == 0
    assert container.step(1)
    assert container.position == founding.end
    assert len(container.membership.voters) == 1


def test_log_time_never_falls() -> None:
    harness = ServiceHarness(Scripted)
    harness.advance(5)
    with pytest.raises(InvariantBroken):
        harness.append_frame(FrameType.EMPTY, b"", 0, timestamp=harness.time - 1)


@pytest.mark.parametrize("on_error", OnError)
def test_a_service_that_cannot_start_fails_whatever_the_policy(on_error: OnError) -> None:
    class Broken(ClusteredService):
        def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
            raise ValueError(on_error)

    container = ServiceContainer(Broken(), lambda _: None)
    with pytest.raises(ServiceFailed):
        container.start(None)


@pytest.mark.parametrize("result", [b"state", 0, False, [], Scripted()])
def test_a_service_that_returns_what_it_should_have_kept_or_written_has_failed(
    result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = ServiceHarness(Scripted)
    monkeypatch.setattr(Scripted, "on_take_snapshot", lambda *_: result)
    with pytest.raises(SnapshotError, match="TypeError"):
        harness.take_snapshot()
    monkeypatch.setattr(Scripted, "on_start", lambda *_: result)
    with pytest.raises(ServiceFailed, match="TypeError"):
        harness.container.start(None)


def test_asynchronous_callbacks_are_refused_all_at_once() -> None:
    class Awaited(ClusteredService):
        async def on_session_message(self, *_: object) -> None:  # type: ignore[override]
            """Never runs."""

        def on_timer(self, timer_id: int, timestamp: int) -> None:  # type: ignore[misc]
            yield

        async def on_terminate(self) -> None:  # type: ignore[override,misc]
            yield

    with pytest.raises(ConfigurationError) as raised:
        ServiceContainer(Awaited(), lambda _: None)
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    "error", [MemoryError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
)
@pytest.mark.parametrize("through_itself", [False, True])
def test_out_of_memory_and_what_is_no_exception_ends_the_process(
    error: BaseException, through_itself: bool
) -> None:
    class Dying(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            if script == b"die":
                raise error
            super()._run(session, script)  # type: ignore[arg-type]

    harness = ServiceHarness(Dying, tolerate_failures=True)
    client = harness.open_session()
    with pytest.raises(type(error)):
        client.send(b"self die" if through_itself else b"die")


def _start_and_lead(service: ClusteredService) -> None:
    container = ServiceContainer(service, lambda _: None)
    container.start(None)
    container.set_role(Role.LEADER)


@pytest.mark.parametrize(
    "callback", ["on_start", "on_role_change", "on_take_snapshot", "on_query", "on_timer"]
)
def test_out_of_memory_ends_the_process_wherever_it_happens(
    callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise MemoryError

    harness = ServiceHarness(Scripted, tolerate_failures=True)
    client = harness.open_session()
    client.send(b"timer 1 1")
    monkeypatch.setattr(Scripted, callback, die)
    cause: dict[str, Callable[[], object]] = {
        "on_start": lambda: _start_and_lead(Scripted()),
        "on_role_change": lambda: _start_and_lead(Scripted()),
        "on_take_snapshot": harness.take_snapshot,
        "on_query": lambda: harness.container.query(client.session_id, b""),
        "on_timer": lambda: harness.advance(1),
    }
    with pytest.raises(MemoryError):
        cause[callback]()


def test_a_query_is_of_an_open_session() -> None:
    with pytest.raises(ServiceFailed):
        ServiceHarness(Scripted).container.query(64, b"")


def test_views_are_of_open_sessions_only() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session(name="", principal=b"")
    container = harness.container
    view = container.session(client.session_id)
    assert view is not None
    assert container.sessions() == [view]
    assert container.find_session(view.key_hash) == view
    client.send(b"say a", b"say b")
    assert [batch.message_count for batch in container.egress_after(client.session_id, 1)] == [1]
    harness.append_entry(EntryType.SESSION_CLOSE, client, encode_session_close(CloseReason.EXPIRED))
    assert client.closed is CloseReason.EXPIRED
    assert container.session(client.session_id) is None
    assert container.find_session(view.key_hash) is None
    assert container.egress_after(client.session_id, 0) == []
    assert container.sessions() == []


def test_a_view_tells_whether_egress_is_still_to_come() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"say b")
    container = ServiceContainer(Scripted(), lambda _: None)
    container.start(None)
    for row in harness.applied[:-1]:
        apply_whole(container, row.frame, 1)
    container.begin(harness.applied[-1].frame)
    seen = []
    while not container.step(1):
        view = container.session(client.session_id)
        assert view is not None
        seen.append((view.last_ingress_sequence, view.is_flushed))
    assert seen[:2] == [(1, False), (2, False)]
    view = container.session(client.session_id)
    assert view is not None
    assert view.is_flushed


def test_a_service_starts_at_the_time_and_position_of_its_snapshot() -> None:
    seen: list[tuple[int, LogPosition]] = []

    class Starting(Scripted):
        def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
            super().on_start(cluster, snapshot)
            seen.append((cluster.time, cluster.log_position))

    harness = ServiceHarness(Starting)
    harness.advance(5)
    harness.restart()
    assert seen == [(0, 0), (harness.time, harness.container.position)]


def test_pending_timers_are_counted() -> None:
    harness = ServiceHarness(Scripted)
    harness.open_session().send(b"timer 1 5;timer 2 9")
    assert harness.container.timers_count == 2
    harness.advance(5)
    assert harness.container.timers_count == 1


def test_cluster_time_and_position_are_those_of_the_log() -> None:
    harness = ServiceHarness(Scripted)
    seen: list[tuple[int, LogPosition, Role]] = []

    class Watching(Scripted):
        def on_timer(self, timer_id: int, timestamp: int) -> None:
            seen.append((self.cluster.time, self.cluster.log_position, self.cluster.role))

    harness = ServiceHarness(Watching)
    harness.change_role(Role.LEADER)
    harness.open_session().send(b"timer 1 5")
    harness.advance(9)
    empty = harness.applied[-2].frame
    assert seen == [(empty.timestamp, empty.position, Role.LEADER)]
    assert harness.container.time == harness.time
    assert harness.container.settings == ClusterSettings()


@pytest.mark.parametrize(
    "script", [b"timer 1 50", b"cancel 1", b"timer 1 50;say a", b"kick 1", b"at 7 fail;timer 7 0"]
)
def test_what_one_entry_did_is_in_its_digest_and_in_no_later_one(script: bytes) -> None:
    """A member that was restored from a snapshot in between must not seem to have diverged."""
    harness = ServiceHarness(Scripted, tolerate_failures=True)
    first, _second = harness.open_session(), harness.open_session()
    first.send(b"timer 1 90")
    first.send(script)
    harness.advance(1)
    snapshot = harness.take_snapshot()
    cut = len(harness.applied)
    first.send(b"say afterwards")
    restored = ServiceContainer(Scripted(), lambda _: None)
    restored.start(snapshot)
    for row in harness.applied[cut:]:
        apply_whole(restored, row.frame, 1000)
        assert restored.digest == row.digest
