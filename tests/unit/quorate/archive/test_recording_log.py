from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.archive.recording_log import RecordingLog
from quorate.consensus.types import LOG_START
from quorate_simulation.logs import LogBuilder


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(0, 12))
def test_the_table_says_what_the_frames_say(steps: list[int], kept: int) -> None:
    builder, log = LogBuilder(4096), RecordingLog()
    term, frames = 0, []
    for step in steps:
        term += step
        frames.extend(builder.frame(b"", term))
    for frame in frames:
        log.add(frame)
    end = frames[kept].position if kept < len(frames) else builder.end.position
    log.truncate(end)
    left = [frame for frame in frames if frame.position < end]
    terms = [frame.leadership_term_id for frame in left]
    assert [record.leadership_term_id for record in log.records] == sorted(set(terms))
    for record in log.records:
        first = left[terms.index(record.leadership_term_id)]
        assert (record.base, record.chain) == (first.position, first.previous_chain)
    for frame in left:
        assert log.term_before(frame.end) == frame.leadership_term_id
    assert log.term_before(LOG_START.position) == 0
