"""The ``status`` of a ClusterService: what the operator writes.

Words that a later release may add to, such as reasons, are bounded texts and not enumerations: an
older definition must not refuse the status of a newer operator.
"""

from __future__ import annotations

from quorate_operator.schema.fields import Field, Flag, Group, Rows, Text, Whole

SEATS_MAX = 256
NUMBER_MAX = 2**53 - 1
"""The API server keeps bounds as floating point numbers: a larger one would not be exact."""
MESSAGE_MAX = 1024
_NAME_MAX = 253
_WORD_MAX = 64


def _word(text: str, *, required: bool = False) -> Text:
    return Text(text=text, length_max=_WORD_MAX, required=required)


def _name(text: str) -> Text:
    return Text(text=text, length_max=_NAME_MAX)


def _message(text: str) -> Text:
    return Text(text=text, length_max=MESSAGE_MAX)


def _time(text: str) -> Text:
    return Text(text=text, length_max=32, timestamp=True)


def _seat(text: str, *, required: bool = False) -> Whole:
    return Whole(text=text, minimum=0, maximum=SEATS_MAX - 1, required=required)


def _number(text: str, maximum: int = NUMBER_MAX) -> Whole:
    return Whole(text=text, minimum=0, maximum=maximum)


_LEADER: dict[str, Field] = {
    "member": _seat("Its seat."),
    "pod": _name("Its pod."),
    "term": _number("Its leadership term."),
}

_MEMBER = Group(
    text="One member.",
    fields={
        "seat": _seat("Its seat, which is the ordinal of its pod.", required=True),
        "memberId": _word("Id of its formatted volume."),
        "role": _word("`leader`, `follower`, `candidate` or `learner`."),
        "voter": Flag(text="Whether it has a vote, as the log says."),
        "health": _word("One word for how it is, such as `Well` or `CatchingUp`."),
        "lagBytes": _number("How far it was behind the leader when the status was written."),
        "node": _name("Node of its pod."),
        "pvcUID": _word("Uid of the claim of its volume."),
        "inputHash": _word("Hash of what its user had written when its pod was made."),
        "reason": _message("Why it is not well."),
    },
)

_CONDITION = Group(
    text="One condition.",
    fields={
        "type": _word("What it is about.", required=True),
        "status": Text(
            text="`True`, `False` or `Unknown`.",
            length_max=16,
            choices=("True", "False", "Unknown"),
            required=True,
        ),
        "reason": _word("Why, in one word of the reference page of reasons.", required=True),
        "message": _message("Why, in a sentence."),
        "observedGeneration": _number("Generation of the spec that it was judged by."),
        "lastTransitionTime": Text(
            text="When its status changed last.", length_max=32, timestamp=True, required=True
        ),
    },
)

STATUS = Group(
    text="What is.",
    fields={
        "observedGeneration": _number("Generation of the spec that this status was made from."),
        "clusterId": Text(
            text="Id of the cluster, on each of its volumes as well. Never changes.",
            length_max=32,
            pattern=r"^[0-9a-f]{32}$",
            form="32 hexadecimal digits",
        ),
        "epoch": _number("Rises with a recovery that a human ordered. Never falls.", 2**31 - 1),
        "founded": Flag(text="Whether the cluster has been founded. Never taken back."),
        "state": _word("One word for people: the column STATUS."),
        "version": _word("Version of the software that the leader runs."),
        "leader": Group(
            text="Who leads; absent while nobody does.",
            fields=_LEADER | {"since": _time("Since when the operator has seen it lead.")},
        ),
        "lostLeader": Group(
            text="Who led last, while nobody leads.",
            fields=_LEADER | {"since": _time("Since when the operator has missed it.")},
        ),
        "quorum": Group(
            text="How many voters there must be, are, and could be lost.",
            fields={
                "required": _number("Voters that are needed for progress.", SEATS_MAX),
                "healthy": _number("Voters that follow the leader and have caught up.", SEATS_MAX),
                "canLose": _number("How many of these could fail now.", SEATS_MAX),
            },
        ),
        "members": Rows(
            text="One row for each seat.", row=_MEMBER, count_max=SEATS_MAX, key="seat"
        ),
        "operation": Group(
            text="What is being done; absent when nothing is.",
            fields={
                "type": _word("What it is."),
                "target": _name("What it is done to."),
                "step": _name("How far it is."),
                "reason": _word("Why it waits, in one word of the reference page of reasons."),
                "since": _time("When its present step began."),
                "deadline": _time("By when it must have moved, or is reported as stuck."),
            },
        ),
        "update": Group(
            text="How far an update is; absent when every pod is up to date.",
            fields={
                "inputHash": _word("Hash of what the user has written."),
                "updated": _number("Pods that were made from it.", SEATS_MAX),
                "total": _number("Pods that there should be.", SEATS_MAX),
            },
        ),
        "lastTransfer": Group(
            text="The last hand-over that a user asked for by the annotation "
            "`quorate.io/transfer-leader-to`.",
            fields={
                "request": _name("The whole value of the annotation."),
                "result": _word("`Done`, `Failed` or `Invalid`."),
                "leader": _seat("Who leads since."),
                "message": _message("Why it did not work."),
                "at": _time("When it was decided."),
            },
        ),
        "conditions": Rows(
            text="Ready, Quorate, Progressing, Degraded and Reconciled.",
            row=_CONDITION,
            count_max=16,
            key="type",
        ),
    },
)
