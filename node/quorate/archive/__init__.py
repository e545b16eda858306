"""Durable files of one member: the recording, its spares, and the node state.

The member drives it from its loop and the threads of ``writer``. Knows frames by their
headers and nothing of what is in them; decides nothing about consensus. What a directory holds
and what follows from it at a start is told in ``opening``; the bytes are described beside the
codecs in ``segment`` and ``node_state``.

Not here: snapshots, and any clock. Callers hand in seconds where time matters.
"""
