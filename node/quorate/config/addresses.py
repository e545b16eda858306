"""Hosts, ports and seats as text; nothing is resolved here."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from quorate.consensus.types import Seat

CLIENT_PORT = 9010
MEMBER_PORT = 9020
CONTROL_PORT = 9030
PORT_MAX = 65535

_HOST_LENGTH_MAX = 254
"""253 characters of a DNS name and the dot behind it."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


@dataclass(frozen=True, slots=True)
class SeatAddress:
    """Where the member in one seat is reached, by the others and by clients."""

    seat: Seat
    """Number of the seat, 0 to 255; never given to another place later."""
    host: str
    """Name or address as the others dial it; resolved anew at every attempt. An absolute DNS
    name (with its trailing dot) saves the search path of a Kubernetes pod."""
    client_port: int = CLIENT_PORT
    """Where clients connect."""
    member_port: int = MEMBER_PORT
    """Where the other members connect."""
    control_port: int = CONTROL_PORT
    """Where status, metrics, probes and admin actions are served."""

    @property
    def name(self) -> str:
        """What the log records as this seat's name: ``host:member_port``."""
        return join_address(self.host, self.member_port)

    @property
    def client_address(self) -> str:
        """``host:port`` for clients, as redirects and session answers carry it."""
        return join_address(self.host, self.client_port)

    @property
    def control_address(self) -> str:
        """``host:port`` of status, metrics and admin actions."""
        return join_address(self.host, self.control_port)


def join_address(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: There is no port, or it is not a number from 1 to 65535.

    """
    host, separator, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    well_formed = separator and port.isascii() and port.isdigit() and is_host(host)
    if not well_formed or not 1 <= int(port) <= PORT_MAX or (":" in host) != bracketed:
        raise ValueError(f"{address!r} is not host:port, such as 127.0.0.1:{CLIENT_PORT}")
    return host, int(port)


def is_host(host: str) -> bool:
    """Tell whether this can be a DNS name (absolute ones end with a dot) or an IP address."""
    if _is_ip(host):
        return True
    looks_like_ipv4 = host.replace(".", "").isdigit()
    return (
        not looks_like_ipv4 and len(host) <= _HOST_LENGTH_MAX and _HOST.fullmatch(host) is not None
    )


def plain_host(host: str) -> str:
    """Return the one spelling of a host that every other spelling of it has."""
    if _is_ip(host):
        return str(ipaddress.ip_address(host))
    return host.removesuffix(".").lower()


def is_loopback(host: str) -> bool:
    """Tell whether this host is this machine itself, without resolving anything."""
    if _is_ip(host):
        return ipaddress.ip_address(host).is_loopback
    return host.rstrip(".").lower() == "localhost"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
