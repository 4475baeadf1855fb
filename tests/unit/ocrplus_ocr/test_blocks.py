"""From what was found on a page to Markdown, without a model."""

from dataclasses import replace

import pytest

from ocrplus_ocr.engine import Block, BlockKind, Figure, ReadOptions, TextLine
from ocrplus_ocr.engine.found import FoundBlock, FoundPage, page_of
from ocrplus_ocr.engine.labels import block_kind, known_labels
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.render import caption_of, page_markdown
from ocrplus_ocr.markdown.steps import finished
from ocrplus_ocr.markdown.tables import table_markdown
from ocrplus_ocr.models.recipes import LAYOUT_LABELS

SIZE = (1000, 1400)
DOCLAYOUT_PLUS_L = [
    "paragraph_title",
    "image",
    "text",
    "number",
    "abstract",
    "content",
    "figure_title",
    "formula",
    "table",
    "reference",
    "doc_title",
    "footnote",
    "header",
    "algorithm",
    "footer",
    "seal",
    "chart",
    "formula_number",
    "aside_text",
    "reference_content",
]


def found(blocks=(), lines=(), layout=()) -> FoundPage:
    return FoundPage(1, list(blocks), list(lines), list(layout), SIZE)


def page_blocks(page: FoundPage) -> list[Block]:
    return list(finished(page_of(page)).blocks)


@pytest.mark.parametrize("label", [*LAYOUT_LABELS, *DOCLAYOUT_PLUS_L])
def test_every_label_of_both_layout_models_has_a_kind(label: str) -> None:
    assert label in known_labels()


def test_a_new_label_is_text_and_not_lost() -> None:
    assert block_kind("hologram") is BlockKind.TEXT


def test_lines_that_no_block_claims_come_back_at_their_place() -> None:
    blocks = [
        FoundBlock("text", "above", (100, 100, 900, 200)),
        FoundBlock("text", "below", (100, 600, 900, 700)),
    ]
    lines = [
        TextLine("above", (100, 100, 900, 130)),
        TextLine("left out", (100, 300, 500, 330)),
        TextLine("and its second line", (100, 335, 500, 365)),
    ]

    result = page_blocks(found(blocks, lines))

    assert [b.text for b in result] == ["above", "left out and its second line", "below"]


def test_a_page_taken_for_one_picture_keeps_its_text() -> None:
    picture = FoundBlock("image", "", (0, 0, 1000, 1400))
    lines = [TextLine(f"line {n}", (50, n * 100, 900, n * 100 + 30)) for n in range(1, 9)]

    text = " ".join(b.text for b in page_blocks(found([picture], lines)))

    assert all(f"line {n}" in text for n in range(1, 9))


def test_a_figure_keeps_the_text_inside_it_as_a_picture() -> None:
    picture = FoundBlock("image", "", (100, 100, 400, 400))
    lines = [TextLine("axis", (120, 120, 200, 140))]

    assert [b.kind for b in page_blocks(found([picture], lines))] == [BlockKind.FIGURE]


def test_a_picture_that_the_pipeline_dropped_comes_back_before_its_caption() -> None:
    caption = FoundBlock("figure_title", "Figure 1", (120, 405, 380, 425))
    layout = [FoundBlock("image", "", (100, 100, 400, 410), 0.9)]

    result = page_blocks(found([caption], layout=layout))

    assert [b.kind for b in result] == [BlockKind.FIGURE, BlockKind.CAPTION]


def test_a_table_that_could_not_be_read_keeps_its_text() -> None:
    table = FoundBlock("table", "<table><tr><td></td></tr></table>", (100, 100, 900, 300))
    lines = [TextLine("cell", (120, 120, 200, 150))]

    assert [(b.kind, b.text) for b in page_blocks(found([table], lines))] == [
        (BlockKind.TEXT, "cell")
    ]


def test_a_table_without_spans_is_a_pipe_table() -> None:
    rows = "<tr><td>a</td><td>b|c</td></tr><tr><td>1</td></tr>"
    html = f"<html><body><table>{rows}</table></body></html>"

    assert table_markdown(html) == "| a | b\\|c |\n| --- | --- |\n| 1 |  |"


def test_a_table_with_spans_is_lean_html() -> None:
    html = (
        '<table border="1"><tr><td colspan="2">head</td></tr><tr><td>1</td><td>2</td></tr></table>'
    )

    assert table_markdown(html) == (
        '<table><tr><td colspan="2">head</td></tr><tr><td>1</td><td>2</td></tr></table>'
    )


@pytest.mark.parametrize("spans", ["", ' colspan="2"'])
def test_no_cell_can_smuggle_html(spans: str) -> None:
    html = f"<table><tr><td{spans}><script>x</script><img src=a onerror=b></td></tr></table>"

    assert "<script" not in table_markdown(html)
    assert "<img" not in table_markdown(html)


def test_no_text_can_smuggle_html_or_become_a_heading() -> None:
    blocks = [
        Block(BlockKind.TEXT, "<script>alert(1)</script> a < b", (0, 0, 1, 1)),
        Block(BlockKind.TEXT, "# not a heading", (0, 2, 1, 3)),
    ]

    markdown = page_markdown(blocks, [])

    assert markdown == "&lt;script>alert(1)&lt;/script> a < b\n\n\\# not a heading"


def test_words_at_the_edge_are_said_only_where_there_are_no_others() -> None:
    header = Block(BlockKind.HEADER, "Hello # world", (72, 75, 218, 96))
    number = Block(BlockKind.PAGE_NUMBER, "12", (300, 800, 320, 810))
    text = Block(BlockKind.TEXT, "Body", (72, 100, 218, 120))

    assert page_markdown([header, number], []) == "Hello # world"
    assert page_markdown([header, text, number], []) == "Body"
    assert page_markdown([number], []) == ""


def test_surrogates_and_control_characters_never_reach_the_markdown() -> None:
    block = FoundBlock("text", "a\ud83d\x00b\x07c", (0, 0, 10, 10))

    assert page_blocks(found([block]))[0].text == "a?bc"


def test_a_figure_stands_at_its_place_with_its_printed_caption() -> None:
    blocks = [
        Block(BlockKind.HEADING, "Results", (0, 0, 100, 10)),
        Block(BlockKind.FIGURE, "", (0, 20, 100, 80)),
        Block(BlockKind.CAPTION, "Figure 1: [x]", (0, 82, 100, 90)),
        Block(BlockKind.PAGE_NUMBER, "7", (50, 95, 60, 99)),
    ]
    figure = Figure("p1-f1", BlockKind.FIGURE, (0, 20, 100, 80), b"", caption_of(blocks, 1))

    assert page_markdown(blocks, [figure]) == (
        "## Results\n\n![Figure 1: x](figures/p1-f1.png)\n\nFigure 1: [x]"
    )


def test_boxes_are_told_in_points() -> None:
    block = FoundBlock("text", "a", (10, 20, 30, 45))

    page = page_of(FoundPage(1, [block], [], [], SIZE, scale=2.0))

    assert page.blocks[0].box == (5, 10, 15, 22.5)
    assert page.size == (500, 700)


def test_with_the_steps_off_the_blocks_are_the_engines_own() -> None:
    table = FoundBlock("table", "<table><tr><td></td></tr></table>", (100, 100, 900, 300))
    lost = TextLine("lost", (120, 900, 200, 950))

    blocks = finished(page_of(found([table], [lost])), off={"all"}).blocks

    assert [(b.kind, b.text, b.box) for b in blocks] == [
        (BlockKind.TABLE, table.content, table.box)
    ]


SPANNED = (
    '<table><tr><td rowspan="2">a</td><td colspan="2">b</td></tr>'
    "<tr><td>c</td><td>d</td></tr></table>"
)


def test_a_table_takes_the_form_that_was_asked_for() -> None:
    plain = "<table><tr><td>a</td><td>b</td></tr></table>"

    assert table_markdown(SPANNED).startswith("<table>")
    assert table_markdown(SPANNED, "markdown").splitlines() == [
        "| a | b |  |",
        "| --- | --- | --- |",
        "|  | c | d |",
    ]
    assert table_markdown(plain) == "| a | b |\n| --- | --- |"
    assert table_markdown(plain, "html") == plain


def test_a_figure_is_linked_or_stands_in_the_text() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    figure = Figure("p1-f1", BlockKind.FIGURE, box, b"png", None)
    block = Block(BlockKind.FIGURE, "", box)

    assert page_markdown([block], [figure]) == "![](figures/p1-f1.png)"
    inline = page_markdown([block], [figure], ReadOptions(figures="inline"))
    assert inline == "![](data:image/png;base64,cG5n)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Pay](https://e.example) ![](https://e.example/t)", None),
        ("\\[Pay](https://e.example)", "\\\\\\[Pay](https://e.example)"),
        ("a [b [c](x) d](y)", "a \\[b \\[c](x) d](y)"),
        ("over the page](https://e.example)", "over the page\\](https://e.example)"),
        ("[a][b] and [c]", "\\[a][b] and [c]"),
        ("[1]: https://e.example", "\\[1]: https://e.example"),
        ("- one\n- [^1]: two", "- one\n- \\[^1]: two"),
        ("see [1], [2] and f(x)", "see [1], [2] and f(x)"),
        ("---", "\\---"),
        ("* * *", "\\* * *"),
        ("a\n___", "a\n\\___"),
        ("a\r# b", "a\n\\# b"),
        ("--- a", "--- a"),
        ("&lt;b&gt; &#60; &#x3c;", "&amp;lt;b&amp;gt; &amp;#60; &amp;#x3c;"),
        ("AT&T; R&D &c", "AT&T; R&D &c"),
    ],
)
def test_words_of_a_page_are_no_links_rules_or_entities(text: str, expected: str | None) -> None:
    expected = expected or "\\[Pay](https://e.example) !\\[](https://e.example/t)"

    assert page_markdown([Block(BlockKind.TEXT, text, (0, 0, 1, 1))], []) == expected


@pytest.mark.parametrize("kind", [BlockKind.HEADING, BlockKind.CAPTION, BlockKind.FOOTNOTE])
def test_no_kind_of_block_makes_links(kind: BlockKind) -> None:
    blocks = [Block(kind, "[click](javascript:alert(1))", (0, 0, 1, 1))]

    assert page_markdown(blocks, []).removeprefix("## ") == "\\[click](javascript:alert(1))"


def test_words_of_a_cell_neither_part_it_nor_make_links() -> None:
    table = "<table><tr><td>a\\|b</td><td>[c](d) &amp;lt;</td></tr></table>"

    head = table_markdown(table).split("\n")[0]

    assert head == "| a\\\\\\|b | \\[c](d) &amp;lt; |"


def test_a_formula_keeps_its_bars_and_makes_no_links() -> None:
    blocks = [Block(BlockKind.FORMULA, "$$\n|x|<y f[a](b)\n$$", (0, 0, 1, 1))]

    assert page_markdown(blocks, []) == "$$\n|x|< y f[a] (b)\n$$"


def test_a_formula_without_its_picture_says_its_characters() -> None:
    blocks = [Block(BlockKind.FORMULA_PICTURE, "x = y", (0, 0, 1, 1))]

    assert page_markdown(blocks, [], ReadOptions(figures="none")) == "x = y"


def test_words_beside_a_figures_image_stay_in_its_picture() -> None:
    axis = TextLine("Time in hours", (240, 372, 360, 384), 8)
    figure = Block(BlockKind.FIGURE, "", (100, 200, 500, 390))
    image = (102, 202, 498, 362)
    page = Page(1, (600, 800), (figure,), (axis,), pictures=(image,))

    (kept,) = finished(page).blocks
    (tight,) = finished(replace(page, lines=())).blocks

    assert (kept.box, tight.box) == (figure.box, image)
