"""What a row of the hostile corpus allows, and what not."""

import dataclasses

import pytest
from hostile import Outcome, Row, complaints

ROW = Row("a.pdf", "broken", "either", 1, 60, 2048, None)
FINE = Outcome(error=None, message="", states=("ok",), markdown="words", seconds=1)
REFUSED = Outcome(error="pdf_invalid", message="", seconds=1)


@pytest.mark.parametrize(
    ("expected", "outcome", "allowed"),
    [
        ("either", FINE, True),
        ("either", REFUSED, True),
        ("either", dataclasses.replace(REFUSED, error="internal"), False),
        ("either", dataclasses.replace(REFUSED, error="not_ended"), False),
        ("converts", FINE, True),
        ("converts", REFUSED, False),
        ("converts", dataclasses.replace(FINE, states=("empty",)), False),
        ("converts", dataclasses.replace(FINE, states=("ok", "ok")), False),
        ("clean_error", REFUSED, True),
        ("clean_error", FINE, False),
        ("page_error", dataclasses.replace(FINE, states=("failed",)), True),
        ("page_error", REFUSED, False),
        ("either", dataclasses.replace(FINE, seconds=61), False),
        ("either", dataclasses.replace(FINE, worker_megabytes=2049), False),
        ("either", dataclasses.replace(FINE, markdown="bell\a"), False),
        ("either", dataclasses.replace(FINE, page_errors=("surprise",)), False),
    ],
)
def test_a_row_is_kept_or_not(expected: str, outcome: Outcome, allowed: bool) -> None:
    row = dataclasses.replace(ROW, expected=expected)

    assert (complaints(row, outcome) == []) is allowed


def test_a_document_that_needs_a_password_says_so() -> None:
    row = dataclasses.replace(ROW, kind="encrypted user password", expected="clean_error")

    assert complaints(row, REFUSED)
    assert complaints(row, dataclasses.replace(REFUSED, error="pdf_encrypted")) == []
