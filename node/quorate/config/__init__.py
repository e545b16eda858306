"""The configuration of a member and of a cluster, as frozen values.

Cluster-wide values decide what every member computes or writes, so they are fixed in the
founding frame and read from the log; a member's file gives them for the founding only.
Everything else is per node. No file or environment is read here: ``cli`` does that.
"""

from quorate.config.addresses import (
    CLIENT_PORT,
    CONTROL_PORT,
    MEMBER_PORT,
    SeatAddress,
    is_host,
    is_loopback,
    join_address,
    split_address,
)
from quorate.config.cluster import MIB, ClusterConstants, ClusterSettings, Durability, OnError
from quorate.config.mapping import (
    configuration_hash,
    from_mapping,
    mapping_to_toml,
    to_mapping,
    to_toml,
)
from quorate.config.node import (
    ArchiveConfig,
    ConsensusSettings,
    ControlConfig,
    GatewayConfig,
    MemberConfig,
    NodeConfig,
    TransportConfig,
)
from quorate.config.validation import validate

__all__ = [
    "CLIENT_PORT",
    "CONTROL_PORT",
    "MEMBER_PORT",
    "MIB",
    "ArchiveConfig",
    "ClusterConstants",
    "ClusterSettings",
    "ConsensusSettings",
    "ControlConfig",
    "Durability",
    "GatewayConfig",
    "MemberConfig",
    "NodeConfig",
    "OnError",
    "SeatAddress",
    "TransportConfig",
    "configuration_hash",
    "from_mapping",
    "is_host",
    "is_loopback",
    "join_address",
    "mapping_to_toml",
    "split_address",
    "to_mapping",
    "to_toml",
    "validate",
]
