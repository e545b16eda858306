"""The whole operator as a process against a real API server without controllers or nodes."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate_api_server.bed import NAMESPACE, USER, Bed, cluster_service
from quorate_api_server.operator_process import OperatorProcess, operator_process, until
from quorate_operator import lenient
from quorate_operator.kube import kinds
from quorate_operator.kube.kinds import Kind
from quorate_operator.lease import DURATION_S, LeaseExit
from quorate_operator.planning.observed import Body

RESYNC_S = 5
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def find(bed: Bed, kind: Kind, namespace: str, name: str) -> Body | None:
    async def look() -> Body | None:
        async with bed.admin() as admin:
            return await admin.find(kind, namespace, name)

    return asyncio.run(look())


def make(bed: Bed, namespace: str, name: str = "bank") -> None:
    async def create() -> None:
        async with bed.admin() as admin:
            body = cluster_service(name, namespace)
            await admin.create(kinds.CLUSTER_SERVICE, namespace, body, "t")

    asyncio.run(create())


def writes(bed: Bed, since: int) -> list[str]:
    """Return what the operator has written after so many lines of the log, leases aside."""
    lines = bed.server.audit_log.read_text().splitlines()[since:]
    entries = [json.loads(line) for line in lines]
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in entries
        if entry["user"]["username"] == USER
        and entry["verb"] in WRITES
        and entry["objectRef"]["resource"] != "leases"
    ]


def lines_so_far(bed: Bed) -> int:
    return len(bed.server.audit_log.read_text().splitlines())


def has_children(bed: Bed, namespace: str) -> bool:
    found = find(bed, kinds.CLUSTER_SERVICE, namespace, "bank") or {}
    status = lenient.mapping(found.get("status"))
    return bool(status.get("clusterId") and status.get("conditions")) and bool(
        find(bed, kinds.STATEFUL_SET, namespace, "bank")
    )


@pytest.fixture
def operator(bed: Bed, tmp_path: Path) -> Iterator[OperatorProcess]:
    log = tmp_path / "operator.log"
    with operator_process(
        bed.operator_kubeconfig, log, namespace=NAMESPACE, resync_s=RESYNC_S
    ) as process:
        yield process
        print(log.read_text()[-5000:])


def test_children_are_made_and_then_nothing_is_written(
    bed: Bed, namespace: str, operator: OperatorProcess
) -> None:
    """Four resyncs long: nothing has changed, so nothing is written."""
    make(bed, namespace)
    until(lambda: has_children(bed, namespace), "identity, StatefulSet and status")
    for kind in (kinds.SERVICE, kinds.SERVICE_ACCOUNT, kinds.DISRUPTION_BUDGET):
        assert find(bed, kind, namespace, "bank") is not None, kind
    assert find(bed, kinds.SECRET, namespace, "bank-auth") is not None
    time.sleep(2.0)  # the last steps of the creation
    before, began = lines_so_far(bed), operator.page("/metrics")
    time.sleep(4 * RESYNC_S)
    assert writes(bed, before) == []
    assert passes(operator.page("/metrics")) >= passes(began) + 3, "it was looking all the time"


def passes(page: str) -> float:
    lines = (line for line in page.splitlines() if line.startswith("quorate_operator_reconcile_t"))
    return sum(float(line.split()[-1]) for line in lines)


def test_a_cluster_none_of_whose_pods_runs_is_told_of_until_it_is_gone(
    bed: Bed, namespace: str, operator: OperatorProcess
) -> None:
    """Nothing else tells of it: without pods no member is scraped."""
    make(bed, namespace)
    place = f'cluster="bank",cluster_namespace="{namespace}"'
    series = f'quorate_operator_condition{{{place},condition="Ready",reason="NotFounded"}} 0.0'
    until(lambda: series in operator.page("/metrics"), "it is served as not ready")

    async def remove() -> None:
        async with bed.admin() as admin:
            found = await admin.get(kinds.CLUSTER_SERVICE, namespace, "bank")
            uid = lenient.text(lenient.metadata(found).get("uid"))
            await admin.delete(kinds.CLUSTER_SERVICE, namespace, "bank", uid)

    asyncio.run(remove())
    until(lambda: place not in operator.page("/metrics"), "it is served no more")


def test_what_is_changed_by_others_is_put_back(
    bed: Bed, namespace: str, operator: OperatorProcess
) -> None:
    make(bed, namespace)
    until(lambda: has_children(bed, namespace), "the first children")

    async def spoil() -> None:
        async with bed.admin() as admin:
            patch = {"spec": {"selector": {"quorate.io/cluster": "another"}}}
            await admin.merge(kinds.SERVICE, namespace, "bank", patch, "somebody")
            budget = await admin.get(kinds.DISRUPTION_BUDGET, namespace, "bank")
            uid = lenient.text(lenient.metadata(budget).get("uid"))
            await admin.delete(kinds.DISRUPTION_BUDGET, namespace, "bank", uid)

    asyncio.run(spoil())
    until(lambda: bool(find(bed, kinds.DISRUPTION_BUDGET, namespace, "bank")), "a new budget")

    def selector() -> object:
        body = find(bed, kinds.SERVICE, namespace, "bank") or {}
        return lenient.mapping(lenient.mapping(body.get("spec")).get("selector"))[
            "quorate.io/cluster"
        ]

    until(lambda: selector() == "bank", "the selector of before")


def test_a_namespace_that_ends_gets_no_write(
    bed: Bed, namespace: str, operator: OperatorProcess
) -> None:
    make(bed, namespace)
    until(lambda: has_children(bed, namespace), "the first children")

    async def end() -> None:
        async with bed.admin() as admin:
            body = await admin.get(kinds.NAMESPACE, None, namespace)
            uid = lenient.text(lenient.metadata(body).get("uid"))
            path = kinds.NAMESPACE.path(None, namespace)
            options: Body = {"preconditions": {"uid": uid}}
            await admin.request("delete", kinds.NAMESPACE, path, body=options)
            for kind in (kinds.SERVICE, kinds.STATEFUL_SET):
                child = await admin.get(kind, namespace, "bank")
                uid = lenient.text(lenient.metadata(child).get("uid"))
                await admin.delete(kind, namespace, "bank", uid)

    asyncio.run(end())
    time.sleep(1.0)
    before = lines_so_far(bed)
    time.sleep(2 * RESYNC_S)
    assert writes(bed, before) == []


def test_asked_to_end_it_gives_the_lease_up(bed: Bed, operator: OperatorProcess) -> None:
    until(operator.is_leader, "it holds the lease")
    assert operator.end(signal.SIGTERM) == 0
    body = find(bed, kinds.LEASE, NAMESPACE, "quorate-operator") or {}
    assert lenient.mapping(body.get("spec"))["holderIdentity"] == ""


def test_another_waits_ready_and_takes_over_when_the_first_is_killed(
    bed: Bed, operator: OperatorProcess, tmp_path: Path
) -> None:
    until(operator.is_leader, "the first holds the lease")
    with operator_process(
        bed.operator_kubeconfig, tmp_path / "second.log", namespace=NAMESPACE
    ) as second:
        until(lambda: second.page("/readyz") == "ready\n", "the second is ready")
        assert not second.is_leader()
        operator.end(signal.SIGKILL)
        until(second.is_leader, "the second holds the lease", DURATION_S + 15)
        assert second.end() == 0


def test_a_holder_that_cannot_reach_the_server_ends_and_a_waiting_process_does_not(
    bed: Bed, operator: OperatorProcess, tmp_path: Path
) -> None:
    until(operator.is_leader, "the first holds the lease")
    with operator_process(
        bed.operator_kubeconfig, tmp_path / "second.log", namespace=NAMESPACE
    ) as second:
        until(lambda: second.page("/readyz") == "ready\n", "the second is ready")
        bed.server.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: operator.process.poll() is not None, "the holder has ended")
            assert operator.process.returncode == LeaseExit.LOST
            assert second.page("/livez") == "the loop turns\n"
            assert second.page("/readyz") == "ready\n"
        finally:
            bed.server.process.send_signal(signal.SIGCONT)
        until(second.is_leader, "the second holds the lease", DURATION_S + 30)


def test_a_process_that_was_stopped_does_not_act_when_it_goes_on(
    bed: Bed, operator: OperatorProcess, tmp_path: Path
) -> None:
    until(operator.is_leader, "the first holds the lease")
    operator.process.send_signal(signal.SIGSTOP)
    with operator_process(
        bed.operator_kubeconfig, tmp_path / "second.log", namespace=NAMESPACE
    ) as second:
        until(second.is_leader, "the second holds the lease", DURATION_S + 15)
        operator.process.send_signal(signal.SIGCONT)
        until(lambda: operator.process.poll() is not None, "the first has ended")
        assert operator.process.returncode == LeaseExit.LOST
        assert second.is_leader()
