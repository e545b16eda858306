"""The client of a cluster: `ClusterClient`, its settings and the errors that it raises."""

from quorate.client.cluster_client import ClusterClient
from quorate.client.session import SessionSettings
from quorate.errors import (
    AuthenticationRejected,
    ClientError,
    IngressBackPressure,
    MessageTooLarge,
    NotConnected,
    OutcomeUnknown,
    ServiceError,
    SessionClosed,
)

__all__ = [
    "AuthenticationRejected",
    "ClientError",
    "ClusterClient",
    "IngressBackPressure",
    "MessageTooLarge",
    "NotConnected",
    "OutcomeUnknown",
    "ServiceError",
    "SessionClosed",
    "SessionSettings",
]
