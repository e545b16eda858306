"""The configuration file of the members, written with what a member reads it with.

One file for all of them: which seat a pod has comes from its environment. Only what the spec
decides is in it, because an image of an earlier release refuses fields that it does not know, and
its defaults are the ones that it was tested with.
"""

from __future__ import annotations

from quorate.config import CLIENT_PORT, CONTROL_PORT, MEMBER_PORT, from_mapping, mapping_to_toml
from quorate_operator import labels
from quorate_operator.resources.intent import Intent

VOLUME_DIRECTORY = "/var/lib/quorate"
DATA_DIRECTORY = f"{VOLUME_DIRECTORY}/data"
"""Below the root of the volume, where a file system keeps ``lost+found``: data must begin empty."""
CONFIG_DIRECTORY = "/etc/quorate/config"
CODE_DIRECTORY = "/etc/quorate/code"
AUTH_DIRECTORY = "/etc/quorate/auth"
CONFIG_FILE = "member.toml"
MEMBER_SECRET_FILE = "member-secret"  # noqa: S105 - its name, not its content
TOKEN_FILE = "token"  # noqa: S105 - its name, not its content


def member_toml(intent: Intent) -> str:
    """Return the text of the file.

    Raises:
        ConfigurationError: A member would refuse it; the schema of the resource lets no such
            spec in, so the one that is served is another one.

    """
    tables = _tables(intent)
    from_mapping(tables | {"member": tables["member"] | {"seat": 0}})
    return mapping_to_toml(tables)


def host(intent: Intent, seat: int) -> str:
    """Return the absolute name under which the others dial the member in this seat."""
    pod = labels.pod_name(intent.name, seat)
    service = labels.members_service_name(intent.name)
    return f"{pod}.{service}.{intent.namespace}.svc.{intent.cluster_domain}."


def _tables(intent: Intent) -> dict[str, dict[str, object]]:
    spec = intent.spec
    seats: list[object] = [
        {
            "seat": seat,
            "host": host(intent, seat),
            "client_port": CLIENT_PORT,
            "member_port": MEMBER_PORT,
            "control_port": CONTROL_PORT,
        }
        for seat in range(spec.replicas)
    ]
    shortest = spec.consensus.election_timeout_ms
    return {
        "member": {
            "cluster_id": intent.cluster_id,
            "data_dir": DATA_DIRECTORY,
            "service": spec.service.service_class,
            "service_config": spec.config,
            "handover_timeout_ms": spec.update.handover_timeout_ms,
            "seats": seats,
        },
        "consensus": {
            "election_timeout_min_ms": shortest,
            "election_timeout_max_ms": shortest * 8 // 5,
            "heartbeat_ms": spec.consensus.heartbeat_ms,
            "durability": spec.consensus.durability.name.lower(),
        },
        "transport": {"secret_file": f"{AUTH_DIRECTORY}/{MEMBER_SECRET_FILE}"},
        "control": {"token_file": f"{AUTH_DIRECTORY}/{TOKEN_FILE}"},
    }
