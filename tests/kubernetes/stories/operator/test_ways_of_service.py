"""Each way of giving the service, from the manifests of the documentation."""

from pathlib import Path

import pytest
import yaml

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import ROOT

MANIFESTS = ROOT / "docs" / "how-to" / "manifests"
OWN_IMAGE = "localhost/poll:1.0.0"


@pytest.mark.usefixtures("installation")
def test_class_of_the_stock_image(cluster: Cluster, kubectl: Kubectl) -> None:
    store = _applied(cluster, kubectl, MANIFESTS / "stock-image.yaml", cluster.image)

    assert _sent(kubectl, store, "put tea 3", "get tea") == ["ok", "value 3"]


@pytest.mark.usefixtures("installation")
def test_code_in_a_config_map(cluster: Cluster, kubectl: Kubectl) -> None:
    poll = _applied(cluster, kubectl, MANIFESTS / "code-in-a-config-map.yaml", cluster.image)

    assert _sent(kubectl, poll, "tea", "tea") == ["1 for tea", "2 for tea"]


def test_image_on_top_of_ours(
    cluster: Cluster, kubectl: Kubectl, installation: Installation
) -> None:
    source = _documents(MANIFESTS / "code-in-a-config-map.yaml")[0]["data"]["poll.py"]
    files = {"/etc/quorate/code/poll.py": _with_title(source)}
    image = cluster.image_with(OWN_IMAGE, files)
    poll = _applied(cluster, kubectl, MANIFESTS / "own-image.yaml", image)

    assert _sent(kubectl, poll, "tea", "coffee") == ["1 for tea", "1 for coffee"]
    assert installation.is_as_wanted()


def _with_title(source: str) -> str:
    return source.replace("def __init__(self):", 'def __init__(self, title=""):')


def _documents(manifest: Path) -> list[dict[str, dict[str, str]]]:
    return [found for found in yaml.safe_load_all(manifest.read_text()) if found]


def _applied(cluster: Cluster, kubectl: Kubectl, manifest: Path, image: str) -> ClusterService:
    """Apply a manifest as it is, but for the image's name, and wait until it runs."""
    text = manifest.read_text()
    for name in ("quorate:0.1.0", "registry.example/poll:1.0.0"):
        text = text.replace(f"image: {name}", f"image: {image}")
    kubectl.run("apply", "-f", "-", stdin=text)
    body = _documents(manifest)[-1]
    service = ClusterService(kubectl, cluster.image, name=body["metadata"]["name"])
    service.wait_settled()
    return service


def _sent(kubectl: Kubectl, service: ClusterService, *messages: str) -> list[str]:
    """Send messages with the image's own program, as users try it, and return the answers."""
    address = ("--address", f"{service.name}:9010")
    return kubectl.execute(service.pod(0), "quorate", "send", *address, *messages).splitlines()
