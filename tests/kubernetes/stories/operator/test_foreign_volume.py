"""A volume of somebody else under our names: nothing is made until it is gone."""

from quorate_kubernetes.cluster_service import CLUSTER_LABEL, ClusterService
from quorate_kubernetes.kubectl import Kubectl


def test_foreign_volume_is_not_used(kubectl: Kubectl, resource: ClusterService) -> None:
    claim = f"log-{resource.pod(0)}"
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "labels": {CLUSTER_LABEL: "other"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )
    resource.apply_code()
    resource.apply()

    message = resource.wait_condition("Reconciled", status="False", reason="ForeignVolume")

    assert claim in message
    assert "wait until it is deleted, delete or rename it" in message
    assert not resource.bodies()
    assert kubectl.find("statefulset", resource.name) is None

    kubectl.run("delete", "pvc", claim)

    resource.wait_settled()
