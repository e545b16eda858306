"""Pods that are members of one cluster, and what their members say over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from quorate.config import CONTROL_PORT
from quorate.control.status import MemberStatus, decode_status
from quorate.errors import RemoteProtocolError
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.waiting import wait_until

STATUS_TIMEOUT_S = 2.0
_SETTLE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Member:
    """A pod and what its member says."""

    pod: str
    node: str
    address: str
    status: MemberStatus


class MemberPods:
    """The members of one cluster, whoever made their pods."""

    def __init__(self, kubectl: Kubectl, selector: str, count: int) -> None:
        """Take the labels that its pods have, and how many there should be."""
        self._kubectl = kubectl
        self._selector = selector
        self._count = count

    def statuses(self) -> dict[str, Member]:
        """Return what the members say that answer, by pod."""
        found = {}
        for pod in self._kubectl.list("pods", self._selector):
            name, address = pod["metadata"]["name"], pod["status"].get("podIP")
            status = _ask_status(address) if address else None
            if status is not None:
                found[name] = Member(name, pod["spec"]["nodeName"], address, status)
        return found

    def wait_status(
        self, pod: str, what: str, condition: Callable[[MemberStatus], bool], timeout_s: float = 60
    ) -> Member:
        """Wait until a member answers with a status for which ``condition`` holds.

        Args:
            pod: Name of its pod.
            what: The condition in words: ``follows``.
            condition: Asked of each status.
            timeout_s: How long at most.

        """

        def found() -> Member | None:
            member = self.statuses().get(pod)
            return member if member is not None and condition(member.status) else None

        return wait_until(f"member {pod} {what}", found, timeout_s)

    def leader(self, *, above_term: int = 0, timeout_s: float = 60.0) -> Member:
        """Wait for a leader of a term above this one, and return it."""

        def found() -> Member | None:
            leading = [
                member
                for member in self.statuses().values()
                if member.status.role == "leader" and member.status.leadership_term_id > above_term
            ]
            return max(leading, key=lambda row: row.status.leadership_term_id, default=None)

        return wait_until(f"a leader above term {above_term}", found, timeout_s)

    def settled(self, timeout_s: float = _SETTLE_TIMEOUT_S) -> dict[str, Member]:
        """Wait until all members have applied everything of one log, and return what they say.

        Fails unless their digests of it agree.
        """

        def same() -> dict[str, Member] | None:
            found = self.statuses()
            positions = {
                position
                for member in found.values()
                for position in (
                    member.status.written_position,
                    member.status.append_position,
                    member.status.service_position,
                )
            }
            return found if len(found) == self._count and len(positions) == 1 else None

        found = wait_until("all members have applied the same log", same, timeout_s)
        digests = {member.status.digests[-1] for member in found.values() if member.status.digests}
        assert len(digests) <= 1, f"the members computed different things: {digests}"
        return found


def _ask_status(address: str) -> MemberStatus | None:
    """Return the status of the member there; None if nothing answers."""
    url = f"http://{address}:{CONTROL_PORT}/status"
    try:
        with urllib.request.urlopen(url, timeout=STATUS_TIMEOUT_S) as response:
            return decode_status(response.read())
    except (OSError, RemoteProtocolError):
        return None
