"""``quorate log``: a member's recording, frame by frame, also while it runs or after a crash."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quorate.cli.arguments import log_position
from quorate.cli.targets import data_directory
from quorate.consensus.types import FrameType, LogFrame, LogPosition
from quorate.errors import ConfigurationError, ProtocolError

if TYPE_CHECKING:
    from quorate.archive.files import FileSystem


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "log",
        help="print a member's recording frame by frame",
        description=(
            "Prints the log of a member from its files, also while it runs or after a crash; "
            "takes no lock and changes nothing. Ends at the first frame that is not good: the "
            "end of the log. What is printed need not be committed."
        ),
    )
    parser.add_argument("directory", type=Path, help="data directory, or a member's of quorate dev")
    parser.add_argument(
        "--from",
        type=log_position,
        dest="start",
        metavar="POSITION",
        help="first log position; default 0",
    )
    parser.add_argument("--entries", action="store_true", help="show the entries of each frame")
    parser.add_argument(
        "--messages", action="store_true", help="show the clients' messages of each entry as well"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a frame")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every frame."""
    from quorate.archive.files import SystemFiles
    from quorate.archive.inspect import iterate_frames

    files = SystemFiles(str(data_directory(options.directory)))
    if options.start is not None:
        _refuse_beyond_end(files, options.start)
    depth = 2 if options.messages else int(options.entries)
    for frame in iterate_frames(files, options.start):
        described = describe_frame(frame, depth)
        if options.json:
            print(json.dumps(described))
        else:
            print("\n".join(_lines(described)))
    return 0


def _refuse_beyond_end(files: FileSystem, start: LogPosition) -> None:
    """Complain where there is nothing to print now, nor when the next frame is appended."""
    from quorate.archive.inspect import log_end

    end = log_end(files)
    if start > end:
        text = f"--from {start} is beyond the end of this log, which is at {end}"
        raise ConfigurationError([text])


def describe_frame(frame: LogFrame, depth: int) -> dict[str, object]:
    """Return what a frame says.

    Args:
        frame: Whole and checked.
        depth: 0 the header; 1 the entries as well; 2 the clients' messages as well.

    """
    described: dict[str, object] = {
        "position": frame.position,
        "end": frame.end,
        "term": frame.leadership_term_id,
        "time": _time(frame.timestamp),
        "type": frame.frame_type.name.lower(),
        "chain": f"{frame.chain:08x}",
        "entry_count": frame.entry_count,
    }
    if depth and frame.frame_type is FrameType.ENTRIES:
        described["entries"] = list(_entries(frame, with_messages=depth > 1))
    return described


def _time(timestamp_ns: int) -> str:
    if not timestamp_ns:
        return "-"
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06}Z"


def _entries(frame: LogFrame, *, with_messages: bool) -> Iterator[dict[str, object]]:
    from quorate.protocol.batch import decode_ingress_batch
    from quorate.protocol.log_codec import EntryType, decode_entries

    for entry in decode_entries(frame):
        is_new = entry.entry_type is EntryType.SESSION_OPEN and not entry.cluster_session_id
        described: dict[str, object] = {
            "position": entry.position,
            "type": entry.entry_type.name.lower(),
            # The id of a new session is the position of its open.
            "session": entry.position if is_new else entry.cluster_session_id,
            "first_sequence": entry.first_sequence,
            "message_count": entry.message_count,
            "bytes": len(entry.body),
        }
        if with_messages and entry.entry_type is EntryType.SESSION_INGRESS:
            try:
                messages = decode_ingress_batch(entry.body, entry.message_count)
                described["messages"] = [message.decode("utf-8", "replace") for message in messages]
            except ProtocolError as error:
                described["not_a_batch"] = str(error)
        yield described


def _lines(described: dict[str, object]) -> Iterator[str]:
    """Yield a line for the frame, one for each entry and one for each message."""
    entries = described.get("entries", [])
    yield (
        f"{described['position']:>14}  term {described['term']:<5} {described['time']:27}  "
        f"{described['type']:20} entries {described['entry_count']:<5} chain {described['chain']}"
    )
    assert isinstance(entries, list), "made by describe_frame"
    for entry in entries:
        yield (
            f"{entry['position']:>18}  {entry['type']:20} session {entry['session']} "
            f"from {entry['first_sequence']} messages {entry['message_count']} "
            f"bytes {entry['bytes']}"
        )
        for number, message in enumerate(entry.get("messages", [])):
            yield f"{'':20}{entry['first_sequence'] + number}: {message!r}"
