from dataclasses import replace

from quorate.bench.lagging import lag_bytes
from quorate.consensus.types import LogPosition, Seat
from quorate.control.status import FollowerRow
from quorate_wire.configuration import STATUS


def test_a_follower_without_a_link_is_behind_by_any_length() -> None:
    row = FollowerRow(1, connected=True, append_position=640, last_contact_ms=1)
    status = replace(STATUS, written_position=LogPosition(1_000), members=(row,))
    assert lag_bytes(status, Seat(1)) == 360
    assert lag_bytes(status, Seat(2)) == float("inf")
    gone = replace(status, members=(replace(row, connected=False),))
    assert lag_bytes(gone, Seat(1)) == float("inf")
