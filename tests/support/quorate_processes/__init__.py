"""Real member processes under a checked load."""
