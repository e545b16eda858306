"""Makes a volume for each claim: a directory on the disk of the node that the scheduler chose.

Runs beside the control plane, where the disks of all nodes are directories; so it needs no pods
of its own and a volume is there in milliseconds. Sizes are not enforced.

It lists again and again: two small lists each turn cost less than the care for lost watches.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
from typing import Any

import aiohttp

from quorate_kubernetes.layout import API_PORT, HOST, NODE_DISKS, PKI, node_disk
from quorate_kubernetes.machine import MOUNT_POINTS

NAME = "quorate.io/e2e-local"
TURN_S = 0.2
TIMEOUT = aiohttp.ClientTimeout(total=10)
_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"

Object = dict[str, Any]


async def provision() -> None:
    """Serve claims until the process is ended; an API server that is away is waited for."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "provisioner.crt", PKI / "provisioner.key")
    connector = aiohttp.TCPConnector(ssl=context)
    base = f"https://{HOST}:{API_PORT}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=TIMEOUT) as session:
        while True:
            try:
                await _turn(session)
            except (aiohttp.ClientError, TimeoutError) as error:
                print(f"the API server does not answer: {error!r}", flush=True)
            await asyncio.sleep(TURN_S)


async def _turn(session: aiohttp.ClientSession) -> None:
    volumes = await _list(session, _VOLUMES)
    have = {volume["metadata"]["name"] for volume in volumes}
    for claim in await _list(session, _CLAIMS):
        if _is_ours_to_make(claim) and _volume_name(claim) not in have:
            await _make(session, claim)
    for volume in volumes:
        ours = volume["metadata"].get("annotations", {}).get(_PROVISIONED_BY) == NAME
        if ours and volume["status"].get("phase") == "Released" and _is_deleted_with_claim(volume):
            await _remove(session, volume["metadata"]["name"])


def _is_ours_to_make(claim: Object) -> bool:
    annotations = claim["metadata"].get("annotations", {})
    return (
        annotations.get(_PROVISIONER) == NAME
        and _SELECTED_NODE in annotations
        and "volumeName" not in claim["spec"]
    )


def _is_deleted_with_claim(volume: Object) -> bool:
    return bool(volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete")


def _volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


async def _make(session: aiohttp.ClientSession, claim: Object) -> None:
    name, node = _volume_name(claim), claim["metadata"]["annotations"][_SELECTED_NODE]
    directory = node_disk(node) / "volumes" / name
    directory.mkdir(exist_ok=True)
    # A new file system belongs to root; `fsGroup` of the pod is what opens it.
    async with session.post(_VOLUMES, json=_volume(claim, name, node)) as response:
        # 409: made in an earlier turn, whose list we have not seen yet.
        if response.status != 409:
            response.raise_for_status()
            print(f"made {name} on {node}", flush=True)


def _volume(claim: Object, name: str, node: str) -> Object:
    metadata, spec = claim["metadata"], claim["spec"]
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: NAME}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "local": {"path": f"{MOUNT_POINTS['volumes']}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


async def _remove(session: aiohttp.ClientSession, name: str) -> None:
    for directory in NODE_DISKS.glob(f"*/volumes/{name}"):
        shutil.rmtree(directory)
    async with session.delete(f"{_VOLUMES}/{name}") as response:
        if response.status != 404:
            response.raise_for_status()
            print(f"removed {name}", flush=True)


async def _list(session: aiohttp.ClientSession, path: str) -> list[Object]:
    async with session.get(path) as response:
        response.raise_for_status()
        items: list[Object] = (await response.json())["items"]
        return items


if __name__ == "__main__":
    asyncio.run(provision())
