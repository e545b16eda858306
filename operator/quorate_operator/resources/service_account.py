"""The ServiceAccount of the members, which may do nothing and has no token."""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata


def service_account(intent: Intent) -> dict[str, object]:
    """Return the account: its own, so that nobody's permissions on ``default`` reach a member."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(intent, labels.service_account_name(intent.name)),
        "automountServiceAccountToken": False,
    }
