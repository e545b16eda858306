"""All children of a cluster that are applied, in the order in which they are."""

from __future__ import annotations

from quorate_operator.resources.config_maps import code_map, config_map
from quorate_operator.resources.disruption_budget import disruption_budget
from quorate_operator.resources.drift import stamped
from quorate_operator.resources.intent import Body, Intent
from quorate_operator.resources.pod_monitor import pod_monitor
from quorate_operator.resources.service_account import service_account
from quorate_operator.resources.services import client_service, leader_service, members_service
from quorate_operator.resources.stateful_set import stateful_set


def children(intent: Intent, *, pod_monitors_served: bool) -> tuple[Body, ...]:
    """Return the stamped bodies; what a pod needs comes before the StatefulSet that makes pods.

    Args:
        intent: The cluster. If its spec names a ConfigMap with code, ``code`` is there.
        pod_monitors_served: Whether the API server knows that kind.

    Raises:
        ConfigurationError: A member would refuse the configuration.

    """
    named = intent.spec.service.code_config_map
    assert (named is None) == (intent.code is None), f"code of {named!r} was not read"
    config, code = config_map(intent), code_map(intent)
    bodies: list[Body] = [
        service_account(intent),
        config,
        *([code] if code is not None else []),
        members_service(intent),
        client_service(intent),
        leader_service(intent),
        disruption_budget(intent),
        stateful_set(intent, _name(config), _name(code) if code is not None else None),
        *([pod_monitor(intent)] if pod_monitors_served else []),
    ]
    return tuple(stamped(body) for body in bodies)


def _name(body: dict[str, object]) -> str:
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])
