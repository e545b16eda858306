"""Cluster-wide values."""

from __future__ import annotations

from quorate.config import Durability, OnError


def test_numbers_that_are_on_disk_never_change() -> None:
    assert [(item.name, item.value) for item in OnError] == [("CONTINUE", 0), ("HALT", 1)]
    assert [(item.name, item.value) for item in Durability] == [("FSYNC", 0), ("REPLICATED", 1)]
