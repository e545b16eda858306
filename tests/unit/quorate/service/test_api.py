from __future__ import annotations

import pytest

import quorate.service
from quorate.service import ClientSession, Cluster, ClusteredService, api


def test_authors_import_everything_from_the_package() -> None:
    assert quorate.service.__all__ == api.__all__
    for name in api.__all__:
        assert getattr(quorate.service, name) is getattr(api, name)


def test_every_callback_but_those_that_answer_does_nothing_by_default() -> None:
    service = ClusteredService()
    nothing: dict[str, int] = {
        "on_start": 2,
        "on_session_open": 2,
        "on_session_close": 3,
        "on_timer": 2,
        "on_take_snapshot": 1,
        "on_role_change": 1,
        "on_new_leadership_term": 1,
        "on_terminate": 0,
    }
    for name, arguments in nothing.items():
        assert getattr(service, name)(*[None] * arguments) is None
    for name, arguments in {"on_session_message": 3, "on_query": 2}.items():
        with pytest.raises(NotImplementedError):
            getattr(service, name)(*[None] * arguments)
    callbacks = {name for name in vars(ClusteredService) if name.startswith("on_")}
    assert callbacks == {*nothing, "on_session_message", "on_query"}


def test_what_an_author_is_given_is_not_made_by_the_author() -> None:
    for kind in (ClientSession, Cluster):
        with pytest.raises(TypeError):
            kind()  # type: ignore[abstract]
