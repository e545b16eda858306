"""What is the same in one process and another in the next must be found out in a test."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

from quorate.examples.calculator import Calculator
from quorate.examples.key_value import KeyValue
from quorate.service import ClientSession, ClusteredService, SnapshotOutput
from quorate.testing import NonDeterministic, ServiceHarness

BONUS = 0
"""Of the module: a test may change it, and another process does not know."""


def is_other_process() -> bool:
    return sys.argv[0].endswith("replay.py")


class Names(ClusteredService):
    """Keeps names, and answers each with all of them."""

    def __init__(self) -> None:
        self.names: list[bytes] = []

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        assert session is not None
        self.names.append(message)
        session.offer(self.shown(session))

    def shown(self, session: ClientSession) -> bytes:
        return b",".join(self.names)


class Unordered(Names):
    def shown(self, session: ClientSession) -> bytes:
        return b",".join(set(self.names))


class Hashed(Names):
    def shown(self, session: ClientSession) -> bytes:
        return b"%d" % hash(session.name)


class Addressed(Names):
    def shown(self, session: ClientSession) -> bytes:
        return b"%d" % id(type(session))


class UnorderedSnapshot(Names):
    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        for name in set(self.names):
            snapshot.write(name)


class Changed(Names):
    def shown(self, session: ClientSession) -> bytes:
        return b"%d" % (len(self.names) + BONUS)


class Talkative(Names):
    def shown(self, session: ClientSession) -> bytes:
        print("applied", self.names)
        return super().shown(session)


class Slow(Names):
    def shown(self, session: ClientSession) -> bytes:
        if is_other_process():
            time.sleep(60)
        return b""


class OnlyHere(Names):
    def __init__(self) -> None:
        if is_other_process():
            raise OSError("no such license")
        super().__init__()


def used(service: type[ClusteredService]) -> ServiceHarness:
    harness = ServiceHarness(service)
    session = harness.open_session("ada")
    session.send(*(b"name-%d" % number for number in range(8)))
    return harness


@pytest.mark.parametrize("service", [Names, Talkative, Calculator, KeyValue])
def test_a_sound_service_passes(service: type[ClusteredService]) -> None:
    used(service).assert_deterministic_across_processes()


@pytest.mark.parametrize("service", [Unordered, Hashed, Addressed])
def test_an_answer_that_is_another_one_in_each_process_is_found_out(
    service: type[ClusteredService],
) -> None:
    harness = used(service)
    harness.assert_deterministic()
    with pytest.raises(NonDeterministic, match=r"PYTHONHASHSEED=\d, the service answers .* a set"):
        harness.assert_deterministic_across_processes()


def test_so_is_a_snapshot() -> None:
    with pytest.raises(NonDeterministic, match="another snapshot"):
        used(UnorderedSnapshot).assert_deterministic_across_processes()


def test_what_a_test_has_changed_outside_of_the_service_is_named_as_a_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "BONUS", 5)
    with pytest.raises(NonDeterministic, match="what this test has changed"):
        used(Changed).assert_deterministic_across_processes()


def test_a_service_that_no_other_process_can_import_is_refused() -> None:
    class Local(Names):
        pass

    def make() -> Names:
        return Names()

    for make_service in (Local, make):
        harness = ServiceHarness(make_service)
        with pytest.raises(TypeError, match="stands in a module"):
            harness.assert_deterministic_across_processes()


def test_so_is_one_of_the_script_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = used(Names)
    monkeypatch.setattr(Names, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Names", Names, raising=False)
    with pytest.raises(TypeError, match="stands in a module"):
        harness.assert_deterministic_across_processes()


def test_a_service_that_does_not_run_there_is_told_with_its_own_words() -> None:
    with pytest.raises(RuntimeError, match="no such license"):
        used(OnlyHere).assert_deterministic_across_processes()


def test_one_that_takes_too_long_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="within 1 s: give it more"):
        used(Slow).assert_deterministic_across_processes(limit_s=1.0)


def test_a_module_next_to_the_test_is_found_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from quorate.examples.echo import Echo\n\nclass Beside(Echo):\n    pass\n"
    (tmp_path / "beside.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    used(importlib.import_module("beside").Beside).assert_deterministic_across_processes()
