"""Which members a verb talks to: named addresses, or the ``quorate dev`` that runs here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from quorate.config import CLIENT_PORT, CONTROL_PORT, split_address
from quorate.errors import ConfigurationError


class Target(NamedTuple):
    """Where to ask, and with which token."""

    addresses: tuple[str, ...]
    token: str


def add_target_arguments(parser: argparse.ArgumentParser, *, what: str, example_port: int) -> None:
    """Add ``--address`` and ``--directory``."""
    parser.add_argument(
        "--address",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help=f"{what} of a member, such as 127.0.0.1:{example_port}; may be repeated",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help="of a running quorate dev; needed only when several run",
    )


def control_target(options: argparse.Namespace) -> Target:
    """Return the control addresses, and the token of ``--token-file`` or of the running dev.

    Raises:
        ConfigurationError: An address or the token file is no good.
        NotConnected: No address was given and no dev runs.

    """
    from quorate.control.admin import read_token
    from quorate.dev.run_file import find_running

    token = read_token(getattr(options, "token_file", None) or "")
    if options.address:
        addresses = _checked(options.address, CONTROL_PORT)
        return Target(addresses, "" if token is None else token.decode())
    running = find_running(_absolute(options.directory))
    return Target(running.control_addresses, token.decode() if token else running.token)


def client_addresses(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the client addresses; raises as ``control_target``."""
    from quorate.dev.run_file import find_running

    if options.address:
        return _checked(options.address, CLIENT_PORT)
    return find_running(_absolute(options.directory)).client_addresses


def _absolute(directory: Path | None) -> Path | None:
    return None if directory is None else directory.absolute()


def _checked(addresses: list[str], example_port: int) -> tuple[str, ...]:
    problems = []
    for address in addresses:
        try:
            split_address(address)
        except ValueError:
            problems.append(
                f"--address {address} is not HOST:PORT, such as 127.0.0.1:{example_port}"
            )
    if problems:
        raise ConfigurationError(problems)
    return tuple(addresses)


def data_directory(path: Path) -> Path:
    """Return the data directory that a person means: itself, or ``data`` in it.

    The latter is so in a member's folder of ``quorate dev`` and on the volume of a pod. An empty
    directory is one as well: that of a member which has not started yet.

    Raises:
        ConfigurationError: There is no such directory, or other things are in it: to call these
            sound would deceive whoever is one folder away from the data.

    """
    from quorate.archive.opening import HARMLESS

    if not path.is_dir():
        raise ConfigurationError([f"{path} is not a directory"])
    inner = path / "data"
    if _is_of_a_member(path):
        return path
    if inner.is_dir() and ((path / "member.toml").is_file() or _is_of_a_member(inner)):
        return inner
    strangers = sorted({found.name for found in path.iterdir()} - HARMLESS)
    if strangers:
        text = (
            f"{path} holds no member's data, but {strangers[0]}: name a data directory, "
            "such as quorate-dev/member-0"
        )
        raise ConfigurationError([text])
    return path


def _is_of_a_member(directory: Path) -> bool:
    from quorate.archive.opening import is_of_member

    return any(is_of_member(found.name) for found in directory.iterdir())
