"""Raft on log positions, as a pure state machine: inputs in, effects out.

The driver's contract, for whoever runs a ``ConsensusModule``:

1. Feed it from one thread. After every input call ``drain`` and carry out the effects in
   their order; several inputs may share one ``drain``.
2. Persist effects (``StoreNodeState``, ``AppendToLog``, ``TruncateLog``) complete in the order
   of their sequence. They may be grouped. Report with ``on_persisted`` only what a completed
   data sync covers (with durability ``replicated``: a completed write; node state always a
   sync). A failed write or sync ends the process.
3. ``Send`` needs no waiting: the module holds back what depends on a write. Messages of one
   link keep their order as far as possible; loss, doubling and delay cost time only.
4. Give ``on_link_up`` before any message of that life and ``on_link_down`` when it is gone. A
   link to a new life of a member replaces the one before. Call ``on_reconnect_refused`` when a
   link broke and the address then refused a connection.
5. Apply frames up to ``CommitTo.position`` only, in order, from the member's own log.
6. Call ``on_tick`` when loop time reaches ``next_deadline``; after a turn longer than the
   stall bound read all sockets first.
7. Tell with ``on_room`` when the disk has no space for more segments than there are: from then
   on ``AppendToLog`` stays within those.
8. On ``Halt`` or an AssertionError end the process without writing or sending anything more.
"""
