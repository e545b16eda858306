"""The pod fits the member that runs in it, and those who look for it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path, PurePosixPath
from typing import Any, cast

import aiohttp
import pytest
import yaml

from quorate.cli.configuration import resolve
from quorate.config import NodeConfig
from quorate.control.metrics import Metrics
from quorate.control.port import Health
from quorate.control.server import ControlServer
from quorate_cluster_services.examples import CODE, FULL, SMALL, intent
from quorate_operator import labels
from quorate_operator.kube import read
from quorate_operator.resources import (
    Intent,
    auth_secret,
    children,
    input_hash,
    placement_hash,
)
from quorate_runtime.control import FakePort

ROOT = Path(__file__).resolve().parents[4]
Json = dict[str, Any]
SPECS = pytest.mark.parametrize("spec", [SMALL, FULL], ids=["small", "full"])
STALL_S = 30
"""A member that answers nothing for so long is not killed: its disk or node may come back."""


class World:
    """The objects of one cluster, and its pod as its controller and the kubelet make it."""

    def __init__(self, spec: Json) -> None:
        self.intent: Intent = intent(spec)
        made = children(self.intent, pod_monitors_served=True)
        self.bodies = [cast("Json", body) for body in (*made, auth_secret(self.intent, b"x" * 64))]
        (self.stateful_set,) = self.of_kind("StatefulSet")
        self.template: Json = self.stateful_set["spec"]["template"]
        self.pod: Json = self.template["spec"]
        (self.container,) = self.pod["containers"]
        self.ports = {row["name"]: row["containerPort"] for row in self.container["ports"]}

    def of_kind(self, kind: str) -> list[Json]:
        return [body for body in self.bodies if body["kind"] == kind]

    def named(self, kind: str, name: str) -> Json:
        (found,) = (body for body in self.of_kind(kind) if body["metadata"]["name"] == name)
        return found

    def mounted(self, path: str) -> tuple[Json, Json, str]:
        """Return the mount at or above a path, its volume, and what is left of the path."""
        wanted = PurePosixPath(path)
        above = [
            row for row in self.container["volumeMounts"] if wanted.is_relative_to(row["mountPath"])
        ]
        mount = max(above, key=lambda row: len(row["mountPath"]))
        claims = self.stateful_set["spec"]["volumeClaimTemplates"]
        volumes = [*self.pod["volumes"], *({"name": row["metadata"]["name"]} for row in claims)]
        (volume,) = (row for row in volumes if row["name"] == mount["name"])
        return mount, volume, str(wanted.relative_to(mount["mountPath"]))

    def files(self, volume: Json) -> dict[str, str]:
        """Return what the kubelet writes into a volume."""
        if "secret" in volume:
            data = self.named("Secret", volume["secret"]["secretName"])["data"]
            return {row["path"]: data[row["key"]] for row in volume["secret"]["items"]}
        return cast("dict[str, str]", self.named("ConfigMap", volume["configMap"]["name"])["data"])

    def config(self, folder: Path, seat: int = 0) -> NodeConfig:
        """Return the configuration as the command in the pod reads it."""
        command = self.container["command"]
        _, volume, name = self.mounted(command[command.index("--config") + 1])
        (folder / name).write_text(self.files(volume)[name])
        environment = {
            row["name"]: row["value"] if "value" in row else self.downward(row, seat)
            for row in self.container["env"]
        }
        return resolve(folder / name, environment, [])

    def downward(self, row: Json, seat: int) -> str:
        marks = self.template["metadata"]["labels"] | {labels.SEAT_LABEL: str(seat)}
        found = re.fullmatch(
            r"metadata\.labels\['(.*)'\]", row["valueFrom"]["fieldRef"]["fieldPath"]
        )
        assert found is not None, row
        return cast("str", marks[found[1]])


@SPECS
def test_every_file_that_a_member_is_told_of_is_mounted(tmp_path: Path, spec: Json) -> None:
    world = World(spec)
    config = world.config(tmp_path)
    told = (config.transport.secret_file, config.control.token_file)
    contents = []
    for path in told:
        mount, volume, name = world.mounted(path)
        contents.append(world.files(volume)[name])
        assert mount["readOnly"] is True
        # Nobody but the group of the process reads it, and it does.
        assert volume["secret"]["defaultMode"] == 0o440
    secret = world.named("Secret", "orders-auth")["data"]
    assert contents == [secret[labels.MEMBER_SECRET_KEY], secret[labels.TOKEN_KEY]]


@SPECS
def test_the_log_is_in_a_folder_of_the_claimed_volume(tmp_path: Path, spec: Json) -> None:
    world = World(spec)
    mount, volume, folder = world.mounted(world.config(tmp_path).member.data_dir)
    assert volume == {"name": labels.CLAIM_TEMPLATE}
    assert "readOnly" not in mount
    assert folder != ".", "a file system keeps lost+found in its root"


@SPECS
def test_the_process_is_the_images_user_and_may_write_its_volumes(spec: Json) -> None:
    world = World(spec)
    context = world.pod["securityContext"]
    (user,) = re.findall(r"^USER (\d+:\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["fsGroup"] == context["runAsGroup"]
    # A volume of many gigabytes is not walked through at each start.
    assert context["fsGroupChangePolicy"] == "OnRootMismatch"
    _, temporary, _ = world.mounted("/tmp/x")
    assert "emptyDir" in temporary, "the root file system is read-only"


@SPECS
def test_members_have_different_seats_and_say_what_they_were_made_from(
    tmp_path: Path, spec: Json
) -> None:
    world = World(spec)
    wanted = world.intent.spec
    made = {"metadata": world.template["metadata"], "spec": world.pod}
    for seat in range(wanted.replicas):
        config = world.config(tmp_path, seat)
        assert config.own_seat.seat == seat
        pod = read.pod(made, seat)
        assert pod.input_hash == config.member.input_hash == input_hash(wanted, world.intent.code)
        assert pod.placement_hash == placement_hash(wanted)
        assert pod.image == wanted.image
        named = {body["metadata"]["name"] for body in world.of_kind("ConfigMap")}
        assert pod.config_maps == named


def test_code_in_a_config_map_is_on_the_path_of_python(tmp_path: Path) -> None:
    world = World(FULL)
    (path,) = (row["value"] for row in world.container["env"] if row["name"] == "PYTHONPATH")
    _, volume, rest = world.mounted(path)
    assert (world.files(volume), rest) == (CODE, ".")
    module = world.config(tmp_path).member.service.partition(":")[0]
    assert f"{module}.py" in world.files(volume)
    assert "PYTHONPATH" not in {row["name"] for row in World(SMALL).container["env"]}, "the image's"


@SPECS
def test_ports_are_those_that_a_member_listens_at(tmp_path: Path, spec: Json) -> None:
    world = World(spec)
    config = world.config(tmp_path)
    listens = {
        labels.CLIENT_PORT_NAME: config.client_listen,
        labels.MEMBER_PORT_NAME: config.member_listen,
        labels.CONTROL_PORT_NAME: config.control_listen,
    }
    assert {name: (None, port) for name, port in world.ports.items()} == listens
    services = world.of_kind("Service")
    assert len(services) == 3
    for body in services:
        for row in body["spec"]["ports"]:
            assert row["port"] == world.ports[row["targetPort"]]
        assert labels.CLIENT_PORT_NAME in {row["name"] for row in body["spec"]["ports"]}
    exposed = re.findall(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {int(word) for word in exposed[0].split()} == set(world.ports.values())


@SPECS
def test_the_names_that_members_dial_are_those_of_the_pods(tmp_path: Path, spec: Json) -> None:
    world = World(spec)
    service = world.named("Service", world.stateful_set["spec"]["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True, "they are ready only together"
    pods, domain = world.stateful_set["metadata"]["name"], "shop.svc.cluster.local."
    hosts = [row.host for row in world.config(tmp_path).member.seats]
    assert hosts == [
        f"{pods}-{seat}.{service['metadata']['name']}.{domain}" for seat in range(len(hosts))
    ]
    assert len(hosts) == world.stateful_set["spec"]["replicas"]


@SPECS
def test_whoever_selects_pods_selects_those_of_this_cluster_and_of_no_other(spec: Json) -> None:
    world = World(spec)
    marks = world.template["metadata"]["labels"]
    other = World(spec | {"image": "other"}).template["metadata"]["labels"]
    other |= {key: "others" for key, value in marks.items() if value == "orders"}
    (budget,) = world.of_kind("PodDisruptionBudget")
    (monitor,) = world.of_kind("PodMonitor")
    (spread,) = world.pod["topologySpreadConstraints"]
    selectors = [body["spec"]["selector"] for body in world.of_kind("Service")]
    selectors += [
        body["matchLabels"]
        for body in (
            budget["spec"]["selector"],
            monitor["spec"]["selector"],
            spread["labelSelector"],
            world.stateful_set["spec"]["selector"],
        )
    ]
    leads = {labels.ROLE_LABEL: labels.ROLE_LEADER}
    for selector in selectors:
        assert selector.items() <= (marks | leads).items()
        assert not selector.items() <= (other | leads).items()
    follower = [selector.items() <= marks.items() for selector in selectors]
    assert follower.count(False) == 1, "the Service of the leader alone"


@SPECS
def test_prometheus_finds_the_metrics_under_the_label_that_dashboards_go_by(spec: Json) -> None:
    world = World(spec)
    (monitor,) = world.of_kind("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    annotations = world.template["metadata"]["annotations"]
    port = world.ports[endpoint["port"]]
    assert asyncio.run(answers([endpoint["path"]], FakePort())) == [200]
    assert {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": endpoint["path"],
    }.items() <= annotations.items()
    assert port == world.ports[labels.CONTROL_PORT_NAME]
    (relabeling,) = endpoint["relabelings"]
    assert relabeling["targetLabel"] == "cluster"
    discovered = {
        f"__meta_kubernetes_pod_label_{re.sub(r'[^a-zA-Z0-9_]', '_', key)}": value
        for key, value in world.template["metadata"]["labels"].items()
    }
    assert [discovered[label] for label in relabeling["sourceLabels"]] == ["orders"]


class Behind(FakePort):
    """A member that runs and does not follow its leader closely."""

    def ready(self) -> Health:
        return Health(ok=False, reason="behind")


async def answers(paths: list[str], port: FakePort) -> list[int]:
    """Return the codes of a member's answers."""
    served = ControlServer(port, Metrics(), token=lambda: None)
    number = await served.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as http:
            found = []
            for path in paths:
                async with http.get(f"http://127.0.0.1:{number}{path}") as response:
                    found.append(response.status)
            return found
    finally:
        await served.close()


@SPECS
def test_a_member_that_is_behind_gets_no_clients_and_is_not_killed(spec: Json) -> None:
    world = World(spec)
    probes = [world.container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
    paths = [probe["httpGet"]["path"] for probe in probes]
    assert asyncio.run(answers(paths, FakePort())) == [200, 200, 200]
    assert asyncio.run(answers(paths, Behind())) == [200, 200, 503]
    for probe in probes:
        assert probe["httpGet"]["port"] == labels.CONTROL_PORT_NAME
        assert probe["timeoutSeconds"] >= 2, "one second is the default, and short for a busy node"
    for probe in probes[:2]:
        assert probe["periodSeconds"] * probe["failureThreshold"] >= STALL_S
    start, _, ready = probes
    # The port is served when the directory has been read: gigabytes, on a disk that is slow.
    assert start["periodSeconds"] * start["failureThreshold"] >= 1800
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 10, "clients would wait"


@SPECS
def test_a_member_can_do_nothing_in_kubernetes(spec: Json) -> None:
    world = World(spec)
    account = world.named("ServiceAccount", world.pod["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert world.pod["automountServiceAccountToken"] is False
    # Else every Service of the namespace is in its environment, QUORATE_... of some among them.
    assert world.pod["enableServiceLinks"] is False


@SPECS
def test_what_the_user_says_of_placement_and_resources_arrives(spec: Json) -> None:
    world = World(spec)
    wanted = world.intent.spec
    scheduling = wanted.scheduling
    assert world.pod.get("nodeSelector", {}) == scheduling.node_selector
    assert tuple(world.pod.get("tolerations", ())) == scheduling.tolerations
    assert world.pod.get("priorityClassName") == scheduling.priority_class_name
    (spread,) = world.pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert world.container["resources"] == {
        "requests": wanted.resources.requests,
        "limits": wanted.resources.limits,
    }
    (claim,) = world.stateful_set["spec"]["volumeClaimTemplates"]
    assert claim["spec"].get("storageClassName") == wanted.storage.class_name
    assert claim["spec"]["resources"]["requests"]["storage"] == wanted.storage.size
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize("replicas", [1, 3, 5, 7, 9])
def test_one_member_at_a_time_may_be_evicted(replicas: int) -> None:
    (budget,) = World(SMALL | {"replicas": replicas}).of_kind("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in budget["spec"]
    # A member that is broken may be the one that the majority needs next.
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "IfHealthyBudget"


@SPECS
def test_the_operator_alone_decides_when_a_pod_goes(spec: Json) -> None:
    wanted = World(spec).stateful_set["spec"]
    assert wanted["updateStrategy"] == {"type": "OnDelete"}
    assert wanted["podManagementPolicy"] == "Parallel", "the first is ready only with the others"


@SPECS
def test_an_owner_needs_no_right_to_its_finalizers(spec: Json) -> None:
    definition = yaml.safe_load((ROOT / "crds/quorate.io_clusterservices.yaml").read_text())["spec"]
    version = f"{definition['group']}/{definition['versions'][0]['name']}"
    for body in World(spec).bodies:
        (reference,) = body["metadata"]["ownerReferences"]
        assert set(reference) == {"apiVersion", "kind", "name", "uid", "controller"}
        assert (reference["apiVersion"], reference["kind"]) == (
            version,
            definition["names"]["kind"],
        )
