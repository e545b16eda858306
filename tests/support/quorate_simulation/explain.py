"""Tells the story of a walk: each choice with the effects that followed, one line each."""

from __future__ import annotations

from typing import Any

from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import LogFrame, LogMark
from quorate_simulation.actions import ACTIONS
from quorate_simulation.cluster import Cluster, Node
from quorate_simulation.swarm import draw_swarm
from quorate_simulation.walk import WalkResult


class TalkativeCluster(Cluster):
    """Prints every effect before it is carried out."""

    def settle(self, node: Node, module: ConsensusModule) -> None:
        """Print, then carry out."""
        effects = module.drain()
        for effect in effects:
            print(f"        [{node.seat}] {shorten(effect)}")
        self.carry_out(node, module, effects)


def explain(result: WalkResult) -> None:
    """Print the walk step by step; ends where it failed."""
    swarm = draw_swarm(result.seed)
    print(f"    {swarm.seats} seats, founded={swarm.founded}, replicated={swarm.replicated}")
    cluster: Cluster | None = None
    try:
        cluster = TalkativeCluster(result.seed, swarm)
        for choice in result.choices:
            print(f"    {describe(cluster, choice)}")
            ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
    except Exception as failure:  # noqa: BLE001 - the same one that is being explained
        print(f"    {type(failure).__name__}: {failure}")


def describe(cluster: Cluster, choice: tuple[Any, ...]) -> str:
    """Return one choice in words."""
    if choice[0] in ("deliver", "drop"):
        bag = cluster.bags[choice[1]]
        if not bag:
            return f"{choice!r}  nothing"
        life, _, message = bag[choice[2] % len(bag)]
        return f"{choice!r}  {life.seat} -> {choice[1]}: {shorten(message)}"
    return repr(choice)


def shorten(value: object) -> str:
    """Return ``value`` on one line, frames and marks as their numbers."""
    if isinstance(value, LogFrame):
        kind = value.frame_type.name.lower()
        return f"<{kind} {value.position}..{value.end} t{value.leadership_term_id}>"
    if isinstance(value, LogMark):
        return f"{value.position}/t{value.leadership_term_id}/{value.chain & 0xFFFF:04x}"
    if isinstance(value, bytes):
        return value.hex()[:6]
    names = getattr(value, "_fields", ()) or getattr(value, "__dataclass_fields__", ())
    if names:
        inner = ", ".join(f"{name}={shorten(getattr(value, name))}" for name in names)
        return f"{type(value).__name__}({inner})"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(shorten, value)) + ")"
    return repr(value)
