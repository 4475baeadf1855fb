"""How documents are cut."""

from hypothesis import given
from hypothesis import strategies as st

from ocrplus_gateway.chunking import Cutting, chunks, expected_seconds, selected_pages
from ocrplus_gateway.inspection import PageHint

CUTTING = Cutting(chunk_seconds=20, chunk_pages=16, text_page_seconds=0.5, ocr_page_seconds=6)
TEXT, SCAN = PageHint(400, 0.1), PageHint(0, 1.0)


def test_text_pages_fill_a_chunk_up_to_its_most_pages() -> None:
    assert chunks(range(1, 41), [0.5] * 40, CUTTING) == [(1, 16), (17, 32), (33, 40)]


def test_scanned_pages_fill_a_chunk_up_to_its_seconds() -> None:
    assert chunks(range(1, 8), [6.0] * 7, CUTTING) == [(1, 3), (4, 6), (7, 7)]


def test_a_page_longer_than_a_chunk_still_fits_one() -> None:
    assert chunks([1, 2], [100.0, 1.0], CUTTING) == [(1, 1), (2, 2)]


def test_pages_that_do_not_follow_each_other_are_parted() -> None:
    assert chunks([2, 4, 5], [0.5] * 3, CUTTING) == [(2, 2), (4, 5)]


def test_ranges_beyond_the_document_select_nothing() -> None:
    assert selected_pages(3, [(2, 9)]) == [2, 3]
    assert selected_pages(3, [(7, 9)]) == []
    assert selected_pages(3, None) == [1, 2, 3]


def test_a_page_nobody_looked_at_costs_what_the_others_cost() -> None:
    hints = [TEXT, SCAN]

    assert expected_seconds(hints, [1, 2, 3], CUTTING, by_ocr=False) == [0.5, 6, (0.5 + 6) / 2]
    assert expected_seconds([], [1], CUTTING, by_ocr=False) == [6]
    assert expected_seconds(hints, [1], CUTTING, by_ocr=True) == [6]


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.1, 50)), min_size=1, max_size=80),
    st.integers(1, 20),
)
def test_every_selected_page_is_in_exactly_one_chunk(items, most_pages: int) -> None:
    pages = [number for number, (chosen, _) in enumerate(items, 1) if chosen]
    seconds = [s for chosen, s in items if chosen]
    cutting = Cutting(20, most_pages, 0.5, 6)

    cut = chunks(pages, seconds, cutting)

    assert [p for first, last in cut for p in range(first, last + 1)] == pages
    assert all(last - first < most_pages for first, last in cut)
