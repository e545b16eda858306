"""A claim was deleted by mistake: its volume is kept by the runbook's steps, and the member."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000
POLICY = '{"spec":{"persistentVolumeReclaimPolicy":"%s"}}'


def test_the_runbook_keeps_the_volume_of_a_claim_that_is_being_deleted(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    pod = service.follower(service.leader())
    name = f"log-{pod}"
    claim = kubectl.get("pvc", name)
    volume, uid = claim["spec"]["volumeName"], claim["metadata"]["uid"]
    kubectl.run("delete", "pvc", name, "--wait=false")
    message = service.wait_condition("Reconciled", status="False", reason="VolumeGoing")
    assert name in message

    kubectl.run("patch", "pv", volume, "-p", POLICY % "Retain")
    service.apply(paused=True)
    kubectl.run("delete", "statefulset", service.name, "--cascade=orphan")
    kubectl.run("delete", "pod", pod)
    wait_until(f"{name} is gone", lambda: kubectl.find("pvc", name) is None, 60)
    free = '[{"op":"remove","path":"/spec/claimRef"}]'
    kubectl.run("patch", "pv", volume, "--type=json", "-p", free)
    metadata = {key: claim["metadata"][key] for key in ("name", "labels", "annotations")}
    spec = {
        key: claim["spec"][key]
        for key in ("accessModes", "resources", "storageClassName", "volumeMode", "volumeName")
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": spec,
        }
    )
    service.apply(paused=False)

    service.wait_settled()
    kept = kubectl.get("pvc", name)
    assert kept["metadata"]["uid"] != uid
    assert kept["spec"]["volumeName"] == volume
    kubectl.run("patch", "pv", volume, "-p", POLICY % "Delete")
    load.answered(MESSAGES)
    load.finish()
    service.settled()
