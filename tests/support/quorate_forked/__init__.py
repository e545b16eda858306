"""Runs part of a test in a forked process, where it may change what belongs to a process."""
