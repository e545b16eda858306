"""The operator's own exceptions.

::

    OperatorError(quorate.errors.QuorateError)
    ├── InvalidSpec         a resource that cannot be carried out; only an edit helps
    ├── Conflict            the object changed since it was read; look again
    │   └── AlreadyExists   there is an object of the name that was to be created
    ├── Gone                the object is not there, or is another one by now
    ├── Refused             the API server refuses this request; the message says why
    ├── Unavailable         the API server or a member did not answer in time; try later
    ├── Deferred            a disruption that must wait, such as for a disruption budget
    └── LeaseLost           another replica may act; this process must not
"""

from __future__ import annotations

from quorate.errors import QuorateError


class OperatorError(QuorateError):
    """Root of what the operator raises on purpose."""


class InvalidSpec(OperatorError):
    """A resource that cannot be carried out; ``problems`` lists each field with its remedy."""

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem and join them into one message."""
        super().__init__("; ".join(problems))
        self.problems = problems


class Conflict(OperatorError):
    """The object changed since it was read: observe again."""


class AlreadyExists(Conflict):
    """There is an object of this name. Another conflict says no such thing, as that of a quota."""


class Gone(OperatorError):
    """The object is not there any more, or another one has its name."""


class Refused(OperatorError):
    """The API server refuses the request as it is: validation, permission or policy."""


class Unavailable(OperatorError):
    """The API server or a member gave no useful answer within the time allowed."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep the seconds that the server asked to wait; None if it named none."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Deferred(OperatorError):
    """A disruption that must wait, such as for a PodDisruptionBudget; nothing is wrong."""


class LeaseLost(OperatorError):
    """This process can't show that it holds the lease, so it changes nothing."""
