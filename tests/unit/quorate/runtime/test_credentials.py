"""A secret whose file is replaced, goes away and comes back while the member runs."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import pytest

from quorate.control.admin import read_token
from quorate.errors import ConfigurationError
from quorate.runtime.assembly import read_secret
from quorate.runtime.credentials import Credential


def test_a_file_that_is_replaced_takes_effect(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"first")
    secret = Credential(partial(read_secret, str(path)))
    assert secret() == b"first"
    path.write_bytes(b"second")
    assert secret() == b"second"


def test_the_last_one_stays_while_the_file_is_useless_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef")
    token = Credential(partial(read_token, str(path)))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            path.write_text("short")
            assert token() == b"0123456789abcdef"
            path.unlink()
            assert token() == b"0123456789abcdef"
        (record,) = caplog.records
        assert "cannot be read any more" in record.message
        path.write_text("0123456789abcdef")
        assert token() == b"0123456789abcdef"


def test_a_useless_file_at_the_start_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Credential(partial(read_secret, str(tmp_path / "missing")))


def test_no_file_stays_no_secret() -> None:
    assert Credential(partial(read_secret, ""))() is None
