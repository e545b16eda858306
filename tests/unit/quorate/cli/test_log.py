"""Frames as a person reads them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from quorate.cli.log import _lines, describe_frame
from quorate.cli.main import main
from quorate.consensus.types import Chain, FrameType, LeadershipTermId, LogPosition
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.log_codec import EntryType, encode_entry, encode_frame
from quorate.runtime.exit_codes import ExitCode
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

BATCH = encode_ingress_batch([b"8", b"\xff"])
ENTRIES = [
    encode_entry(EntryType.SESSION_INGRESS, 960, BATCH, first_sequence=5, message_count=2),
    encode_entry(EntryType.SESSION_INGRESS, 960, b"junk", first_sequence=7, message_count=9),
]
FRAME = encode_frame(
    LogPosition(1024),
    LeadershipTermId(3),
    1_700_000_000_123_456_789,
    Chain(7),
    FrameType.ENTRIES,
    b"".join(ENTRIES),
    entry_count=2,
)


def test_a_frame_alone_is_its_header() -> None:
    described = describe_frame(FRAME, 0)
    assert described == {
        "position": 1024,
        "end": FRAME.end,
        "term": 3,
        "time": "2023-11-14T22:13:20.123456Z",
        "type": "entries",
        "chain": f"{FRAME.chain:08x}",
        "entry_count": 2,
    }


def test_entries_and_messages_are_shown_when_asked_for_and_junk_is_named() -> None:
    (first, second) = describe_frame(FRAME, 1)["entries"]  # type: ignore[misc]
    assert first == {
        "position": 1088,
        "type": "session_ingress",
        "session": 960,
        "first_sequence": 5,
        "message_count": 2,
        "bytes": len(BATCH),
    }
    assert "messages" not in second
    (first, second) = describe_frame(FRAME, 2)["entries"]  # type: ignore[misc]
    assert first["messages"] == ["8", "�"]
    assert "not_a_batch" in second
    json.dumps(describe_frame(FRAME, 2))


@pytest.mark.parametrize(("said", "shown"), [(0, 1088), (960, 960)])
def test_an_open_is_shown_with_the_session_that_it_opens(said: int, shown: int) -> None:
    entry = encode_entry(EntryType.SESSION_OPEN, said, b"")
    frame = encode_frame(
        LogPosition(1024), LeadershipTermId(3), 1, Chain(7), FrameType.ENTRIES, entry, entry_count=1
    )
    (described,) = describe_frame(frame, 1)["entries"]  # type: ignore[misc]
    assert described["session"] == shown


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [(0, "000000"), (999, "000000"), (1_000, "000001"), (5_000_000, "005000")],
)
def test_times_can_be_compared_as_text(nanoseconds: int, shown: str) -> None:
    frame = encode_frame(
        LogPosition(0), LeadershipTermId(1), 10**18 + nanoseconds, Chain(0), FrameType.EMPTY, b""
    )
    assert describe_frame(frame, 0)["time"] == f"2001-09-09T01:46:40.{shown}Z"


def test_what_is_asked_for_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([bytes(900)] * 3)
    monkeypatch.setattr("quorate.archive.files.SystemFiles", lambda _: driver.disk)

    def printed(*options: str) -> list[str]:
        assert main(["log", str(tmp_path), *options]) == 0
        return capsys.readouterr().out.splitlines()

    ends = [frame.end for frame in driver.frames]
    assert [json.loads(line)["end"] for line in printed("--json")] == ends
    first_two = driver.frames[2].position
    assert [json.loads(line)["end"] for line in printed("--json", f"--from={first_two}")] == ends[
        2:
    ]
    # At the end nothing is printed yet; a script may wait there for what comes.
    assert printed(f"--from={ends[-1]}") == []
    assert main(["log", str(tmp_path), f"--from={ends[-1] + 1}"]) == ExitCode.CONFIGURATION
    assert "beyond the end of this log" in capsys.readouterr().err


def test_options_say_how_deep_a_frame_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quorate.archive.inspect.iterate_frames", lambda *_: iter([FRAME]))
    counts = []
    for options in ([], ["--entries"], ["--messages"], ["--entries", "--messages"]):
        assert main(["log", str(tmp_path), *options]) == 0
        counts.append(len(capsys.readouterr().out.splitlines()))
    assert counts == [1, 3, 5, 5]


def test_each_frame_entry_and_message_has_a_line() -> None:
    assert len(list(_lines(describe_frame(FRAME, 0)))) == 1
    assert len(list(_lines(describe_frame(FRAME, 1)))) == 3
    lines = list(_lines(describe_frame(FRAME, 2)))
    assert [line.split()[0] for line in lines] == ["1024", "1088", "5:", "6:", "1144"]


def test_the_founding_frame_has_no_time() -> None:
    frame = encode_frame(
        LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.FOUNDING, b"body"
    )
    assert describe_frame(frame, 2)["time"] == "-"
    assert len(list(_lines(describe_frame(frame, 2)))) == 1
