"""Attackers of real clusters, and the victim that must not notice them."""
