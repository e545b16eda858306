"""Who may ask; the results are tested through the server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from quorate.control.admin import AdminResult, AdminState, read_token, refusal
from quorate.errors import ConfigurationError


def test_no_file_means_no_token() -> None:
    assert read_token("") is None


def test_a_token_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    assert read_token(str(tmp_path / "token")) == b"0123456789abcdef"


@pytest.mark.parametrize(
    "content", ["", "0123456789abcde", "0123456789abcde\n", "0123456789 abcdef", "é" * 20]
)
def test_a_useless_token_is_a_configuration_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigurationError, match=r"control\.token_file"):
        read_token(str(tmp_path / "token"))


def test_an_unreadable_token_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_token(str(tmp_path / "token"))
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_token(str(tmp_path))


@pytest.mark.parametrize(
    ("remote", "allowed"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), (None, False)]
)
def test_without_a_token_only_this_machine_may_ask(remote: str | None, allowed: bool) -> None:
    request = SimpleNamespace(remote=remote, headers={})
    answer = refusal(request, None)  # type: ignore[arg-type]
    assert (answer is None) == allowed
    assert allowed or answer.status == 403  # type: ignore[union-attr]


def test_only_the_first_outcome_of_an_action_counts() -> None:
    result = AdminResult("1", "transfer")
    result.end(True, "seat 2 leads")
    result.expire()
    result.end(False, "late")
    assert (result.state, result.reason) == (AdminState.COMPLETED, "seat 2 leads")
