"""What each condition and reason means, what the operator does, and what a human does."""

from __future__ import annotations

from typing import NamedTuple

from quorate_operator.reasons import Condition, Reason


class Explanation(NamedTuple):
    """Three sentences about one reason; where nothing is to be done, that is said."""

    meaning: str
    operator: str
    human: str


NOTHING = "Nothing."

CONDITIONS: dict[Condition, str] = {
    Condition.READY: "A leader of the present term has committed, and every member has caught up.",
    Condition.QUORATE: "A majority of the voters follows one leader.",
    Condition.PROGRESSING: "True while an operation runs; False with a reason when it is stuck.",
    Condition.DEGRADED: "A member is missing, broken, recovering, or has lost its volume.",
    Condition.RECONCILED: "What the resource asks for is what the children are.",
}

GROUPS: tuple[tuple[str, tuple[tuple[Reason, Explanation], ...]], ...] = (
    (
        "Ready and Quorate",
        (
            (
                Reason.ALL_MEMBERS_CAUGHT_UP,
                Explanation(
                    "A leader has committed in its term and every member follows it closely.",
                    NOTHING,
                    NOTHING,
                ),
            ),
            (
                Reason.MEMBERS_CATCHING_UP,
                Explanation(
                    "There is a leader; a member is still behind it.",
                    "Waits; touches no other member meanwhile.",
                    "Nothing, unless it lasts: then see that member's log and its disk.",
                ),
            ),
            (
                Reason.NO_LEADER,
                Explanation(
                    "No member says that it leads in the present term.",
                    "Waits: members elect a leader by themselves.",
                    "Nothing for some seconds. Then see whether a majority runs and whether "
                    "members reach each other on port 9020.",
                ),
            ),
            (
                Reason.NOT_FOUNDED,
                Explanation(
                    "The cluster has not been founded, so there is nothing to lead.",
                    "Founds it as soon as every member reports an empty volume.",
                    "See Progressing for what is missing.",
                ),
            ),
            (
                Reason.LEADER_FOLLOWED,
                Explanation("A majority of the voters follows one leader.", NOTHING, NOTHING),
            ),
            (
                Reason.MAJORITY_MISSING,
                Explanation(
                    "Fewer voters than a majority are known to follow one leader.",
                    "Repairs pods that are broken; disrupts nothing.",
                    "Bring back the nodes or volumes of the missing members.",
                ),
            ),
            (
                Reason.ALL_VOLUMES_LOST,
                Explanation(
                    "The cluster was founded, and every volume is empty.",
                    "Founds nothing by itself: that would hide the loss.",
                    "Restore the volumes. To begin anew, delete the resource and its claims and "
                    "make it again.",
                ),
            ),
        ),
    ),
    (
        "Degraded",
        (
            (
                Reason.ALL_MEMBERS_WELL,
                Explanation("Every member runs and has a vote.", NOTHING, NOTHING),
            ),
            (
                Reason.MEMBER_BROKEN,
                Explanation(
                    "A member's process does not run, its pod cannot be scheduled, or it has "
                    "not answered for 30 s.",
                    "Deletes the pod if it was made from older input; else leaves the restart to "
                    "Kubernetes. Updates begin with such a member.",
                    "See `kubectl describe pod` and the member's log; set image, code or "
                    "configuration right.",
                ),
            ),
            (
                Reason.MEMBER_MISSING,
                Explanation(
                    "A seat has no pod.",
                    "Waits for the StatefulSet controller to make it.",
                    "If it lasts, see the events of the StatefulSet: a quota or a policy may "
                    "refuse the pod.",
                ),
            ),
            (
                Reason.MEMBER_RECOVERING,
                Explanation(
                    "A member may have lost what it had acknowledged, and has no vote until it "
                    "has caught up.",
                    "Counts it as absent; disrupts no other.",
                    "Nothing, unless it lasts: then see its log for what its disk returned.",
                ),
            ),
            (
                Reason.VOLUME_LOST,
                Explanation(
                    "A member found an empty volume where the cluster knows another one. It has "
                    "no vote.",
                    "Keeps it out: it could otherwise vote against what it once acknowledged.",
                    "Bring the old volume back if it exists.",
                ),
            ),
            (
                Reason.MEMBER_FOREIGN,
                Explanation(
                    "What answers at a member's address belongs to another cluster or seat.",
                    "Uses nothing that it says.",
                    "See which volume is bound to the claim of that seat.",
                ),
            ),
            (
                Reason.MEMBER_DIVERGED,
                Explanation(
                    "A member computed something else than the majority and has stopped serving.",
                    "Leaves it stopped.",
                    "Look for what is not deterministic in the service; see the explanation of "
                    "determinism.",
                ),
            ),
            (
                Reason.STORAGE_LOW,
                Explanation(
                    "A member's volume has no room for another segment, or the leader refuses "
                    "what clients send for that reason.",
                    NOTHING,
                    "Make room: this release neither purges the log nor resizes volumes.",
                ),
            ),
            (
                Reason.FOUNDING_BROKEN,
                Explanation(
                    "A seat got another volume while the cluster was being founded.",
                    "Founds nothing.",
                    "Nothing is lost, as nothing was served: delete the resource and its claims "
                    "and make it again.",
                ),
            ),
        ),
    ),
    (
        "Progressing",
        (
            (Reason.STABLE, Explanation("Nothing is under way.", NOTHING, NOTHING)),
            (
                Reason.CREATING,
                Explanation(
                    "Pods and volumes are being made.",
                    "Applies the children and waits for every member to answer.",
                    "If it is stuck, see the events of the StatefulSet, its pods and claims.",
                ),
            ),
            (
                Reason.FOUNDING,
                Explanation(
                    "Members write the first frame of the log.",
                    "Asks a member to found, and waits until all say it is done.",
                    "If it is stuck, see the members' logs.",
                ),
            ),
            (
                Reason.UPDATING,
                Explanation(
                    "Pods made from older input are being replaced.",
                    "One at a time: broken ones, followers, the leader after a hand-over.",
                    NOTHING,
                ),
            ),
            (
                Reason.HANDING_OVER,
                Explanation(
                    "Leadership moves before a planned disruption, or because a user asked; for at "
                    "most `update.handoverTimeout` also why no majority follows a leader.",
                    "Asks the leader, and waits for the new one.",
                    NOTHING,
                ),
            ),
            (
                Reason.REPAIRING,
                Explanation(
                    "A member is not well, and its pod is as its user wants it.",
                    "Waits: Kubernetes restarts it, and it catches up.",
                    "If it is stuck, see that pod's events and log.",
                ),
            ),
            (
                Reason.WAITING_FOR_MAJORITY,
                Explanation(
                    "The next step would leave no majority that has caught up.",
                    "Waits until the other members have caught up.",
                    "Bring back the members that are not well.",
                ),
            ),
            (
                Reason.WAITING_FOR_DISRUPTION_BUDGET,
                Explanation(
                    "The PodDisruptionBudget does not allow another pod to go now.",
                    "Tries again.",
                    "See who else disrupts the pods, such as a drain.",
                ),
            ),
            (
                Reason.UPDATE_STUCK,
                Explanation(
                    "A step has made no progress by its deadline, `spec.update.progressDeadline`.",
                    "Goes on repairing, and goes on with the update when it can.",
                    "See the member that `status.operation` names; set back what was changed if "
                    "it cannot start.",
                ),
            ),
            (
                Reason.SERVICE_DIVERGED,
                Explanation(
                    "The updated member computes something else than the leader.",
                    "Stops the update before it touches another member.",
                    "Set image or code back. New code must answer old messages as before.",
                ),
            ),
        ),
    ),
    (
        "Reconciled",
        (
            (
                Reason.APPLIED,
                Explanation(
                    "The children are as intended; the message names volumes of another size or "
                    "class than `spec.storage` says, such as some that were kept.",
                    NOTHING,
                    "Nothing, unless such a volume is too small: enlarge its claim where its "
                    "storage class allows that.",
                ),
            ),
            (
                Reason.PAUSED,
                Explanation(
                    "`spec.paused` is true.",
                    "Reports status and changes nothing.",
                    "Set it false to go on.",
                ),
            ),
            (
                Reason.BEING_DELETED,
                Explanation(
                    "The resource is being deleted, and a finalizer of somebody else holds it.",
                    "Reports status, and lets the leader Service follow its leader while members "
                    "run; makes, repairs and updates nothing.",
                    "A deletion cannot be taken back: see who has set the finalizer that the "
                    "message names, and let it finish.",
                ),
            ),
            (
                Reason.INVALID_SPEC,
                Explanation(
                    "The spec cannot be carried out; the message names each field.",
                    "Leaves the children as they are.",
                    "Correct the fields; a definition that let them in is not that of this "
                    "release.",
                ),
            ),
            (
                Reason.OWNERSHIP_CONFLICT,
                Explanation(
                    "An object under a name that this resource needs belongs to something else, or "
                    "is the StatefulSet and being deleted, so that no pod is made.",
                    "Never takes it over; waits for it to go. Touches no member meanwhile, and "
                    "makes none in a cluster that is not founded; a PodMonitor alone stops "
                    "nothing.",
                    "The message says whose it is, and what helps: another name for the resource, "
                    "or the end of the object.",
                ),
            ),
            (
                Reason.VOLUMES_DISAGREE,
                Explanation(
                    "Claims under this resource's names carry no cluster id, or several.",
                    "Makes nothing: it cannot know which cluster they belong to.",
                    "Delete the claims that do not belong here, or choose another name.",
                ),
            ),
            (
                Reason.FOREIGN_VOLUME,
                Explanation(
                    "A claim carries the id of another cluster.",
                    "Makes nothing on it.",
                    "Delete that claim, or bring back the one that belongs to this cluster.",
                ),
            ),
            (
                Reason.VOLUME_GOING,
                Explanation(
                    "A claim is being deleted: its volume goes as soon as no pod uses it.",
                    "Takes no member away, as that would end the volume; neither takes a cluster "
                    "over from such a claim nor founds one on it, and waits for its end.",
                    "To keep the data, see the runbook "
                    "[QuorateVolumeLost](../how-to/runbooks/QuorateVolumeLost.md). To let it go, "
                    "delete the pod.",
                ),
            ),
            (
                Reason.REPLICAS_DIFFER,
                Explanation(
                    "The volumes that were kept are not as many as the spec asks for members.",
                    "Makes nothing: membership is changed by the log alone.",
                    "Delete the resource and make it with as many replicas as the cluster had, or "
                    "move these claims out of the way.",
                ),
            ),
            (
                Reason.CODE_MISSING,
                Explanation(
                    "The ConfigMap that `spec.service.codeFrom` names is not there.",
                    "Leaves running members on the code they have; makes no new ones.",
                    "Create the ConfigMap, or correct the name.",
                ),
            ),
            (
                Reason.OTHER_INSTALLATION,
                Explanation(
                    "Another installation of the operator has stamped the StatefulSet.",
                    "Writes nothing.",
                    "Let one of them watch this namespace; to move the cluster, remove the "
                    "annotation `quorate.io/installation` of the StatefulSet.",
                ),
            ),
            (
                Reason.SCHEMA_TOO_OLD,
                Explanation(
                    "The CustomResourceDefinition that is served is older than this operator.",
                    "Writes nothing.",
                    "Apply the definition of this release, `crds/` in the repository.",
                ),
            ),
            (
                Reason.API_REFUSED,
                Explanation(
                    "The API server does not accept a child, or goes on failing when it is asked "
                    "to, as where an admission webhook is down, or a policy changes it each time "
                    "it is written, or does not let the operator read something; or another "
                    "writer changes it back again and again. The message says why.",
                    "Tries again at every look; the leader Service follows its leader meanwhile.",
                    "Correct what it names: often a quota, a policy, a webhook, a missing "
                    "permission, or an autoscaler.",
                ),
            ),
        ),
    ),
    (
        "Events only",
        (
            (
                Reason.FOUNDED,
                Explanation("The cluster has been founded.", "Records it for good.", NOTHING),
            ),
            (
                Reason.IDENTITY_CHOSEN,
                Explanation("A new cluster id was drawn.", "Records it for good.", NOTHING),
            ),
            (
                Reason.IDENTITY_TAKEN_OVER,
                Explanation(
                    "Volumes of an earlier resource of this name were found.",
                    "Goes on with their cluster id and data; a warning names those of another size "
                    "or class than `spec.storage` says.",
                    "If that was not meant, delete the resource and these claims.",
                ),
            ),
            (
                Reason.LEADER_CHANGED,
                Explanation("Another member leads.", "Moves the leader Service's label.", NOTHING),
            ),
            (
                Reason.TRANSFER_DONE,
                Explanation("A hand-over that a user asked for is done.", NOTHING, NOTHING),
            ),
            (
                Reason.TRANSFER_FAILED,
                Explanation(
                    "A hand-over that a user asked for did not happen.",
                    "Does not try again.",
                    "See the message; ask with a new request id.",
                ),
            ),
            (
                Reason.TRANSFER_INVALID,
                Explanation(
                    "The annotation that asks for a hand-over cannot be read.",
                    NOTHING,
                    "Write `<seat or any>/<request id>`.",
                ),
            ),
            (
                Reason.MEMBER_EVICTED,
                Explanation(
                    "A pod was evicted, to be made from newer input.",
                    "Waits for the new one before the next.",
                    NOTHING,
                ),
            ),
            (
                Reason.MEMBER_LABELLED,
                Explanation(
                    "A member's pod had lost the label `quorate.io/cluster`.",
                    "Sets it again; the StatefulSet takes the pod back, nothing is restarted.",
                    "See who removes labels of pods.",
                ),
            ),
            (
                Reason.MEMBER_REPLACED,
                Explanation(
                    "A broken pod was deleted, to be made anew on its volume.",
                    "Waits for the new one.",
                    NOTHING,
                ),
            ),
            (
                Reason.UPDATE_STARTED,
                Explanation(
                    "Image, code, configuration, resources or scheduling were changed.",
                    "Replaces the pods one at a time.",
                    NOTHING,
                ),
            ),
            (
                Reason.UPDATE_FINISHED,
                Explanation("Every pod was made from the present input.", NOTHING, NOTHING),
            ),
            (
                Reason.RESUMED,
                Explanation("`spec.paused` is false again.", "Goes on.", NOTHING),
            ),
        ),
    ),
)
"""By the condition under which a reason is met first."""


def explained() -> dict[Reason, Explanation]:
    """Return the explanation of each reason."""
    return {reason: text for _, rows in GROUPS for reason, text in rows}
