"""Figures' lines, and text that imitates one."""

from ocrplus_contract.lines import with_pictures
from ocrplus_local.convert import relink

IMITATED = [
    "Write \\!\\[x](figures/p1-f1.png) there.",
    "A link ](figures/p1-f1.png) that was never begun.",
    "![x](figures/p1-f1.png) and words behind it",
    "| ![x](figures/p1-f1.png) | cell |",
    "```\n![x](figures/p1-f1.png)\n```",
    "~~~~ md\n```\n![x](figures/p1-f1.png)\n~~~~",
    "![x](figures/../p1-f1.png)",
]


def shown(picture: str, figure: str) -> str:
    return f"<{figure} of {picture}>"


def test_a_picture_alone_on_its_line_is_a_figures() -> None:
    text = "Before.\n\n![Fig. 1: a \\_b\\_](figures/p12-f3.png)\n\nAfter."

    assert with_pictures(text, shown) == (
        "Before.\n\n<p12-f3 of ![Fig. 1: a \\_b\\_](figures/p12-f3.png)>\n\nAfter."
    )


def test_text_that_imitates_one_stays_as_it_is() -> None:
    for text in IMITATED:
        assert with_pictures(text, shown) == text


def test_the_command_points_at_its_folder_and_asks_for_real_figures_only() -> None:
    text = "\n\n".join(["![](figures/p2-f1.png)", *IMITATED, "![](figures/p2-f1.png)"])

    relinked, names = relink(text, "a b")

    link = "![](a%20b_figures/p2-f1.png)"
    assert relinked == "\n\n".join([link, *IMITATED, link])
    assert names == ["p2-f1.png"]
