"""SCHEMA.md says the same numbers as the code."""

from __future__ import annotations

import re
from pathlib import Path

from quorate.consensus.types import FrameType
from quorate.protocol import consensus_codec, term_codec
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.handshake import LinkRefusal
from quorate.protocol.log_codec import EntryType
from quorate.protocol.session_messages import ClientMessageType, LinkError

SCHEMA = Path(consensus_codec.__file__).with_name("SCHEMA.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \|(?:(.*)\|)?$", re.MULTILINE)


def table(heading: str) -> dict[str, int]:
    """Return the numbers of the table whose head has this second column, by name."""
    start = re.search(rf"^\| (?:number|id) \| {heading}\b", SCHEMA, re.MULTILINE)
    assert start is not None, f"no table of {heading}"
    rows = SCHEMA[start.end() :].split("\n\n", 1)[0]
    return {name: int(number) for number, name, _ in ROW.findall(rows)}


def test_frame_types() -> None:
    assert table("frame type") == {kind.name: int(kind) for kind in FrameType}


def test_entry_types() -> None:
    assert table("entry type") == {kind.name: int(kind) for kind in EntryType}


def test_settings() -> None:
    assert table("setting") == {name: number for number, name in term_codec._SETTINGS.items()}


def test_refusals() -> None:
    assert table("refusal") == {reason.name: int(reason) for reason in LinkRefusal}


def test_client_link() -> None:
    assert table("client message") == {kind.name: int(kind) for kind in ClientMessageType}
    assert table("reason of a close") == {reason.name: int(reason) for reason in CloseReason}
    assert table("error of a connection") == {code.name: int(code) for code in LinkError}


def test_messages_with_their_fields() -> None:
    rows = {name: (int(number), rest) for number, name, rest in ROW.findall(SCHEMA)}
    for number, layout in consensus_codec._BY_NUMBER.items():
        name = layout.message_class.__name__
        assert rows[name][0] == number
        term, _, payload = rows[name][1].partition("|")
        assert term.strip() == (layout._term or "").replace("_", " ")
        place = -1
        for field, _kind in layout._fixed:
            found = payload.find(field.replace("_", " "), place + 1)
            assert found > place, f"{name}: {field} is not where SCHEMA.md has it"
            place = found
