"""Every body as it is written out, for a small cluster and for one with everything in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from quorate_cluster_services.examples import FULL, SMALL, intent
from quorate_operator.resources import Body, auth_secret, children

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = Path(__file__).parent / "golden"
SEEN = ROOT / "build" / "golden"
ENTROPY = bytes(range(64))


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, write_text)


def cases() -> dict[str, Body]:
    found = {}
    for size, body in (("small", SMALL), ("full", FULL)):
        wanted = intent(body)
        bodies = (*children(wanted, pod_monitors_served=True), auth_secret(wanted, ENTROPY))
        for child in bodies:
            metadata = child["metadata"]
            assert isinstance(metadata, dict)
            name = re.sub("-[0-9a-f]{16}$", "", metadata["name"])
            found[f"{size}-{child['kind']}-{name}".lower()] = child
    return found


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_a_body_is_as_written(name: str) -> None:
    text = yaml.dump(CASES[name], Dumper=Dumper, sort_keys=False, width=96)
    file = GOLDEN / f"{name}.yaml"
    if not file.is_file() or file.read_text() != text:
        SEEN.mkdir(parents=True, exist_ok=True)
        (SEEN / file.name).write_text(text)
    assert file.is_file(), f"{file.name} is new: look at build/golden/ and copy it to {GOLDEN}"
    assert text == file.read_text(), f"if that is meant, copy build/golden/{file.name} over it"


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(CASES)
