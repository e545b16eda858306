"""Whose an object under our names is: ours, an orphan that can only have been, or somebody else's.

What is somebody else's is never taken and never damaged; the words say whose it is, because what
helps differs: an object of the resource before goes by itself, one of a neighbour never does.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate_operator import labels
from quorate_operator.lenient import mapping, metadata, rows, text
from quorate_operator.planning.observed import Body, Child, Resource
from quorate_operator.planning.problem import Problem
from quorate_operator.reasons import Reason

STATEFUL_SET = "StatefulSet"
SECRET = "Secret"  # noqa: S105 - a kind

POD_MONITOR = "PodMonitor"
"""Of which members know nothing: one that is not ours is told, and stops nothing."""


def annotation(live: Child | None, name: str) -> str:
    """Return an annotation of a child; empty for none."""
    return "" if live is None else text(mapping(metadata(live.body).get("annotations")).get(name))


def set_id(live: Child | None) -> str:
    """Return the cluster id that a StatefulSet carries; empty for none."""
    return annotation(live, labels.CLUSTER_ID_ANNOTATION)


def is_ours(child: Child, resource: Resource, cluster_id: str) -> bool:
    """Tell whether a child is ours, or an orphan that can only have been.

    A Secret cannot be applied, so one that lacks what members need is of no use, whoever made it.
    """
    if child.kind == SECRET:
        return child.controller_uid in ("", resource.uid) and not _lacking(child)
    if child.controller_uid:
        return child.controller_uid == resource.uid
    carried = annotation(child, labels.CLUSTER_ID_ANNOTATION)
    if child.kind == STATEFUL_SET or carried:
        return carried == cluster_id
    marks = mapping(metadata(child.body).get("labels"))
    return text(marks.get(labels.CLUSTER_LABEL)) == resource.name


def is_stranger(live: Child, resource: Resource) -> bool:
    """Tell whether a StatefulSet cannot be ours, whatever cluster this resource stands for."""
    return live.controller_uid not in ("", resource.uid) or not (
        live.controller_uid or set_id(live)
    )


def conflict(taken: Iterable[Child], resource: Resource) -> Problem:
    """Return what is wrong with objects that are not ours, and what helps with each."""
    known = list(taken)
    rows = (f"{_whose(child)}: {_remedy(child, resource)}" for child in known)
    stops = any(child.kind != POD_MONITOR for child in known)
    return Problem(Reason.OWNERSHIP_CONFLICT, "; ".join(rows), stops)


def _whose(child: Child) -> str:
    known = f"{child.kind} {child.name}"
    owner = _controller(child)
    if child.controller_uid:
        who = " ".join(text(owner.get(key)) for key in ("kind", "name")).strip()
        return f"{known} is controlled by {who or 'uid'} {child.controller_uid}"
    lacking = _lacking(child)
    if lacking:
        return f"{known} lacks {' and '.join(lacking)}, which members need"
    return f"{known} is not ours"


def _remedy(child: Child, resource: Resource) -> str:
    owner = _controller(child)
    if _is_of_a_resource(owner):
        other = text(owner.get("name"))
        if other == resource.name:
            return "waiting for its end, which follows that of the resource before"
        return (
            f"names of ClusterService {other} and of this one overlap; delete the one of them that "
            "holds nothing yet, and make it under another name"
        )
    if child.kind == SECRET and not child.controller_uid:
        return (
            "delete it if nothing else uses it, and another one is made; or use another name for "
            "this resource"
        )
    return (
        "waiting for its end; delete or rename it if nothing else does, or use another name for "
        "this resource"
    )


def _lacking(child: Child) -> tuple[str, ...]:
    if child.kind != SECRET:
        return ()
    held = mapping(child.body.get("data"))
    return tuple(key for key in (labels.MEMBER_SECRET_KEY, labels.TOKEN_KEY) if not held.get(key))


def _controller(child: Child) -> Body:
    owners = rows(metadata(child.body).get("ownerReferences"))
    return next((row for row in owners if row.get("uid") == child.controller_uid), {})


def _is_of_a_resource(owner: Body) -> bool:
    group = text(owner.get("apiVersion")).partition("/")[0]
    return group == labels.GROUP and owner.get("kind") == labels.KIND
