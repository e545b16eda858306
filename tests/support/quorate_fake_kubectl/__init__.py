"""A kubectl that answers from files, for tests of what runs kubectl."""
