"""``kubectl quorate transfer``: asks the operator for a hand-over and waits for its answer.

The request is an annotation with an id of its own; the operator copies the whole value into
``status.lastTransfer`` when it is decided, so asking twice and removing it by hand do no harm.
"""

from __future__ import annotations

import argparse
import json
import secrets

from quorate_operator.labels import TRANSFER_ANNOTATION
from quorate_operator.plugin.kubectl import KIND, REQUEST_TIMEOUT_S, Kubectl, KubectlFailed
from quorate_operator.plugin.reading import at, text_at

ID_BYTES = 6


def run(kubectl: Kubectl, options: argparse.Namespace) -> int:
    """Ask and wait; return 0 if it was done.

    Raises:
        KubectlFailed: The cluster is not there or may not be changed, or the operator decided
            nothing within the time.

    """
    request = f"{options.to}/{secrets.token_hex(ID_BYTES)}"
    kubectl.run(
        "annotate",
        KIND,
        options.name,
        f"{TRANSFER_ANNOTATION}={request}",
        "--overwrite",
        f"--request-timeout={REQUEST_TIMEOUT_S}s",
    )
    result = _wait(kubectl, options, request)
    if options.output == "json":
        print(json.dumps(result))
    else:
        leader, message = text_at(result, "leader"), text_at(result, "message")
        words = {"Done": f"done: seat {leader} leads"}
        text = words.get(text_at(result, "result"), text_at(result, "result").lower())
        print(f"{options.name}: {text}" + ("" if message == "-" else f" ({message})"))
    return 0 if text_at(result, "result") == "Done" else 1


def _wait(kubectl: Kubectl, options: argparse.Namespace, request: str) -> object:
    """Return what became of it."""
    try:
        kubectl.run(
            "wait",
            f"{KIND}/{options.name}",
            f"--for=jsonpath={{.status.lastTransfer.request}}={request}",
            f"--timeout={options.timeout}s",
            timeout_s=options.timeout,
        )
    except KubectlFailed as error:
        body = kubectl.cluster(options.name)
        if text_at(body, "status", "lastTransfer", "request") != request:
            raise KubectlFailed(_undecided(body, options.name, request, str(error))) from error
    else:
        body = kubectl.cluster(options.name)
    return at(body, "status", "lastTransfer")


def _undecided(body: object, name: str, request: str, error: str) -> str:
    """Return what is to be said of a request that was not decided within the time."""
    annotations = at(body, "metadata", "annotations")
    stands = text_at(annotations, TRANSFER_ANNOTATION)
    if stands != request:
        instead = "was taken away" if stands == "-" else f"was replaced by {stands}"
        return f"request {request} {instead} before it was decided: ask again if it is still wanted"
    return (
        f"request {request} is not decided yet ({error}); it stands, so look at "
        f"`kubectl quorate status {name}`, and whether the operator runs"
    )
