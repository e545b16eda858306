"""What asks a process to end before it has a loop."""

from __future__ import annotations

import signal

import pytest

from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.signals import END_SIGNALS, AskedToEnd, exit_when_asked, was_asked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_asked_to_end_before_it_has_begun_exits_at_once_as_asked(
    number: signal.Signals,
) -> None:
    """Process 1 of a container without a handler would be killed, after its grace period."""
    before = {one: signal.getsignal(one) for one in END_SIGNALS}
    try:
        exit_when_asked()
        with pytest.raises(AskedToEnd) as raised:
            signal.raise_signal(number)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert raised.value.code == ExitCode.ASKED
    assert was_asked(), "whoever catches what it raised has to end all the same"
    assert not was_asked()
