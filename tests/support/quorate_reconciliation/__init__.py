"""Passes of the operator over fakes that record what reaches them."""
