import asyncio
import io
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from quorate.client.cluster_client import ClusterClient
from quorate.consensus.types import LogPosition, Seat
from quorate.dev import demo
from quorate.dev.cluster import DevCluster
from quorate.dev.demo import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Demo,
    DemoFailed,
    DemoOptions,
    Run,
    main,
    result_rows,
)
from quorate.dev.demo_proof import Evidence, Verdict
from quorate.dev.demo_screen import Screen
from quorate.dev.demo_stream import AcknowledgementLog, PacedStream
from quorate.errors import NotConnected


def a_run() -> Run:
    figures = AcknowledgementLog([(0.5, 5), (1.0, 10)]).figures(10)
    return Run(
        figures,
        Evidence(
            messages=[b"1"] * 14,
            answers=[(4, b"42")],
            session_id=9,
            acknowledged=14,
            position=LogPosition(4096),
            digests={0: "aa", 1: "bb"},
            recordings={},
        ),
    )


def test_the_table_says_what_was_asked_for() -> None:
    verdict = Verdict(applied={0: 14, 1: 14}, replayed={0: "aa", 1: "aa"}, answers_equal=True)
    text = "\n".join(f"{name}: {value}" for name, value in result_rows(a_run(), verdict))
    assert "keys sent: 14 in one session" in text
    assert "acknowledged: 14" in text
    assert "applied once, in order: 14 (member 0), 14 (member 1)" in text
    assert "longest gap without an acknowledgement: 500 ms" in text
    assert "throughput: 10 keys/s" in text
    assert "p99.9" in text
    assert "state digest at position: 4,096" in text
    assert "member 0: aa (its recording leads to the same)" in text
    assert "member 1: bb (REPLAYED: aa)" in text
    assert "equal to those without a cluster: yes" in text


def test_a_foreign_directory_is_left_alone_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").touch()
    assert main(["--directory", str(tmp_path)]) == EXIT_FAILED
    printed = capsys.readouterr()
    assert "demo failed" in printed.err
    assert "precious" in printed.err
    assert f"{tmp_path}/member-*/member.log" in printed.err
    assert (tmp_path / "precious").exists()


class Played:
    """Stands for the play: ends as the test says, having made a file as the members do."""

    def __init__(self, ends: BaseException | list[str]) -> None:
        self.ends = ends
        self.directory = Path()

    def __call__(self, options: DemoOptions, screen: Screen) -> list[str]:
        screen.tell("playing")
        self.directory = options.directory
        (self.directory / "cluster.json").touch()
        if isinstance(self.ends, BaseException):
            raise self.ends
        return self.ends


@pytest.fixture(autouse=True)
def _own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.mark.parametrize(
    ("ends", "code", "is_kept"),
    [
        ([], 0, False),
        (["the answers differ"], EXIT_FAILED, True),
        (KeyboardInterrupt(), EXIT_INTERRUPTED, False),
    ],
)
def test_its_own_directory_stays_only_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, ends: BaseException | list[str], code: int, *, is_kept: bool
) -> None:
    played = Played(ends)
    monkeypatch.setattr(demo, "_run", played)
    assert main([]) == code
    assert played.directory.exists() == is_kept


def test_a_named_directory_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "_run", Played([]))
    (tmp_path / "kept").mkdir()
    assert main(["--directory", str(tmp_path / "kept")]) == 0
    assert (tmp_path / "kept" / "cluster.json").exists()


def run_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[str]:
    async def play(_options: DemoOptions, _screen: Screen) -> Run:
        raise error

    monkeypatch.setattr(demo, "_play", play)
    seconds = itertools.count(0.0)
    return demo._run(DemoOptions(Path()), Screen(io.StringIO(), lambda: next(seconds)))


def test_every_error_of_a_run_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = ExceptionGroup("", [ExceptionGroup("", [NotConnected("no leader")])])
    assert run_with(monkeypatch, nested) == ["no leader"]
    assert run_with(monkeypatch, NotConnected("nobody")) == ["nobody"]
    assert run_with(monkeypatch, OSError(28, "No space left")) == ["[Errno 28] No space left"]


def test_an_interrupt_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_with(monkeypatch, BaseExceptionGroup("", [KeyboardInterrupt()]))


@pytest.mark.parametrize("option", ["--keys", "--rate"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "\u00b2"])
def test_numbers_must_be_above_zero(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"{option}={value}"])
    assert caught.value.code == 2
    assert f"{value} is not a whole number above 0" in capsys.readouterr().err


def test_a_place_where_no_directory_can_be_made_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", "/proc/nowhere")
    assert main([]) == EXIT_FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert "/proc/nowhere" in line
    assert "set TMPDIR to a folder on a disk" in line


def a_demo(keys: int = 20) -> Demo:
    return Demo(DemoOptions(Path(), keys=keys), Screen(io.StringIO(), lambda: 0.0))


class Answering:
    """A client whose cluster answers each key as the test says."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers

    async def request(self, key: bytes, timeout: float) -> bytes | None:  # noqa: ASYNC109 - the client's
        return self._answers.get(key)


def test_an_answer_to_one_of_the_first_keys_that_has_none_is_evidence_as_any_other() -> None:
    played = a_demo()
    played._client = cast("ClusterClient", Answering({b"x5": b"surprise", b"=": b"42"}))
    asyncio.run(played._calculate())
    assert played._answers == [(2, b"surprise"), (4, b"42")]


@pytest.mark.parametrize("answer", [{}, {b"=": b"41"}], ids=["none", "a wrong one"])
def test_first_keys_that_are_not_answered_with_42_end_the_demo(answer: dict[bytes, bytes]) -> None:
    played = a_demo()
    played._client = cast("ClusterClient", Answering(answer))
    with pytest.raises(DemoFailed, match="the first keys answered"):
        asyncio.run(played._calculate())


class Killed(Exception):
    """The demo has sent its signal."""


class FakeCluster:
    """Has a leader, and tells when it is killed."""

    async def wait_leader(self, timeout_s: float, *, above_term: int = 0) -> SimpleNamespace:
        return SimpleNamespace(seat=2, leadership_term_id=3)

    def kill(self, seat: Seat) -> None:
        raise Killed(seat)


@pytest.mark.parametrize(
    ("offered", "ends"), [(19, Killed), (20, DemoFailed)], ids=["in the middle", "too late"]
)
def test_a_stream_too_short_for_a_kill_in_its_middle_fails_and_names_the_remedy(
    offered: int, ends: type[Exception]
) -> None:
    """No key would be sent behind the kill; the demo once waited for one without end."""

    async def reached(_count: int) -> None:
        return

    played = a_demo(keys=20)
    played._cluster = cast("DevCluster", FakeCluster())
    log = AcknowledgementLog([(0.1, 9)])
    stream = SimpleNamespace(reached=reached, acknowledged=log, offered=offered)
    played._stream = cast("PacedStream", stream)
    with pytest.raises(ends, match="more --keys or a lower --rate" if offered == 20 else "2"):
        asyncio.run(played._kill_and_restart())
