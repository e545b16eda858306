"""The directory of a cluster on this machine: what is chosen once and kept.

::

    <directory>/
      cluster.json      cluster id, service, seats with their ports
      lock              held by the supervisor that runs here
      secret, token     of the members' handshake, and of admin actions; for the owner only
      member-<seat>/
        member.toml     written anew at each start
        member.log      what the process printed, over all its lives
        data/           the recording
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from quorate.archive.segment import segment_base
from quorate.config import (
    CLIENT_PORT,
    ClusterConstants,
    ClusterSettings,
    ConsensusSettings,
    ControlConfig,
    Durability,
    MemberConfig,
    NodeConfig,
    SeatAddress,
    TransportConfig,
    from_mapping,
    to_mapping,
    to_toml,
    validate,
)
from quorate.config.addresses import PORT_MAX
from quorate.consensus.types import CLUSTER_ID_LENGTH, SEATS_MAX, ClusterId, Seat
from quorate.errors import ConfigurationError, DirectoryInUse

HOST = "127.0.0.1"
PORTS_PER_SEAT = 3
_PORT_LOW, _PORT_HIGH = 20_000, 32_000
"""Below the range from which Linux takes the ports of outgoing connections, so that no
connection can sit on a member's port while that member is down."""
_PORT_ATTEMPTS = 200
_MEMBER_OFFSET, _CONTROL_OFFSET = 10, 20
"""From a seat's client port on, where the first one is chosen by hand."""
_OWN_NAMES = {"lock", "secret", "token", ".gitignore", "cluster.json.new"}


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What a caller may choose; None means as kept in the directory, or the default."""

    directory: Path
    service: str | None = None
    """``module:Class``; default the calculator."""
    service_config: str | None = None
    members: int | None = None
    """One to nine; default three."""
    durability: Durability | None = None
    base_port: int | None = None
    """Client ports from here on, member ports from 10 higher, control ports from 20 higher."""
    settings: ClusterSettings | None = None
    constants: ClusterConstants | None = None
    consensus: ConsensusSettings | None = None
    """Election timeouts and heartbeat; its durability yields to ``durability``."""


DEFAULT_SERVICE = "quorate.examples.calculator:Calculator"
DEFAULT_MEMBERS = 3


class DevDirectory:
    """An opened directory: locked for this process until ``close``."""

    def __init__(self, directory: Path, lock: int, config: NodeConfig) -> None:
        """Use ``DevDirectory.open``."""
        self.path = directory
        self._lock = lock
        self._config = config

    @classmethod
    def open(cls, options: DevOptions) -> Self:
        """Lock the directory, making it and a new cluster id when it is empty.

        Raises:
            ConfigurationError: The options contradict what the directory keeps, it holds
                something else, or it cannot be used.
            DirectoryInUse: Another supervisor runs here.

        """
        directory = options.directory.absolute()
        is_new = not directory.exists()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(directory)
        except OSError as error:
            raise ConfigurationError([f"cannot use {directory}: {error.strerror}"]) from error
        if lock is None:
            raise DirectoryInUse(f"another quorate dev runs on {directory}")
        try:
            opened = cls(directory, lock, _load_or_create(directory, options))
            opened._write_members()
        except BaseException as error:
            os.close(lock)
            if is_new:
                _remove_unused(directory)
            if isinstance(error, OSError):
                text = f"cannot use {directory}: {error.strerror}"
                raise ConfigurationError([text]) from error
            raise
        return opened

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._lock)

    @property
    def cluster_id(self) -> ClusterId:
        """Chosen at random when the directory was made."""
        return self._config.member.cluster_id

    @property
    def seats(self) -> tuple[SeatAddress, ...]:
        """The members' addresses, by seat."""
        return self._config.member.seats

    @property
    def service(self) -> str:
        """``module:Class`` that the members run."""
        return self._config.member.service

    @property
    def durability(self) -> Durability:
        """What counts as durable here."""
        return self._config.consensus.durability

    @property
    def token(self) -> str:
        """The bearer token of admin actions."""
        return (self.path / "token").read_text().strip()

    def member_directory(self, seat: Seat) -> Path:
        """Where one member's file, log and data lie."""
        return self.path / f"member-{seat}"

    def config_path(self, seat: Seat) -> Path:
        """The TOML file that this member is started with."""
        return self.member_directory(seat) / "member.toml"

    def data_path(self, seat: Seat) -> Path:
        """The member's data directory."""
        return self.member_directory(seat) / "data"

    def log_path(self, seat: Seat) -> Path:
        """What the member's process printed, over all its lives."""
        return self.member_directory(seat) / "member.log"

    def _write_members(self) -> None:
        for row in self.seats:
            member = replace(
                self._config.member, seat=row.seat, data_dir=str(self.data_path(row.seat))
            )
            text = (
                "# Written by quorate dev at each start: changes made here are lost.\n"
                f"{to_toml(replace(self._config, member=member))}"
            )
            self.member_directory(row.seat).mkdir(exist_ok=True)
            self.config_path(row.seat).write_text(text, encoding="utf-8")


def lock_directory(directory: Path) -> int | None:
    """Return the descriptor that holds the supervisor's lock, None when another holds it.

    Raises:
        OSError: The directory cannot be written.

    """
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove_unused(directory: Path) -> None:
    """Leave no trace of a start that was refused; what holds more than the lock stays."""
    with suppress(OSError):
        (directory / "lock").unlink()
        directory.rmdir()


def _load_or_create(directory: Path, options: DevOptions) -> NodeConfig:
    kept = directory / "cluster.json"
    if kept.exists():
        return _load(kept, options)
    strangers = sorted({path.name for path in directory.iterdir()} - _OWN_NAMES)
    if strangers:
        text = f"{directory} is not a directory of quorate dev, and not empty ({strangers[0]})"
        raise ConfigurationError([text])
    return _create(directory, options)


def _load(kept: Path, options: DevOptions) -> NodeConfig:
    try:
        mapping = json.loads(kept.read_bytes())
    except ValueError as error:
        raise ConfigurationError([f"{kept} is not JSON: {error}"]) from error
    if not isinstance(mapping, dict):
        raise ConfigurationError([f"{kept} is not a JSON object"])
    config = from_mapping(mapping)
    asked = {
        "--service": (options.service, config.member.service),
        "--members": (options.members, len(config.member.seats)),
        "--base-port": (options.base_port, config.member.seats[0].client_port),
    }
    problems = [
        f"{kept.parent} was made with {name} {has}, not {wanted}: use another --directory, "
        "or remove this one with all it holds"
        for name, (wanted, has) in asked.items()
        if wanted is not None and wanted != has
    ]
    if not problems:
        return _with_options(config, options)
    if _holds_a_log(kept.parent):
        raise ConfigurationError(problems)
    return _chosen_anew(kept.parent, config, options)


def _holds_a_log(directory: Path) -> bool:
    found = directory.glob("member-*/data/*")
    return any(segment_base(path.name) is not None for path in found)


def _chosen_anew(directory: Path, config: NodeConfig, options: DevOptions) -> NodeConfig:
    """Take over what was chosen otherwise before there was a log: a misspelt class binds nobody.

    The cluster id stays: members that have formatted their directories know it.
    """
    seats = config.member.seats
    if (options.members, options.base_port) != (None, None):
        count = len(seats) if options.members is None else options.members
        seats = _choose_seats(count, options.base_port)
    service = options.service or config.member.service
    member = replace(config.member, service=service, seats=seats)
    chosen = _with_options(replace(config, member=member), options)
    validate(chosen)
    _store(directory, chosen)
    return chosen


def _create(directory: Path, options: DevOptions) -> NodeConfig:
    count = DEFAULT_MEMBERS if options.members is None else options.members
    member = MemberConfig(
        cluster_id=ClusterId(secrets.token_bytes(CLUSTER_ID_LENGTH)),
        seat=Seat(0),
        seats=_choose_seats(count, options.base_port),
        data_dir=str(directory),
        service=options.service or DEFAULT_SERVICE,
    )
    config = _with_options(
        NodeConfig(
            member=member,
            transport=TransportConfig(secret_file=str(directory / "secret")),
            control=ControlConfig(token_file=str(directory / "token")),
            settings=options.settings or ClusterSettings(),
            constants=options.constants or ClusterConstants(),
        ),
        options,
    )
    validate(config)
    for name in ("secret", "token"):
        _write_private(directory / name, secrets.token_urlsafe(32))
    (directory / ".gitignore").write_text("*\n")
    # Last: a directory with this file has everything else.
    _store(directory, config)
    return config


def _store(directory: Path, config: NodeConfig) -> None:
    """Write ``cluster.json`` at once."""
    _write_private(directory / "cluster.json.new", json.dumps(to_mapping(config), indent=1))
    (directory / "cluster.json.new").rename(directory / "cluster.json")


def _with_options(config: NodeConfig, options: DevOptions) -> NodeConfig:
    """Apply what may differ from start to start."""
    consensus = options.consensus or config.consensus
    if options.durability is not None:
        consensus = replace(consensus, durability=options.durability)
    member = config.member
    if options.service_config is not None:
        member = replace(member, service_config=options.service_config)
    return replace(config, member=member, consensus=consensus)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _choose_seats(count: int, base_port: int | None) -> tuple[SeatAddress, ...]:
    if not 1 <= count <= SEATS_MAX:
        raise ConfigurationError([f"--members is {count}, not 1 to {SEATS_MAX}"])
    if base_port is not None:
        last = base_port + _CONTROL_OFFSET + count - 1
        if base_port < 1 or last > PORT_MAX:
            text = (
                f"--base-port is {base_port}: {count} member(s) take ports from it to {last}, "
                f"which must lie within 1 to {PORT_MAX}"
            )
            raise ConfigurationError([text])
        return tuple(
            SeatAddress(Seat(n), HOST, port, port + _MEMBER_OFFSET, port + _CONTROL_OFFSET)
            for n, port in enumerate(range(base_port, base_port + count))
        )
    wanted = count * PORTS_PER_SEAT
    for _ in range(_PORT_ATTEMPTS):
        first = _PORT_LOW + secrets.randbelow(_PORT_HIGH - _PORT_LOW - wanted)
        if all(map(_is_free, range(first, first + wanted))):
            starts = range(first, first + wanted, PORTS_PER_SEAT)
            return tuple(
                SeatAddress(Seat(n), HOST, start, start + 1, start + 2)
                for n, start in enumerate(starts)
            )
    text = (
        f"found no {wanted} free ports in a row; name one with --base-port, such as {CLIENT_PORT}"
    )
    raise ConfigurationError([text])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
