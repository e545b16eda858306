"""Clients get no descriptor that the log may need."""

from __future__ import annotations

import resource

import pytest

from quorate.runtime.descriptors import CLIENTS_MIN, RESERVED, client_room

NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised_to", "room"),
    [
        (20_000, 20_000, None, 10_000),
        (NO_LIMIT, NO_LIMIT, None, 10_000),
        (1024, NO_LIMIT, 10_000 + RESERVED, 10_000),
        (1024, 524_288, 10_000 + RESERVED, 10_000),
        (1024, 4096, 4096, 4096 - RESERVED),
        (1024, 1024, 1024, 1024 - RESERVED),
        (256, 256, 256, CLIENTS_MIN),
    ],
)
def test_the_limit_is_raised_and_the_rest_kept_from_clients(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised_to: int | None, room: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert client_room(10_000) == room
    assert asked == ([] if raised_to is None else [(raised_to, hard)])


def test_no_more_than_configured_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: None)
    assert client_room(5) == 5
