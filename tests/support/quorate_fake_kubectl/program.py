"""The program: run with a folder and kubectl's arguments; notes the call and answers from files.

``cluster.json`` is the one resource, ``pods.json`` the list of pods, ``<pod>.json`` what the
member in a pod says. ``decision.json`` is what an operator would make of a hand-over at once;
``meanwhile.json`` is the request that replaces it while it is waited for, null for none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, arguments: list[str]) -> int:
    """Answer one call."""
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(f"{json.dumps(arguments)}\n")
    words = [word for word in arguments if not word.startswith("--") or word == "--raw"]
    match words:
        case ["get", "--raw", path]:
            return _show(folder / f"{path.split('/')[6].partition(':')[0]}.json")
        case ["get", "pods"]:
            return _show(folder / "pods.json")
        case ["get", "clusterservices.quorate.io", _]:
            return _show(folder / "cluster.json")
        case ["annotate", "clusterservices.quorate.io", _, annotation]:
            return _annotate(folder, annotation)
        case ["wait", _]:
            return _wait(folder, arguments)
        case _:
            return _fail(f"error: unknown command {words}")


def _show(file: Path) -> int:
    if not file.exists():
        return _fail(f"a warning\nError from server (NotFound): {file.stem} not found")
    print(file.read_text())
    return 0


def _annotate(folder: Path, annotation: str) -> int:
    file, decision = folder / "cluster.json", folder / "decision.json"
    if not file.exists():
        return _fail("Error from server (NotFound): cluster not found")
    body = json.loads(file.read_text())
    name, _, value = annotation.partition("=")
    body["metadata"].setdefault("annotations", {})[name] = value
    if decision.exists():
        made = json.loads(decision.read_text())
        body["status"]["lastTransfer"] = {"request": value, **made}
    file.write_text(json.dumps(body))
    return 0


def _wait(folder: Path, arguments: list[str]) -> int:
    meanwhile = folder / "meanwhile.json"
    if meanwhile.exists():
        _overwrite(folder / "cluster.json", json.loads(meanwhile.read_text()))
    wanted = next(word for word in arguments if word.startswith("--for=jsonpath="))
    body = json.loads((folder / "cluster.json").read_text())
    request = body["status"].get("lastTransfer", {}).get("request")
    is_met = wanted == f"--for=jsonpath={{.status.lastTransfer.request}}={request}"
    if is_met and not (folder / "wait-breaks").exists():
        return 0
    return _fail("error: timed out waiting for the condition on clusterservices/counter")


def _overwrite(file: Path, request: str | None) -> None:
    body = json.loads(file.read_text())
    annotations = {} if request is None else {"quorate.io/transfer-leader-to": request}
    body["metadata"]["annotations"] = annotations
    file.write_text(json.dumps(body))


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
