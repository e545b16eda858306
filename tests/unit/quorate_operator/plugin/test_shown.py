"""What ``kubectl quorate status`` and ``members`` show, with a kubectl that answers from files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from quorate.control.status import AlarmRow, MemberState, encode_status
from quorate_fake_kubectl.answers import CLUSTER, calls, change, pod_of, say, status_of
from quorate_operator.plugin.kubectl import Kubectl
from quorate_operator.plugin.main import main
from quorate_operator.plugin.pods import MemberPod, ask_members

REPLICAS_MAX = 9


def test_status_shows_what_the_operator_says_and_where_every_member_is_now(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "counter"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "shop/counter: Ready",
        "  leader:      counter-1, term 7, since 2026-11-28T08:00:00Z",
        "  quorum:      3 voters healthy, 2 required, 1 can be lost",
        f"  cluster id:  {'ab' * 16}",
        "",
        "CONDITION  STATUS  REASON              SINCE                 MESSAGE",
        "Ready      True    AllMembersCaughtUp  2026-11-28T08:00:01Z  all three",
        "",
        "SEAT  POD        STATE     TERM  APPEND  COMMIT  SERVICE  LAG",
        "0     counter-0  follower  7     4096    3072    2048     0",
        "1     counter-1  leader    7     3072    3072    2048     1024",
        "2     counter-2  follower  7     2048    3072    2048     2048",
    ]
    paths = {call[2] for call in calls(folder) if call[:2] == ["get", "--raw"]}
    base = "/api/v1/namespaces/shop/pods"
    assert paths == {f"{base}/counter-{seat}:9030/proxy/status" for seat in range(3)}


def test_status_fails_if_nobody_leads_or_a_member_does_not_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "counter-2.json").unlink()
    assert main(["status", "counter"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "2     counter-2  no answer  -     -       -       -        -" in lines
    assert lines[-1].startswith("counter-2: kubectl get: Error from server (NotFound)")
    say(folder, status_of(2))
    say(folder, status_of(1, role="follower", state=MemberState.CANDIDATE))
    assert main(["status", "counter"]) == 1
    assert "0     counter-0  follower   7     4096    3072    2048     -" in capsys.readouterr().out


@pytest.mark.parametrize("gone", range(3))
def test_a_member_without_a_pod_is_one_that_does_not_answer(
    folder: Path, capsys: pytest.CaptureFixture[str], gone: int
) -> None:
    say(folder, status_of(1 if gone != 1 else 0, role="leader"))
    rest = [pod_of(seat) for seat in range(3) if seat != gone]
    (folder / "pods.json").write_text(json.dumps({"items": rest}))
    assert main(["status", "counter"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [str(gone), f"counter-{gone}", "no", "answer", *["-"] * 5] in [x.split() for x in lines]
    assert lines[-1] == f"counter-{gone}: there is no such pod"
    assert [line[0] for line in lines[-4:-1]] == ["0", "1", "2"], "by their seats"
    assert main(["status", "counter", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["members"][f"counter-{gone}"] is None


@pytest.mark.parametrize("replicas", [None, "3", -1, 10**9, 2.5])
def test_what_is_no_number_of_replicas_adds_no_member(
    folder: Path, capsys: pytest.CaptureFixture[str], replicas: object
) -> None:
    change(folder, lambda body: body["spec"].update(replicas=replicas))
    assert main(["status", "counter"]) == 0
    assert "there is no such pod" not in capsys.readouterr().out


def test_a_member_that_says_no_text_is_told_as_one_that_does_not_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = folder / "bin" / "kubectl"
    honest = program.read_text().partition("\n")[2]
    odd = "case \"$*\" in *counter-2:*) printf '{\\377\\000'; exit;; esac"
    program.write_text(f"#!/bin/sh\n{odd}\n{honest}")
    assert main(["status", "counter"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("counter-2: a status that is not JSON")


def test_status_tells_what_needs_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alarm = AlarmRow("service_slow", "a callback of 11 s")
    say(folder, status_of(0, reason="waits", possible_loss=True, alarms=(alarm,)))
    operation = {"type": "Update", "target": "counter-2", "step": "evict", "since": "now"}
    change(folder, lambda body: body["status"].update(operation=operation, leader=None))
    assert main(["status", "counter"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"  leader:      none", "  operation:   Update counter-2: evict, since now"} <= {*lines}
    assert lines[-3:] == [
        "counter-0: follower: waits",
        "counter-0: this term may lack messages acknowledged before it",
        "counter-0: ALARM service_slow: a callback of 11 s",
    ]


@pytest.mark.parametrize("status", [{}, {"conditions": None, "members": "?", "leader": 3}])
def test_a_resource_that_the_operator_has_not_seen_is_shown_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str], status: dict[str, Any]
) -> None:
    change(folder, lambda body: body.update(status=status))
    (folder / "pods.json").write_text('{"items": [{"metadata": {"name": "stranger"}}]}')
    assert main(["status", "counter"]) == 1
    assert main(["members", "counter"]) == 0
    assert capsys.readouterr().out.startswith("shop/counter: -\n")


def test_members_shows_every_seat_that_either_side_knows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pods.json").write_text(json.dumps({"items": [pod_of(0), pod_of(3)]}))
    change(folder, lambda body: body["status"]["members"].pop(2))
    odd = [{"seat": None}, {"seat": "x"}, {}, 3, {"seat": -1}]
    change(folder, lambda body: body["status"]["members"].extend(odd))
    assert main(["members", "counter"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    head = "SEAT POD READY RESTARTS ROLE VOTER HEALTH NODE MEMBER REASON"
    assert " ".join(rows[0]) == head, "each above what it names"
    assert rows[1:] == [
        ["0", "counter-0", "yes", "0", "follower", "yes", "Well", "node-0", "00000000", "-"],
        ["1", "missing", "-", "-", "leader", "yes", "Well", "-", "11111111", "-"],
        ["3", "counter-3", "yes", "3", "-", "-", "-", "node-3", "-", "-"],
    ]


def test_json_is_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "counter-2.json").unlink()
    assert main(["status", "counter", "-o", "json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == CLUSTER["status"]
    assert shown["members"]["counter-2"] is None
    assert shown["members"]["counter-1"]["commit_position"] == 3072
    assert main(["members", "counter", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_only_pods_of_this_cluster_are_shown(folder: Path) -> None:
    for verb in ("status", "members"):
        main([verb, "counter"])
    listings = [call for call in calls(folder) if call[:2] == ["get", "pods"]]
    assert len(listings) == 2
    assert all("--selector=quorate.io/cluster=counter" in call for call in listings)


def test_members_tells_of_pods_that_are_not_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = pod_of(1)
    pod["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "False"},
    ]
    pod["status"]["containerStatuses"].extend([{"restartCount": 3}, {}])
    (folder / "pods.json").write_text(json.dumps({"items": [pod]}))
    rows = {0: {"node": "node-9", "health": "Missing", "reason": ""}, 1: {"reason": "it restarts"}}
    change(folder, lambda body: [body["status"]["members"][k].update(v) for k, v in rows.items()])
    assert main(["members", "counter"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [" ".join(words) for words in shown[:2]] == [
        "0 missing - - follower yes Missing node-9 00000000 -",
        "1 counter-1 no 4 leader yes Well node-1 11111111 it restarts",
    ]


def test_status_tells_how_far_an_update_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    update = {"inputHash": "ab" * 8, "updated": 1, "total": 3}
    change(folder, lambda body: body["status"].update(update=update))
    assert main(["status", "counter"]) == 0
    assert "  updated:     1 of 3 members" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("written", [1_024, 90_000])
@pytest.mark.parametrize("cut_off", [0, 2])
def test_lag_is_behind_the_leader_of_the_last_term_and_never_negative(
    folder: Path, capsys: pytest.CaptureFixture[str], cut_off: int, written: int
) -> None:
    """A leader that was cut off does not know yet; its tail may be longer than the new one's."""
    older = {"role": "leader", "leadership_term_id": 6, "written_position": written}
    say(folder, status_of(0, append_position=9_000))
    say(folder, status_of(cut_off, append_position=9_000 if cut_off == 0 else 2_048, **older))
    assert main(["status", "counter"]) == 0
    lags = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-3:]]
    assert lags == ["0", "1024", "2048"]


@pytest.mark.parametrize("replicas", [1, 9])
def test_every_seat_of_a_cluster_of_any_size_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str], replicas: int
) -> None:
    change(folder, lambda body: body["spec"].update(replicas=replicas))
    (folder / "pods.json").write_text('{"items": []}')
    assert main(["status", "counter"]) == 1
    told = capsys.readouterr().out.count("there is no such pod")
    assert told == replicas


def test_what_a_member_says_is_shown_as_it_wrote_it(folder: Path) -> None:
    """kubectl writes UTF-8 also where the locale is another: here it has ASCII only."""
    say(folder, status_of(0, alarms=(AlarmRow("service_slow", "Übertrag: 11 s"),)))
    program = (
        "import sys; from quorate_operator.plugin.main import main; sys.exit(main(sys.argv[1:]))"
    )
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    shown = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program, "status", "counter"],
        env=os.environ | locale,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert "ALARM service_slow: Übertrag: 11 s" in shown.stdout.decode()


@pytest.mark.parametrize("verb", ["status", "members"])
@pytest.mark.parametrize("text", ["\x1b[2Jgone", "\x00", "\u202eright to left", "\ud800", "\x9b2J"])
def test_nothing_that_others_wrote_steers_the_terminal_or_stops_the_verb(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str, text: str
) -> None:
    status = status_of(0, reason="PLACE", alarms=(AlarmRow("PLACE", "PLACE"),))
    written = json.dumps(text)[1:-1].encode()
    (folder / "counter-0.json").write_bytes(encode_status(status).replace(b"PLACE", written))
    change(folder, lambda body: body["status"]["conditions"][0].update(message=text))
    change(folder, lambda body: body["status"]["members"][0].update(reason=text))
    assert main([verb, "counter"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert any("?" in line for line in lines), "what is left out leaves a sign"


@pytest.mark.parametrize("verb", ["status", "members"])
def test_what_the_terminal_cannot_show_costs_a_sign_and_not_the_verb(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    say(folder, status_of(0, reason="wartet … auf Übertrag"))
    change(folder, lambda body: body["status"]["members"][0].update(reason="wartet … auf Übertrag"))
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="latin-1"))
    assert main([verb, "counter"]) == 0
    assert "wartet ? auf Übertrag" in out.getvalue().decode("latin-1")


class Together:
    """A kubectl that answers when as many calls as a cluster may have members wait for it."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(REPLICAS_MAX, timeout=30.0)

    def run(self, *_: str) -> str:
        self.barrier.wait()
        return encode_status(status_of(0)).decode()


def test_all_members_are_asked_at_once() -> None:
    """Where none answers, each takes half a minute: one after the other nobody waits for that."""
    pods = [MemberPod(f"counter-{seat}", seat, None) for seat in range(REPLICAS_MAX)]
    asked = ask_members(cast("Kubectl", Together()), "shop", pods)
    assert [(pod.name, pod.problem) for pod in asked] == [(pod.name, "") for pod in pods]
