"""``kubectl quorate transfer`` against a kubectl that answers from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate_fake_kubectl.answers import calls, change, cluster_of
from quorate_operator.plugin.main import main


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


@pytest.mark.parametrize("to", ["any", "0", "8", "a" * 63, "a-b-0"])
def test_every_name_of_a_member_can_be_asked_for(folder: Path, to: str) -> None:
    (folder / "decision.json").write_text('{"result": "Done", "leader": 0}')
    assert main(["transfer", "counter", "--to", to]) == 0
    waits = [word for call in calls(folder) for word in call if word.startswith("--timeout=")]
    assert waits == ["--timeout=60s"], "as the help says"


@pytest.mark.parametrize("timeout", ["1", "3600"])
def test_a_hand_over_can_be_waited_for_as_long_as_the_page_says(folder: Path, timeout: str) -> None:
    assert main(["transfer", "counter", "--timeout", timeout]) == 1
    waits = [word for call in calls(folder) for word in call if word.startswith("--timeout=")]
    assert waits == [f"--timeout={timeout}s"]
