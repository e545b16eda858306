"""The Secret of a cluster, and the identity that is drawn with it.

Everything comes from the random bytes of one look; each value through a hash of its own, so that
one tells nothing about another.
"""

from __future__ import annotations

import base64
import hashlib

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata

ENTROPY_LENGTH_MIN = 32


def new_cluster_id(entropy: bytes) -> str:
    """Return an id for a cluster that is about to be made: 32 hexadecimal digits."""
    return _drawn("cluster id", entropy)[:32]


def auth_secret(intent: Intent, entropy: bytes) -> dict[str, object]:
    """Return the Secret, to be created once and never applied.

    Not immutable: a kubelet never looks at such a one again, and where somebody deletes it, running
    members, which read it at each handshake, would not hear of the next.

    It goes with the resource, also where the volumes are kept: nothing on them was made with it,
    and the members of the next resource all start with the next one. So what ``deletion.volumes``
    says later changes nothing here, which this operator may not change either.

    Args:
        intent: The cluster.
        entropy: At least 32 fresh random bytes.

    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(intent, labels.auth_secret_name(intent.name)),
        "type": "Opaque",
        "data": {
            labels.MEMBER_SECRET_KEY: _encoded(_drawn("member secret", entropy)),
            labels.TOKEN_KEY: _encoded(_drawn("admin token", entropy)),
        },
    }


def _drawn(purpose: str, entropy: bytes) -> str:
    assert len(entropy) >= ENTROPY_LENGTH_MIN, f"{len(entropy)} random bytes for a {purpose}"
    return hashlib.sha256(f"quorate {purpose}\n".encode() + entropy).hexdigest()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
