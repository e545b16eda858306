"""Exit codes are part of the contract with supervisors."""

from __future__ import annotations

from quorate.consensus.effects import HaltCode
from quorate.runtime.exit_codes import ExitCode, describe_exit


def test_the_numbers_never_change() -> None:
    assert [code.value for code in ExitCode] == list(range(8))
    assert {code.name: code.value for code in HaltCode}.items() <= {
        code.name: code.value for code in ExitCode
    }.items()


def test_only_what_a_restart_can_cure_is_restarted() -> None:
    assert [code.value for code in ExitCode if code.restart_helps] == [0, 1, 4]


def test_every_end_has_words() -> None:
    assert describe_exit(2) == "exit code 2: bad configuration or arguments"
    assert describe_exit(0) == "exit code 0: asked to end, or done"
    assert describe_exit(-9) == "signal 9"
    assert describe_exit(77) == "exit code 77"
    assert all(code.meaning for code in ExitCode)
