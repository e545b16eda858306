import asyncio
import io
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.consensus.types import LogPosition
from quorate.dev import demo
from quorate.dev.demo import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    KEYS,
    RATE,
    SEED,
    DemoOptions,
    Run,
    main,
    result_rows,
)
from quorate.dev.demo_proof import Evidence, Verdict
from quorate.dev.demo_screen import Screen
from quorate.dev.demo_stream import AcknowledgementLog
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
        self.options = DemoOptions(Path())

    def __call__(self, options: DemoOptions, screen: Screen) -> list[str]:
        screen.tell("playing")
        self.options = options
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
        (asyncio.CancelledError(), EXIT_INTERRUPTED, False),
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


def test_what_the_caller_chose_is_what_is_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played = Played([])
    monkeypatch.setattr(demo, "_run", played)
    assert main(["--directory", str(tmp_path), "--keys=7", "--seed=8", "--rate=9"]) == 0
    assert played.options == DemoOptions(tmp_path, 7, 8, 9)
    assert main(["--directory", str(tmp_path)]) == 0
    assert played.options == DemoOptions(tmp_path, KEYS, SEED, RATE)


def test_an_end_without_proof_is_not_told_as_one_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is shown all the same: it says where the run and the proof part."""
    out = io.StringIO()
    verdict = Verdict(problems=["member 1 lies"])

    async def play(_options: DemoOptions, _screen: Screen) -> Run:
        return a_run()

    monkeypatch.setattr(demo, "_play", play)
    monkeypatch.setattr(demo, "examine", lambda _evidence, _tell: verdict)
    screen = Screen(out, lambda: 0.0)
    assert demo._run(DemoOptions(Path()), screen) == ["member 1 lies"]
    assert "equal to those without a cluster: NO" in out.getvalue()
    assert "exactly once" not in out.getvalue()
    verdict.problems.clear()
    assert demo._run(DemoOptions(Path()), screen) == []
    assert "exactly once" in out.getvalue()


def test_a_member_whose_recording_was_not_applied_stands_out_in_the_table() -> None:
    run = a_run()
    run = replace(run, evidence=replace(run.evidence, digests={0: "aa"}))
    rows = dict(result_rows(run, Verdict()))
    assert rows["  member 0"] == "aa (REPLAYED: None)"
    assert rows["applied once, in order"] == ""


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


def test_a_failure_beside_an_interrupt_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    both = BaseExceptionGroup("", [asyncio.CancelledError(), NotConnected("no leader")])
    assert "no leader" in run_with(monkeypatch, both)


def test_an_error_without_words_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(monkeypatch, ExceptionGroup("", [ValueError()])) == ["ValueError()"]


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
