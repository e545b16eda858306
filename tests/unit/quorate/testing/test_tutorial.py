"""The tutorial is true: its service and its test are taken from the page and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs" / "tutorials" / "first-service.md"


def test_the_first_service_passes_its_own_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "poll.py").write_text(service, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    namespace: dict[str, object] = {}
    exec(test, namespace)
    (check,) = (value for name, value in namespace.items() if name.startswith("test_"))
    assert callable(check)
    check()
