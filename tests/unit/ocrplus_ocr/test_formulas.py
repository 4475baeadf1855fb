"""LaTeX from where characters stand, and formulas parted from text."""

import pytest

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.mathglyphs import MathGlyph
from ocrplus_ocr.markdown.formulas import set_formulas
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.latex import formula_latex
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.render import caption_of
from ocrplus_ocr.markdown.steps import finished

SIZE = 10.0
BASELINE = 100.0


def glyphs(
    text: str, x: float = 0.0, *, baseline: float = BASELINE, size: float = SIZE
) -> list[MathGlyph]:
    """Characters one after the other, each half as wide as its size."""
    step = size / 2
    return [
        MathGlyph(
            character,
            x + step * index,
            baseline - 0.7 * size,
            x + step * (index + 1),
            baseline,
            baseline,
            size,
        )
        for index, character in enumerate(text)
        if character != " "
    ]


def test_a_raised_small_character_is_an_exponent_and_a_lowered_one_an_index() -> None:
    found = [
        *glyphs("x"),
        *glyphs("i", 5, baseline=102, size=7),
        *glyphs("2", 8.5, baseline=96, size=7),
        *glyphs("=y", 12),
    ]

    assert formula_latex(found, []) == "x_{i}^{2} = y"


def test_a_script_may_have_a_script() -> None:
    found = [
        *glyphs("e"),
        *glyphs("x", 5, baseline=96, size=7),
        *glyphs("2", 8.5, baseline=93, size=5),
    ]

    assert formula_latex(found, []) == "e^{x^{2}}"


def test_what_stands_over_and_under_a_bar_is_a_fraction() -> None:
    found = [*glyphs("x="), *glyphs("a+b", 12, baseline=94), *glyphs("2", 17, baseline=108)]

    assert formula_latex(found, [(11, 97, 28, 97.5)]) == r"x = \frac{a + b}{2}"


def test_fractions_lie_within_fractions() -> None:
    found = [
        *glyphs("1", 10, baseline=80),
        *glyphs("a", 10, baseline=100),
        *glyphs("b", 10, baseline=114),
    ]
    bars: list[Box] = [(0, 86, 30, 86.5), (8, 103, 18, 103.5)]

    assert formula_latex(found, bars) == r"\frac{1}{\frac{a}{b}}"


def test_a_line_that_joins_a_root_sign_is_its_roof() -> None:
    found = [*glyphs("√"), *glyphs("a+b", 5)]

    assert formula_latex(found, [(5, 92, 20, 92.5)]) == r"\sqrt{a + b}"


def test_a_sum_has_its_limits_over_and_under_it() -> None:
    found = [
        *glyphs("i=1", -3, baseline=112, size=7),
        *glyphs("∑"),
        *glyphs("n", 0, baseline=90, size=7),
        *glyphs("i", 10),
    ]

    assert formula_latex(found, []) == r"\sum_{i = 1}^{n} i"


def test_letters_of_a_function_are_one_command_and_greek_has_names() -> None:
    assert formula_latex(glyphs("sinα"), []) == r"\sin \alpha"


def test_mathematical_letters_become_plain_ones() -> None:
    assert formula_latex(glyphs("𝑎𝑏"), []) == "a b"


def line(text: str, x: float, y: float) -> TextLine:
    return TextLine(text, (x, y - 10, x + 5 * len(text), y), SIZE, 400)


def page(block: Block, *, maths=(), source=TextSource.TEXT_LAYER) -> Page:
    return Page(1, (600, 800), (block,), block.lines, maths=tuple(maths), source=source)


def block(kind: BlockKind, *lines: TextLine) -> Block:
    return Block(
        kind, " ".join(item.text for item in lines), around(item.box for item in lines), lines
    )


def test_a_formula_within_a_paragraph_gets_a_block_of_its_own() -> None:
    lines = line("It follows that", 0, 80), line("a+b=c", 100, BASELINE), line("and so on", 0, 120)
    maths = glyphs("a+b=c", 100)

    above, formula, below = set_formulas(page(block(BlockKind.TEXT, *lines), maths=maths)).blocks

    assert (formula.kind, formula.text) == (BlockKind.FORMULA, "$$\na + b = c\n$$")
    assert (above.text, below.text) == ("It follows that", "and so on")


def test_equations_under_each_other_are_written_one_by_one() -> None:
    lines = line("a=b", 100, 100), line("c=d", 100, 116)
    maths = [*glyphs("a=b", 100), *glyphs("c=d", 100, baseline=116)]

    (formula,) = set_formulas(page(block(BlockKind.FORMULA, *lines), maths=maths)).blocks

    assert formula.text == "$$\na = b\n$$\n\n$$\nc = d\n$$"


def test_limits_that_stand_in_another_block_belong_to_the_formula() -> None:
    upper, main = line("b", 102, 88), line("∫f=c", 100, BASELINE)
    maths = [*glyphs("b", 102, baseline=88, size=7), *glyphs("∫f=c", 100)]
    found = Page(
        1,
        (600, 800),
        (block(BlockKind.TEXT, upper), block(BlockKind.FORMULA, main)),
        (upper, main),
        maths=tuple(maths),
        source=TextSource.TEXT_LAYER,
    )

    (formula,) = set_formulas(found).blocks

    assert formula.lines == (upper, main)


def test_a_formula_in_a_sentence_stays_there() -> None:
    lines = line("where we have", 0, BASELINE), line("a=b", 70, BASELINE)
    found = page(block(BlockKind.TEXT, *lines), maths=glyphs("a=b", 70))

    assert set_formulas(found) == found


def test_a_scans_formula_is_a_picture_that_names_its_characters() -> None:
    found = page(block(BlockKind.FORMULA, line("E = mc2", 0, 80)), source=TextSource.OCR)

    blocks = set_formulas(found).blocks

    assert blocks[0].kind is BlockKind.FORMULA_PICTURE
    assert caption_of(blocks, 0) == "E = mc2"


def test_the_latex_of_a_model_stays() -> None:
    read = Block(BlockKind.FORMULA, r"$$\frac{a}{b}$$", (0, 0, 50, 20), (line("a b", 0, 20),))

    assert set_formulas(page(read, source=TextSource.OCR)).blocks == (read,)


def test_words_that_the_model_takes_for_a_formula_are_text() -> None:
    words = block(BlockKind.FORMULA, line("the sum of all these parts", 0, 80))

    assert set_formulas(page(words, source=TextSource.OCR)).blocks[0].kind is BlockKind.TEXT


def test_a_limit_beside_its_name_is_one_subscript() -> None:
    found = [
        *glyphs("lim"),
        *glyphs("x→0", 15, baseline=103, size=7),
        *glyphs("f", 27),
    ]

    assert formula_latex(found, []) == r"\lim_{x \to 0} f"


def test_the_exponent_after_a_sum_is_not_its_limit() -> None:
    found = [
        *glyphs("∑"),
        *glyphs("n", 1, baseline=92, size=5),
        *glyphs("i=1", -1, baseline=106, size=5),
        *glyphs("i", 7),
        *glyphs("2", 12, baseline=94, size=5),
    ]

    assert formula_latex(found, []) == r"\sum_{i = 1}^{n} i^{2}"


def test_formulas_with_a_sentence_between_them_are_two() -> None:
    upper, prose = line("a=b+e", 200, 100), line("Show that this holds", 0, 108)
    lower = line("c=d+f", 200, 116)
    maths = [*glyphs("a=b+e", 200), *glyphs("c=d+f", 200, baseline=116)]

    result = set_formulas(page(block(BlockKind.TEXT, upper, prose, lower), maths=maths))

    assert [b.kind for b in result.blocks] == [
        BlockKind.FORMULA,
        BlockKind.TEXT,
        BlockKind.FORMULA,
    ]


@pytest.mark.parametrize("source", [TextSource.TEXT_LAYER, TextSource.OCR])
@pytest.mark.parametrize("top", [90, 78])
def test_the_latex_of_a_model_outlives_lines_in_and_beside_it(
    source: TextSource, top: float
) -> None:
    read = Block(BlockKind.FORMULA, r"$$\frac{a}{b}$$", (0, 76, 200, 100))
    near = line("a b", 0, top)  # within it, or a line of text that touches it

    result = finished(Page(1, (600, 800), (read,), (near,), source=source))

    assert [b.text for b in result.blocks if b.kind is BlockKind.FORMULA] == [read.text]
