"""The ``spec`` of a ClusterService: what its user writes.

The only place where defaults live. A field that is added later means, when absent, what was
before it, and a default never changes: a cluster that exists must not.
"""

from __future__ import annotations

from quorate_operator.schema.fields import (
    Change,
    Flag,
    Group,
    Quantity,
    Rows,
    Rule,
    Text,
    Whole,
    Words,
    duration,
)

_IDENTIFIERS = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_SUBDOMAIN_MAX = 253
_LABEL_KEY_MAX = 253 + 1 + 63
_LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
_NOT_YET = "is not possible in this release"

SERVICE = Group(
    text="The service to run.",
    required=True,
    fields={
        "class": Text(
            text="The class of the service. It is imported by every member, from the image or "
            "from `codeFrom`.",
            required=True,
            length_min=3,
            length_max=256,
            pattern=f"^{_IDENTIFIERS}:{_IDENTIFIERS}$",
            form="`module:Class`",
            change=Change.RESTARTS,
        ),
        "codeFrom": Group(
            text="Where the source of the service is, if it is not in the image.",
            change=Change.RESTARTS,
            rules=(
                Rule(
                    "has(self.configMap)",
                    "spec.service.codeFrom needs configMap, the name of a ConfigMap; leave out "
                    "codeFrom if the code is in the image",
                ),
            ),
            fields={
                "configMap": Text(
                    text="Name of a ConfigMap in the same namespace. Its keys are the names of "
                    "files, such as `orders.py`, its values their content (`data`; not "
                    "`binaryData`). The operator copies it, so that members never load "
                    "different code; a change of the content restarts the members one at a time.",
                    length_min=1,
                    length_max=_SUBDOMAIN_MAX,
                    pattern=_SUBDOMAIN,
                    form="a DNS name",
                    change=Change.RESTARTS,
                )
            },
        ),
    },
)

STORAGE = Group(
    text="The volume of each member.",
    defaulted=True,
    change=Change.REFUSED,
    rules=(
        Rule(
            "self == oldSelf",
            f"spec.storage cannot be changed: resizing and moving volumes {_NOT_YET}; make a new "
            "ClusterService with the storage that you want",
        ),
    ),
    fields={
        # 1 GiB is 16 segments of 64 MiB: the one that is written, two spares, one more to take
        # over, and twelve of log. Less would be a member whose disk is full before its first
        # busy hour ends, as nothing is purged before there are snapshots.
        "size": Text(
            text="Size of each member's volume. It must hold the whole log and three segments "
            "of 64 MiB that are prepared or written, because nothing is purged yet; a member "
            "whose disk is full refuses what clients send.",
            default="10Gi",
            length_min=1,
            length_max=32,
            pattern=r"^[1-9][0-9]*(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?$",
            form="a quantity of at least 1Gi",
            change=Change.REFUSED,
            rules=(
                Rule(
                    "quantity(self).compareTo(quantity('1Gi')) >= 0",
                    "spec.storage.size must be at least 1Gi: the log is made of segments of "
                    "64 MiB, three of which are prepared or written; leave it out for 10Gi",
                ),
            ),
        ),
        "className": Text(
            text="Storage class of the volumes; without it, the default class of the Kubernetes "
            "cluster.",
            length_min=1,
            length_max=_SUBDOMAIN_MAX,
            pattern=_SUBDOMAIN,
            form="a DNS name",
            change=Change.REFUSED,
        ),
    },
)

_FIVE_HEARTBEATS = " + ".join(["duration(self.heartbeat)"] * 5)

CONSENSUS = Group(
    text="When elections begin and what counts as durable.",
    defaulted=True,
    rules=(
        Rule(
            f"duration(self.electionTimeout) >= {_FIVE_HEARTBEATS}",
            "spec.consensus.electionTimeout must be at least five times spec.consensus.heartbeat, "
            "or a few late heartbeats would cause an election; raise the one or lower the other",
        ),
    ),
    fields={
        "electionTimeout": duration(
            "Shortest silence of the leader before an election; the longest is 1.6 times as "
            "long. At least five heartbeats.",
            name="spec.consensus.electionTimeout",
            default="500ms",
            low="100ms",
            high="60s",
            change=Change.RESTARTS,
        ),
        "heartbeat": duration(
            "The leader's pulse when it has nothing to send.",
            name="spec.consensus.heartbeat",
            default="50ms",
            low="10ms",
            high="10s",
            change=Change.RESTARTS,
        ),
        "durability": Text(
            text="When a member counts a frame as stored: `fsync`, after a sync of its disk; "
            "`replicated`, when it is in memory, which loses data in a power cut of a majority.",
            default="fsync",
            length_max=16,
            choices=("fsync", "replicated"),
            change=Change.RESTARTS,
        ),
    },
)

UPDATE = Group(
    text="How planned disruptions are carried out.",
    defaulted=True,
    fields={
        "handoverTimeout": duration(
            "How long a leader that is asked to end tries to hand leadership over before it "
            "ends all the same. A pod's grace period is 15 s longer, at least 30 s.",
            name="spec.update.handoverTimeout",
            default="5s",
            low="1s",
            high="10m",
            change=Change.RESTARTS,
        ),
        "progressDeadline": duration(
            "How long a step may take without progress before it is reported as stuck, in the "
            "condition Progressing.",
            name="spec.update.progressDeadline",
            default="10m",
            low="10s",
            high="24h",
            change=Change.AT_ONCE,
        ),
        "restart": Text(
            text="Any text, such as today's date; it means nothing but that the members are to be "
            "started anew, in the order of an update, whenever it is another one.",
            length_max=64,
            change=Change.RESTARTS,
        ),
    },
)

_TOLERATION = Group(
    text="A toleration, as in a pod.",
    rules=(
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration in spec.scheduling.tolerations without key tolerates everything and "
            "needs operator: Exists; add one of them",
        ),
        Rule(
            "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
            "a toleration in spec.scheduling.tolerations with operator: Exists has no value; "
            "remove the value or use operator: Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds in spec.scheduling.tolerations is for effect: NoExecute only; "
            "remove it or set that effect",
        ),
    ),
    fields={
        "key": Text(
            text="Key of the taint; without it, any.",
            length_min=1,
            length_max=_LABEL_KEY_MAX,
            pattern=r"^([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            form="the key of a label",
            change=Change.RESTARTS,
        ),
        "operator": Text(
            text="How the value is compared; without it, `Equal`.",
            length_max=16,
            choices=("Equal", "Exists"),
            change=Change.RESTARTS,
        ),
        "value": Text(
            text="Value of the taint, for `Equal`.",
            length_max=63,
            pattern=_LABEL_VALUE,
            form="the value of a label",
            change=Change.RESTARTS,
        ),
        "effect": Text(
            text="Effect of the taint; without it, any.",
            length_max=32,
            choices=("NoSchedule", "PreferNoSchedule", "NoExecute"),
            change=Change.RESTARTS,
        ),
        "tolerationSeconds": Whole(
            text="How long a pod stays on a node with such a taint; without it, for ever.",
            minimum=0,
            maximum=2**31 - 1,
            change=Change.RESTARTS,
        ),
    },
)

SCHEDULING = Group(
    text="Where members may run.",
    defaulted=True,
    fields={
        "nodeSelector": Words(
            text="Labels that a node must have.",
            count_max=32,
            values=Text(
                text="Value of the label.",
                length_max=63,
                pattern=_LABEL_VALUE,
                form="the value of a label",
            ),
            change=Change.RESTARTS,
            rules=(
                Rule(
                    f"self.all(key, key.size() > 0 && key.size() <= {_LABEL_KEY_MAX})",
                    "a key of spec.scheduling.nodeSelector must have 1 to "
                    f"{_LABEL_KEY_MAX} characters; use the key of a node's label",
                ),
            ),
        ),
        "tolerations": Rows(
            text="Taints of nodes that members tolerate, as in a pod.",
            count_max=32,
            row=_TOLERATION,
            change=Change.RESTARTS,
        ),
        "priorityClassName": Text(
            text="Priority class of the pods.",
            length_min=1,
            length_max=_SUBDOMAIN_MAX,
            pattern=_SUBDOMAIN,
            form="a DNS name",
            change=Change.RESTARTS,
        ),
        "spread": Text(
            text="Whether members must be on different nodes: with `Required` a member waits for "
            "a node without one, with `Preferred` two share a node if need be.",
            default="Preferred",
            length_max=16,
            choices=("Preferred", "Required"),
            change=Change.RESTARTS,
        ),
    },
)


def _resource(text: str, default: str | None = None) -> Quantity:
    return Quantity(text=text, default=default, change=Change.RESTARTS)


def _fits(field: str, name: str) -> Rule:
    """Return the rule that a request is not above the limit of the same resource."""
    request, limit = f"self.requests.{field}", f"self.limits.{field}"
    absent = f"!has({request}) || !has({limit})"
    return Rule(
        f"{absent} || quantity(string({request})).compareTo(quantity(string({limit}))) <= 0",
        f"spec.resources.requests.{name} must not be above spec.resources.limits.{name}; lower "
        "the request or raise the limit",
    )


RESOURCES = Group(
    text="What a member's container requests and may use.",
    defaulted=True,
    change=Change.RESTARTS,
    rules=(
        _fits("cpu", "cpu"),
        _fits("memory", "memory"),
        _fits("ephemeral__dash__storage", "ephemeral-storage"),
    ),
    fields={
        "requests": Group(
            text="What a node must have left for a member.",
            defaulted=True,
            change=Change.RESTARTS,
            fields={
                "cpu": _resource("Processor time.", "100m"),
                "memory": _resource("Memory.", "256Mi"),
                "ephemeral-storage": _resource("Disk of the node, for logs."),
            },
        ),
        "limits": Group(
            text="What a member may use at most.",
            defaulted=True,
            change=Change.RESTARTS,
            fields={
                "cpu": _resource(
                    "Processor time. Better left out: a leader that is throttled misses its "
                    "heartbeats."
                ),
                "memory": _resource(
                    "Memory; a member above it is killed. The service's state counts.", "1Gi"
                ),
                "ephemeral-storage": _resource("Disk of the node, for logs."),
            },
        ),
    },
)

SPEC = Group(
    text="What is wanted.",
    required=True,
    fields={
        "replicas": Whole(
            text="How many members; a majority of them must be up. One member tolerates no "
            "failure, three tolerate one, five two.",
            minimum=1,
            maximum=9,
            choices=(1, 3, 5, 7, 9),
            default=3,
            change=Change.REFUSED,
            rules=(
                Rule(
                    "self == oldSelf",
                    f"spec.replicas cannot be changed: adding and removing members {_NOT_YET}; "
                    "set it back, or make a new ClusterService with the number that you want",
                ),
            ),
        ),
        "image": Text(
            text="Image with Quorate, and with the service unless `service.codeFrom` brings it. "
            "A tag that never moves, or a digest: members that start later get what it names "
            "then.",
            required=True,
            length_min=1,
            length_max=512,
            pattern=r"^[^\s]+$",
            form="no spaces",
            change=Change.RESTARTS,
        ),
        "service": SERVICE,
        "config": Text(
            text="Text that is handed to the service's constructor; Quorate does not read it. "
            "Not a place for secrets: it is in a ConfigMap.",
            default="",
            length_max=65_536,
            pattern=r"^[^\x00]*$",
            form="no zero character",
            change=Change.RESTARTS,
        ),
        "storage": STORAGE,
        "consensus": CONSENSUS,
        "update": UPDATE,
        "scheduling": SCHEDULING,
        "resources": RESOURCES,
        "tls": Group(
            text="How links are encrypted.",
            defaulted=True,
            fields={
                "mode": Text(
                    text="`Disabled` is all that this release knows. It is stored, so that a "
                    "later default does not change this cluster.",
                    default="Disabled",
                    length_max=16,
                    choices=("Disabled",),
                    change=Change.REFUSED,
                )
            },
        ),
        "paused": Flag(
            text="Whether the operator leaves everything as it is, except status.",
            default=False,
            change=Change.AT_ONCE,
        ),
        "deletion": Group(
            text="What happens when the resource is deleted.",
            defaulted=True,
            fields={
                "volumes": Text(
                    text="`Retain` keeps the claims of the volumes; a ClusterService of the same "
                    "name takes them over. `Delete` deletes them with the resource. The Secret of "
                    "the members is deleted with it either way, and made anew with the next. "
                    "Neither protects against deleting the namespace.",
                    default="Retain",
                    length_max=16,
                    choices=("Retain", "Delete"),
                    change=Change.AT_ONCE,
                )
            },
        ),
    },
)
