"""A few driven modules and a wire between them that keeps the order of each link."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from quorate.consensus.core import Deadline
from quorate.consensus.effects import Send
from quorate.consensus.messages import Message
from quorate_consensus.driven import Driven

DELIVERED_MAX = 5000


class Together:
    """Members by seat; what they send waits until ``settle`` delivers it."""

    def __init__(self, *members: Driven) -> None:
        """Take members that have no links yet."""
        self.members = {member.seat: member for member in members}
        self.lost: Callable[[int, int, Message], bool] = lambda _sender, _receiver, _message: False
        """Tells of a message whether it is lost on its way."""
        self._wire: deque[tuple[Driven, int, Message]] = deque()
        self._taken = {seat: len(member.effects) for seat, member in self.members.items()}

    def replace(self, member: Driven) -> None:
        """Put another process, or another directory, into a seat; the links must be made anew."""
        old = self.members[member.seat]
        for other in self.members.values():
            if other is not old and other.lives.get(member.seat) == old.life:
                other.unlink(member.seat)
        self._collect()
        self._wire = deque(sent for sent in self._wire if sent[0] is not old)
        self.members[member.seat] = member
        self._taken[member.seat] = len(member.effects)

    def link(self, *seats: int) -> None:
        """Link each of these members with each other, and deliver nothing yet."""
        for a in seats:
            for b in seats:
                if a != b:
                    self.members[a].link_to(self.members[b].life)

    def _collect(self) -> None:
        for seat, member in self.members.items():
            for effect in member.effects[self._taken[seat] :]:
                if isinstance(effect, Send):
                    self._wire.append((member, effect.seat, effect.message))
            self._taken[seat] = len(member.effects)

    def settle(self, delivered_max: int = DELIVERED_MAX) -> int:
        """Deliver until nobody says anything more; return how many messages that took.

        A commit position that is to be published is published when all else is quiet.
        """
        count = 0
        self._collect()
        while self._wire or self._published():
            sender, to, message = self._wire.popleft()
            receiver = self.members.get(to)
            linked = receiver is not None and receiver.lives.get(sender.seat) == sender.life
            if receiver is not None and linked and not self.lost(sender.seat, to, message):
                receiver.receive(sender.seat, message)
                count += 1
                assert count <= delivered_max, f"no end of messages, the last one {message}"
            self._collect()
        return count

    def _published(self) -> bool:
        for member in self.members.values():
            if Deadline.PUBLISH in member.core.deadlines:
                member.fire(Deadline.PUBLISH)
        self._collect()
        return bool(self._wire)
