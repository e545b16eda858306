"""The operator is upgraded to one that makes other pods: no pod restarts, the next one is new."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.images import SITE_PACKAGES
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.layout import ROOT
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000
NEXT_IMAGE = "localhost/quorate:e2e-next"
TEMPLATE = "quorate_operator/resources/pod_template.py"
OLD, NEW = '"prometheus.io/scrape": "true",', '"prometheus.io/scrape": "true", "next": "yes",'


def test_upgrade_restarts_no_member(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = service.uids()
    upgraded = Installation(cluster.tools, _next_image(cluster))

    upgraded.ensure()

    wait_until(
        "the template is the new one",
        lambda: (
            "next" in _annotations(kubectl.get("statefulset", service.name)["spec"]["template"])
        ),
        90,
    )
    service.wait_settled()
    load.answered(MESSAGES)
    assert service.uids() == before

    victim = service.follower(service.leader())
    kubectl.delete("pod", victim)

    kubectl.wait_ready(victim, not_uid=before[victim])
    service.wait_settled()
    pods = service.bodies()
    assert [name for name, pod in pods.items() if "next" in _annotations(pod)] == [victim]
    assert len(set(service.input_hashes().values())) == 1
    load.answered(MESSAGES)
    load.finish()
    service.settled()
    installation.ensure()


def _next_image(cluster: Cluster) -> str:
    source = (ROOT / "operator" / TEMPLATE).read_text()
    assert source.count(OLD) == 1
    files = {f"{SITE_PACKAGES}/{TEMPLATE}": source.replace(OLD, NEW)}
    return cluster.image_with(NEXT_IMAGE, files)


def _annotations(body: Object) -> Object:
    found: Object = body["metadata"].get("annotations", {})
    return found
