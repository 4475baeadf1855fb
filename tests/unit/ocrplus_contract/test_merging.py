"""Pages of Markdown as one document."""

import time

import pytest

from ocrplus_contract.merging import PageText
from ocrplus_contract.merging import merged as merged_pages


def merged(pages: list[tuple[str, str, bool]]) -> str:
    return merged_pages([PageText(*page) for page in pages])


TABLE = "| Item | 2019 |\n| --- | --- |\n| cost | 1 |"


def test_pages_stand_under_each_other_with_their_anchors() -> None:
    assert merged([("<1>", "one", False), ("<2>", "two", False)]) == "<1>\n\none\n\n<2>\n\ntwo"


def test_a_paragraph_that_goes_on_is_whole_and_keeps_the_anchor() -> None:
    assert (
        merged([("<1>", "it goes", False), ("<2>", "on here", True)])
        == "<1>\n\nit goes <2> on here"
    )


def test_a_word_parted_at_the_pages_end_is_whole() -> None:
    assert merged([("<1>", "a connec-", False), ("<2>", "ted set", True)]).endswith(
        "connec<2>ted set"
    )


def test_chinese_goes_on_without_a_space() -> None:
    assert merged([("<1>", "正文", False), ("<2>", "继续", True)]).endswith("正文<2>继续")


def test_a_table_goes_on_without_its_repeated_heading() -> None:
    below = "| Item | 2019 |\n| --- | --- |\n| gain | 2 |\n\ntext"

    assert merged([("<1>", TABLE, False), ("<2>", below, False)]) == (
        f"<1>\n\n{TABLE}\n| gain | 2 |\n\n<2>\n\ntext"
    )


def test_rows_without_a_heading_go_on_with_the_table_above() -> None:
    below = "| gain | 2 |\n| --- | --- |\n| sum | 3 |"

    assert merged([("<1>", TABLE, False), ("<2>", below, False)]) == (
        f"<1>\n\n{TABLE}\n| gain | 2 |\n| sum | 3 |\n\n<2>"
    )


def test_another_table_is_another_table() -> None:
    below = "| Name | Town |\n| --- | --- |\n| Ann | Ely |"

    assert merged([("<1>", TABLE, False), ("<2>", below, False)]).endswith(f"<2>\n\n{below}")


def test_a_table_with_spans_goes_on_too() -> None:
    above = '<table><tr><td colspan="2">Year</td></tr><tr><td>a</td><td>1</td></tr></table>'
    below = '<table><tr><td colspan="2">Year</td></tr><tr><td>b</td><td>2</td></tr></table>'

    assert merged([("<1>", above, False), ("<2>", below, False)]) == (
        f"<1>\n\n{above.removesuffix('</table>')}<tr><td>b</td><td>2</td></tr></table>\n\n<2>"
    )


def test_a_table_goes_on_over_three_pages_and_over_an_empty_one() -> None:
    pages = [TABLE, "| Item | 2019 |\n| --- | --- |\n| gain | 2 |", "", TABLE.replace("cost", "x")]

    whole = merged([(f"<{i}>", text, False) for i, text in enumerate(pages)])

    assert whole == f"<0>\n\n{TABLE}\n| gain | 2 |\n| x | 1 |\n\n<1>\n\n<2>\n\n<3>"


def test_a_table_with_spans_goes_on_over_three_pages() -> None:
    head = '<tr><td colspan="2">Year</td></tr>'
    row = "<tr><td>{}</td><td>1</td></tr>"

    whole = merged([(f"<{i}>", f"<table>{head}{row.format(i)}</table>", False) for i in range(3)])

    rows = "".join(row.format(i) for i in range(3))
    assert whole == f"<0>\n\n<table>{head}{rows}</table>\n\n<1>\n\n<2>"


def test_no_table_goes_on_past_text() -> None:
    pages = [f"{TABLE}\n\ntext", "| Item | 2019 |\n| --- | --- |\n| gain | 2 |"]

    assert merged([("<1>", pages[0], False), ("<2>", pages[1], False)]).endswith(pages[1])


def test_a_paragraph_goes_on_over_three_pages() -> None:
    pages = [("<1>", "it goes", False), ("<2>", "on and", True), ("<3>", "on.\n\nNext", True)]

    assert merged(pages) == "<1>\n\nit goes <2> on and <3> on.\n\nNext"


@pytest.mark.parametrize("every", [0, 1, 2])
def test_a_book_of_two_thousand_pages_is_merged_in_no_time(every: int) -> None:
    prose = ("Lorem ipsum dolor sit amet consectetur adipiscing elit. " * 10 + "\n\n") * 5
    pages = [(f"<{i}>", prose, bool(every) and i % every == 0) for i in range(2000)]

    before = time.process_time()
    whole = merged(pages)

    assert time.process_time() - before < 2
    assert whole.count("<") == 2000


def test_a_table_of_a_thousand_pages_is_merged_in_no_time() -> None:
    page = "| a | b |\n| --- | --- |\n" + "| 1 | 2 |\n" * 60

    before = time.process_time()
    whole = merged([(f"<{i}>", page, False) for i in range(1000)])

    assert time.process_time() - before < 2
    assert whole.count("| a | b |") == 1


NOTE = "1 A note."
FIGURE = "![](figures/p2-f1.png)\n\nFigure 1. A bridge"


def test_a_paragraph_goes_on_past_a_footnote_and_a_figure() -> None:
    above = PageText("<1>", f"First.\n\nit goes\n\n{NOTE}", open_end="it goes")
    below = PageText("<2>", f"{FIGURE}\n\non here.\n\nNext.", True, open_start="on here.")

    assert merged_pages([above, below]) == (
        f"First.\n\nit goes <2> on here.\n\n{NOTE}\n\n{FIGURE}\n\nNext.".join(["<1>\n\n", ""])
    )


def test_a_paragraph_goes_on_over_three_pages_past_their_footnotes() -> None:
    pages = [
        PageText("<1>", f"it goes\n\n{NOTE}", open_end="it goes"),
        PageText("<2>", "on and\n\n2 Another.", True, open_start="on", open_end="and"),
        PageText("<3>", "on.\n\nNext", True, open_start="on."),
    ]

    assert merged_pages(pages) == (
        f"<1>\n\nit goes <2> on and <3> on.\n\n{NOTE}\n\n2 Another.\n\nNext"
    )


def test_a_table_under_an_open_paragraph_goes_on_too() -> None:
    below = "| Item | 2019 |\n| --- | --- |\n| gain | 2 |\n\non here."
    pages = [
        PageText("<1>", f"it goes\n\n{TABLE}", open_end="it goes"),
        PageText("<2>", below, True, open_start="on here."),
    ]

    assert merged_pages(pages) == f"<1>\n\nit goes <2> on here.\n\n{TABLE}\n| gain | 2 |"


@pytest.mark.parametrize(
    ("end", "start", "keeps", "whole"),
    [
        ("a connec-", "ted set", False, "a connec<2>ted set"),
        ("a self-", "made set", True, "a self-<2>made set"),
        ("the Rhine-", "Main line", False, "the Rhine-<2>Main line"),
        ("from 1990-", "1995", False, "from 1990-<2>1995"),
        ("a connec\u2010", "ted set", False, "a connec<2>ted set"),
        ("it is so -", "or not", False, "it is so - <2> or not"),
    ],
)
def test_a_hyphen_at_the_page_s_end_goes_where_the_printer_set_it(
    end: str, start: str, keeps: bool, whole: str
) -> None:
    above = PageText("<1>", end, open_end=end, keeps_hyphen=keeps)

    assert merged_pages([above, PageText("<2>", start, True)]) == f"<1>\n\n{whole}"


def test_a_description_put_under_a_figure_later_changes_no_joint() -> None:
    told = f"{FIGURE}\n\n> one bridge\n\non here."
    above = PageText("<1>", "it goes\n\n![](a.png)\n\n> a bridge", open_end="it goes")

    whole = merged_pages([above, PageText("<2>", told, True, open_start="on here.")])

    assert "it goes <2> on here." in whole
