"""The chart is installed, tested and upgraded with helm."""

import pytest

from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.installation import DEFINITION, Installation


def test_chart_installs_and_its_test_passes(installation: Installation) -> None:
    said = installation.helm("test", "--logs")
    assert "Succeeded" in said
    assert "is served" in said, "the log of the test is shown"
    assert installation.kubectl.find("crd", DEFINITION) is not None
    before = {pod["metadata"]["uid"] for pod in installation.pods()}
    assert len(before) == 2

    installation.ensure()

    assert {pod["metadata"]["uid"] for pod in installation.pods()} == before
    assert installation.leader()["metadata"]["uid"] in before


def test_misspelt_value_is_refused(installation: Installation) -> None:
    with pytest.raises(BedFailure, match="replica"):
        installation.ensure(replica=1)

    assert installation.is_as_wanted()
