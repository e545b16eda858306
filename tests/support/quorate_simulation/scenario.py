"""A short script language for directed schedules: one file, one killer.

A line is a verb and its words; ``#`` begins a comment. Seats are numbers, ``*`` is everyone
that runs. Nothing happens by itself, least of all time::

    cluster 3 [replicated] [blank] [segment=4096] [tail=0] [seed=1]
    link 0 1 | link all          unlink 0 1 (both sides learn)     forget 0 1 (only 0 learns)
    cut 0 1 | 2                  heal                              refused 0 1
    deliver 0->1 [Vote] [keep]   the oldest such message           deliver 0->1 all [Vote]
    drop 0->1 [Vote] | all       persist 1 [count]                 sync 1
    settle [0 1 ...]             deliver, persist and read among these seats until all is quiet
    talk [0 1 ...]               the same without reading
    elect 0 with 1 2             an election that 0 wins with these; nobody else hears of it
    fire 1 election              beat 0 (fire its heartbeat)       tick 1      advance 1 700
    propose 0 [bytes]            empty 0         transfer 0 [1]    found 0 [discard]
    read 0   answer 0            read what was asked for; hand it over
    crash 1 [effects] [frames]   power 1 [effects] [frames] [unsynced]    stop 1
    restart 1                    wipe 1          damage 1 KEPT-FRAMES
    digest 0 TEXT                mark NAME 0     remembers the end of the log of 0
    expect leader 0 | no leader | role 1 follower | term 1 3 | frames 1 4 | commit 1 NAME
    expect same 0 1 (logs)       expect waiting 0->1 Vote [granted=True ...]
    expect silent 0->1 [Vote]    expect recovering 1 | sound 1 | founded 1 | blank 1 | broken 1
    expect volume-lost 2         expect alarm 1 NAME    expect reached MARK   expect diverged 1
    expect loss 5                the term frame of term 5 says possible_loss

A script ends with all invariants unbroken and every expectation met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import Alarm, Effect, ServiceDiverged
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import FoundingState, FrameType, LogMark, LogPosition, Role
from quorate_simulation import actions
from quorate_simulation.cluster import Cluster, Node, Packet
from quorate_simulation.explain import shorten
from quorate_simulation.founding import term_of
from quorate_simulation.swarm import Swarm

ROUNDS_MAX = 300
ELECTION_WORDS = ("Canvass", "CanvassAnswer", "RequestVote", "Vote")


class ScenarioFailed(AssertionError):
    """A script did not go as it says; names the file and the line."""


class ScriptedCluster(Cluster):
    """Remembers what members said to their operators; prints every effect if asked to."""

    def __init__(self, seed: int, swarm: Swarm, *, aloud: bool = False) -> None:
        """Start with nothing said."""
        self.aloud = aloud
        self.alarms: set[tuple[int, str]] = set()
        self.diverged: set[int] = set()
        super().__init__(seed, swarm)

    def carry_out(self, node: Node, module: ConsensusModule, effects: list[Effect]) -> None:
        """Note alarms, then do as always."""
        for effect in effects:
            if self.aloud:
                print(f"        [{node.seat}] {shorten(effect)}")
            if isinstance(effect, Alarm):
                (self.alarms.add if effect.raised else self.alarms.discard)(
                    (node.seat, effect.name)
                )
            elif isinstance(effect, ServiceDiverged):
                self.diverged.add(node.seat)
        super().carry_out(node, module, effects)


class Scenario:
    """Runs one script."""

    def __init__(self, *, aloud: bool = False) -> None:
        """Wait for the line that makes the cluster; ``aloud`` tells all that happens."""
        self._aloud = aloud
        self._cluster: ScriptedCluster | None = None
        self._marks: dict[str, LogMark] = {}

    @property
    def cluster(self) -> ScriptedCluster:
        """The cluster, once the script has made it."""
        assert self._cluster is not None, "a script begins with: cluster N"
        return self._cluster

    def run(self, text: str) -> None:
        """Run every line of a script.

        Raises:
            AssertionError: An invariant broke, or an expectation was not met.

        """
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if self._aloud:
                print(f"{number:4} {line.strip()}")
            try:
                verb: Callable[..., None] = getattr(self, f"do_{words[0]}")
                verb(*words[1:])
            except AssertionError as failure:
                raise ScenarioFailed(f"line {number}: {line.strip()}: {failure}") from failure

    # -- making --------------------------------------------------------------------------------

    def do_cluster(self, seats: str, *options: str) -> None:
        """Make the cluster and start everybody."""
        named = dict(word.split("=") for word in options if "=" in word)
        replicated = "replicated" in options
        config = ConsensusConfig(
            frame_bytes_max=1024,
            segment_length=int(named.get("segment", "4096")),
            append_bytes_max=int(named.get("append", "4096")),
            read_bytes_max=int(named.get("append", "4096")),
            window_bytes=int(named.get("window", "65536")),
            tail_bytes=int(named.get("tail", "65536")),
            terms_reported_max=int(named.get("terms", "64")),
            unanimous_election=replicated,
        )
        swarm = Swarm(
            seats=int(seats),
            founded="blank" not in options,
            replicated=replicated,
            fifo=1.0,
            body_max=100,
            disagree="disagree" in options,
            config=config,
        )
        self._cluster = ScriptedCluster(int(named.get("seed", "1")), swarm, aloud=self._aloud)

    # -- links ---------------------------------------------------------------------------------

    def do_link(self, *seats: str) -> None:
        """Connect two members, or all."""
        for a, b in self._pairs(seats):
            if self.cluster.connected(a, b):
                actions.up(self.cluster, a, b)

    def do_unlink(self, *seats: str) -> None:
        """Break links; both sides learn it."""
        for a, b in self._pairs(seats):
            actions.down(self.cluster, a, b)
            actions.down(self.cluster, b, a)

    def do_forget(self, a: str, b: str) -> None:
        """Let one side learn that its link is gone."""
        assert actions.down(self.cluster, int(a), int(b)), "no link"

    def do_refused(self, a: str, b: str) -> None:
        """Tell a member that another one's address refuses connections."""
        assert actions.refused(self.cluster, int(a), int(b)), "still linked"

    def do_cut(self, *words: str) -> None:
        """Part the network."""
        groups = " ".join(words).split("|")
        for index, group in enumerate(groups):
            for seat in group.split():
                self.cluster.group[int(seat)] = index

    def do_heal(self) -> None:
        """End the partition."""
        actions.heal(self.cluster)

    def _pairs(self, seats: tuple[str, ...]) -> list[tuple[int, int]]:
        numbers = range(self.cluster.count) if seats == ("all",) else sorted(map(int, seats))
        return [(a, b) for a in numbers for b in numbers if a < b]

    # -- messages ------------------------------------------------------------------------------

    def _waiting(self, path: str, kind: str | None) -> list[tuple[int, Packet]]:
        sender, receiver = (int(seat) for seat in path.split("->"))
        return [
            (index, packet)
            for index, packet in enumerate(self.cluster.bags[receiver])
            if packet[0].seat == sender
            and kind in (None, type(packet[2]).__name__)
            and not self._is_dead(receiver, packet)
        ]

    def _is_dead(self, receiver: int, packet: Packet) -> bool:
        """Tell whether the link of an ended life is gone, and the message with it."""
        life = packet[0]
        nodes = self.cluster.nodes
        return nodes[life.seat].peer != life and nodes[receiver].links.get(life.seat) != life

    def do_deliver(self, path: str, *words: str) -> None:
        """Hand over the oldest message of a kind, or all of them."""
        kind = next((word for word in words if word not in ("all", "keep")), None)
        receiver = int(path.split("->")[1])
        count = len(self._waiting(path, kind)) if "all" in words else 1
        for _ in range(count):
            waiting = self._waiting(path, kind)
            assert waiting, f"nothing waits; for {receiver}: {self._names(receiver)}"
            done = actions.deliver(self.cluster, receiver, waiting[0][0], int("keep" in words))
            assert done, "the message cannot arrive"

    def do_drop(self, path: str, *words: str) -> None:
        """Lose messages."""
        kind = next((word for word in words if word != "all"), None)
        waiting = self._waiting(path, kind)
        assert waiting or "all" in words, "nothing waits"
        for index, _ in reversed(waiting if "all" in words else waiting[:1]):
            actions.drop(self.cluster, int(path.split("->")[1]), index)

    def _names(self, receiver: int) -> list[str]:
        bag = self.cluster.bags[receiver]
        return [f"{packet[0].seat}:{type(packet[2]).__name__}" for packet in bag]

    def do_settle(self, *seats: str) -> None:
        """Let these members (default: all) talk and write until nothing is left to do."""
        chosen = set(map(int, seats)) or set(range(self.cluster.count))
        for _ in range(ROUNDS_MAX):
            done = [self._round(seat, chosen) for seat in sorted(chosen)]
            if not any(done) and not any(self._publish(seat) for seat in sorted(chosen)):
                return
        raise AssertionError("does not come to rest: messages beget messages")

    def do_talk(self, *seats: str) -> None:
        """Like ``settle``, but nothing is read from a recording or applied."""
        chosen = set(map(int, seats)) or set(range(self.cluster.count))
        for _ in range(ROUNDS_MAX):
            done = [self._deliver_next(seat, chosen, ()) for seat in sorted(chosen)]
            done += [actions.persist(self.cluster, seat, 100) for seat in sorted(chosen)]
            if not any(done):
                return

    def _round(self, seat: int, senders: set[int], kinds: Iterable[str] = ()) -> bool:
        """Do one of each thing that waits at a member; tell whether anything was done."""
        cluster = self.cluster
        done = self._deliver_next(seat, senders, kinds)
        if not kinds:
            done = actions.read(cluster, seat) or done
            done = actions.answer(cluster, seat) or done
            done = actions.apply(cluster, seat) or done
        if kinds and self._module(seat).role is Role.LEADER:
            return done
        return actions.persist(cluster, seat, 100) or done

    def _deliver_next(self, seat: int, senders: set[int], kinds: Iterable[str]) -> bool:
        for index, packet in enumerate(self.cluster.bags[seat]):
            wanted = not kinds or type(packet[2]).__name__ in kinds
            if packet[0].seat in senders and wanted and self.cluster.can_arrive(seat, packet):
                return actions.deliver(self.cluster, seat, index, 0)
        return False

    # -- time, writes and requests -------------------------------------------------------------

    def do_elect(self, winner: str, *words: str) -> None:
        """Hold an election among these seats, which the first wins; stop as soon as it leads."""
        seat = int(winner)
        others = [int(word) for word in words if word != "with"]
        for member in (seat, *others):
            self._fire(member, Deadline.ELECTION)
        self._fire(seat, Deadline.STAND)
        members = (*others, seat)
        among = set(members)
        module = self._module(seat)
        for _ in range(ROUNDS_MAX):
            if module.role is Role.LEADER:
                return
            done = [self._round(member, among, ELECTION_WORDS) for member in members]
            if not any(done):
                self._fire(seat, Deadline.STAND)  # it met a higher term first
        assert module.role is Role.LEADER, f"{seat} did not win: {module.role.name}"

    def _module(self, seat: int) -> ConsensusModule:
        module = self.cluster.nodes[seat].module
        assert module is not None, f"{seat} does not run"
        return module

    def _publish(self, seat: int) -> bool:
        """Let a leader tell the commit position that no frame has carried."""
        module = self.cluster.nodes[seat].module
        if module is None or Deadline.PUBLISH not in module.deadlines():
            return False
        self._fire(seat, Deadline.PUBLISH)
        return True

    def _fire(self, seat: int, deadline: Deadline) -> None:
        node = self.cluster.nodes[seat]
        module = self._module(seat)
        module.on_deadline(node.now, deadline)
        self.cluster.settle(node, module)

    def do_fire(self, seat: str, deadline: str) -> None:
        """Fire one deadline, whether or not it is set."""
        self._fire(int(seat), Deadline(deadline))

    def do_beat(self, seat: str) -> None:
        """Begin a heartbeat round."""
        self._fire(int(seat), Deadline.HEARTBEAT)

    def do_tick(self, seat: str) -> None:
        """Let a member's time reach its next deadline."""
        assert actions.tick(self.cluster, int(seat)), "no deadline"

    def do_advance(self, seat: str, milliseconds: str) -> None:
        """Move the clocks of a member."""
        actions.advance(self.cluster, int(seat), int(milliseconds), int(milliseconds))

    def do_persist(self, seat: str, count: str = "100") -> None:
        """Complete pending writes of a member."""
        assert actions.persist(self.cluster, int(seat), int(count)), "nothing is being written"

    def do_sync(self, seat: str) -> None:
        """Let a background sync return."""
        actions.sync(self.cluster, int(seat))

    def do_propose(self, seat: str, size: str = "100") -> None:
        """Append entries at the leader."""
        before = self.cluster.nodes[int(seat)].member.log.end
        actions.propose(self.cluster, int(seat), int(size))
        assert self.cluster.nodes[int(seat)].member.log.end != before, "nothing was appended"

    def do_refuse(self, verb: str, seat: str) -> None:
        """Expect that a proposal is refused."""
        assert verb == "propose"
        before = self.cluster.nodes[int(seat)].member.log.end
        actions.propose(self.cluster, int(seat), 100)
        assert self.cluster.nodes[int(seat)].member.log.end == before, "it was appended"

    def do_read(self, seat: str) -> None:
        """Read from the recording; the answer is on its way."""
        assert actions.read(self.cluster, int(seat)), "nothing was asked for"

    def do_answer(self, seat: str) -> None:
        """Hand over what was read first."""
        assert actions.answer(self.cluster, int(seat)), "nothing was read"

    def do_empty(self, seat: str) -> None:
        """Append a frame without entries."""
        actions.empty(self.cluster, int(seat))

    def do_transfer(self, seat: str, target: str = "99") -> None:
        """Begin to hand over."""
        actions.transfer(self.cluster, int(seat), int(target))
        assert self._module(int(seat)).transfer_target is not None, "refused"

    def do_found(self, seat: str, discard: str = "") -> None:
        """Ask for the founding."""
        actions.found(self.cluster, int(seat), int(bool(discard)))

    def do_digest(self, seat: str, text: str) -> None:
        """Report a digest of the service where it stands."""
        node, module = self.cluster.nodes[int(seat)], self._module(int(seat))
        module.on_digest(node.now, LogPosition(node.applied), text.encode().ljust(16))
        self.cluster.settle(node, module)

    # -- processes and disks -------------------------------------------------------------------

    def do_crash(self, seat: str, effects: str = "0", frames: str = "0") -> None:
        """Kill a process."""
        assert actions.crash(self.cluster, int(seat), int(effects), int(frames)), "not running"

    def do_power(self, seat: str, *kept: str) -> None:
        """Cut the power of a machine."""
        effects, frames, unsynced = (*map(int, kept), 0, 0, 0)[:3]
        assert actions.power(self.cluster, int(seat), effects, frames, unsynced), "not running"

    def do_stop(self, seat: str) -> None:
        """Stop a process in good order."""
        assert actions.stop(self.cluster, int(seat)), "not running"

    def do_restart(self, *seats: str) -> None:
        """Start members."""
        for seat in seats:
            assert actions.restart(self.cluster, int(seat)), "is running"

    def do_wipe(self, seat: str) -> None:
        """Empty the directory of a stopped member."""
        self.cluster.wipe(self.cluster.nodes[int(seat)])

    def do_damage(self, seat: str, kept: str) -> None:
        """Leave only the first frames of a stopped member's log readable."""
        self.cluster.damage(self.cluster.nodes[int(seat)], int(kept))

    def do_mark(self, name: str, seat: str) -> None:
        """Remember the end of a log."""
        self._marks[name] = self.cluster.nodes[int(seat)].member.log.end

    # -- expectations --------------------------------------------------------------------------

    def do_expect(self, what: str, *words: str) -> None:
        """Look whether the cluster is as the script says."""
        getattr(self, f"_expect_{what.replace('-', '_')}")(*words)

    def _leaders(self) -> list[int]:
        return [n.seat for n in self.cluster.nodes if n.module is not None and n.member.leading]

    def _expect_leader(self, seat: str) -> None:
        assert int(seat) in self._leaders(), f"leaders: {self._leaders()}"

    def _expect_no(self, what: str) -> None:
        assert what == "leader"
        assert not self._leaders(), f"leaders: {self._leaders()}"

    def _expect_role(self, seat: str, role: str) -> None:
        assert self._module(int(seat)).role.name.lower() == role, self._module(int(seat)).role

    def _expect_term(self, seat: str, term: str) -> None:
        assert self._module(int(seat)).term == int(term), self._module(int(seat)).term

    def _expect_frames(self, seat: str, count: str) -> None:
        frames = self.cluster.nodes[int(seat)].member.log.frames
        assert len(frames) == int(count), f"{len(frames)}: {[f[:2] for f in frames]}"

    def _expect_commit(self, seat: str, name: str) -> None:
        position = self.cluster.nodes[int(seat)].member.commit
        wanted = self._marks[name].position if name in self._marks else int(name)
        assert position == wanted, f"{position}, not {wanted}"

    def _expect_end(self, seat: str, name: str) -> None:
        end = self.cluster.nodes[int(seat)].member.log.end
        assert end == self._marks[name], f"{end}, not {self._marks[name]}"

    def _expect_same(self, first: str, second: str) -> None:
        a, b = (self.cluster.nodes[int(seat)].member.disk.end for seat in (first, second))
        assert a == b, f"{a} is not {b}"

    def _expect_waiting(self, path: str, kind: str, *fields: str) -> None:
        waiting = [packet[2] for _, packet in self._waiting(path, kind)]
        for field in fields:
            name, value = field.split("=")
            waiting = [message for message in waiting if str(getattr(message, name)) == value]
        assert waiting, self._names(int(path.split("->")[1]))

    def _expect_silent(self, path: str, kind: str | None = None, *fields: str) -> None:
        waiting = [packet[2] for _, packet in self._waiting(path, kind)]
        for field in fields:
            name, value = field.split("=")
            waiting = [message for message in waiting if str(getattr(message, name)) == value]
        assert not waiting, waiting

    def _expect_recovering(self, seat: str) -> None:
        assert self._module(int(seat)).is_recovering

    def _expect_sound(self, seat: str) -> None:
        assert not self._module(int(seat)).is_recovering

    def _expect_founded(self, *seats: str) -> None:
        for seat in seats:
            assert self._module(int(seat)).founding_state is FoundingState.FOUNDED, seat

    def _expect_founding(self, seat: str) -> None:
        assert self._module(int(seat)).founding_state is FoundingState.FOUNDING

    def _expect_blank(self, seat: str) -> None:
        assert self._module(int(seat)).founding_state is FoundingState.BLANK

    def _expect_broken(self, seat: str) -> None:
        assert self._module(int(seat)).founding_broken

    def _expect_volume_lost(self, seat: str) -> None:
        assert self._module(int(seat)).is_volume_lost

    def _expect_alarm(self, seat: str, name: str) -> None:
        assert (int(seat), name) in self.cluster.alarms, self.cluster.alarms

    def _expect_reached(self, *words: str) -> None:
        assert " ".join(words) in self.cluster.history.marks, self.cluster.history.marks

    def _expect_diverged(self, seat: str) -> None:
        assert int(seat) in self.cluster.diverged

    def _expect_loss(self, term: str) -> None:
        assert self._declared(int(term)), "not declared"

    def _expect_lossless(self, term: str) -> None:
        assert not self._declared(int(term)), "declared"

    def _declared(self, term: int) -> bool:
        for node in self.cluster.nodes:
            for frame in node.member.log.frames:
                if frame.frame_type is FrameType.NEW_LEADERSHIP_TERM:
                    body = term_of(frame.data)
                    if body.leadership_term_id == term:
                        return body.possible_loss
        raise AssertionError(f"no frame of term {term}")


def run_script(path: Path, *, aloud: bool = False) -> Scenario:
    """Run the script in this file; its name is in every failure."""
    scenario = Scenario(aloud=aloud)
    try:
        scenario.run(path.read_text(encoding="utf-8"))
    except AssertionError as failure:
        raise ScenarioFailed(f"{path.name}: {failure}") from failure
    return scenario
