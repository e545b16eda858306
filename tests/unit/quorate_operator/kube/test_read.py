"""Bodies of pods and claims as facts; and whatever a body holds, reading never fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_operator import lenient
from quorate_operator.kube import read
from quorate_operator.planning import times

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "status",
                    "containerStatuses",
                    "state",
                    "lastState",
                    "terminated",
                    "waiting",
                    "running",
                    "conditions",
                    "labels",
                    "annotations",
                    "ownerReferences",
                    "containers",
                    "name",
                    "type",
                    "reason",
                    "finishedAt",
                    "exitCode",
                    "quorate.io/term",
                    "phase",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=40,
)
BODY = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind"]), JSON)


@given(BODY, st.integers(0, 8))
def test_any_body_can_be_read(body: dict[str, object], seat: int) -> None:
    assert read.pod(body, seat).seat == seat
    assert read.claim(body, seat).seat == seat
    read.child(body)


def pod_body(**status: Any) -> dict[str, object]:  # noqa: ANN401 - JSON
    return {
        "metadata": {
            "name": "bank-1",
            "uid": "p",
            "resourceVersion": "3",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"quorate.io/role": "leader", "quorate.io/cluster": "bank"},
            "annotations": {"quorate.io/term": "7", "quorate.io/input-hash": "h"},
            "ownerReferences": [
                {"kind": "Other", "uid": "o"},
                {"kind": "StatefulSet", "uid": "set", "controller": True},
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "x", "image": "no"}, {"name": "member", "image": "i"}],
            "volumes": [
                {"name": "o", "persistentVolumeClaim": {"claimName": "other"}},
                {"name": "log", "persistentVolumeClaim": {"claimName": "log-bank-1"}},
                {"name": "c", "configMap": {"name": "bank-config-1"}},
            ],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


WORDS = st.text() | st.integers().map(str) | st.integers(1, 6000).map(lambda count: "7" * count)
TIMES = WORDS | st.datetimes(timezones=st.none() | st.timezones()).map(
    lambda time: time.isoformat()
)


@given(WORDS, WORDS, TIMES)
def test_any_text_can_be_read_as_whatever_it_should_be(term: str, tail: str, time: str) -> None:
    body = {"metadata": {"annotations": {"quorate.io/term": term}, "creationTimestamp": time}}
    assert read.NO_TERM <= read.pod(body, 0).term < 10**19
    seat = read.seat_of(f"bank-{tail}", "bank")
    assert seat is None or str(seat) == tail
    found = read.seconds(time)
    assert times.read(time) == (0.0 if found is None else found)


@pytest.mark.parametrize("term", ["9" * 20, "9" * 5000, "-1", "x", ""])
def test_a_term_that_is_none_is_no_term(term: str) -> None:
    body = {"metadata": {"annotations": {"quorate.io/term": term}}}
    assert read.pod(body, 0).term == read.NO_TERM


def container(**state: Any) -> list[dict[str, object]]:  # noqa: ANN401 - JSON
    return [{"name": "sidecar", "state": {"running": {}}}, {"name": "member", **state}]


def test_a_pod_that_runs() -> None:
    pod = read.pod(
        pod_body(
            containerStatuses=container(
                state={"running": {"startedAt": "2026-01-01T00:00:05Z"}},
                lastState={"terminated": {"exitCode": 6, "finishedAt": "2026-01-01T00:00:04Z"}},
                restartCount=2,
            ),
            conditions=[{"type": "Ready", "status": "True"}],
        ),
        1,
    )
    assert (pod.running, pod.ready, pod.scheduled, pod.deleting) == (True, True, True, False)
    assert (pod.restarts, pod.last_exit_code) == (2, 6)
    assert (pod.role, pod.term, pod.input_hash) == ("leader", 7, "h")
    assert (pod.node, pod.ip, pod.image, pod.controller_uid) == ("n1", "10.0.0.1", "i", "set")
    assert (pod.not_running_since_s, pod.reason) == (None, "")
    assert pod.config_maps == {"bank-config-1"}
    assert (pod.cluster_label, pod.claim) == ("bank", "log-bank-1")


@pytest.mark.parametrize(
    ("status", "reason", "since"),
    [
        (
            {
                "phase": "Pending",
                "startTime": "2026-01-01T00:00:10Z",
                "containerStatuses": container(
                    state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
                ),
            },
            "ImagePullBackOff: no such image",
            "2026-01-01T00:00:10Z",
        ),
        (
            {
                "containerStatuses": container(
                    state={"waiting": {"reason": "CrashLoopBackOff"}},
                    lastState={"terminated": {"exitCode": 3, "finishedAt": "2026-01-01T00:01:00Z"}},
                )
            },
            "CrashLoopBackOff",
            "2026-01-01T00:01:00Z",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes",
                        "lastTransitionTime": "2026-01-01T00:00:20Z",
                    }
                ],
            },
            "Unschedulable: 0/3 nodes",
            "2026-01-01T00:00:20Z",
        ),
        *(
            (
                {
                    "phase": "Pending",
                    "containerStatuses": container(
                        state={"waiting": {"reason": "ContainerCreating"}}
                    ),
                    "conditions": [{"type": "PodReadyToStartContainers", "status": ready}],
                },
                words,
                "2026-01-01T00:00:00Z",
            )
            for ready, words in (
                ("True", "ContainerCreating: the image i is being pulled"),
                ("False", "ContainerCreating: its volumes and network are not ready"),
                ("Unknown", "ContainerCreating"),
            )
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "disk"},
            "Evicted: disk",
            "2026-01-01T00:00:00Z",
        ),
        ({"phase": "Pending"}, "", "2026-01-01T00:00:00Z"),
    ],
)
def test_a_pod_that_does_not_run_says_why_and_since_when(
    status: dict[str, Any], reason: str, since: str
) -> None:
    pod = read.pod(pod_body(**status), 1)
    assert (pod.running, pod.reason) == (False, reason)
    assert pod.not_running_since_s == read.seconds(since)


def test_a_claim() -> None:
    claim = read.claim(
        {
            "metadata": {
                "name": "log-bank-0",
                "uid": "v",
                "resourceVersion": "2",
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"quorate.io/cluster": "bank"},
                "annotations": {"quorate.io/cluster-id": "c" * 32, "quorate.io/founded": "true"},
                "ownerReferences": [
                    {"apiVersion": "other/v1", "kind": "ClusterService", "uid": "no"},
                    {"apiVersion": "quorate.io/v1", "kind": "ClusterService", "uid": "u"},
                ],
            },
            "spec": {
                "storageClassName": "fast",
                "resources": {"requests": {"storage": "20Gi"}, "limits": {"storage": "1Ti"}},
            },
        },
        0,
    )
    assert (claim.size, claim.class_name) == ("20Gi", "fast")
    assert (claim.cluster_id, claim.founded, claim.owner_uid) == ("c" * 32, True, "u")
    assert (claim.deleting, claim.cluster_label) == (True, "bank")
    assert [row["uid"] for row in claim.other_owners] == ["no"]


@pytest.mark.parametrize(
    ("name", "seat"),
    [
        ("bank-0", 0),
        ("bank-12", 12),
        ("bank-01", None),
        ("bank-", None),
        ("bank-x", None),
        ("bank-²", None),
        ("other-bank-0", None),
        ("bank-a-0", None),
        ("bank", None),
    ],
)
def test_seats_are_read_from_exact_names(name: str, seat: int | None) -> None:
    assert read.seat_of(name, "bank") == seat


def test_the_last_end_of_a_container_is_the_one_that_counts() -> None:
    """An exit code says what helps, and another one was of another trouble."""
    ends = [{"exitCode": code, "finishedAt": f"2026-01-01T00:00:0{code}Z"} for code in (3, 7)]
    states = {"state": {"terminated": ends[1]}, "lastState": {"terminated": ends[0]}}
    pod = read.pod(pod_body(containerStatuses=container(**states)), 1)
    assert (pod.last_exit_code, pod.not_running_since_s) == (7, read.seconds(ends[1]["finishedAt"]))


def test_what_a_container_waits_for_says_more_than_what_its_pod_does() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    status = {"reason": "NodeAffinity", "containerStatuses": container(state={"waiting": waiting})}
    assert read.pod(pod_body(**status), 1).reason == "CrashLoopBackOff: back-off 10s"


def test_a_pod_that_goes_is_seen_to_go_whatever_its_container_does() -> None:
    """It counts as a member that is away: two at once would be a majority of three."""
    body = pod_body(containerStatuses=container(state={"running": {}}))
    assert not read.pod(body, 1).deleting
    going = {**lenient.metadata(body), "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert read.pod({**body, "metadata": going}, 1).deleting


def test_a_pod_is_removed_and_waited_for_by_its_own_version_and_age() -> None:
    pod = read.pod(pod_body(), 1)
    assert (pod.name, pod.uid, pod.resource_version) == ("bank-1", "p", "3")
    assert pod.created_s == read.seconds("2026-01-01T00:00:00Z")
    marks = {"annotations": {"quorate.io/placement-hash": "h2"}}
    assert read.pod({"metadata": marks}, 1).placement_hash == "h2"


@pytest.mark.parametrize(
    ("status", "is_ready"), [("True", True), ("False", False), ("Unknown", False)]
)
def test_a_pod_of_whose_readiness_nobody_knows_is_not_ready(status: str, *, is_ready: bool) -> None:
    """Its node does not answer."""
    conditions = [{"type": "Ready", "status": status}]
    assert read.pod(pod_body(conditions=conditions), 1).ready is is_ready
    assert not read.pod(pod_body(), 1).ready


def test_a_pod_that_has_failed_does_not_run_though_its_container_was_last_seen_running() -> None:
    """An eviction by its kubelet, or a node that went, leaves the state of before."""
    states = container(state={"running": {}})
    pod = read.pod(pod_body(phase="Failed", reason="Evicted", containerStatuses=states), 1)
    assert (pod.running, pod.reason) == (False, "Evicted")


def test_of_a_pod_that_runs_nothing_is_told_of_what_it_waited_for() -> None:
    pod = read.pod(
        pod_body(reason="old news", containerStatuses=container(state={"running": {}})), 1
    )
    assert (pod.reason, pod.not_running_since_s, pod.last_exit_code) == ("", None, None)


@pytest.mark.parametrize(("mark", "is_founded"), [("true", True), ("false", False), ("", False)])
def test_a_claim_is_founded_only_if_it_says_so(mark: str, *, is_founded: bool) -> None:
    """A volume that was founded is never founded again, and one that was not holds nothing."""
    body = {"metadata": {"annotations": {"quorate.io/founded": mark}}}
    assert read.claim(body, 0).founded is is_founded
    assert not read.claim({"metadata": {"resourceVersion": "2"}}, 0).founded
    assert read.claim({"metadata": {"resourceVersion": "2"}}, 0).resource_version == "2"
