"""Every reason is explained, once."""

from __future__ import annotations

from collections import Counter

import pytest

from quorate_operator.reasons import Condition, Reason
from quorate_operator.schema.explanations import CONDITIONS, GROUPS, Explanation, explained


def test_every_condition_is_explained() -> None:
    assert set(CONDITIONS) == set(Condition)


def test_every_reason_is_explained_once() -> None:
    found = Counter(reason for _, rows in GROUPS for reason, _ in rows)
    assert found == Counter(Reason), "add it to schema/explanations.py, then render the pages"


@pytest.mark.parametrize(("reason", "explanation"), explained().items())
def test_an_explanation_consists_of_sentences(reason: Reason, explanation: Explanation) -> None:
    for text in explanation:
        assert text[0].isupper() or text[0] == "`", f"{reason}: {text}"
        assert text.endswith("."), f"{reason}: {text}"
        assert "|" not in text, f"{reason}: a bar would end the cell of the table"
