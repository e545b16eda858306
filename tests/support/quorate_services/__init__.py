"""Services for tests: they do what their messages say, and write down what they saw."""

from quorate_services.scripted import Scripted

__all__ = ["Scripted"]
