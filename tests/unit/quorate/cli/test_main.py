"""Exit codes and error lines of the verbs, as far as they need no cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from quorate.cli.main import VERBS, build_parser, main
from quorate.config import CLIENT_PORT, CONTROL_PORT, MemberConfig, NodeConfig, SeatAddress, to_toml
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import AdminRejected
from quorate.runtime.exit_codes import ExitCode

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "reference" / "cli.md"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("COLUMNS", "80")


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert all(line.startswith("quorate: ") for line in lines)
    return lines


@pytest.mark.parametrize("arguments", [["status"], ["send", "8"], ["found"]])
def test_without_a_cluster_a_verb_says_so_at_once(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    (line,) = complaints(capsys)
    assert "no quorate dev runs" in line


@pytest.mark.parametrize("verb", ["status", "send", "found"])
def test_every_bad_address_is_named(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--address", "host", "--address", "h:1", "--address", "h:0"]) == 2
    lines = complaints(capsys)
    assert ["--address host is not" in lines[0], "--address h:0 is not" in lines[1]] == [True, True]
    port = CLIENT_PORT if verb == "send" else CONTROL_PORT
    assert all(line.endswith(f"such as 127.0.0.1:{port}") for line in lines)


def test_a_bad_configuration_is_told_one_line_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "member.toml").write_text('[member]\nseat = "x"\n[gateway]\nport = -1\n')
    assert main(["run", "--config", str(tmp_path / "member.toml")]) == 2
    lines = complaints(capsys)
    assert len(lines) == 6
    assert "quorate: member.seat is 'x', not a whole number" in lines
    assert "quorate: gateway.port is -1, not 0 to 65535" in lines


@pytest.mark.parametrize("verb", [["verify"], ["log"], ["recover", "--accept-loss", "--yes"]])
def test_a_directory_that_is_none_is_a_bad_argument(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, str(tmp_path / "missing")]) == 2
    (line,) = complaints(capsys)
    assert line.endswith("missing is not a directory")


def test_recover_asks_unless_told_not_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (ROOT / "LICENSE").open() as no_terminal:
        monkeypatch.setattr("sys.stdin", no_terminal)
        assert main(["recover", "--accept-loss", str(tmp_path)]) == 1
    assert "nobody to ask: say --yes" in capsys.readouterr().err
    assert main(["recover", "--accept-loss", "--yes", str(tmp_path)]) == 1
    assert "name the data directory of a member" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("", False), ("y", False), ("no", False), ("yes", True), (" YES ", True)],
)
def test_a_loss_is_accepted_by_a_whole_yes_only(
    answer: str, *, agreed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[object] = []

    def accept(files: object) -> NoReturn:
        accepted.append(files)
        raise AdminRejected("as far as this test goes")

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    monkeypatch.setattr("quorate.archive.accept_loss.accept_loss", accept)
    assert main(["recover", "--accept-loss", str(tmp_path)]) == 1
    assert bool(accepted) is agreed


def test_recover_without_saying_what_it_does_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["recover", str(tmp_path)])
    assert raised.value.code == 2


def test_verify_of_an_empty_directory_is_sound_and_json_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(": sound\n")
    assert main(["verify", "--json", str(tmp_path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["severity"] == "note"


def test_verify_tells_damage_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "node-state").write_bytes(b"\x01" * 8192)
    assert main(["verify", str(tmp_path)]) == ExitCode.DAMAGED
    assert ": damaged; started beside the others, a member is cured" in capsys.readouterr().out


def test_a_verb_that_is_interrupted_ends_as_a_shell_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("quorate.cli.status.run", interrupted)
    assert main(["status"]) == 130
    assert complaints(capsys) == []


def test_a_member_whose_supervisor_is_gone_does_not_start() -> None:
    assert main(["run", "--parent", "1"]) == 0


def environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("QUORATE_")}


def test_an_interpreter_without_asserts_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "quorate", "status"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("quorate: refusing to run under `python -O`")
    assert done.stderr.count("\n") == 1


def test_a_service_that_cannot_be_imported_ends_a_member_with_code_2(tmp_path: Path) -> None:
    seats = (SeatAddress(Seat(0), "127.0.0.1", 20_001, 20_002, 20_003),)
    member = MemberConfig(
        ClusterId(b"c" * 16), Seat(0), seats, str(tmp_path / "data"), "no_such_module:Service"
    )
    (tmp_path / "member.toml").write_text(to_toml(NodeConfig(member=member)))
    done = subprocess.run(
        [sys.executable, "-m", "quorate", "run", "--config", "member.toml"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 2
    assert "there is no module 'no_such_module'" in done.stderr
    assert "Traceback" not in done.stderr


def verified_into(output: int, directory: Path, unbuffered: str) -> tuple[int, str]:
    """Exit code and errors of a verb that writes there, at once or when it ends."""
    done = subprocess.run(
        [sys.executable, "-m", "quorate", "verify", str(directory)],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
        env=environment() | {"PYTHONUNBUFFERED": unbuffered},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_any_more_ends_quietly(tmp_path: Path, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert verified_into(writing, tmp_path, unbuffered) == (1, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_finds_no_space_is_a_failure_in_one_line(
    tmp_path: Path, unbuffered: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        code, errors = verified_into(full.fileno(), tmp_path, unbuffered)
    assert code == 1
    assert errors == "quorate: the output cannot be written: No space left on device\n"


CLOSED = [(0,), (1,), (2,), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
@pytest.mark.parametrize("verb", [["verify"], ["recover", "--accept-loss"]])
def test_streams_that_the_caller_closed_change_no_exit_code(
    closed: tuple[int, ...], verb: list[str], tmp_path: Path
) -> None:
    closing = " ".join(f"{number}>&-" for number in closed)
    command = (sys.executable, "-m", "quorate", *verb, str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closing}', "sh", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(),
    )
    assert done.returncode == (0 if verb == ["verify"] else 1)
    expected = "" if verb == ["verify"] else "quorate: nobody to ask: say --yes\n"
    assert done.stderr == ("" if 2 in closed else expected)


def test_no_file_is_opened_in_the_place_of_a_closed_stream() -> None:
    """Python writes to the number of standard error when it dies: that must not be a recording."""
    code = (
        "from quorate.cli.output import open_closed_streams as f; f(); "
        "import os; print(os.open('/dev/zero', os.O_RDONLY))"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 0<&- 2>&-', "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert int(done.stdout) > 2


def help_of(verb: str | None) -> str:
    """What ``--help`` prints, in lines of 100 columns."""
    arguments = ["--help"] if verb is None else [verb, "--help"]
    done = subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=environment() | {"COLUMNS": "98"},
    )
    return done.stdout


def test_the_help_names_every_exit_code() -> None:
    text = build_parser().format_help()
    for code in ExitCode:
        assert re.search(rf"^ +{code.value}  {re.escape(code.meaning)}$", text, re.MULTILINE)


def test_the_page_shows_the_help_of_every_verb() -> None:
    shown = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = [verb.__name__.rpartition(".")[2] for verb in VERBS]
    helps = [help_of(None), *(help_of(name) for name in names)]
    # Python's releases break these lines at different places.
    assert [text.split() for text in shown] == [text.split() for text in helps]


@pytest.mark.parametrize("verb", [["verify"], ["log"], ["recover", "--accept-loss", "--yes"]])
def test_a_directory_of_other_things_is_no_sound_recording(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as that of ``quorate dev`` itself, or a volume whose data are in another folder."""
    folder = tmp_path / "quorate-dev"
    (folder / "member-0").mkdir(parents=True)
    for name in ("lock", "token"):
        (folder / name).touch()
    assert main([*verb, str(folder)]) == ExitCode.CONFIGURATION
    (line,) = complaints(capsys)
    assert "holds no member's data, but member-0: name a data directory" in line


@pytest.mark.parametrize("verb", ["verify", "log"])
@pytest.mark.parametrize("folder", [".", "data"])
def test_data_are_found_where_they_are_or_one_folder_below(
    verb: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is the volume of a pod, with what file systems put beside."""
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / folder / "node-state").write_bytes(bytes(8192))
    code = main([verb, str(tmp_path)])
    shown = capsys.readouterr()
    assert (shown.err, code) == ("", ExitCode.DAMAGED if verb == "verify" else ExitCode.ASKED)
    if verb == "verify":
        assert f"\n{tmp_path / folder}: damaged; " in shown.out


@pytest.mark.parametrize("name", [None, "lock", "lost+found", "node-state.tmp"])
def test_a_directory_that_no_member_has_formatted_is_sound(
    name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name is not None:
        (tmp_path / name).touch()
    assert main(["verify", str(tmp_path)]) == ExitCode.ASKED
    assert capsys.readouterr().err == ""
