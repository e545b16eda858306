"""Whole clusters under a seed: the engines that search for what breaks Quorate's promises.

Three engines drive the production code; none of it is replaced by a model of itself.

* ``walk``: the untimed random walk. Consensus modules, a model disk and a bag of messages;
  every step is one choice, every internal deadline fires by itself at any moment.
* ``scenario``: directed schedules in a small script language, one for each known killer.
* ``timed``: virtual time, delays, slow disks and clocks; module, archive and container as one
  member, clients with sessions, a phase of faults and then a phase in which all must heal.

``checkers`` watches from outside and knows the whole history; ``shadow`` is what it knows of
one member's disk. ``marks`` names rare branches that a run must have reached. A failing seed
is repeated with ``python -m quorate_simulation walk --seed N --steps M``.
"""
