"""The table of members."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from quorate.cli.main import main
from quorate.cli.status import _ask_one, render
from quorate.control.status import AlarmRow, MemberState, MemberStatus
from quorate.errors import RemoteProtocolError

IDENTITY = (1, "0.1.0", "c" * 32, 0, "d" * 32)
LEADER = MemberStatus(
    *IDENTITY,
    0,
    "e" * 16,
    MemberState.LEADER,
    role="leader",
    leadership_term_id=3,
    leader=0,
    written_position=1000,
    append_position=900,
    commit_position=800,
    service_position=700,
)
RECOVERING = MemberStatus(
    *IDENTITY,
    2,
    "e" * 16,
    MemberState.RECOVERING,
    reason="damaged",
    append_position=250,
    possible_loss=True,
    alarms=(AlarmRow("clocks", "12 s apart"),),
)


def test_every_member_has_a_row_and_what_needs_words_a_line() -> None:
    lines = render(("a:1", "b:2", "c:3"), (LEADER, "no answer from b:2: refused", RECOVERING))
    assert [" ".join(line.split()) for line in lines[:4]] == [
        "SEAT STATE TERM LEADER WRITTEN APPEND COMMIT SERVICE LAG DURABILITY CONTROL",
        "0 leader 3 0 1000 900 800 700 100 fsync a:1",
        "? no answer - - - - - - - - b:2",
        "2 recovering 0 - 0 250 0 0 750 fsync c:3",
    ]
    assert lines[4:] == [
        "no answer from b:2: refused",
        "seat 2: recovering: damaged",
        "seat 2: this term may lack messages acknowledged before it",
        "seat 2: ALARM clocks: 12 s apart",
    ]


def test_whatever_answers_in_the_place_of_a_member_is_told_in_one_line() -> None:
    async def asked() -> MemberStatus:
        raise RemoteProtocolError("b:2 answered /status with HTTP 404: <html>\n\t<p>No</p>\n")

    said = asyncio.run(_ask_one(asked()))
    assert said == "b:2 answered /status with HTTP 404: <html> <p>No</p>"


def test_columns_line_up_and_no_line_ends_with_blanks() -> None:
    lines = render(("a:1", "b:2"), (LEADER, RECOVERING))
    column = lines[0].index("CONTROL")
    assert [line[column:] for line in lines[:3]] == ["CONTROL", "a:1", "b:2"]
    assert all(line == line.rstrip() for line in lines)


def test_lag_is_the_distance_from_the_leader_of_the_last_term() -> None:
    deposed = replace(LEADER, seat=1, leadership_term_id=2, written_position=5000)
    for statuses in ((LEADER, deposed, RECOVERING), (deposed, LEADER, RECOVERING)):
        lines = render(("a:1", "b:2", "c:3"), statuses)
        assert lines[3].split()[-3] == "750"


def test_without_a_leader_lag_is_unknown() -> None:
    lines = render(("c:3",), (RECOVERING,))
    assert lines[1].split()[-3] == "-"


FOLLOWER = replace(LEADER, seat=1, state=MemberState.FOLLOWER, role="follower")


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([LEADER, FOLLOWER], 0),
        ([FOLLOWER, FOLLOWER], 1),
        ([LEADER, "no answer"], 1),
        (["no answer", "no answer"], 1),
    ],
)
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_the_exit_code_tells_whether_all_answer_and_one_leads(
    statuses: list[MemberStatus | str],
    code: int,
    json: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scripts wait for it."""

    async def answers(_: object) -> list[MemberStatus | str]:
        return statuses

    monkeypatch.setattr("quorate.cli.status._ask", answers)
    assert main(["status", "--address=a:1", "--address=b:2", *json]) == code


def test_a_member_that_is_ahead_of_what_the_leader_said_lags_by_nothing() -> None:
    lines = render(("a:1", "b:2"), (LEADER, replace(FOLLOWER, append_position=5000)))
    assert lines[2].split()[8] == "0"
