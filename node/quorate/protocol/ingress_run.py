"""Joins ingress that arrived together: one entry of the log for a run of a client's batches.

A batch is messages behind lengths, so batches that follow each other in sequence make a longer
one when they are put end to end, and nobody needs to look inside. A client that sends every
message in a frame of its own so costs the followers, the recording and the service no more than
one that batches.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.protocol.session_codec import decode_ingress
from quorate.protocol.session_messages import ClientMessageType, Ingress, RawMessage


def join_ingress_run(
    messages: Sequence[RawMessage], begin: int, batch_bytes_max: int
) -> tuple[Ingress, int, int]:
    """Return the ingress that begins at ``messages[begin]``, with what continues it joined.

    Args:
        messages: As they arrived; ``messages[begin]`` is ingress.
        begin: Index of the first message to take.
        batch_bytes_max: Nothing is joined beyond this; a single batch may be longer, and is
            the caller's to judge.

    Returns:
        The joined ingress with the greatest egress acknowledgement of its parts; the index
        behind the last message taken; and the length of the last batch in bytes.

    Raises:
        RemoteProtocolError: One of those looked at is no ingress message.

    """
    joined = decode_ingress(messages[begin].body)
    end = begin + 1
    session, first, acknowledged, count, batch = joined
    if end == len(messages) or messages[end].message_type is not ClientMessageType.INGRESS:
        return joined, end, len(batch)
    batches, size = [batch], len(batch)
    for index in range(end, len(messages)):
        message_type, body = messages[index]
        if message_type is not ClientMessageType.INGRESS:
            break
        following = decode_ingress(body)
        size += len(following.batch)
        continues = following.first_sequence == first + count
        if following.cluster_session_id != session or not continues or size > batch_bytes_max:
            break
        batches.append(following.batch)
        count += following.message_count
        acknowledged = max(acknowledged, following.egress_acknowledged)
    if len(batches) > 1:
        joined = Ingress(session, first, acknowledged, count, b"".join(batches))
    return joined, begin + len(batches), len(batches[-1])
