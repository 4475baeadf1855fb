from pathlib import Path

import pytest
from autoscaling_worked import table

from ocrplus_operator.control.types import ConditionType, Reason

PAGE = (Path(__file__).parents[2] / "docs/autoscaling.md").read_text()


def test_the_worked_trace_is_what_the_law_does() -> None:
    assert table() in PAGE


@pytest.mark.parametrize("word", [*Reason, *ConditionType])
def test_every_reason_and_condition_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE
