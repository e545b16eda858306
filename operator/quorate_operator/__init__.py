"""A Kubernetes operator that runs Quorate clusters from ``ClusterService`` resources.

Level-triggered: events only put a key into a queue, and one reconciliation of a key observes
what is live, plans at most one disruptive step with a pure function, carries it out and reports
status. The operator never elects a leader: Raft does.
"""
