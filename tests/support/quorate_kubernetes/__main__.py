"""``python -m quorate_kubernetes VERB``: the cluster by hand."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from quorate_kubernetes import figures, images, nodes, requirements, tools
from quorate_kubernetes.cluster import Cluster, down, reserved
from quorate_kubernetes.commands import inside
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import NAME, NODES, kubeconfig, node_namespace
from quorate_kubernetes.processes import quiet_environment

_NODE_VERBS = {
    "power-off": ("take the power from a node", Cluster.power_off),
    "power-on": ("give it back; the node starts on its disk", Cluster.power_on),
    "cut": ("unplug a node's network cable", Cluster.cut),
    "plug": ("plug it in", Cluster.plug),
}


def main() -> int:
    """Run a verb; return the exit code."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s kubernetes: %(message)s")
    began = time.monotonic()
    try:
        if options.verb == "run":
            _run(options.command)
        if options.verb == "enter":
            _enter(options.node)
        if options.verb == "figures":
            figures.measure(options.rounds, options.handovers)
        else:
            with reserved():
                _act(options)
    except BedFailure as failure:
        print(f"kubernetes: {failure}", file=sys.stderr)
        return 1
    print(f"kubernetes: {options.verb} took {time.monotonic() - began:.1f} s", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m quorate_kubernetes")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check", help="install what packages can give, and name what is missing")
    verbs.add_parser("tools", help="build the binaries that are not built yet")
    verbs.add_parser("images", help="build the images that are not built yet")
    verbs.add_parser("up", help="start the cluster; one that runs is removed first")
    removal = verbs.add_parser("down", help="end it and put the machine back")
    removal.add_argument("--keep", action="store_true", help="leave disks and logs")
    verbs.add_parser("enter", help="a shell on a node").add_argument("node", choices=NODES)
    for verb, (text, _) in _NODE_VERBS.items():
        verbs.add_parser(verb, help=text).add_argument("node", choices=NODES)
    loading = verbs.add_parser("load", help="import an image archive into every node")
    loading.add_argument("archive", type=Path)
    measuring = verbs.add_parser("figures", help="how long clients wait when a part is lost")
    measuring.add_argument("--rounds", type=int, default=figures.ROUNDS)
    measuring.add_argument("--handovers", type=int, default=figures.HANDOVERS)
    command = verbs.add_parser("run", help="run a command that reaches the API server and pods")
    command.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _act(options: argparse.Namespace) -> None:
    match options.verb:
        case "check":
            requirements.meet()
        case "tools":
            print(tools.build())
        case "images":
            print(*images.build(tools.built()), sep="\n")
        case "up":
            Cluster.up()
        case "down":
            down(keep=options.keep)
        case "load":
            Cluster.attach().load_image(options.archive)
        case _:
            _, act = _NODE_VERBS[options.verb]
            act(Cluster.attach(), options.node)


def _run(command: list[str]) -> None:
    """Become a command in the control plane's network; never returns."""
    cluster = Cluster.attach()
    environment = quiet_environment() | {
        "KUBECONFIG": str(kubeconfig("admin")),
        "PATH": f"{cluster.tools}:{os.environ['PATH']}",
    }
    words = [*inside(NAME), *(command or [os.environ.get("SHELL", "bash")])]
    os.execvpe(words[0], words, environment)


def _enter(node: str) -> None:
    """Become a shell that sees a node's processes, mounts and network; never returns."""
    target = f"--target={nodes.init_of(node)}"
    namespaces = ("--mount", "--uts", "--ipc", "--pid", f"--net=/run/netns/{node_namespace(node)}")
    os.execvp("nsenter", ["nsenter", target, *namespaces, "bash"])


if __name__ == "__main__":
    sys.exit(main())
