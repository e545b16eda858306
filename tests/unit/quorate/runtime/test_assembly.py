"""The cluster's secret, as it is read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.errors import ConfigurationError
from quorate.runtime.assembly import read_secret


@pytest.mark.parametrize("around", [b"%s", b"%s\n", b"%s\r\n", b" %s \n\n"])
def test_editors_and_tools_that_end_the_file_with_a_newline_change_nothing(
    tmp_path: Path, around: bytes
) -> None:
    (tmp_path / "secret").write_bytes(around % b"\x00\xffbytes")
    assert read_secret(str(tmp_path / "secret")) == b"\x00\xffbytes"


def test_no_file_is_no_secret_but_an_empty_or_a_missing_one_is_a_mistake(tmp_path: Path) -> None:
    assert read_secret("") is None
    (tmp_path / "secret").write_bytes(b"\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        read_secret(str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="No such file"):
        read_secret(str(tmp_path / "missing"))
