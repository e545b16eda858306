"""Every alarm that a member can raise is explained where people look."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
RAISED = re.compile(r"""\w*_ALARM(?:: Final)? = "(\w+)"|\b[aA]larm\(\s*"(\w+)\"""")
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def test_the_page_explains_exactly_the_alarms_that_there_are() -> None:
    sources = (ROOT / "node" / "quorate").rglob("*.py")
    raised = {
        name for path in sources for pair in RAISED.findall(path.read_text()) for name in pair
    } - {""}
    assert {"storage_low", "settings_differ", "callback_slow"} <= raised
    page = (ROOT / "docs" / "reference" / "alarms.md").read_text()
    rows = ROW.findall(page)
    assert rows == sorted(raised)
