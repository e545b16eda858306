from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import ClusterSettings
from quorate.examples import key_value
from quorate.examples.key_value import KEY_BYTES_MAX, KeyValue
from quorate.service import SnapshotOutput
from quorate.testing import ServiceHarness


def talk(*commands: bytes) -> list[bytes]:
    harness = ServiceHarness(KeyValue)
    answers = harness.open_session().send(*commands)
    harness.assert_deterministic()
    return answers


def test_what_is_put_is_got() -> None:
    assert talk(b"get k", b"put k a value", b"get k", b"count") == [
        b"none",
        b"ok",
        b"value a value",
        b"count 1",
    ]


def test_what_is_deleted_is_gone() -> None:
    assert talk(b"put k v", b"delete k", b"delete k", b"get k") == [b"ok", b"ok", b"none", b"none"]


def test_a_swap_changes_only_what_is_as_expected() -> None:
    assert talk(b"swap k a b", b"put k a", b"swap k x b", b"swap k a b c", b"get k") == [
        b"none",
        b"ok",
        b"found a",
        b"ok",
        b"value b c",
    ]


def test_what_could_be_put_can_be_shown() -> None:
    harness = ServiceHarness(KeyValue)
    client = harness.open_session()
    value = bytes(ClusterSettings().message_bytes_max - len(b"put k "))
    assert client.send(b"put k " + value, b"get k", b"swap k a b") == [
        b"ok",
        b"value " + value,
        b"found " + value,
    ]


def test_an_empty_value_is_a_value() -> None:
    assert talk(b"put k ", b"get k", b"count") == [b"ok", b"value ", b"count 1"]
    assert talk(b"put k ", b"swap k x y", b"swap k  y", b"get k") == [
        b"ok",
        b"found ",
        b"ok",
        b"value y",
    ]
    assert talk(b"put k v", b"swap k v ", b"delete k", b"delete k") == [
        b"ok",
        b"ok",
        b"ok",
        b"none",
    ]


def test_equal_stores_write_equal_snapshots_whatever_came_first() -> None:
    def records(*commands: bytes) -> list[bytes]:
        harness = ServiceHarness(KeyValue)
        harness.open_session().send(*commands)
        written: list[bytes] = []
        output = SimpleNamespace(write=written.append)
        harness.service.on_take_snapshot(cast("SnapshotOutput", output))
        return written

    assert records(b"put a 1", b"put b 2") == records(b"put b 1", b"put a 1", b"put b 2")


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"get",
        b"put k",
        b"count x",
        b"swap k a",
        b"get k x",
        b"delete k x",
        b"drop k",
        b"put  v",
    ],
)
def test_anything_else_is_answered_with_an_error(command: bytes) -> None:
    (answer,) = talk(command)
    assert answer.startswith(b"error: ")


def test_keys_are_bounded_in_length_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_value, "KEYS_MAX", 2)
    long = b"k" * KEY_BYTES_MAX
    answers = talk(b"put %bk v" % long, b"put %b v" % long, b"put b v", b"put c v", b"put b w")
    assert [answer[:5] for answer in answers] == [b"error", b"ok", b"ok", b"error", b"ok"]


WORDS = st.sampled_from([b"a", b"b", b"c", b"", b"x y"])
COMMANDS = st.tuples(st.sampled_from([b"put", b"get", b"delete", b"swap", b"count"]), WORDS, WORDS)


@given(st.lists(COMMANDS, max_size=30))
def test_the_store_agrees_with_a_dictionary(commands: list[tuple[bytes, bytes, bytes]]) -> None:
    harness = ServiceHarness(KeyValue)
    client = harness.open_session()
    model: dict[bytes, bytes] = {}
    for verb, key, value in commands:
        (answer,) = client.send(b" ".join((verb, key, value)))
        if verb == b"put" and key in (b"a", b"b", b"c"):
            model[key] = value
            assert answer == b"ok"
        elif verb in (b"delete", b"swap", b"put"):
            # ``x y`` as a key is key ``x`` with more words; the model only tracks what is ok.
            if verb == b"put" and answer == b"ok":
                model[b"x"] = b"y " + value
            elif verb == b"swap" and answer == b"ok":
                model[key.split(b" ")[0]] = b" ".join((verb, key, value)).split(b" ", 3)[3]
    harness.restart()
    for key in (b"a", b"b", b"c", b"x"):
        found = model.get(key)
        expected = b"none" if found is None else b"value " + found
        assert client.send(b"get " + key) == [expected]
    assert client.send(b"count") == [b"count %d" % len(model)]
    harness.assert_deterministic()
