"""The parts of one running member, as ``bootstrap`` wires them."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.archive.archive import Archive
from quorate.archive.writer import ArchiveWriter
from quorate.config import ClusterConstants, NodeConfig
from quorate.control.metrics import Metrics
from quorate.gateway.gateway import Gateway
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.effect_runner import EffectRunner
from quorate.runtime.member_status import StatusReport
from quorate.transport.member_links import MemberLinks


@dataclass(slots=True)
class Member:
    """Everything that one process runs."""

    config: NodeConfig
    constants: ClusterConstants
    """Those in force: of the log, where it was founded before this start."""
    archive: Archive
    writer: ArchiveWriter
    agent: ConsensusAgent
    effects: EffectRunner
    report: StatusReport
    gateway: Gateway
    links: MemberLinks
    metrics: Metrics
