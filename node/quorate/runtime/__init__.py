"""Wires a member together: the only package that knows all the others."""
