"""Reads bodies of pods, claims and children into the values that a plan is made from.

What a body lacks or has in another type reads as empty: it comes from the API server, which has
checked it, and a plan is safe with empty values.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from quorate_operator import labels
from quorate_operator.lenient import is_going, mapping, metadata, rows, text
from quorate_operator.planning.observed import Body, Child, Claim, Pod

NO_TERM = -1
DIGITS_MAX = 19
"""Of 64 bits; anybody may write an annotation, and Python refuses to read thousands of digits."""


def child(body: Body, kind: str = "") -> Child:
    """Return an object as a child; items of a list carry no kind, so it is given."""
    meta = metadata(body)
    return Child(
        kind=kind or text(body.get("kind")),
        name=text(meta.get("name")),
        uid=text(meta.get("uid")),
        resource_version=text(meta.get("resourceVersion")),
        controller_uid=_controller_uid(meta),
        body=body,
    )


def pod(body: Body, seat: int) -> Pod:
    """Return the pod of a member."""
    meta, spec, status = metadata(body), mapping(body.get("spec")), mapping(body.get("status"))
    annotations, marks = mapping(meta.get("annotations")), mapping(meta.get("labels"))
    container = _member(status.get("containerStatuses"))
    image = text(_member(spec.get("containers")).get("image"))
    running = "running" in mapping(container.get("state")) and status.get("phase") == "Running"
    conditions = {
        text(row.get("type")): row for row in rows(status.get("conditions")) if row.get("type")
    }
    scheduled = bool(text(spec.get("nodeName")))
    ended = _ended(container)
    return Pod(
        seat=seat,
        name=text(meta.get("name")),
        uid=text(meta.get("uid")),
        resource_version=text(meta.get("resourceVersion")),
        controller_uid=_controller_uid(meta),
        created_s=seconds(meta.get("creationTimestamp")) or 0.0,
        deleting=is_going(body),
        scheduled=scheduled,
        running=running,
        ready=mapping(conditions.get("Ready")).get("status") == "True",
        reason="" if running else _why(container, conditions, status, image),
        restarts=_integer(container.get("restartCount"), 0),
        last_exit_code=_integer(ended.get("exitCode"), 0) if ended else None,
        node=text(spec.get("nodeName")),
        ip=text(status.get("podIP")),
        image=image,
        input_hash=text(annotations.get(labels.INPUT_HASH_ANNOTATION)),
        placement_hash=text(annotations.get(labels.PLACEMENT_HASH_ANNOTATION)),
        role=text(marks.get(labels.ROLE_LABEL)),
        term=_term(annotations.get(labels.TERM_ANNOTATION)),
        not_running_since_s=None if running else _since(meta, status, conditions, ended),
        config_maps=frozenset(
            text(mapping(volume.get("configMap")).get("name"))
            for volume in rows(spec.get("volumes"))
            if "configMap" in volume
        ),
        cluster_label=text(marks.get(labels.CLUSTER_LABEL)),
        claim=_claim_of(spec),
    )


def claim(body: Body, seat: int) -> Claim:
    """Return the claim of a member's volume."""
    meta = metadata(body)
    annotations, marks = mapping(meta.get("annotations")), mapping(meta.get("labels"))
    references = tuple(rows(meta.get("ownerReferences")))
    owners = [row for row in references if _is_of_ours(row)]
    spec = mapping(body.get("spec"))
    requests = mapping(mapping(spec.get("resources")).get("requests"))
    return Claim(
        seat=seat,
        name=text(meta.get("name")),
        uid=text(meta.get("uid")),
        resource_version=text(meta.get("resourceVersion")),
        deleting=is_going(body),
        cluster_id=text(annotations.get(labels.CLUSTER_ID_ANNOTATION)),
        founded=annotations.get(labels.FOUNDED_ANNOTATION) == "true",
        owner_uid=text(owners[0].get("uid")) if owners else "",
        cluster_label=text(marks.get(labels.CLUSTER_LABEL)),
        other_owners=tuple(row for row in references if not _is_of_ours(row)),
        size=text(requests.get("storage")),
        class_name=text(spec.get("storageClassName")),
    )


def _is_of_ours(reference: Body) -> bool:
    """Tell whether an ownerReference names a ClusterService."""
    version = text(reference.get("apiVersion"))
    return reference.get("kind") == labels.KIND and version.startswith(f"{labels.GROUP}/")


def seat_of(name: str, prefix: str) -> int | None:
    """Return the seat in ``<prefix>-<seat>``; None if the name is not of that form."""
    head, dash, tail = name.rpartition("-")
    found = number(tail)
    is_ours = head == prefix and bool(dash) and str(found) == tail
    return found if is_ours else None


def number(word: str) -> int | None:
    """Return the number that digits write; None if it is another text, or beyond 64 bits."""
    sane = word.isascii() and word.isdigit() and len(word) <= DIGITS_MAX
    return int(word) if sane else None


def seconds(value: object) -> float | None:
    """Return an RFC 3339 time in seconds since the Unix epoch; None if it is none."""
    try:
        return datetime.fromisoformat(text(value)).timestamp()
    except ValueError:
        return None


def _integer(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _term(value: object) -> int:
    found = number(text(value))
    return NO_TERM if found is None else found


def _controller_uid(meta: Mapping[str, object]) -> str:
    owners = rows(meta.get("ownerReferences"))
    return next((text(row.get("uid")) for row in owners if row.get("controller") is True), "")


def _member(containers: object) -> Mapping[str, object]:
    found = (row for row in rows(containers) if row.get("name") == labels.CONTAINER)
    return next(found, {})


def _claim_of(spec: Mapping[str, object]) -> str:
    """Return the name of the claim of a member's log."""
    volumes = (row for row in rows(spec.get("volumes")) if row.get("name") == labels.CLAIM_TEMPLATE)
    volume = next(volumes, {})
    return text(mapping(volume.get("persistentVolumeClaim")).get("claimName"))


def _ended(container: Mapping[str, object]) -> Mapping[str, object]:
    """Return how the container ended last; empty if it never did."""
    for place in ("state", "lastState"):
        ended = mapping(mapping(container.get(place)).get("terminated"))
        if ended:
            return ended
    return {}


def _why(
    container: Mapping[str, object],
    conditions: Mapping[str, Mapping[str, object]],
    status: Mapping[str, object],
    image: str,
) -> str:
    state = mapping(container.get("state"))
    if mapping(state.get("waiting")).get("reason") == "ContainerCreating":
        return f"ContainerCreating{_stage(conditions, image)}"
    places = (
        mapping(state.get("waiting")),
        mapping(state.get("terminated")),
        status,
        mapping(conditions.get("PodScheduled")),
    )
    for place in places:
        if text(place.get("reason")):
            words = (text(place.get("reason")), text(place.get("message")))
            return ": ".join(word for word in words if word)
    return ""


def _stage(conditions: Mapping[str, Mapping[str, object]], image: str) -> str:
    """Return what a container that is being made waits for; Kubernetes has one word for it all.

    A first pull says nothing of itself until it fails, which takes minutes where a registry is
    silent, but the network and the volumes say when they are ready, and the image comes next.
    """
    match mapping(conditions.get("PodReadyToStartContainers")).get("status"):
        case "True":
            return f": the image {image} is being pulled"
        case "False":
            return ": its volumes and network are not ready"
        case _:
            return ""


def _since(
    meta: Mapping[str, object],
    status: Mapping[str, object],
    conditions: Mapping[str, Mapping[str, object]],
    ended: Mapping[str, object],
) -> float:
    """Since when the container has not run: its end, else since the pod waits for it."""
    if "finishedAt" in ended:
        times = [ended.get("finishedAt")]
    elif mapping(conditions.get("PodScheduled")).get("status") == "False":
        times = [mapping(conditions.get("PodScheduled")).get("lastTransitionTime")]
    else:
        times = [status.get("startTime")]
    known = (seconds(time) for time in (*times, meta.get("creationTimestamp")))
    return next((time for time in known if time is not None), 0.0)
