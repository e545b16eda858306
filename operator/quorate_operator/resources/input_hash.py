"""A hash of what a user wrote and a running member cannot take over: a new one restarts it.

Over the spec, never over our own template, so that a new operator touches no pod. Its values are
frozen in tests: another one for the same spec would restart every cluster at an upgrade. A field
that is added to the spec later enters only where it is not as it was before it existed.
"""

from __future__ import annotations

from collections.abc import Mapping

from quorate_operator.model import ClusterSpec
from quorate_operator.resources.hashes import hash_of
from quorate_operator.resources.quantities import canonical


def input_hash(spec: ClusterSpec, code: Mapping[str, str] | None) -> str:
    """Return the hash over image, resources, code, and all else that needs a restart.

    Args:
        spec: What the user wrote.
        code: Files of the service's source; None: it is in the image.

    """
    # As a field of its own an empty one would be in every hash.
    restart = {"restart": spec.update.restart} if spec.update.restart else {}
    return hash_of(
        {
            "image": spec.image,
            "class": spec.service.service_class,
            "code": None if code is None else code_hash(code),
            "config": spec.config,
            "consensus": {
                "electionTimeoutMs": spec.consensus.election_timeout_ms,
                "heartbeatMs": spec.consensus.heartbeat_ms,
                "durability": spec.consensus.durability.name.lower(),
            },
            "handoverTimeoutMs": spec.update.handover_timeout_ms,
            "resources": {
                "requests": _canonical(spec.resources.requests),
                "limits": _canonical(spec.resources.limits),
            },
            **restart,
        }
    )


def placement_hash(spec: ClusterSpec) -> str:
    """Return the hash over where members may run.

    Apart from the input hash, whose frozen values do not hold it: a pod that carries none was made
    before it existed and stays.
    """
    scheduling = spec.scheduling
    return hash_of(
        {
            "nodeSelector": dict(scheduling.node_selector),
            # Their order means nothing.
            "tolerations": sorted(hash_of(dict(row)) for row in scheduling.tolerations),
            "priorityClassName": scheduling.priority_class_name,
            "spread": scheduling.spread,
        }
    )


def code_hash(code: Mapping[str, str]) -> str:
    """Return the hash of the files of the service's source."""
    return hash_of(dict(code))


def _canonical(quantities: Mapping[str, str]) -> dict[str, str]:
    return {name: canonical(quantity) for name, quantity in quantities.items()}
