"""Running text, lists and code from their lines."""

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.hyphens import Hyphens, hyphens_of, joined_lines
from ocrplus_ocr.markdown.leftovers import bring_back_leftovers
from ocrplus_ocr.markdown.listings import listing_text, set_listings
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.paragraphs import flowing_text, typeset
from ocrplus_ocr.markdown.rows import rows

FULL = "a line of text that fills the width of the whole column"


def row(text: str, y: float, x: float = 50, *, size: float = 10, mono: bool = False) -> TextLine:
    return TextLine(text, (x, y, x + len(text) * 5, y + 10), size, 400, mono=mono)


def text(*lines: TextLine) -> str:
    return flowing_text(rows(lines))


def test_full_lines_are_one_paragraph() -> None:
    assert text(row(FULL, 0), row(FULL, 12), row("end.", 24)) == f"{FULL} {FULL} end."


def test_a_line_that_ends_early_ends_the_paragraph() -> None:
    assert text(row(FULL, 0), row("end.", 12), row(FULL, 24)) == f"{FULL} end.\n\n{FULL}"


def test_an_indented_line_begins_a_paragraph() -> None:
    lines = [row(FULL, 0), row(FULL, 12), row(FULL[:-4], 24, 70), row(FULL, 36)]

    assert text(*lines).count("\n\n") == 1


def test_bullets_become_markdown_with_their_depth() -> None:
    lines = [row("• first", 0), row("• deeper", 12, 70), row("• second", 24)]

    assert text(*lines) == "- first\n  - deeper\n- second"


def test_numbers_stay_as_they_are_printed() -> None:
    assert text(row("3. third", 0), row("4. fourth", 12)) == "3. third\n4. fourth"


def test_an_item_goes_on_over_lines() -> None:
    assert text(row(f"• {FULL}", 0), row("and its end", 12, 60)) == f"- {FULL} and its end"


def test_chinese_is_joined_without_spaces() -> None:
    lines = [TextLine("正文" * 10, (50, y, 250, y + 10), 10, 400) for y in (0, 12)]

    assert text(*lines) == "正文" * 20


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (["connec-", "ted sets"], "connected sets"),
        (["a pre-", "compiled package"], "a pre-compiled package"),
        (["the Rhine-", "Main region"], "the Rhine-Main region"),
        (["rate-", "1/2 codes"], "rate-1/2 codes"),
        (["systematic IRA-", "codes"], "systematic IRA-codes"),
        (["end", "of line"], "end of line"),
    ],
)
def test_only_a_printers_hyphen_goes(lines: list[str], whole: str) -> None:
    assert joined_lines(lines) == whole


def test_a_word_that_the_page_writes_with_a_hyphen_keeps_it() -> None:
    written = Hyphens(hyphens_of(["a text-layer document"]).written)

    assert joined_lines(["the text-", "layer"], written) == "the text-layer"
    assert joined_lines(["the text-", "layer"]) == "the textlayer"


def test_a_page_that_parts_no_words_keeps_its_hyphens() -> None:
    few = hyphens_of(["for problem-", "solving", *["a line of text"] * 20])
    many = hyphens_of(["the connec-", "ted", "interpre-", "tation", *["a line of text"] * 20])

    assert joined_lines(["for problem-", "solving"], few) == "for problem-solving"
    assert joined_lines(["the connec-", "ted"], many) == "the connected"


def test_two_single_quotation_marks_are_a_double_one() -> None:
    assert text(row("the term ‘‘noblesse oblige’’ is", 0)) == "the term “noblesse oblige” is"


def test_code_keeps_its_indentation() -> None:
    found = rows([row("def f():", 0, mono=True), row("return 1", 12, 70, mono=True)])

    assert listing_text(found) == "def f():\n    return 1"


def test_line_numbers_are_no_code_and_wrapped_lines_are_whole() -> None:
    lines = ["1 $ ./mongod", "2 $ # a comment that is", "too long", "3 > help"]
    found = rows([row(t, 12 * i, mono=True) for i, t in enumerate(lines)])

    assert listing_text(found) == "$ ./mongod\n$ # a comment that is too long\n> help"


def test_code_within_a_paragraph_gets_a_block_of_its_own() -> None:
    lines = (row(FULL, 0), row("make install", 20, mono=True), row(FULL, 40))
    block = Block(BlockKind.TEXT, "", around(line.box for line in lines), lines)

    result = set_listings(Page(1, (600, 800), (block,), lines))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT, BlockKind.CODE, BlockKind.TEXT]
    assert result.blocks[1].text == "make install"


def test_a_number_that_a_line_happens_to_begin_with_is_no_mark() -> None:
    lines = [row(FULL, 0), row(f"[1], have received {FULL[18:]}", 12), row("since then.", 24)]

    assert "\n" not in text(*lines)


def test_marks_in_circles_are_counted_like_numbers() -> None:
    lines = [row("① one", 0), row("② two", 12), row("③ three", 24)]

    assert text(*lines) == "① one\n② two\n③ three"


def test_a_line_of_text_with_a_name_in_fixed_pitch_stays_text() -> None:
    lines = (row(FULL, 0), row("coding of PKIX1.Dss", 12, mono=True))
    block = Block(BlockKind.TEXT, "", around(line.box for line in lines), lines)

    result = set_listings(Page(1, (600, 800), (block,), lines))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("``a word''", "“a word”"),
        ("‘‘a word’’", "“a word”"),
        ("``it's so,'' he said, ``isn't it?''", "“it's so,” he said, “isn't it?”"),
        ("```js", "```js"),
        ("``code`` stays", "``code`` stays"),
        ("a pipe of 5'' and 7''", "a pipe of 5'' and 7''"),
        ("rows.push('''')", "rows.push('''')"),
    ],
)
def test_quotation_marks_are_those_that_open_and_close(text: str, shown: str) -> None:
    assert typeset(text) == shown


def test_chinese_paragraphs_of_one_line_are_told_by_their_indent() -> None:
    lines = [
        row("本标准代替前一版本并修改了其中的全部内容与附录以及各表格的数据", 0, x=70),
        row("和附录", 12, x=50),
        row("本标准由某委员会提出并归口管理且负责起草与解释以及宣贯工作安排", 24, x=70),
        row("本标准起草单位包括若干研究所与公司以及若干大学和检测机构与部门", 36, x=70),
    ]

    assert text(*lines).count("\n\n") == 2


def test_items_after_dashes_stand_apart() -> None:
    first = "———恢复了其中工业纯钛的牌号和化学成分以及附录内容并做了修改;"
    second = "———增加了钛合金牌号命名规则以及附录内容并做了相应的文字修改;"

    assert text(row(first, 0), row(second, 12)) == f"{first}\n\n{second}"


def test_numbered_code_keeps_its_indentation_and_says_no_number() -> None:
    code = ["def f():", "    if x:", "        return 1", "    return 2"]
    numbers = [row(str(n), 12 * n, 20, mono=True) for n in range(1, 5)]
    parts = [
        row(text.strip(), 12 * n, 50 + 5 * (len(text) - len(text.lstrip())), mono=True)
        for n, text in enumerate(code, start=1)
    ]
    lines = (*numbers, *parts)
    block = Block(BlockKind.CODE, "", around(item.box for item in lines), lines)

    result = bring_back_leftovers(set_listings(Page(1, (600, 800), (block,), lines)))

    assert [b.text for b in result.blocks] == ["\n".join(code)]


def test_a_typewritten_list_keeps_its_numbers() -> None:
    items = ["1 Call the plumber", "2 Pay the rent", "3 Write to the tenant"]
    found = rows([row(t, 12 * i, mono=True) for i, t in enumerate(items)])

    assert listing_text(found) == "\n".join(items)


def test_blank_lines_of_code_stay() -> None:
    code = [("import os", 0), ("def f():", 24), ("return 1", 36), ("f()", 72)]
    found = rows([row(t, y, mono=True) for t, y in code])

    assert listing_text(found) == "import os\n\ndef f():\nreturn 1\n\n\nf()"


def test_code_parted_by_a_blank_line_is_one_listing() -> None:
    parts = []
    for text, y in (("import os;", 0), ("os.exit()", 26), ("exit", 90)):
        item = row(text, y, mono=True)
        parts.append(Block(BlockKind.TEXT, text, item.box, (item,)))
    page = Page(1, (600, 800), tuple(parts), tuple(i for b in parts for i in b.lines))

    found = set_listings(page).blocks

    assert [b.text for b in found] == ["import os;\n\nos.exit()", "exit"]


def test_a_typewritten_page_is_no_code() -> None:
    lines = tuple(row(FULL.capitalize() + ".", 12 * n, mono=True) for n in range(8))
    block = Block(BlockKind.TEXT, "", around(line.box for line in lines), lines)

    result = set_listings(Page(1, (600, 800), (block,), lines))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT]


def test_a_page_of_nothing_but_code_is_code() -> None:
    lines = tuple(
        row(text, 12 * n, mono=True)
        for n, text in enumerate(["def f(x):", "if x:", "return f(x - 1)", "print(f(3))"])
    )
    block = Block(BlockKind.TEXT, "", around(line.box for line in lines), lines)

    result = set_listings(Page(1, (600, 800), (block,), lines))

    assert [b.kind for b in result.blocks] == [BlockKind.CODE]


def test_numbered_code_is_set_in_alike_though_its_numbers_stand_apart() -> None:
    code = ["$ ./mongod", "$", "$ # a line that is much longer than all others", "> help"]
    lines = tuple(
        TextLine(f"{n} {text}", (20, 12 * n, 35 + 6 * len(text), 12 * n + 10), 10, 400, mono=True)
        for n, text in enumerate(code, start=1)
    )
    block = Block(BlockKind.REFERENCE, "", around(item.box for item in lines), lines)

    result = bring_back_leftovers(set_listings(Page(1, (600, 800), (block,), lines)))

    assert [b.text for b in result.blocks] == ["\n".join(code)]


def test_a_printout_in_columns_keeps_its_rows() -> None:
    texts = [
        "Station      Opened   Depth",
        "Anfield        1902      12",
        "Bootle         1911       9",
    ]
    lines = tuple(row(text, 12 * n, mono=True) for n, text in enumerate(texts))
    block = Block(BlockKind.TEXT, "", around(line.box for line in lines), lines)

    (result,) = set_listings(Page(1, (600, 800), (block,), lines)).blocks

    assert (result.kind, result.text) == (BlockKind.CODE, "\n".join(texts))


def test_what_is_typed_into_a_form_is_no_code() -> None:
    values = [row(t, 24 * n, 200, mono=True) for n, t in enumerate(["OKAFOR", "FLAT 3", "M14 6QX"])]
    page = Page(
        1,
        (600, 800),
        tuple(Block(BlockKind.TEXT, item.text, item.box, (item,)) for item in values),
        tuple(values),
    )

    assert [b.kind for b in set_listings(page).blocks] == [BlockKind.TEXT] * 3


def test_an_address_at_the_right_keeps_its_rows() -> None:
    texts = ["Ashworth & Sons, Solicitors", "14 Castle Street", "Lancaster LA1 1YN"]
    found = rows([row(t, 12 * n, 500 - 5 * len(t)) for n, t in enumerate(texts)])
    prose = rows([row(FULL, 12 * n, 50 if n else 60) for n in range(4)])

    assert flowing_text(found) == "\n\n".join(texts)
    assert "\n" not in flowing_text(prose)
