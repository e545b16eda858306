"""How many files a member may have open, and how many clients that leaves room for.

A member that runs out of descriptors cannot open its next segment and ends: so clients get only
what the log, the other members and the operator do not need.
"""

from __future__ import annotations

import resource
from typing import Final

RESERVED: Final = 512
"""Kept from clients: the control port takes up to 256, unfinished handshakes of members 64, and
files, links and the loop the rest."""
CLIENTS_MIN: Final = 16
"""Room for clients under a limit that is too low for anything; an operator sees the warning."""


def client_room(connections_max: int) -> int:
    """Raise the soft limit of open files as far as needed; return how many clients fit.

    Args:
        connections_max: What is configured; never more is returned.

    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections_max
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return min(connections_max, max(CLIENTS_MIN, reachable - RESERVED))
