"""Quorate: a deterministic Python service, run as a fault-tolerant cluster.

Authors import :mod:`quorate.service`; applications import :mod:`quorate.client`.
"""

__version__ = "0.1.0"
