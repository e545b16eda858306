"""Values of options that have limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from quorate.cli.arguments import log_position, seconds, whole_seconds
from quorate.cli.main import main


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [(seconds, "0.5", 0.5), (seconds, "10", 10.0), (whole_seconds, "1", 1), (log_position, "0", 0)],
)
def test_what_lies_within_the_limits_is_taken(
    read: Callable[[str], float], text: str, value: float
) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((seconds, text) for text in ("nan", "inf", "-1", "0", "soon", "")),
        *((whole_seconds, text) for text in ("0", "-1", "1.5", "nan", "")),
        *((log_position, text) for text in ("-1", "0.5", "end", "")),
    ],
)
def test_anything_else_is_refused_by_name(read: Callable[[str], float], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=repr(text)):
        read(text)


@pytest.mark.parametrize(
    "line",
    ["send --timeout nan x", "found --timeout 0", "log --from -1 ."],
)
def test_a_refused_value_ends_the_command_with_the_usage(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert "usage: quorate" in capsys.readouterr().err
