"""The beginning of a member's process, before there is a member."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quorate.cli.logs import chosen_format
from quorate.config import MemberConfig, NodeConfig, SeatAddress, to_toml
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import ConfigurationError

ASKED_TO_END_DURING_AN_IMPORT = """
import os, signal, sys

class Asked:
    def find_spec(self, name, path, target=None):
        if name == "quorate.runtime.bootstrap":
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Asked())
from quorate.cli.main import main
sys.exit(main(["run", "--config", sys.argv[1]]) or 99)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_process_that_still_imports_can_be_asked_to_end(tmp_path: Path, name: str) -> None:
    member = MemberConfig(
        cluster_id=ClusterId(bytes(range(16))),
        seat=Seat(0),
        seats=(SeatAddress(Seat(0), "127.0.0.1"),),
        data_dir=str(tmp_path / "data"),
        service="quorate.examples.echo:Echo",
    )
    (tmp_path / "member.toml").write_text(to_toml(NodeConfig(member=member)))
    code = ASKED_TO_END_DURING_AN_IMPORT.replace("{signal}", name)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "member.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert not (tmp_path / "data").exists()


def test_the_log_format_is_that_of_the_argument_then_of_the_environment() -> None:
    assert chosen_format(None, {}) == "human"
    assert chosen_format(None, {"QUORATE_LOG_FORMAT": ""}) == "human"
    assert chosen_format(None, {"QUORATE_LOG_FORMAT": "json"}) == "json"
    assert chosen_format("human", {"QUORATE_LOG_FORMAT": "json"}) == "human"
    with pytest.raises(ConfigurationError, match="QUORATE_LOG_FORMAT is 'xml', not one of"):
        chosen_format(None, {"QUORATE_LOG_FORMAT": "xml"})
