"""What a field of the resource can be: a tree of these is the whole schema.

Every text, list and map has an upper bound: the API server estimates the cost of a rule from it,
and nothing that a user writes is copied without a limit into other objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]


class Change(StrEnum):
    """What a change of a field of an existing resource does; words of the reference page."""

    RESTARTS = "restarts the members one at a time"
    AT_ONCE = "works at once, without a restart"
    REFUSED = "refused"
    OPERATOR = "written by the operator"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition in CEL; its message names the field, what must hold, and the remedy."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string."""

    text: str
    """What it means, for people."""
    length_max: int
    length_min: int = 0
    pattern: str = ""
    """Matches the whole string; a form that both RE2 and Python read alike."""
    form: str = ""
    """What the pattern asks for, in words."""
    choices: tuple[str, ...] = ()
    timestamp: bool = False
    default: str | None = None
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A Kubernetes quantity, written as a string or as a plain integer."""

    text: str
    default: str | None = None
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An integer."""

    text: str
    minimum: int
    maximum: int
    choices: tuple[int, ...] = ()
    default: int | None = None
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false."""

    text: str
    default: bool | None = None
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A map of strings."""

    text: str
    values: Text
    count_max: int
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An object with these fields and no others."""

    text: str
    fields: Mapping[str, Field]
    defaulted: bool = False
    """Absent means empty, so that the defaults of its fields hold."""
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A list of objects."""

    text: str
    row: Group
    count_max: int
    key: str = ""
    """Field that tells rows apart for those who apply some of them; empty: one owner of all."""
    required: bool = False
    change: Change = Change.OPERATOR
    rules: tuple[Rule, ...] = ()


Field = Text | Quantity | Whole | Flag | Words | Group | Rows

QUANTITY_PATTERN = (
    r"^\+?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]{1,2}))?$"
)
"""Of quantities that are not negative."""
QUANTITY_LENGTH_MAX = 32
DURATION_PATTERN = r"^(0|[1-9][0-9]{0,6})(ms|s|m|h)$"
DURATION_LENGTH_MAX = 9


def duration(text: str, *, default: str, low: str, high: str, name: str, change: Change) -> Text:
    """Return a field that holds one whole number and one unit, from ``low`` to ``high``."""
    return Text(
        text=text,
        length_min=2,
        length_max=DURATION_LENGTH_MAX,
        pattern=DURATION_PATTERN,
        form=f"{low} to {high}, as a whole number and `ms`, `s`, `m` or `h`",
        default=default,
        change=change,
        rules=(
            Rule(
                f"duration(self) >= duration('{low}') && duration(self) <= duration('{high}')",
                f"{name} must be from {low} to {high}; leave it out for {default}",
            ),
        ),
    )
