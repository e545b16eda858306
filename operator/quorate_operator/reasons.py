"""The closed list of reasons that conditions, events, metrics and the documentation share."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """Types of conditions in the status of a ClusterService."""

    READY = "Ready"
    """A leader of the present term has committed and every member has caught up."""
    QUORATE = "Quorate"
    """A majority of the voters follows one leader."""
    PROGRESSING = "Progressing"
    """True while an operation runs; False with a reason when it is stuck."""
    DEGRADED = "Degraded"
    """A member is missing, broken, recovering or has lost its volume."""
    RECONCILED = "Reconciled"
    """What the resource asks for is what the children are; False says what stands in the way."""


class Reason(StrEnum):
    """CamelCase words; each is explained in the reference page of reasons."""

    # Ready, Quorate
    ALL_MEMBERS_CAUGHT_UP = "AllMembersCaughtUp"
    MEMBERS_CATCHING_UP = "MembersCatchingUp"
    NO_LEADER = "NoLeader"
    NOT_FOUNDED = "NotFounded"
    LEADER_FOLLOWED = "LeaderFollowedByMajority"
    MAJORITY_MISSING = "MajorityMissing"
    ALL_VOLUMES_LOST = "AllVolumesLost"
    # Degraded
    ALL_MEMBERS_WELL = "AllMembersWell"
    MEMBER_BROKEN = "MemberBroken"
    MEMBER_MISSING = "MemberMissing"
    MEMBER_RECOVERING = "MemberRecovering"
    VOLUME_LOST = "VolumeLost"
    MEMBER_FOREIGN = "MemberForeign"
    MEMBER_DIVERGED = "MemberDiverged"
    STORAGE_LOW = "StorageLow"
    FOUNDING_BROKEN = "FoundingBroken"
    # Progressing
    STABLE = "Stable"
    CREATING = "Creating"
    FOUNDING = "Founding"
    UPDATING = "Updating"
    HANDING_OVER = "HandingOver"
    REPAIRING = "Repairing"
    WAITING_FOR_MAJORITY = "WaitingForMajority"
    WAITING_FOR_DISRUPTION_BUDGET = "WaitingForDisruptionBudget"
    UPDATE_STUCK = "UpdateStuck"
    SERVICE_DIVERGED = "ServiceDiverged"
    # Reconciled
    APPLIED = "Applied"
    PAUSED = "Paused"
    BEING_DELETED = "BeingDeleted"
    INVALID_SPEC = "InvalidSpec"
    OWNERSHIP_CONFLICT = "OwnershipConflict"
    VOLUMES_DISAGREE = "VolumesDisagree"
    FOREIGN_VOLUME = "ForeignVolume"
    VOLUME_GOING = "VolumeGoing"
    REPLICAS_DIFFER = "ReplicasDiffer"
    CODE_MISSING = "CodeMissing"
    OTHER_INSTALLATION = "OtherInstallation"
    SCHEMA_TOO_OLD = "SchemaTooOld"
    API_REFUSED = "ApiRefused"
    # Events only
    FOUNDED = "Founded"
    IDENTITY_CHOSEN = "IdentityChosen"
    IDENTITY_TAKEN_OVER = "IdentityTakenOver"
    LEADER_CHANGED = "LeaderChanged"
    TRANSFER_DONE = "TransferDone"
    TRANSFER_FAILED = "TransferFailed"
    TRANSFER_INVALID = "TransferInvalid"
    MEMBER_EVICTED = "MemberEvicted"
    MEMBER_LABELLED = "MemberLabelled"
    MEMBER_REPLACED = "MemberReplaced"
    UPDATE_STARTED = "UpdateStarted"
    UPDATE_FINISHED = "UpdateFinished"
    RESUMED = "Resumed"
