"""What the author's code may not do to the process of its member."""

from __future__ import annotations

import multiprocessing
import os
import pty
import subprocess
import sys

import pytest

from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.own_process import REFUSED, kept_whole

PROGRAM = """
import os, sys
from quorate.cli.logs import configure_logging
from quorate.runtime.own_process import kept_whole
configure_logging("human", "info")
def on_session_message():
    os._exit(int(sys.argv[1]))
with kept_whole():
    on_session_message()
"""


@pytest.mark.parametrize("name", REFUSED)
def test_calls_that_double_or_replace_a_member_raise_and_name_the_remedy(name: str) -> None:
    with kept_whole(), pytest.raises(RuntimeError, match=rf"os\.{name} .* be a client"):
        getattr(os, name)("/bin/true", ["true"])


def test_what_is_built_on_them_raises_as_well() -> None:
    with kept_whole():
        process = multiprocessing.get_context("fork").Process(target=int)
        with pytest.raises(RuntimeError, match=r"os\.fork"):
            process.start()
        with pytest.raises(RuntimeError, match=r"os\.forkpty"):
            pty.fork()
        with pytest.raises(RuntimeError, match=r"os\.exec"):
            os.execlp("true", "true")


def test_other_programs_are_no_harm_and_run() -> None:
    with kept_whole():
        assert subprocess.run(["true"], check=False).returncode == 0


def test_behind_the_block_all_is_as_before() -> None:
    before = [getattr(os, name) for name in (*REFUSED, "_exit")]
    with kept_whole():
        assert os.fork is not before[0]
    assert [getattr(os, name) for name in (*REFUSED, "_exit")] == before


@pytest.mark.parametrize("status", [0, 1, 255])
def test_an_end_without_a_word_gets_its_word_and_the_code_of_a_failed_service(status: int) -> None:
    program = [sys.executable, "-c", PROGRAM, str(status)]
    ended = subprocess.run(program, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == ExitCode.SERVICE_FAILED
    assert f"os._exit({status})" in ended.stderr
    assert "in on_session_message" in ended.stderr
