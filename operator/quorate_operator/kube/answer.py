"""What an answer of the API server means: a body, or which error."""

from __future__ import annotations

import json
from collections.abc import Mapping

from quorate_operator.errors import (
    AlreadyExists,
    Conflict,
    Deferred,
    Gone,
    Refused,
    Unavailable,
)
from quorate_operator.lenient import mapping, text
from quorate_operator.planning.observed import Body

BODY_BYTES_MAX = 64 * 1024 * 1024
LEFT_ALONE_S_MAX = 60.0
"""A proxy may name a day; then one look a minute harms nobody, and a day of none would."""
_BUDGETS = "more than one PodDisruptionBudget"
"""Of the refusal of an eviction that no repetition helps; the API server calls it its own error."""


def judge(what: str, code: int, answer: Body | None, retry_after_s: float | None) -> Body:
    """Return the body of a success; raise what the code means otherwise."""
    if 200 <= code < 300:  # noqa: PLR2004 - HTTP
        if answer is None:
            raise Unavailable(f"{what}: HTTP {code}, and its body is not a JSON object")
        return answer
    message = text((answer or {}).get("message")) or "no message"
    words = f"{what}: HTTP {code}: {message[:500]}"
    match code:
        case 404:
            raise Gone(words)
        case 409 if (answer or {}).get("reason") == "AlreadyExists":
            raise AlreadyExists(words)
        case 409 | 410:
            raise Conflict(words)
        case 422 if _is_by_uid(answer):
            raise Conflict(words)
        case 429 if is_by_budget(answer):
            raise Deferred(words)
        case 500 if _BUDGETS in message:
            raise Refused(f"{words}; keep the one that has the name of the ClusterService")
        case _ if 400 <= code < 500 and code not in (401, 408, 429):  # noqa: PLR2004 - HTTP
            raise Refused(words)
        case _:
            bounded = None if retry_after_s is None else min(retry_after_s, LEFT_ALONE_S_MAX)
            raise Unavailable(words, bounded)


def is_by_budget(answer: Body | None) -> bool:
    """Tell whether a disruption budget refuses this."""
    return any(cause.get("reason") == "DisruptionBudget" for cause in _causes(answer))


def _is_by_uid(answer: Body | None) -> bool:
    """Return whether a change was meant for another object of the same name."""
    return any(cause.get("field") == "metadata.uid" for cause in _causes(answer))


def _causes(answer: Body | None) -> list[Mapping[str, object]]:
    causes = mapping((answer or {}).get("details")).get("causes")
    return [mapping(cause) for cause in causes] if isinstance(causes, list) else []


def parse(data: bytes) -> Body | None:
    """Return the object that an answer holds; None if it is none, or longer than the bound."""
    if len(data) > BODY_BYTES_MAX:
        return None
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def seconds(header: str | None) -> float | None:
    """Read a Retry-After; its other form, a date, is not used by API servers."""
    return float(header) if header and header.isascii() and header.isdigit() else None
