"""What goes wrong in a timed simulation, and how all of it is put right again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from quorate.archive.segment import FRAMES_OFFSET, segment_name
from quorate.consensus.types import LogPosition
from quorate_simulation.timed_clock import MS, SECOND
from quorate_simulation.timed_network import SILENCE

if TYPE_CHECKING:
    from quorate_simulation.timed import World
    from quorate_simulation.timed_member import TimedMember

DAY = 86_400 * SECOND


class Faults:
    """Draws faults until it is told to heal."""

    def __init__(self, world: World) -> None:
        """Draw which kinds this seed has, and how often."""
        self._world = world
        self._random = world.random
        kinds: list[Callable[[], None]] = [
            self._crash, self._crash, self._power, self._power_all, self._stop, self._pause,
            self._cut_group, self._cut_leader, self._cut_one_way, self._bridge, self._ring,
            self._clog, self._slow_disk, self._slow_loop, self._jump, self._transfer, self._lossy,
            self._rot, self._fill, self._fill_all,
        ]  # fmt: skip
        count = self._random.randrange(2, len(kinds))
        self._kinds = self._random.sample(kinds, count)
        self._gap = self._random.choice((150 * MS, 600 * MS, 2 * SECOND))
        self._healed = False
        self.count = 0

    def start(self) -> None:
        """Begin."""
        self._plan()

    def _plan(self) -> None:
        delay = 20 * MS + int(self._random.expovariate(1 / self._gap))
        self._world.schedule.after(delay, self._strike)

    def _strike(self) -> None:
        if not self._healed:
            self.count += 1
            self._random.choice(self._kinds)()
            self._plan()

    def heal(self) -> None:
        """Put everything right: nothing goes wrong any more once the pauses are over."""
        world = self._world
        self._healed = True
        network = world.network
        network.cut.clear()
        network.clogged.clear()
        network.loss = network.duplication = network.straggling = 0.0
        for member in world.members:
            member.disk_latency = (MS // 10, MS)
            member.turn_cost = 0
            member.disk.capacity = None
            if not member.is_up:
                member.start()

    # -- helpers --------------------------------------------------------------------------------

    def _member(self) -> TimedMember | None:
        """Return a running member: often the leader, where things are most delicate."""
        running = [member for member in self._world.members if member.is_up]
        leaders = [member for member in running if member.shadow.leading]
        if leaders and self._random.random() < 0.5:
            return self._random.choice(leaders)
        return self._random.choice(running) if running else None

    def _restart_later(self, member: TimedMember, delay: int) -> None:
        def restart() -> None:
            if not member.is_up:
                member.start()

        self._world.schedule.after(delay, restart)

    def _later(self, undo: Callable[[], None], low: int = 100 * MS, high: int = 3 * SECOND) -> None:
        self._world.schedule.after(self._random.randrange(low, high), undo)

    # -- processes and machines -----------------------------------------------------------------

    def _crash(self) -> None:
        member = self._member()
        if member is not None:
            member.kill(power=False)
            self._restart_later(member, self._random.randrange(10 * MS, 2 * SECOND))

    def _power(self) -> None:
        member = self._member()
        if member is not None:
            member.kill(power=True)
            self._restart_later(member, self._random.randrange(200 * MS, 3 * SECOND))

    def _power_all(self) -> None:
        self._world.history.marks.add("power cut of all")
        for member in self._world.members:
            if member.is_up:
                member.kill(power=True)
            self._restart_later(member, self._random.randrange(200 * MS, 2 * SECOND))

    def _stop(self) -> None:
        member = self._member()
        if member is not None and member.pause.until <= self._world.schedule.now:
            member.stop()
            self._restart_later(member, self._random.randrange(10 * MS, SECOND))

    def _pause(self) -> None:
        member = self._member()
        if member is None:
            return
        world = self._world
        length = self._random.choice((20 * MS, 150 * MS, 900 * MS, 3 * SECOND))
        # Never shorter than a pause under way: what waits for its end must keep its order.
        member.pause.until = max(member.pause.until, world.schedule.now + length)
        if length > SILENCE:
            for other in world.members:
                if other is not member:
                    world.schedule.after(
                        SILENCE,
                        lambda other=other: world.network.close_by(  # type: ignore[misc]
                            other.seat, member.seat
                        ),
                    )

    def _rot(self) -> None:
        """Flip a byte below the durable watermark of one member, while all others are sound."""
        world, member = self._world, self._member()
        others = [other for other in world.members if other is not member]
        sound = all(o.is_up and not o.shadow.recovering for o in others)
        if member is None or len(others) < 2 or not sound or member.shadow.recovering:
            return
        below = member.archive.watermark.mark.position
        first = world.history.founding
        assert first is not None
        if below <= first.end:
            return
        member.kill(power=False)
        position = self._random.randrange(first.end, below)
        base = position - position % world.constants.segment_length
        offset = FRAMES_OFFSET + position - base
        member.disk.flip(segment_name(LogPosition(base)), offset, 1 << self._random.randrange(8))
        world.history.marks.add("rotted")
        self._restart_later(member, self._random.randrange(10 * MS, SECOND))

    def _fill(self) -> None:
        """Let something else take nearly all the space of a disk, for a while."""
        member = self._member()
        if member is not None:
            self._fill_disk(member, 2)
            self._later(lambda: setattr(member.disk, "capacity", None), high=5 * SECOND)

    def _fill_all(self) -> None:
        self._world.history.marks.add("all disks filled")
        for member in self._world.members:
            self._fill_disk(member, 1)

        def free() -> None:
            for member in self._world.members:
                member.disk.capacity = None

        self._later(free, high=5 * SECOND)

    def _fill_disk(self, member: TimedMember, segments_max: int) -> None:
        length = FRAMES_OFFSET + self._world.constants.segment_length
        left = self._random.choice((0, self._random.randrange(segments_max * length + 1)))
        member.disk.capacity = member.disk.used_bytes + left

    # -- the network ----------------------------------------------------------------------------

    def _cut(self, paths: set[tuple[int, int]]) -> None:
        cut = self._world.network.cut
        cut.update(paths)
        self._later(lambda: cut.difference_update(paths))

    def _between(self, ones: list[int], others: list[int]) -> set[tuple[int, int]]:
        return {pair for a in ones for b in others for pair in ((a, b), (b, a))}

    def _shuffled(self) -> list[int]:
        seats = list(range(len(self._world.members)))
        self._random.shuffle(seats)
        return seats

    def _cut_group(self) -> None:
        seats = self._shuffled()
        at = self._random.randrange(1, len(seats)) if len(seats) > 1 else 1
        self._cut(self._between(seats[:at], seats[at:]))

    def _cut_leader(self) -> None:
        for member in self._world.members:
            if member.is_up and member.shadow.leading:
                others = [m.seat for m in self._world.members if m is not member]
                self._cut(self._between([member.seat], list(others)))

    def _cut_one_way(self) -> None:
        seats = self._shuffled()
        if len(seats) > 1:
            self._cut({(seats[0], other) for other in seats[1 : 1 + self._random.randrange(1, 3)]})

    def _bridge(self) -> None:
        seats = self._shuffled()
        if len(seats) > 2:
            half = len(seats) // 2
            self._cut(self._between(seats[:half], seats[half + 1 :]))

    def _ring(self) -> None:
        seats = self._shuffled()
        count = len(seats)
        if count > 3:
            self._cut(
                {
                    (seats[i], seats[j])
                    for i in range(count)
                    for j in range(count)
                    if (i - j) % count not in (0, 1, count - 1)
                }
            )

    def _clog(self) -> None:
        seats = self._shuffled()
        if len(seats) > 1:
            until = self._world.schedule.now + self._random.randrange(100 * MS, 2 * SECOND)
            self._world.network.clogged[seats[0], seats[1]] = until

    def _lossy(self) -> None:
        network = self._world.network
        network.loss = self._random.choice((0.01, 0.1, 0.3))
        network.duplication = self._random.choice((0.0, 0.05))
        network.straggling = self._random.choice((0.0, 0.02))

        def clear() -> None:
            network.loss = network.duplication = network.straggling = 0.0

        self._later(clear)

    # -- slowness, clocks, requests ---------------------------------------------------------------

    def _slow_disk(self) -> None:
        member = self._member()
        if member is not None:
            low = self._random.choice((5 * MS, 50 * MS, 1200 * MS))
            member.disk_latency = (low, low * 2)
            self._later(lambda: setattr(member, "disk_latency", (MS // 10, MS)))

    def _slow_loop(self) -> None:
        member = self._member()
        if member is not None:
            member.turn_cost = self._random.choice((MS, 10 * MS, 120 * MS))
            self._later(lambda: setattr(member, "turn_cost", 0))

    def _jump(self) -> None:
        member = self._member()
        if member is not None:
            member.clock.wall_offset += self._random.choice((-DAY, -SECOND, SECOND, DAY))

    def _transfer(self) -> None:
        for member in self._world.members:
            if member.module is not None and member.shadow.leading:
                member.module.request_transfer(member.begin_turn(), None)
