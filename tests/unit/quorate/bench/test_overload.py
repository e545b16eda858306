import asyncio
from typing import cast

import pytest

from quorate.bench.overload import check_end, p99_of, quotients
from quorate.bench.rig import LoadFailed, LoadProcess


class Ended:
    """A load that says this at its end."""

    def __init__(self, **result: object) -> None:
        self._result = {"resumptions": 0, "wrong": [], **result}

    async def result(self) -> dict[str, object]:
        return self._result


def check(ended: Ended) -> None:
    asyncio.run(check_end(cast("LoadProcess", ended)))


def test_sessions_that_were_disturbed_are_no_measurement() -> None:
    check(Ended())
    with pytest.raises(LoadFailed, match="disturbed"):
        check(Ended(resumptions=1))
    with pytest.raises(LoadFailed, match="disturbed"):
        check(Ended(wrong=[(2, 3)]))


def test_a_slice_with_too_few_answers_has_no_p99() -> None:
    assert p99_of([{"latency": {"p50": 1.0, "p99": 2.0}}]) == (2.0,)
    with pytest.raises(LoadFailed, match="too few"):
        p99_of([{"latency": {"p50": 1.0}}])


def test_quotients_are_of_pairs() -> None:
    assert quotients([2, 9], [4, 3]) == (0.5, 3)
