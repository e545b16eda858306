"""The kit for service authors: run a service in a unit test, without processes or sockets."""

from quorate.service.callbacks import CallbackFailure
from quorate.testing.determinism import NonDeterministic
from quorate.testing.service_harness import HarnessSession, ServiceHarness

__all__ = ["CallbackFailure", "HarnessSession", "NonDeterministic", "ServiceHarness"]
