"""A reader types every command of the pages on Kubernetes, in the order of ``PAGES``.

What a page shows below a command must be printed, but for numbers, names of objects that differ
each time, and blanks. The transcript is left in the reports, to be copied into the pages.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from quorate_kubernetes import commands
from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NAME, REPORTS, ROOT, STATE, kubeconfig

PAGES = (
    "README.md",
    "docs/how-to/bring-your-service.md",
    "docs/how-to/update-a-cluster.md",
    "docs/how-to/move-the-leader.md",
    "docs/how-to/debug-a-cluster.md",
)
IMAGE = "docker.io/library/quorate:0.1.0"
"""What the runtime makes of the name in the manifests."""
COMMAND_TIMEOUT_S = 330
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_KUBERNETES = re.compile(r"\b(?:kubectl|helm)\b")
_VARYING = re.compile(r"[0-9a-f]{8,}|(?:\d+[smhd])+\b|\d+(?:[.,:]\d+)*|[-=]{2,}|\s+")


def test_every_documented_command_works(cluster: Cluster, kubectl: Kubectl) -> None:
    cluster.tag_image(IMAGE)
    environment = _environment(cluster, kubectl)
    transcript = REPORTS / "documented.txt"
    transcript.parent.mkdir(parents=True, exist_ok=True)
    wrong = []
    with transcript.open("w", encoding="utf-8") as record:
        for page in PAGES:
            record.write(f"# {page}\n")
            for command, expected in _shown(page):
                result = _typed(command, environment)
                printed = (result.stdout + result.stderr).replace(kubectl.namespace, "default")
                record.write(f"$ {command}\n{printed}\n")
                record.flush()
                wrong += [
                    f"{page}: {said}"
                    for said in _wrong(command, expected, result.returncode, printed)
                ]
    assert not wrong, "\n".join(wrong)


def _shown(page: str) -> list[tuple[str, list[str]]]:
    """Return the commands on Kubernetes, each with the lines that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in _CONSOLE.findall((ROOT / page).read_text(encoding="utf-8")):
        if not _KUBERNETES.search(block):
            continue
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip() not in ("", "..."):
                found[-1][1].append(line)
    assert found, f"{page} shows no command"
    return found


def _environment(cluster: Cluster, kubectl: Kubectl) -> dict[str, str]:
    """Return what a user has: programs, and a configuration with a namespace of its own."""
    home = STATE / "reader"
    home.mkdir(exist_ok=True)
    configuration = home / "config"
    shutil.copy(kubeconfig("admin"), configuration)
    scope = ("config", "set-context", "--current", f"--namespace={kubectl.namespace}")
    commands.run(cluster.tools / "kubectl", f"--kubeconfig={configuration}", *scope)
    programs = f"{cluster.tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"HOME": str(home), "KUBECONFIG": str(configuration), "PATH": programs}


def _typed(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*commands.inside(NAME), "bash", "-c", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def _wrong(command: str, expected: list[str], exit_code: int, printed: str) -> list[str]:
    if exit_code:
        return [f"exit code {exit_code} of: {command}\n{printed}"]
    lines = {_masked(line) for line in printed.splitlines()}
    missing = [line for line in expected if _masked(line) not in lines]
    return [f"{command}: does not print: {line}" for line in missing]


def _masked(line: str) -> str:
    return _VARYING.sub("#", line.strip())
