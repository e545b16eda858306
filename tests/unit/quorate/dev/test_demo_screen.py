import io
import os

import pytest

from quorate.dev.demo_screen import Screen, milliseconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(out: io.StringIO) -> Screen:
    times = iter([100.0, 101.5, 102.25, 103.0, 104.0])
    return Screen(out, lambda: next(times))


def test_lines_carry_the_seconds_since_the_start() -> None:
    out = io.StringIO()
    shown = screen(out)
    shown.tell("one")
    shown.tell("two")
    assert out.getvalue() == "  1.50 s  one\n  2.25 s  two\n"


def test_every_line_is_out_at_once() -> None:
    """Behind a pipe, too, one watches the demo and does not read it when it has ended."""

    class Pipe(io.StringIO):
        out = ""

        def flush(self) -> None:
            self.out = self.getvalue()

    pipe = Pipe()
    shown = screen(pipe)
    for show in (shown.tell, lambda text: shown.table([(text, "1")])):
        show("something")
        assert pipe.out == pipe.getvalue() != ""


def test_progress_is_a_line_where_no_bar_can_be_drawn() -> None:
    out = io.StringIO()
    shown = screen(out)
    shown.show_progress(0.5, "250 acknowledged")
    shown.end_progress()
    assert out.getvalue() == "  1.50 s   50%  250 acknowledged\n"
    assert "\x1b" not in out.getvalue()


def test_a_line_goes_above_the_bar_and_the_bar_goes_at_the_end() -> None:
    out = Terminal()
    shown = screen(out)
    shown.show_progress(0.5, "half")
    shown.tell("something happened")
    shown.end_progress()
    clear = "\r\x1b[K"
    bar = "█" * 15 + "░" * 15 + "  50%  half"
    assert out.getvalue() == f"{clear}{bar}{clear}  1.50 s  something happened\n{bar}{clear}"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "cp437"])
def test_a_bar_is_drawn_in_the_alphabet_of_the_terminal(encoding: str) -> None:
    """An old locale must not end the demo in the middle."""

    class OldTerminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    drawn = io.BytesIO()
    screen_of = Screen(OldTerminal(drawn, encoding=encoding), lambda: 0.0)
    screen_of.show_progress(0.5, "half")
    done, left = "█░" if encoding in ("utf-8", "cp437") else "#."
    bar = drawn.getvalue().decode(encoding)
    assert bar == f"\r\x1b[K{done * 15}{left * 15}  50%  half"


def test_a_bar_never_wraps() -> None:
    out = Terminal()
    screen(out).show_progress(1.0, "x" * 500)
    assert len(out.getvalue()) <= len("\r\x1b[K") + 79


def test_a_bar_uses_the_width_of_the_terminal() -> None:
    primary, secondary = os.openpty()
    with os.fdopen(secondary, "w") as out:
        screen_of_tty = Screen(out, lambda: 0.0)
        assert screen_of_tty.is_terminal
        screen_of_tty.show_progress(0.0, "x" * 500)
    # A new pseudo-terminal has no size yet: the bar falls back to the shortest.
    assert len(os.read(primary, 4096).decode()) < 200
    os.close(primary)


def test_a_table_has_two_columns() -> None:
    out = io.StringIO()
    screen(out).table([("a", "1"), ("longer", "2")])
    assert out.getvalue() == "\n  a       1\n  longer  2\n\n"


def test_durations_for_people() -> None:
    assert milliseconds(0.0421) == "42.1 ms"
    assert milliseconds(0.4214) == "421 ms"
    assert milliseconds(12.3456) == "12,346 ms"
