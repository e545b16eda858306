"""Values of the wire protocol for tests: random ones (``strategies``) and fixed (``samples``)."""
