"""With which token and at which addresses a verb asks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.cli.targets import Target, control_target
from quorate.dev.layout import lock_directory
from quorate.dev.run_file import RunningDev, published

TOKEN = "a" * 16
OF_DEV = "d" * 16


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on which a dev runs, as far as other commands can tell."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    directory = tmp_path / "dev"
    directory.mkdir()
    (directory / "token").write_text(OF_DEV)
    lock = lock_directory(directory)
    assert lock is not None
    with published(RunningDev(str(directory), "c" * 32, ("a:1",), ("a:3",))):
        yield directory
    os.close(lock)


def asked(address: list[str], token_file: Path | None) -> Target:
    options = argparse.Namespace(address=address, directory=None, token_file=token_file)
    return control_target(options)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("address", [[], ["b:3", "c:3"]])
@pytest.mark.parametrize("has_file", [True, False])
def test_a_token_that_is_named_counts_before_that_of_the_dev(
    address: list[str], *, has_file: bool, tmp_path: Path
) -> None:
    file = tmp_path / "mine"
    file.write_text(TOKEN + "\n")
    target = asked(address, file if has_file else None)
    assert target.addresses == tuple(address or ["a:3"])
    # Members that were named are nobody's dev: its token is not for them.
    assert target.token == (TOKEN if has_file else "" if address else OF_DEV)
