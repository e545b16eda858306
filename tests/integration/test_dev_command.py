"""``quorate dev`` and the verbs beside it, as a person at a terminal meets them."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

QUORATE = (sys.executable, "-m", "quorate")


class Terminal:
    """A folder with a service in it, and a running ``quorate dev``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run")}
        self.dev: subprocess.Popen[str] | None = None
        self.shown: list[str] = []

    def start(self, *arguments: str, errors: int | IO[str] = subprocess.STDOUT) -> None:
        self.dev = subprocess.Popen(
            [*QUORATE, "dev", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        self.shown = []

    def see(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches; the test's own time limit ends a vain wait."""
        while True:
            line = self.output.readline()
            self.shown.append(line)
            assert line, f"ended without {pattern!r}: {''.join(self.shown)}"
            if found := re.search(pattern, line):
                return found

    @property
    def output(self) -> IO[str]:
        assert self.dev is not None
        assert self.dev.stdout is not None
        return self.dev.stdout

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.dev is not None
        self.dev.send_signal(number)
        self.shown.append(self.output.read())
        code = self.dev.wait(timeout=60)
        self.output.close()
        self.dev = None
        return code

    def run(
        self, *arguments: str, text: str = "", output: int | IO[str] = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*QUORATE, *arguments],
            input=text,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
            env=self.environment,
        )

    def members(self) -> list[int]:
        """Process ids of all members that serve this folder's cluster, zombies not counted."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if b"run" in words and any(bytes(self.folder) in word for word in words):
                found.append(int(process.name))
        return found


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    if terminal.dev is not None:
        terminal.dev.kill()
        terminal.dev.wait()
        terminal.output.close()


def look_at_logs(terminal: Terminal) -> None:
    """Read the recordings of members that have stopped."""
    log = terminal.run("log", "--messages", "quorate-dev/member-1").stdout
    assert log.index("'x5'") < log.index("'x6'")
    frames = terminal.run("log", "--json", "quorate-dev/member-2").stdout.splitlines()
    assert json.loads(frames[0])["type"] == "founding"
    end = str(json.loads(frames[-1])["end"])
    assert terminal.run("log", "--from", end, "quorate-dev/member-2").stdout == ""
    beyond = terminal.run("log", "--from", "99999999999", "quorate-dev/member-2")
    assert (beyond.returncode, beyond.stdout) == (2, "")
    assert f"the end of this log, which is at {end}" in beyond.stderr


def test_a_whole_day_with_dev(terminal: Terminal) -> None:
    """Found, use, look, kill a member, stop, start again, go on."""
    terminal.start()
    terminal.see("cluster [0-9a-f]{32} is founded")
    address = terminal.see(r"member 0 .* metrics (http://\S+/metrics)").group(1)
    terminal.see("Ctrl-C stops")

    sent = terminal.run("send", text="8\nx5\n+2\n=\n")
    assert (sent.stdout, sent.stderr, sent.returncode) == ("42\n", "", 0)
    assert terminal.run("send", "7", "x6", "=").stdout == "42\n"
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert b"\nquorate_commit_position_bytes " in answer.read()
    second = terminal.run("dev")
    assert second.returncode == 1
    assert "another quorate dev runs on" in second.stderr
    assert second.stderr.count("\n") == 1

    victim = terminal.members()[0]
    os.kill(victim, signal.SIGKILL)
    terminal.see(r"member \d ended \(signal 9\); starting it again")
    statuses = json.loads(terminal.run("status", "--json").stdout)
    assert len(statuses) == 3

    assert terminal.stop() == 0
    assert "stopped" in terminal.shown[-1]
    assert terminal.members() == []
    nobody = terminal.run("status")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "no quorate dev runs" in nobody.stderr

    journal = (terminal.folder / "quorate-dev" / "member-1" / "member.log").read_text()
    assert "syncs=library" in journal, "the fast way to sync is not there: some thread was early"
    verified = terminal.run("verify", "quorate-dev/member-1")
    assert verified.returncode == 0, verified.stdout
    look_at_logs(terminal)

    terminal.start("--service", "quorate.examples.calculator:Calculator", "--members", "3")
    terminal.see("Ctrl-C stops")
    assert not any("founded" in line for line in terminal.shown)
    assert terminal.run("send", "6", "x7", "=").stdout == "42\n"
    assert terminal.stop(signal.SIGTERM) == 0


def test_a_port_that_somebody_took_meanwhile_is_tried_until_it_is_free(terminal: Terminal) -> None:
    """The member has run with its file, so what is amiss may pass: its place stays its own."""
    terminal.start()
    port = int(terminal.see(r"member 0 .* status http://127.0.0.1:(\d+)/").group(1))
    terminal.see("Ctrl-C stops")
    assert terminal.dev is not None
    (victim,) = (pid for pid in terminal.members() if b"member-0" in _command_of(pid))
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        terminal.dev.send_signal(signal.SIGSTOP)  # or it is quicker than this test
        os.kill(victim, signal.SIGKILL)
        _listen_once_free(stranger, port)
        terminal.dev.send_signal(signal.SIGCONT)
        again = terminal.see(r"member 0 ended \(exit code 2: .*port \d+: .*; starting it again")
        assert str(port) in again.group()
    while terminal.run("status").returncode != 0:
        pass
    assert terminal.stop() == 0


def _listen_once_free(stranger: socket.socket, port: int) -> None:
    """Take a port that a process gives up as it dies; the test's time limit ends a vain wait."""
    while True:
        try:
            stranger.bind(("127.0.0.1", port))
        except OSError:
            continue
        stranger.listen()
        return


def _command_of(process: int) -> bytes:
    """Return the words that it was started with, nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_answers_that_find_no_space_are_a_failure(terminal: Terminal) -> None:
    """The messages are applied all the same: whoever needs the answers must hear of it."""
    terminal.start("--members", "1")
    terminal.see("Ctrl-C stops")
    with Path("/dev/full").open("w") as full:
        sent = terminal.run("send", "8", "=", "=", output=full)
    assert sent.stderr == "quorate: the output cannot be written: No space left on device\n"
    assert sent.returncode == 1
    assert terminal.stop() == 0


def test_a_killed_supervisor_takes_its_members_along(terminal: Terminal) -> None:
    terminal.start("--members", "1")
    terminal.see("Ctrl-C stops")
    (member,) = terminal.members()
    descriptor = os.pidfd_open(member)
    terminal.stop(signal.SIGKILL)
    assert wait_for_end(descriptor)
    terminal.start()
    terminal.see("Ctrl-C stops")
    assert terminal.run("send", "6", "x7", "=").stdout == "42\n"
    assert terminal.stop() == 0


def wait_for_end(descriptor: int) -> bool:
    """Wait for a process that is not our child; tell whether it has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = bool(poll.poll(30_000))
    os.close(descriptor)
    return ended


def test_a_service_of_the_folder_is_found_and_a_bad_one_explained(terminal: Terminal) -> None:
    (terminal.folder / "mine.py").write_text(
        "from quorate.service import ClusteredService\n"
        "class Shout(ClusteredService):\n"
        "    def __init__(self, mark): self.mark = mark.encode()\n"
        "    def on_session_message(self, session, timestamp, message):\n"
        "        session.offer(message.upper() + self.mark)\n"
    )
    arguments = ("--service", "mine:Shout", "--service-config", "!", "--members", "1")
    terminal.start(*arguments, "--directory", "own", "--durability", "replicated")
    terminal.see("durability replicated")
    terminal.see("Ctrl-C stops")
    assert terminal.run("send", "hello", "there").stdout == "HELLO!\nTHERE!\n"
    assert terminal.stop() == 0

    bad = terminal.run("dev", "--directory", "bad", "--service", "mine:Shuot")
    assert bad.returncode == 1
    assert "did you mean mine:Shout?" in bad.stderr
    assert "its log is" in bad.stderr
    assert "exit code 2" in bad.stderr
    assert terminal.members() == []
    terminal.start(*arguments, "--directory", "bad")
    terminal.see("Ctrl-C stops")
    assert terminal.run("send", "again").stdout == "AGAIN!\n"
    assert terminal.stop() == 0


def test_ctrl_c_while_it_starts_and_once_more_leaves_nothing_behind(terminal: Terminal) -> None:
    os.mkfifo(terminal.folder / "imported")
    (terminal.folder / "slow.py").write_text(
        "import time\nopen('imported', 'w').close()\ntime.sleep(30)\n"
    )
    terminal.start("--service", "slow:Service", "--members", "1")
    (terminal.folder / "imported").read_text()  # returns when the member is in the import
    assert terminal.dev is not None
    terminal.dev.send_signal(signal.SIGINT)
    terminal.see("stopping; once more to kill")
    assert terminal.stop() == 0
    assert terminal.members() == []


@pytest.mark.parametrize("last_seen", ["is founded", "Ctrl-C stops"])
def test_it_stops_in_order_when_nobody_reads_it_any_more(
    terminal: Terminal, last_seen: str
) -> None:
    """As behind ``| head``, while it starts and later."""
    with (terminal.folder / "errors").open("w") as errors:
        terminal.start(errors=errors)
        terminal.see(last_seen)
        assert terminal.dev is not None
        terminal.output.close()
        os.kill(terminal.members()[0], signal.SIGKILL)  # which it wants to tell
        assert terminal.dev.wait(timeout=60) == 1
    assert (terminal.folder / "errors").read_text() == ""
    assert terminal.members() == []


def test_it_outlives_the_terminal_under_nohup_and_ends_with_it_otherwise(
    terminal: Terminal,
) -> None:
    # Tests that are run under nohup ignore it themselves, and what they start inherits that.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        terminal.start("--members", "1")
        terminal.see("Ctrl-C stops")
        assert terminal.dev is not None
        terminal.dev.send_signal(signal.SIGHUP)
        assert terminal.run("send", "6", "x7", "=").stdout == "42\n"
        assert terminal.stop() == 0
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        terminal.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    terminal.see("Ctrl-C stops")
    assert terminal.stop(signal.SIGHUP) == 0
    assert terminal.members() == []


def test_a_port_in_use_is_told(terminal: Terminal) -> None:
    terminal.start("--members", "1")
    port = int(terminal.see(r"clients 127.0.0.1:(\d+)").group(1))
    other = terminal.run("dev", "--directory", "b", "--members", "1", "--base-port", str(port))
    assert other.returncode == 1
    assert f"port {port}" in other.stderr
    assert terminal.stop() == 0
