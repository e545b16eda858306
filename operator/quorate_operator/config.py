"""What the operator is told at its start: arguments over environment over defaults."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quorate.errors import ConfigurationError

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LEVELS = ("debug", "info", "warning", "error")
_PORT_MAX = 65535

VARIABLES = {
    "namespace": "POD_NAMESPACE",
    "pod_name": "POD_NAME",
    "lease_name": "QUORATE_LEASE_NAME",
    "installation": "QUORATE_INSTALLATION",
    "cluster_domain": "QUORATE_CLUSTER_DOMAIN",
    "kubeconfig": "KUBECONFIG",
    "host": "QUORATE_HOST",
    "port": "QUORATE_PORT",
    "resync_s": "QUORATE_RESYNC_SECONDS",
    "at_once_max": "QUORATE_AT_ONCE_MAX",
    "log_level": "QUORATE_LOG_LEVEL",
}
"""Where each setting stands in the environment."""


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """The settings of one process of the operator, which looks after all namespaces."""

    namespace: str
    """Its own: where the lease is. Not where ClusterServices may be: that is anywhere."""
    pod_name: str = "local"
    """Shown as the holder of the lease and the reporter of events."""
    lease_name: str = "quorate-operator"
    """Processes with one lease share the work: one acts, the others wait."""
    installation: str = ""
    """Stamped on StatefulSets, so that a second installation leaves them alone; empty: made of
    namespace and lease name, which no other installation has."""
    cluster_domain: str = "cluster.local"
    """Ends the absolute names under which members find each other."""
    kubeconfig: str = ""
    """Path; empty for the service account of the pod."""
    host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus reach a pod by its address
    """Address of probes and metrics."""
    port: int = 8080
    """Of probes and metrics; 0 for any free one."""
    resync_s: float = 60.0
    """Every ClusterService is looked at this often, woken or not: watches lose events."""
    at_once_max: int = 4
    """ClusterServices reconciled at the same time; each makes about fifteen calls a pass."""
    log_level: str = "info"

    @property
    def stamp(self) -> str:
        """Return the words that mark what this installation looks after."""
        return self.installation or f"{self.namespace}/{self.lease_name}"

    def problems(self) -> list[str]:
        """Return every mistake, each with its setting, its value and what is allowed."""
        checks = [
            (_is(_DNS_LABEL, self.namespace), "namespace", "a DNS label; set POD_NAMESPACE"),
            (_is(_DNS_NAME, self.pod_name), "pod_name", "a DNS name"),
            (_is(_DNS_NAME, self.lease_name), "lease_name", "a DNS name"),
            (len(self.installation) <= 253, "installation", "at most 253 characters"),  # noqa: PLR2004
            (_is(_DNS_NAME, self.cluster_domain), "cluster_domain", "a DNS name without end dot"),
            (0 <= self.port <= _PORT_MAX, "port", f"0 to {_PORT_MAX}"),
            (5 <= self.resync_s <= 3600, "resync_s", "5 to 3600 seconds"),  # noqa: PLR2004
            (1 <= self.at_once_max <= 64, "at_once_max", "1 to 64"),  # noqa: PLR2004
            (self.log_level in _LEVELS, "log_level", "one of " + ", ".join(_LEVELS)),
        ]
        return [
            f"{VARIABLES[name]} is {getattr(self, name)!r}; allowed: {allowed}"
            for is_good, name, allowed in checks
            if not is_good
        ]


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> OperatorConfig:
    """Return the settings from the command line and, where it is silent, the environment.

    Raises:
        ConfigurationError: With all mistakes at once.

    """
    given = {
        name: environment[variable]
        for name, variable in VARIABLES.items()
        if environment.get(variable)
    }
    options = vars(_parser().parse_args(arguments))
    given |= {name: text for name, text in options.items() if text is not None}
    problems: list[str] = []
    numbers = {
        "port": _number(int, given, "port", 8080, problems),
        "at_once_max": _number(int, given, "at_once_max", 4, problems),
    }
    resync_s = _number(float, given, "resync_s", 60.0, problems)
    words = {name: text for name, text in given.items() if name not in (*numbers, "resync_s")}
    words.setdefault("namespace", "")
    config = OperatorConfig(
        **words,
        port=int(numbers["port"]),
        at_once_max=int(numbers["at_once_max"]),
        resync_s=resync_s,
    )
    problems += config.problems()
    if problems:
        raise ConfigurationError(problems)
    return config


def _number(
    kind: type[float], given: Mapping[str, str], name: str, default: float, problems: list[str]
) -> float:
    try:
        return kind(given.get(name, default))
    except ValueError:
        problems.append(f"{VARIABLES[name]} is {given[name]!r}, not a number")
        return default


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quorate_operator",
        description="Reconciles ClusterService resources. Arguments win over the environment.",
    )
    for name, variable in VARIABLES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"as {variable}")
    return parser


def _is(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None
