"""Properties of every field of the resource."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from quorate_operator.schema.checking import is_defaulted, problems
from quorate_operator.schema.definition import ROOT_RULES, default_of, definition, root
from quorate_operator.schema.fields import Change, Field, Group, Json, Rows, Text, Whole, Words
from quorate_operator.schema.page import leaves, rules
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

LEAVES = [(f"spec.{path}", field) for path, field in leaves(SPEC, "")]
EVERY = LEAVES + [(f"status.{path}", field) for path, field in leaves(STATUS, "")]
RULES = [("metadata, status", rule) for rule in ROOT_RULES] + [
    (path, rule) for path, found in rules(SPEC, "spec") for rule in found
]


def nodes(schema: Json) -> Iterator[dict[str, Json]]:
    """Yield every schema inside a schema."""
    assert isinstance(schema, dict)
    yield schema
    properties = schema.get("properties") or {}
    assert isinstance(properties, dict)
    for below in (*properties.values(), schema.get("items"), schema.get("additionalProperties")):
        if below is not None:
            yield from nodes(below)


@pytest.mark.parametrize(("path", "field"), EVERY, ids=[path for path, _ in EVERY])
def test_a_field_says_what_it_means(path: str, field: Field) -> None:
    assert field.text.endswith("."), f"{path} needs a sentence"


@pytest.mark.parametrize(("path", "field"), LEAVES, ids=[path for path, _ in LEAVES])
def test_a_field_of_the_spec_says_what_a_change_does(path: str, field: Field) -> None:
    assert field.change is not Change.OPERATOR, f"{path} is written by its user"


@pytest.mark.parametrize(("path", "field"), EVERY, ids=[path for path, _ in EVERY])
def test_a_pattern_is_explained_and_excludes_partial_matches(path: str, field: Field) -> None:
    text = field.values if isinstance(field, Words) else field
    if isinstance(text, Text) and text.pattern:
        assert text.form, f"{path} has a pattern and no words for it"
        assert (text.pattern[0], text.pattern[-1]) == ("^", "$")
        assert not re.search(r"\\[wdb]|\(\?", text.pattern), "read otherwise by RE2 and Python"


def test_everything_has_an_upper_bound() -> None:
    for schema in nodes({"properties": {"spec": root()["properties"], "all": root()}} | root()):
        match schema.get("type"):
            case "string":
                assert "maxLength" in schema or "enum" in schema or schema.keys() <= {"type"}
            case "array":
                assert "maxItems" in schema
            case "integer":
                # The API server reads bounds as floating point numbers: beyond 2^53 they turn
                # into others, and at 2^63 into a bound that refuses everything.
                assert int(str(schema["maximum"])) < 2**53
            case "object":
                assert "additionalProperties" not in schema or "maxProperties" in schema
            case _:
                pass


@pytest.mark.parametrize(("path", "field"), [*LEAVES, ("spec", SPEC)])
def test_a_default_is_within_its_bounds(path: str, field: Field) -> None:
    if is_defaulted(field):
        assert not list(problems(field, default_of(field), path))


@pytest.mark.parametrize(("path", "rule"), RULES)
def test_a_message_names_the_field_and_the_remedy(path: str, rule: object) -> None:
    message = getattr(rule, "message", "")
    named = path.removesuffix("[]")
    assert named in message or message.startswith(("metadata.", "status.")), message
    assert re.search(
        r"(set it back|leave (it )?out|leave out|lower|raise|make a new|add one|remove|use|choose)",
        message,
    ), f"no remedy: {message}"
    assert len(message) < 300


def test_the_schema_is_structural() -> None:
    """What the API server demands: a type everywhere, and nothing of metadata but its name."""
    for schema in nodes(root()):
        assert "type" in schema or schema.get("x-kubernetes-int-or-string")
        assert not schema.keys() & {"$ref", "nullable", "oneOf", "not", "uniqueItems"}


def test_columns_are_the_agreed_ones() -> None:
    versions = definition()["spec"]
    assert isinstance(versions, dict)
    (version,) = versions["versions"]  # type: ignore[misc]
    columns = [
        (column["name"].upper(), column.get("priority", 0))
        for column in version["additionalPrinterColumns"]  # type: ignore[index, call-overload]
    ]
    assert columns == [
        ("READY", 0),
        ("LEADER", 0),
        ("QUORATE", 0),
        ("STATUS", 0),
        ("AGE", 0),
        ("TERM", 1),
        ("VERSION", 1),
    ]


def test_bounds_are_checked() -> None:
    number = Whole(text=".", minimum=2, maximum=5)
    assert [bool(list(problems(number, value, "n"))) for value in (1, 2, 5, 6)] == [1, 0, 0, 1]
    text = Text(text=".", length_min=1, length_max=2, pattern="^[a-c]*$", form="a to c")
    for value, refused in [("", 1), ("a", 0), ("ab", 0), ("abc", 1), ("d", 1), ("a\n", 1)]:
        assert bool(list(problems(text, value, "t"))) == bool(refused), repr(value)
    row = Group(text=".", fields={"n": number})
    rows = Rows(text=".", row=row, count_max=2)
    assert not list(problems(rows, [{"n": 2}, {}], "r"))
    assert list(problems(rows, [{}, {}, {}], "r")) == ["r has 3 rows, not at most 2"]
    assert list(problems(rows, [{"n": 1}], "r")) == ["r[0].n is 1, not 2 to 5"]
    words = Words(text=".", count_max=1, values=text)
    assert not list(problems(words, {"k": "a"}, "w"))
    assert len(list(problems(words, {"k": "a", "l": "d"}, "w"))) == 2
    for field in (number, text, row, rows, words):
        assert list(problems(field, None, "x")), f"{field} lets null in"
        assert list(problems(field, True, "x")), f"{field} lets a flag in"
