"""Clusters that get more than they can hold, and what their other clients see of it."""
