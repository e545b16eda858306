"""``kubectl quorate`` as a command: its arguments, its calls of kubectl, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quorate_fake_kubectl.answers import calls
from quorate_operator.plugin.main import main

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "kubectl-plugin.md"


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_a_reader_that_has_gone_is_no_success_and_no_noise(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 2}')
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main([verb, "counter"]) == 1
        monkeypatch.undo()


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_options_of_kubectl_go_to_every_call(folder: Path, verb: str) -> None:
    (folder / "decision.json").write_text('{"result": "Done"}')
    given = ["-n", "shop", "--context", "test", "--kubeconfig", "/k"]
    assert main([verb, "counter", *given]) == 0
    expected = ["--namespace=shop", "--context=test", "--kubeconfig=/k"]
    made = calls(folder)
    assert made
    assert all(call[:3] == expected for call in made)
    # Nothing waits for ever for an API server that does not answer.
    assert all(any("timeout" in word for word in call) for call in made)
    reads = [call for call in made if "get" in call and "--raw" not in call]
    assert all("--output=json" in call for call in reads)


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_a_cluster_that_is_not_there_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (folder / "cluster.json").unlink()
    assert main([verb, "counter"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kubectl quorate: kubectl ")
    assert line.endswith("(NotFound): cluster not found")


def test_what_is_no_kubectl_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cluster.json").write_text("<html>")
    assert main(["status", "counter"]) == 1
    (folder / "bin" / "kubectl").write_text("#!/bin/sh\nexit 3\n")
    assert main(["status", "counter"]) == 1
    monkeypatch.setenv("PATH", str(folder / "nothing"))
    assert main(["status", "counter"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "kubectl quorate: kubectl get: what it printed is no JSON",
        "kubectl quorate: kubectl get: exit code 3",
        "kubectl quorate: there is no kubectl on the path",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["status"],
        ["found", "counter"],
        ["transfer", "counter", "--to", "a/b"],
        ["transfer", "counter", "--timeout", "0"],
        ["transfer", "counter", "--timeout", "3601"],
        ["transfer", "counter", "--timeout", "²"],
        ["transfer", "counter", "--to", ""],
        ["status", "counter", "-o", "yaml"],
        ["transfer", "--", "--all"],
        ["status", "a,b"],
        ["members", "csvc/counter"],
        ["members", ""],
        ["members", "a" * 254],
        ["status", "-a"],
        ["status", "a-"],
        ["status", "A"],
        ["status", "a b"],
        ["transfer", "counter", "--to", "a" * 64],
    ],
)
def test_bad_arguments_are_refused_before_kubectl_runs(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert not (folder / "calls.jsonl").exists()


@pytest.mark.parametrize("name", ["a", "0", "a-b", "shop.counter", "a" * 253])
def test_every_name_of_a_cluster_can_be_asked_for(folder: Path, name: str) -> None:
    assert main(["members", name]) == 0
    assert name in calls(folder)[0]


def behind(folder: Path, line: str) -> None:
    """Have kubectl run this line of the shell before it answers."""
    program = folder / "bin" / "kubectl"
    program.write_text(program.read_text().replace("\n", f"\n{line}\n", 1))


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_a_warning_of_kubectl_is_neither_an_answer_nor_an_error(folder: Path, verb: str) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 2}')
    behind(folder, "echo 'Warning: this is deprecated' >&2")
    assert main([verb, "counter"]) == 0


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_what_a_script_reads_is_left_to_it(folder: Path, tmp_path: Path, verb: str) -> None:
    """A loop over names from a file would end after the first, without a word."""
    (folder / "decision.json").write_text('{"result": "Done", "leader": 2}')
    behind(folder, "cat >/dev/null")
    (tmp_path / "names").write_text("orders\n")
    before = os.dup(0)
    try:
        with (tmp_path / "names").open("rb") as names:
            os.dup2(names.fileno(), 0)
        assert main([verb, "counter"]) == 0
        assert os.read(0, 100) == b"orders\n"
    finally:
        os.dup2(before, 0)
        os.close(before)


@pytest.mark.parametrize("program", [b"\x7fELF of another machine", b"#!/nowhere/sh\n"])
def test_a_kubectl_that_does_not_start_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], program: bytes
) -> None:
    (folder / "bin" / "kubectl").write_bytes(program)
    assert main(["status", "counter"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kubectl quorate: {folder}/bin/kubectl cannot be run: ")


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_an_error_that_steers_a_terminal_is_told_without_that(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    behind(folder, "printf 'gone\\033[2J' >&2; exit 1")
    assert main([verb, "counter"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "gone" in line


def test_json_without_end_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cluster.json").write_text("[" * 200_000)
    assert main(["members", "counter"]) == 1
    assert capsys.readouterr().err == ("kubectl quorate: kubectl get: what it printed is no JSON\n")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (subprocess.TimeoutExpired("kubectl", 1), 1, "no answer within"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_call_that_does_not_end_is_no_traceback(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    error: BaseException,
    code: int,
    told: str,
) -> None:
    def hangs(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", hangs)
    assert main([verb, "counter"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(told)
    assert told in "".join(lines)


def test_the_page_shows_the_help_of_every_verb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "98")
    blocks = [part.partition("```")[0] for part in PAGE.read_text().split("```text\n")[1:]]
    shown = [words_of(block) for block in blocks]
    for verb in ([], ["status"], ["members"], ["transfer"]):
        with pytest.raises(SystemExit):
            main([*verb, "--help"])
        assert words_of(capsys.readouterr().out) in shown


@pytest.mark.parametrize("verb", ["status", "members", "transfer"])
def test_no_call_waits_for_ever(folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """kubectl's own default is no limit; and one that hangs all the same is ended, but not sooner
    than what it was asked to wait for."""
    limits: list[tuple[list[str], float]] = []
    really = subprocess.run

    def recorded(words: list[str], **options: Any) -> Any:  # noqa: ANN401
        limits.append((words[1:], options["timeout"]))
        return really(words, **options)

    monkeypatch.setattr(subprocess, "run", recorded)
    waits = ["--timeout", "300"] if verb == "transfer" else []
    main([verb, "counter", *waits])
    assert limits
    for words, limit_s in limits:
        found = [word for word in words if re.fullmatch(r"--(request-)?timeout=[1-9][0-9]*s", word)]
        assert len(found) == 1, words
        asked_s = int(re.sub(r"[^0-9]", "", found[0]))
        assert asked_s + 10 <= limit_s <= asked_s + 60, words
        assert asked_s >= 5, "an API server that is busy takes a while"


def words_of(help_text: str) -> list[str]:
    """Its words; since Python 3.13 the value of an option is named once, not after each form."""
    return re.sub(r"(-\w) (\S+), (--\w+) \2", r"\1, \3 \2", help_text).split()
