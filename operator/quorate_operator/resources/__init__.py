"""What each Kubernetes object looks like: one pure builder for each kind.

``children`` returns everything that is applied, ``needs_apply`` says whether one of them must be.
"""

from quorate_operator.resources.auth_secret import auth_secret, new_cluster_id
from quorate_operator.resources.children import children
from quorate_operator.resources.drift import drift, intended_hash, needs_apply, stamped
from quorate_operator.resources.input_hash import code_hash, input_hash, placement_hash
from quorate_operator.resources.intent import Body, Intent, owner
from quorate_operator.resources.stateful_set import frozen_part

__all__ = [
    "Body",
    "Intent",
    "auth_secret",
    "children",
    "code_hash",
    "drift",
    "frozen_part",
    "input_hash",
    "intended_hash",
    "needs_apply",
    "new_cluster_id",
    "owner",
    "placement_hash",
    "stamped",
]
