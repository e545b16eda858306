"""The manifests of the how-to page are what the schema lets in, and their code is code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate.service import ClusteredService
from quorate_cluster_services.examples import stored
from quorate_operator import labels
from quorate_operator.bodies import read_resource
from quorate_operator.resources import Intent, children

ROOT = Path(__file__).resolve().parents[4]
HOW_TO = ROOT / "docs" / "how-to"
MANIFESTS = sorted((HOW_TO / "manifests").glob("*.yaml"))
TUTORIAL = ROOT / "docs" / "tutorials" / "first-service.md"


def documents(manifest: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest.read_text()))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_makes_a_cluster(manifest: Path) -> None:
    *config_maps, body = documents(manifest)
    read = read_resource(body | {"spec": stored(body["spec"])})
    assert read.problems == ()
    assert read.spec is not None
    wanted = read.spec.service.code_config_map
    assert [found["metadata"]["name"] for found in config_maps] == ([wanted] if wanted else [])
    code = config_maps[0]["data"] if wanted else None
    intent = Intent(read.name, "default", "uid", read.spec, "ab" * 16, code, "here")
    assert children(intent, pod_monitors_served=True)


def test_the_page_names_every_manifest() -> None:
    named = re.findall(r"manifests/([\w-]+)\.yaml", (HOW_TO / "bring-your-service.md").read_text())
    assert set(named) == {manifest.stem for manifest in MANIFESTS}


def test_the_class_in_the_stock_image_is_there() -> None:
    (body,) = documents(HOW_TO / "manifests" / "stock-image.yaml")
    module, _, name = body["spec"]["service"]["class"].partition(":")
    assert issubclass(getattr(importlib.import_module(module), name), ClusteredService)


def test_the_code_in_the_config_map_is_that_of_the_tutorial() -> None:
    config_map, body = documents(HOW_TO / "manifests" / "code-in-a-config-map.yaml")
    assert (
        config_map["data"]["poll.py"]
        == TUTORIAL.read_text().split("```python\n")[1].split("```")[0]
    )
    assert config_map["metadata"]["labels"] == {labels.CLUSTER_LABEL: body["metadata"]["name"]}
