"""Random specs that the schema lets in, rules included."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from quorate_cluster_services.examples import stored
from quorate_operator.schema.fields import (
    DURATION_PATTERN,
    Field,
    Flag,
    Group,
    Quantity,
    Rows,
    Text,
    Whole,
    Words,
)
from quorate_operator.schema.spec import SPEC

_QUANTITIES = st.sampled_from(["1", "250m", "1500m", "0.5", "64Mi", "1Gi", "2e3", "1M", 1, 0, 7])


def values(field: Field) -> st.SearchStrategy[object]:
    """Return values that a field's own bounds allow; rules in CEL are not looked at."""
    found: st.SearchStrategy[object]
    match field:
        case Text():
            found = _texts(field)
        case Quantity():
            found = _QUANTITIES
        case Whole():
            plain = st.integers(field.minimum, field.maximum)
            found = st.sampled_from(field.choices) if field.choices else plain
        case Flag():
            found = st.booleans()
        case Words():
            keys = st.from_regex(re.compile(r"[a-z]{1,8}", re.ASCII), fullmatch=True)
            found = st.dictionaries(keys, values(field.values), max_size=3)
        case Group():
            found = _groups(field)
        case Rows():
            found = st.lists(values(field.row), max_size=3)
    return found


def _texts(field: Text) -> st.SearchStrategy[object]:
    if field.choices:
        return st.sampled_from(field.choices)
    if field.pattern == DURATION_PATTERN:
        return st.builds("{}{}".format, st.integers(1, 9_999_999), st.sampled_from("smh"))
    if not field.pattern:
        return st.text(min_size=field.length_min, max_size=min(field.length_max, 40))
    found = st.from_regex(re.compile(field.pattern, re.ASCII), fullmatch=True)
    return found.filter(lambda text: field.length_min <= len(text) <= field.length_max)


def _groups(field: Group) -> st.SearchStrategy[object]:
    required = {name: values(item) for name, item in field.fields.items() if item.required}
    optional = {name: values(item) for name, item in field.fields.items() if not item.required}
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, object]:
    """Return a spec's body as the API server would store it."""
    body = draw(_groups(SPEC))
    assert isinstance(body, dict)
    body.pop("resources", None)
    heartbeat_ms = draw(st.integers(10, 10_000))
    election_ms = draw(st.integers(max(100, 5 * heartbeat_ms), 60_000))
    consensus = {"electionTimeout": f"{election_ms}ms", "heartbeat": f"{heartbeat_ms}ms"}
    handover_s = draw(st.integers(1, 600))
    return stored(
        body
        | {"consensus": consensus | {"durability": draw(st.sampled_from(["fsync", "replicated"]))}}
        | {"update": {"handoverTimeout": f"{handover_s}s", "progressDeadline": "10m"}}
    )
