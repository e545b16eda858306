"""Settings: every mistake at once, arguments over environment, no option without a test."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import ConfigurationError
from quorate_operator.config import VARIABLES, OperatorConfig, load

GOOD = {
    "namespace": "quorate",
    "pod_name": "operator-1",
    "lease_name": "release-operator",
    "installation": "mine",
    "cluster_domain": "example.org",
    "kubeconfig": "/tmp/kubeconfig",
    "host": "127.0.0.1",
    "port": "0",
    "resync_s": "30",
    "at_once_max": "8",
    "log_level": "debug",
}
GOOD_ENVIRONMENT = {VARIABLES[name]: text for name, text in GOOD.items()}
BAD = {
    "namespace": "Not A Label",
    "pod_name": "",
    "lease_name": "-x",
    "installation": "x" * 300,
    "cluster_domain": "cluster.local.",
    "port": "65536",
    "resync_s": "0",
    "at_once_max": "65",
    "log_level": "loud",
}


def test_every_setting_can_be_given_both_ways() -> None:
    assert set(VARIABLES) == {field.name for field in fields(OperatorConfig)} == set(GOOD)
    environment = {VARIABLES[name]: text for name, text in GOOD.items()}
    arguments = [f"--{name.replace('_', '-')}={text}" for name, text in GOOD.items()]
    from_environment, from_arguments = load([], environment), load(arguments, {})
    assert from_environment == from_arguments
    for name, text in GOOD.items():
        value = getattr(from_environment, name)
        assert value == type(value)(text), name


def test_arguments_win_over_the_environment() -> None:
    assert load(["--namespace", "b"], {"POD_NAMESPACE": "a"}).namespace == "b"


@given(st.sets(st.sampled_from(sorted(BAD)), min_size=1))
def test_all_mistakes_are_told_together(wrong: set[str]) -> None:
    given_words = GOOD | {name: BAD[name] for name in wrong}
    environment = {VARIABLES[name]: text for name, text in given_words.items()}
    try:
        config = load([], environment)
    except ConfigurationError as error:
        told = {
            name
            for name in BAD
            if any(p.startswith(f"{VARIABLES[name]} is") for p in error.problems)
        }
        assert told == wrong - {"pod_name"}
    else:
        assert wrong == {"pod_name"}, "an empty variable is one that is not set"
        assert config.pod_name == "local"


@pytest.mark.parametrize("name", ["port", "resync_s", "at_once_max"])
def test_what_is_no_number_is_told_beside_the_rest(name: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        load([], {VARIABLES[name]: "many"})
    assert any(f"{VARIABLES[name]} is 'many'" in problem for problem in found.value.problems)
    assert any("POD_NAMESPACE" in problem for problem in found.value.problems)


def test_an_installation_that_is_not_named_is_named_after_its_lease() -> None:
    assert OperatorConfig("ns", lease_name="a").stamp == "ns/a"
    assert OperatorConfig("ns", installation="x").stamp == "x"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("port", ["0", "65535"], ["-1", "65536"]),
        ("resync_s", ["5", "3600"], ["4.9", "3601", "nan", "inf", "-60"]),
        ("at_once_max", ["1", "64"], ["0", "-1", "65"]),
    ],
)
def test_numbers_are_taken_up_to_their_bounds(name: str, good: list[str], bad: list[str]) -> None:
    """With no place for a pass, nothing would ever be looked at, and the process were well."""
    for text in good:
        load([], GOOD_ENVIRONMENT | {VARIABLES[name]: text})
    for text in bad:
        with pytest.raises(ConfigurationError, match=VARIABLES[name]):
            load([], GOOD_ENVIRONMENT | {VARIABLES[name]: text})
