"""Pages of Markdown as one document."""

from ocrplus_contract.merging import merged

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
