"""How deep headings lie, on a page and over a whole document."""

import pytest

from ocrplus_contract.document import settled
from ocrplus_contract.headings import levels, numbering
from ocrplus_contract.records import HeadingRecord, PageRecord
from ocrplus_contract.states import PageState, TextSource


def heading(text: str, size: float = 0.0, *, bold: bool = False, bookmark: int = 0):
    return HeadingRecord(text=text, level=2, size=size, bold=bold, bookmark=bookmark)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1 范围", "decimal1"),
        ("3.1 牌号与化学成分", "decimal2"),
        ("2.3.4. Results", "decimal3"),
        ("第一章 总则", "chapter"),
        ("Chapter 4 Water", "chapter"),
        ("第二节", "section"),
        ("第三条　付款", "article"),
        ("Article 2. Payment", "article"),
        ("一、病历管理现状", "chinese"),
        ("（二）方法", "bracketed"),
        ("(1) Scope", "item"),
        ("III. Interleaver design", "roman"),
        ("Appendix A", "annex"),
    ],
)
def test_a_numbering_is_known_by_its_form(text: str, name: str) -> None:
    assert numbering(text) == name


@pytest.mark.parametrize("text", ["2024年上半年", "Introduction", "100 years of rain", "3.5%", ""])
def test_a_number_of_something_is_no_numbering(text: str) -> None:
    assert numbering(text) is None


def test_larger_headings_stand_higher() -> None:
    found = [
        heading("Report", 18),
        heading("Causes", 13),
        heading("Trends", 11),
        heading("End", 13),
    ]

    assert levels(found) == [1, 2, 3, 2]


def test_in_one_size_the_numbering_tells_the_depth() -> None:
    found = [heading("Title", 15), heading("3 Alloys", 10), heading("3.1 Grades", 10)]

    assert levels(found) == [1, 2, 3]


def test_a_numbering_has_one_level_even_if_a_scan_gives_its_heights_unevenly() -> None:
    found = [heading("Title", 20), heading("1. A", 13), heading("2. B", 11.2), heading("3. C", 13)]

    assert levels(found, scanned=1.0) == [1, 2, 2, 2]


def test_bookmarks_say_the_depth_where_there_are_some() -> None:
    found = [
        heading("Readme", 14, bookmark=1),
        heading("Components", 12, bookmark=2),
        heading("Attribution", 12, bookmark=3),
    ]

    assert levels(found) == [1, 2, 3]


def test_a_title_larger_than_all_bookmarked_headings_stands_above_them() -> None:
    found = [heading("The paper", 20), *(heading(t, 10, bookmark=1) for t in ("I", "II", "III"))]

    assert levels(found) == [1, 2, 2, 2]


def test_no_heading_has_no_level() -> None:
    assert levels([]) == []


def page(number: int, markdown: str, *headings: HeadingRecord) -> PageRecord:
    return PageRecord(
        page=number,
        state=PageState.OK,
        markdown=markdown,
        source=TextSource.TEXT_LAYER,
        headings=headings,
    )


def test_a_page_that_saw_only_deep_headings_is_set_right_by_the_document() -> None:
    first = page(1, "# Report\n\n## Causes\n\ntext", heading("Report", 18), heading("Causes", 13))
    second = page(2, "# Causes again\n\ntext", heading("Causes again", 13))

    first_settled, second_settled = settled([first, second])

    assert first_settled.markdown == first.markdown
    assert second_settled.markdown == "## Causes again\n\ntext"
    assert second_settled.headings[0].level == 2


def test_a_comment_in_code_is_no_heading() -> None:
    first = page(1, "# Report", heading("Report", 18))
    second = page(2, "```\n# comment\n```\n\n# Causes", heading("Causes", 13))

    _, settled_page = settled([first, second])

    assert settled_page.markdown == "```\n# comment\n```\n\n## Causes"


def test_a_page_whose_headings_do_not_fit_its_text_is_left_alone() -> None:
    odd = page(1, "# One\n\n# Two", heading("One", 18))

    assert settled([odd]) == [odd]


def test_the_step_can_be_switched_off() -> None:
    pages = [page(1, "# A", heading("A", 18)), page(2, "# B", heading("B", 10))]

    assert settled(pages, frozenset({"heading_levels"})) == pages


def test_a_scanned_page_among_others_has_the_levels_of_its_sizes() -> None:
    found = [
        heading("Report", 18, bold=True),
        heading("Trends", 13.4, bold=True),
        heading("Soil", 11.6, bold=True),
        heading("Bridges", 13.6),
        heading("Loads", 11.5),
    ]

    assert levels(found, scanned=0.4) == [1, 2, 3, 2, 3]


def test_levels_have_no_gap() -> None:
    found = [
        heading("Contract", 20),
        *(heading(f"Article {n}. X", s) for n, s in ((1, 16), (2, 12), (3, 12))),
    ]

    assert levels(found, scanned=1.0) == [1, 2, 2, 2]


@pytest.mark.parametrize(
    "code",
    [
        "```\n~~~\n# comment\n```",
        "````\n```js\n# comment\n```\n````",
        "~~~\n```\n# comment\n~~~",
        "```\n``` # comment\n# comment\n```",
        "    ```\n# comment",
    ],
)
def test_a_fence_ends_at_its_own_sign_only(code: str) -> None:
    top = PageRecord(page=1, state=PageState.OK, markdown="# Top", headings=(heading("Top", 20),))
    found = () if code[0] in "~`" else (heading("comment", 12),)
    page = PageRecord(
        page=2,
        state=PageState.OK,
        markdown=f"{code}\n\n# Causes",
        headings=(*found, heading("Causes", 12)),
    )

    assert settled([top, page])[1].markdown.endswith("\n\n## Causes")


def test_a_scanned_heading_has_the_size_of_the_printed_one_it_is_nearest_to() -> None:
    printed = [heading("Report", 16.3), heading("Causes", 13.4), heading("Of rain", 11.5)]
    scanned = [
        heading("Effects", 14.3).model_copy(update={"scanned": True}),
        heading("Of snow", 12.3).model_copy(update={"scanned": True}),
    ]

    assert levels([*printed, *scanned], scanned=0.4) == [1, 2, 3, 2, 3]
