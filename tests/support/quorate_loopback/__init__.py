"""A cluster in one event loop: real gateways and containers over a log in memory.

Consensus is played by the test: it says who leads, when frames commit and what is lost.
"""

from quorate_loopback.cluster import LoopbackCluster, LoopbackMember
from quorate_loopback.service import ParrotService

__all__ = ["LoopbackCluster", "LoopbackMember", "ParrotService"]
