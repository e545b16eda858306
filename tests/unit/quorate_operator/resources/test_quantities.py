"""Quantities are exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_operator.resources.quantities import amount, canonical
from quorate_operator.schema.fields import QUANTITY_PATTERN

MATCHING = st.from_regex(re.compile(QUANTITY_PATTERN, re.ASCII), fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("100m", Fraction(1, 10)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("2k", 2_000),
        ("64Mi", 64 * 2**20),
        ("1Ei", 2**60),
        ("1E", 10**18),
        ("1e3", 1_000),
        ("12E-1", Fraction(6, 5)),
        ("5n", Fraction(5, 10**9)),
        ("-1", -1),
    ],
)
def test_a_quantity_is_a_number(text: str, expected: Fraction) -> None:
    assert amount(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "1gi", "Gi", "1e", "1e123", "٣"])
def test_other_texts_are_none(text: str) -> None:
    assert amount(text) is None
    assert canonical(text) == text


@given(text=MATCHING)
def test_what_the_schema_lets_in_is_a_quantity(text: str) -> None:
    assert amount(text) is not None


@given(text=MATCHING)
def test_a_canonical_quantity_stays(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text) or "/" in canonical(text)
