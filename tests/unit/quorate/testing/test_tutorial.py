"""The tutorial is true: its service and its test are taken from the page and run."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs" / "tutorials" / "first-service.md"


def test_the_first_service_passes_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    service, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    poll = types.ModuleType("poll")
    exec(service, poll.__dict__)
    monkeypatch.setitem(sys.modules, "poll", poll)
    namespace: dict[str, object] = {}
    exec(test, namespace)
    (check,) = (value for name, value in namespace.items() if name.startswith("test_"))
    assert callable(check)
    check()
