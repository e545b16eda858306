"""Why the test bed cannot do what it was asked to, in one line with the remedy."""


class BedFailure(Exception):
    """The machine lacks something, or a part of the cluster did not come up."""
