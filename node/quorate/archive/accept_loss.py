"""``quorate recover --accept-loss``: a human decides that what was lost stays lost.

Offline: the member must not run. Nothing but the reason in the node state changes; the member
then counts as sound, and the next term that it leads says that something may be missing.
"""

from __future__ import annotations

from quorate.archive.files import FileSystem, storage_error
from quorate.archive.inspect import iterate_frames
from quorate.archive.node_state import NODE_STATE_NAME, NodeStateFile
from quorate.consensus.types import Recovering, RecoveringReason
from quorate.errors import AdminRejected, ForeignData


def accept_loss(files: FileSystem, *, lock_grace_s: float = 0.0) -> Recovering:
    """Mark the loss of a recovering member as accepted, durably.

    Args:
        files: The data directory.
        lock_grace_s: How long to wait for a process that still holds it.

    Returns:
        What the member had lost: print it.

    Raises:
        AdminRejected: The member is not recovering, the loss was accepted before, or there is no
            log at all, so that nothing says who votes.
        DirectoryInUse: The member runs.
        ForeignData: This is no data directory.
        StorageError: The node state is bad, or a file operation failed.

    """
    try:
        files.lock(lock_grace_s)
        try:
            return _accept(files)
        finally:
            files.unlock()
    except OSError as error:
        raise storage_error(error, "accepting the loss") from error


def _accept(files: FileSystem) -> Recovering:
    if NODE_STATE_NAME not in files.names():
        raise ForeignData(f"no {NODE_STATE_NAME} here: name the data directory of a member")
    node_state = NodeStateFile(files.open(NODE_STATE_NAME))
    try:
        stored = node_state.stored
        lost = stored.node_state.recovering
        if lost.reason is RecoveringReason.NONE:
            raise AdminRejected("this member is not recovering: there is no loss to accept")
        if lost.reason is RecoveringReason.LOSS_ACCEPTED:
            raise AdminRejected(f"the loss up to position {lost.position} was accepted before")
        if next(iterate_frames(files), None) is None:
            raise AdminRejected(
                "this member has lost its whole log, and with it who votes: an accepted loss would "
                "give it no vote; bring back members that have theirs"
            )
        accepted = lost._replace(reason=RecoveringReason.LOSS_ACCEPTED)
        node_state.rewrite()
        node_state.store(
            stored._replace(node_state=stored.node_state._replace(recovering=accepted))
        )
        node_state.finish()
    finally:
        node_state.close()
    return lost
