"""``kubectl quorate`` against a kubectl that answers from files."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import quorate_fake_kubectl.program
from quorate.control.status import AlarmRow, MemberState, MemberStatus, encode_status
from quorate_operator.plugin.main import main

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "kubectl-plugin.md"
CLUSTER = {
    "metadata": {"name": "counter", "namespace": "shop"},
    "spec": {"replicas": 3},
    "status": {
        "state": "Ready",
        "clusterId": "ab" * 16,
        "leader": {"member": 1, "pod": "counter-1", "term": 7, "since": "2026-11-28T08:00:00Z"},
        "quorum": {"required": 2, "healthy": 3, "canLose": 1},
        "members": [
            {
                "seat": seat,
                "memberId": f"{seat}" * 32,
                "role": role,
                "voter": True,
                "health": "Well",
            }
            for seat, role in enumerate(["follower", "leader", "follower"])
        ],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "AllMembersCaughtUp",
                "message": "all three",
                "lastTransitionTime": "2026-11-28T08:00:01Z",
            }
        ],
    },
}


def pod_of(seat: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"counter-{seat}",
            "labels": {"apps.kubernetes.io/pod-index": str(seat)},
        },
        "spec": {"nodeName": f"node-{seat}"},
        "status": {
            "containerStatuses": [{"restartCount": seat}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def status_of(seat: int, **changes: object) -> MemberStatus:
    leads = seat == 1
    values: dict[str, Any] = {
        "status_version": 1,
        "version": "0.1.0",
        "cluster_id": "ab" * 16,
        "epoch": 0,
        "member_id": f"{seat}" * 32,
        "seat": seat,
        "start_nonce": "00" * 8,
        "state": MemberState.LEADER if leads else MemberState.FOLLOWER,
        "role": "leader" if leads else "follower",
        "leadership_term_id": 7,
        "leader": 1,
        "written_position": 4096,
        "append_position": 4096 - 1024 * seat,
        "commit_position": 3072,
        "service_position": 2048,
    }
    return MemberStatus(**(values | changes))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fake kubectl answers from; three members, all well."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    fake = quorate_fake_kubectl.program.__file__
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {fake} {tmp_path} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "cluster.json").write_text(json.dumps(CLUSTER))
    (tmp_path / "pods.json").write_text(json.dumps({"items": [pod_of(2), pod_of(0), pod_of(1)]}))
    for seat in range(3):
        say(tmp_path, status_of(seat))
    return tmp_path


def say(folder: Path, status: MemberStatus) -> None:
    (folder / f"counter-{status.seat}.json").write_bytes(encode_status(status))


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def cluster_of(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "cluster.json").read_text())
    return body


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    body = cluster_of(folder)
    edit(body)
    (folder / "cluster.json").write_text(json.dumps(body))


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
    assert main(["members", "counter"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
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


@pytest.mark.parametrize(("argument", "to"), [([], "any"), (["--to", "counter-2"], "counter-2")])
def test_a_transfer_is_asked_for_under_an_id_of_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str], argument: list[str], to: str
) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 2}')
    requests = []
    for _ in range(2):
        assert main(["transfer", "counter", *argument]) == 0
        assert capsys.readouterr().out == "counter: done: seat 2 leads\n"
        annotations = cluster_of(folder)["metadata"]["annotations"]
        requests.append(annotations["quorate.io/transfer-leader-to"])
    assert requests[0] != requests[1]
    assert all(request.startswith(f"{to}/") for request in requests)
    assert all("--overwrite" in call for call in calls(folder) if "annotate" in call)


def test_a_transfer_that_did_not_succeed_fails_with_its_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "decision.json").write_text('{"result": "Invalid", "message": "no member x"}')
    assert main(["transfer", "counter", "--to", "x"]) == 1
    assert capsys.readouterr().out == "counter: invalid (no member x)\n"
    assert main(["transfer", "counter", "--to", "x", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["result"] == "Invalid"


def test_a_transfer_that_nobody_decides_ends_with_what_to_look_at(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The answer to an earlier request is not the answer to this one.
    last = {"request": "any/1", "result": "Done", "leader": 2}
    change(folder, lambda body: body["status"].update(lastTransfer=last))
    assert main(["transfer", "counter", "--timeout", "7"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not decided yet (kubectl wait: error: timed out" in line
    assert "--timeout=7s" in calls(folder)[-2]


@pytest.mark.parametrize(
    ("meanwhile", "told"), [("1/another", "replaced by 1/another"), (None, "taken away")]
)
def test_a_request_that_does_not_stand_any_more_is_not_said_to_stand(
    folder: Path, capsys: pytest.CaptureFixture[str], meanwhile: str | None, told: str
) -> None:
    (folder / "meanwhile.json").write_text(json.dumps(meanwhile))
    assert main(["transfer", "counter"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert "stands" not in line


def test_a_decision_counts_even_if_the_waiting_broke(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 0}')
    (folder / "wait-breaks").touch()
    assert main(["transfer", "counter"]) == 0
    assert capsys.readouterr().out == "counter: done: seat 0 leads\n"


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
    ],
)
def test_bad_arguments_are_refused_before_kubectl_runs(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert not (folder / "calls.jsonl").exists()


@pytest.mark.parametrize("to", ["any", "0", "8", "o" * 40 + "-8", "a-b-0"])
def test_every_name_of_a_member_can_be_asked_for(folder: Path, to: str) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 0}')
    assert main(["transfer", "counter", "--to", to]) == 0
    waits = [word for call in calls(folder) for word in call if word.startswith("--timeout=")]
    assert waits == ["--timeout=60s"], "as the help says"


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
    pod["status"]["containerStatuses"].append({"restartCount": 3})
    (folder / "pods.json").write_text(json.dumps({"items": [pod]}))
    rows = {0: {"node": "node-9", "health": "Missing"}, 1: {"reason": "it restarts"}}
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


def test_lag_is_behind_the_leader_that_is_furthest_and_never_negative(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A leader that was cut off does not know yet; its tail may be longer than the new one's."""
    say(folder, status_of(0, append_position=9_000))
    say(folder, status_of(2, role="leader", leadership_term_id=6, written_position=1_024))
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


def test_what_a_member_says_is_shown_as_it_wrote_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    say(folder, status_of(0, alarms=(AlarmRow("service_slow", "Übertrag: 11 s"),)))
    assert main(["status", "counter"]) == 0
    assert "ALARM service_slow: Übertrag: 11 s" in capsys.readouterr().out


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
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    assert main([verb, "counter"]) == 0
    shown = cast("io.BytesIO", out.buffer).getvalue().decode("latin-1")
    assert "wartet ? auf Übertrag" in shown


@pytest.mark.parametrize("program", [b"\x7fELF of another machine", b"#!/nowhere/sh\n"])
def test_a_kubectl_that_does_not_start_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], program: bytes
) -> None:
    (folder / "bin" / "kubectl").write_bytes(program)
    assert main(["status", "counter"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kubectl quorate: {folder}/bin/kubectl cannot be run: ")


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


def words_of(help_text: str) -> list[str]:
    """Its words; since Python 3.13 the value of an option is named once, not after each form."""
    return re.sub(r"(-\w) (\S+), (--\w+) \2", r"\1, \3 \2", help_text).split()


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
