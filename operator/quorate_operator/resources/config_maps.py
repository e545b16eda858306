"""The immutable ConfigMaps of the members: their configuration, and a copy of the code.

Both are named by the hash of their content, so a pod that starts again after a crash finds what
the others run with, whatever has been edited meanwhile.
"""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.resources.hashes import hash_of_text
from quorate_operator.resources.input_hash import code_hash
from quorate_operator.resources.intent import Intent, metadata
from quorate_operator.resources.member_config import CONFIG_FILE, member_toml


def config_map(intent: Intent) -> dict[str, object]:
    """Return the ConfigMap with the members' file."""
    text = member_toml(intent)
    name = labels.config_map_name(intent.name, hash_of_text(text))
    return _immutable(intent, name, {CONFIG_FILE: text})


def code_map(intent: Intent) -> dict[str, object] | None:
    """Return the copy of the service's source; None if the code is in the image."""
    if intent.code is None:
        return None
    name = labels.code_map_name(intent.name, code_hash(intent.code))
    return _immutable(intent, name, dict(intent.code))


def _immutable(intent: Intent, name: str, data: dict[str, str]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(intent, name),
        "immutable": True,
        "data": data,
    }
