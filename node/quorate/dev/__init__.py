"""A cluster of member processes on this machine: supervisor and library.

``DevCluster`` is what ``quorate dev``, the demo, the benchmark and process tests share. The
members are the same processes with the same files and protocol as anywhere else.
"""
