from __future__ import annotations

import pytest

from quorate.config import ClusterSettings
from quorate.consensus.types import Role
from quorate.protocol.batch import EgressKind
from quorate.service import CloseReason
from quorate.service.container import ServiceContainer
from quorate.testing import ServiceHarness
from quorate.testing.service_harness import SECOND, START_TIME
from quorate_services import Scripted


def journal(harness: ServiceHarness) -> list[str]:
    assert isinstance(harness.service, Scripted)
    return harness.service.journal


def test_a_session_sends_and_receives() -> None:
    harness = ServiceHarness(Scripted)
    client, other = harness.open_session(name="say welcome"), harness.open_session()
    assert client.receive() == [b"welcome"]
    assert client.send(b"say a", b"tell 1 news", b"say b") == [b"a", b"b"]
    assert client.receive() == []
    assert other.receive() == [b"news"]
    client.close()
    assert client.closed is CloseReason.CLIENT


def test_time_passes_and_timers_fire_each_at_its_deadline() -> None:
    harness = ServiceHarness(Scripted)
    assert harness.time == START_TIME
    client = harness.open_session()
    client.send(b"timer 1 %d;timer 2 %d" % (3 * SECOND, 2 * SECOND))
    assert harness.next_timer_deadline == START_TIME + 2 * SECOND
    harness.advance(SECOND)
    assert client.receive() == []
    harness.advance(2 * SECOND)
    assert client.receive() == [b"timer 2", b"timer 1"]
    assert journal(harness)[-2:] == [
        f"timer 2 {START_TIME + 2 * SECOND}",
        f"timer 1 {START_TIME + 3 * SECOND}",
    ]
    assert harness.container.time == harness.time == START_TIME + 3 * SECOND


@pytest.mark.parametrize("timer", [b"", b"timer 1 7", b"timer 1 20"])
def test_what_comes_behind_time_that_passed_has_that_time(timer: bytes) -> None:
    """With timers and without: who bids when the lot has ended must not be in time in a test."""
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(timer)
    for passed in (10, 25):
        harness.advance(10 if passed == 10 else 15)
        assert harness.container.time == harness.time == START_TIME + passed
        client.send(b"say when")
        assert journal(harness)[-1].endswith(f" {START_TIME + passed} say when")


def test_the_service_sees_whom_a_session_belongs_to() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session(name="till 3", principal=b"alice")
    view = harness.container.session(client.session_id)
    assert view is not None
    assert (view.name, view.principal) == ("till 3", b"alice")


def test_no_time_at_all_fires_what_is_due() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"timer 1 0")
    harness.advance(0)
    assert client.receive() == [b"timer 1"]


def test_a_timer_that_keeps_setting_itself_does_not_hang_a_test() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"at 1 timer 1 0", b"timer 1 0")
    harness.advance(SECOND // 100)
    assert 10 <= len(client.receive()) <= 12


def test_a_failing_callback_fails_the_test_that_led_to_it() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    with pytest.raises(AssertionError, match="on_session_message raised at log position"):
        client.send(b"fail")
    with pytest.raises(AssertionError, match="on_session_open raised"):
        harness.open_session(name="fail")
    assert client.send(b"say on") == [b"on"]


def test_of_several_failures_the_first_is_told() -> None:
    class Failing(Scripted):
        def on_session_message(self, session: object, timestamp: int, message: bytes) -> None:
            raise ValueError(message.decode())

    client = ServiceHarness(Failing).open_session()
    with pytest.raises(AssertionError, match=r"ValueError\('first'\)"):
        client.send(b"first", b"second")


def test_failures_may_be_expected() -> None:
    harness = ServiceHarness(Scripted, tolerate_failures=True)
    client = harness.open_session()
    assert client.send(b"fail", b"say on") == [b"on"]
    assert [failure.callback for failure in harness.failures] == ["on_session_message"]
    assert [message.kind for message in client.egress] == [EgressKind.ERROR, EgressKind.MESSAGE]


def test_a_role_change_that_fails_fails_the_test() -> None:
    class Proud(Scripted):
        def on_role_change(self, role: Role) -> None:
            assert role is not Role.LEADER, "no"

    harness = ServiceHarness(Proud)
    harness.change_role(Role.FOLLOWER)
    with pytest.raises(AssertionError, match="on_role_change raised"):
        harness.change_role(Role.LEADER)


def test_a_snapshot_is_loaded_into_a_new_service_and_sessions_go_on() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"timer 1 5")
    before = harness.service
    harness.restart()
    assert harness.service is not before
    assert client.send(b"say b") == [b"b"]
    harness.advance(5)
    assert client.receive() == [b"timer 1"]
    assert [message.ingress_sequence for message in client.egress] == [1, 3, 0]
    harness.assert_deterministic()


def test_what_the_log_holds_behind_an_older_snapshot_is_applied_again() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    snapshot = harness.take_snapshot()
    client.send(b"say a")
    expected = harness.take_snapshot(), journal(harness)
    harness.load_snapshot(snapshot)
    assert (harness.take_snapshot(), journal(harness)) == expected
    assert client.send(b"say b") == [b"b"]


def test_a_session_told_of_a_gap_goes_back() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.sequence = 7
    assert client.send(b"say lost") == []
    assert client.send(b"say a") == [b"a"]


def test_settings_are_those_asked_for() -> None:
    settings = ClusterSettings(sessions_max=1)
    harness = ServiceHarness(Scripted, settings=settings)
    assert harness.container.settings == settings
    harness.open_session()
    assert harness.open_session().closed is CloseReason.SESSIONS


def test_acknowledged_egress_is_no_longer_kept() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a")
    harness.open_session().send(b"tell 0 news")
    client.acknowledge()
    view = harness.container.session(client.session_id)
    assert view is not None
    assert view.kept_egress_bytes == 0


@pytest.mark.parametrize("messages_per_step", [1, 3])
def test_frames_are_applied_in_slices_of_the_size_asked_for(
    messages_per_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = ServiceContainer.step

    def counted(container: ServiceContainer, messages_max: int) -> bool:
        steps.append(messages_max)
        return step(container, messages_max)

    monkeypatch.setattr(ServiceContainer, "step", counted)
    harness = ServiceHarness(Scripted, messages_per_step=messages_per_step)
    harness.open_session().send(b"say a", b"say b")
    assert set(steps) == {messages_per_step}


@pytest.mark.parametrize("message", ["text", bytearray(b"text"), None, 5])
def test_what_a_client_would_not_send_is_refused_and_leaves_no_trace(message: object) -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    before = len(harness.applied)
    with pytest.raises(TypeError, match=f"a message is bytes, not {type(message).__name__}"):
        client.send(b"say a", message)  # type: ignore[arg-type]
    assert (client.sequence, len(harness.applied)) == (0, before)
    assert client.send(b"say a") == [b"a"]


def test_log_time_takes_whole_steps_forward_only() -> None:
    harness = ServiceHarness(Scripted)
    for backwards in (1, 5):
        text = f"log time never runs back, here by {backwards} ns"
        with pytest.raises(ValueError, match=text):
            harness.advance(-backwards)
    with pytest.raises(TypeError, match="in nanoseconds, not float"):
        harness.advance(0.5)  # type: ignore[arg-type]
    assert harness.time == START_TIME


def test_a_service_in_the_place_of_its_class_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give Scripted, not Scripted\(\)"):
        ServiceHarness(Scripted())  # type: ignore[arg-type]
