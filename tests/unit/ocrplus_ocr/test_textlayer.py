"""Lines from the text layer, and when to trust it."""

import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Evidence
from ocrplus_ocr.engine.glyphs import Font, Glyph, clean
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer, RenderLimits
from ocrplus_ocr.engine.runs import distinct, join_prose, runs_of
from ocrplus_ocr.engine.textlayer import Line, TextLayer, choose_source, odd_share
from ocrplus_ocr.engine.visible import visible_layer
from ocrplus_ocr.markdown.geometry import upright

SAMPLES = Path(__file__).parents[3] / "examples" / "samples"
SOUND = Evidence(
    characters=2000, bad_share=0.0, image_share=0.1, hidden_share=0.0, turned_share=0.0
)


def choice(**changes: float) -> TextSource:
    return choose_source(dataclasses.replace(SOUND, **changes))[0]


def test_a_sound_layer_is_used() -> None:
    assert choice() is TextSource.TEXT_LAYER


@pytest.mark.parametrize(
    "changes",
    [
        {"characters": 0},
        {"bad_share": 0.05},
        {"image_share": 1.0, "hidden_share": 1.0},
        {"image_share": 0.95, "characters": 60},
        {"characters": 20, "image_share": 0.3},
        {"odd_share": 1.0},
    ],
    ids=[
        "none",
        "broken",
        "hidden under a scan",
        "stamp on a scan",
        "few beside a picture",
        "letters of no language",
    ],
)
def test_a_layer_that_cannot_be_trusted_is_not(changes: dict[str, float]) -> None:
    assert choice(**changes) is TextSource.OCR


def test_text_drawn_over_a_full_page_picture_is_used() -> None:
    assert choice(image_share=1.0, characters=600) is TextSource.TEXT_LAYER


def test_what_was_asked_for_wins_where_it_can() -> None:
    broken = dataclasses.replace(SOUND, bad_share=1.0)
    nothing = dataclasses.replace(SOUND, characters=0)

    assert choose_source(SOUND, "ocr") == (TextSource.OCR, "asked for")
    assert choose_source(broken, "text_layer") == (TextSource.TEXT_LAYER, "asked for")
    assert choose_source(nothing, "text_layer") == (TextSource.OCR, "no text layer")


def test_the_reason_is_told() -> None:
    assert choose_source(SOUND) == (TextSource.TEXT_LAYER, "sound")
    broken = dataclasses.replace(SOUND, bad_share=0.5)
    assert choose_source(broken) == (TextSource.OCR, "characters without a meaning")


ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody minds at all. " * 8


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (ENGLISH, 0.0),
        ("Sự phát triển của nền kinh tế Việt Nam trong những năm gần đây rất nhanh. " * 6, 0.0),
        ("天气对交通、生活、农业生产有着深刻的影响。" * 20, 0.0),
        ("Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί. " * 8, 0.0),
        ("ISBN 978-3-16", 0.0),
        ("".join(chr(ord(c) + 3) if c.isalpha() else c for c in ENGLISH), 1.0),
        ("ÖÐÎÄÎÊÌâÔÚÕâÀïÏÔÊ¾²»³öÀ´" * 20, 1.0),
    ],
    ids=["English", "Vietnamese", "Chinese", "Greek", "short", "shifted", "wrong code page"],
)
def test_letters_of_no_language_are_noticed(text: str, odd: float) -> None:
    assert odd_share(text) == odd


@given(st.integers(0, 0x10FFFF + 5))
def test_no_code_point_becomes_text_that_cannot_be_encoded(code: int) -> None:
    assert clean(code).encode("utf-8") is not None


def test_runs_are_joined_in_prose_and_stay_apart_in_tables() -> None:
    runs = [Line(0, 0, 40, 10, "one"), Line(46, 0, 90, 10, "two"), Line(140, 0, 180, 10, "far")]

    assert [line.text for line in join_prose(runs, [])] == ["one two", "far"]
    assert [line.text for line in join_prose(runs, [(0, 0, 200, 20)])] == ["one", "two", "far"]


def pages_of(pdf: Path, **limits: float) -> list[RenderedPage]:
    with closing(Renderer(RenderLimits(**limits))) as renderer:  # type: ignore[arg-type]
        items = list(renderer.pages(pdf, [1, 2]))
    assert all(isinstance(item, RenderedPage) for item in items)
    return items  # type: ignore[return-value]


def test_words_come_with_their_places_on_the_upright_page() -> None:
    first, _ = pages_of(SAMPLES / "report_en.pdf")

    title = next(run for run in first.text.runs if run.text.startswith("A year"))
    assert title.x0 == pytest.approx(72, abs=2)
    assert 842 - 790 < title.y0 < title.y1 < 842 - 760
    assert "Third" in [run.text for run in first.text.runs], "table cells stay apart"


def test_images_keep_to_the_pixel_cap() -> None:
    for page in pages_of(SAMPLES / "report_en.pdf", longest_side_px=900):
        assert max(page.image.shape[:2]) <= 901
        assert page.image.shape[2] == 3


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_page_is_upright_in_image_and_text_alike(rotation: int, tmp_path: Path) -> None:
    import pypdfium2 as pdfium

    turned = tmp_path / "turned.pdf"
    with pdfium.PdfDocument(SAMPLES / "report_en.pdf") as document:
        for page in document:
            page.set_rotation(rotation)
        document.save(turned)

    first, _ = pages_of(turned)

    height, width = first.image.shape[:2]
    assert width < height, "turned back by the writing on it"
    assert first.text.evidence.turn == rotation // 90
    title = next(run for run in first.text.runs if run.text.startswith("A year"))
    assert title.x0 == pytest.approx(72, abs=2)
    assert 842 - 790 < title.y0 < title.y1 < 842 - 760
    ink = first.image[
        int(title.y0 * first.scale) : int(title.y1 * first.scale),
        int(title.x0 * first.scale) : int(title.x1 * first.scale),
    ]
    assert ink.min() < 100, "image and text are turned alike"


def glyphs(text: str, x: float = 0.0, y: float = 0.0, step: float = 6.0) -> list[Glyph]:
    return [
        Glyph(c, None) if c in " \n" else Glyph(c, (x + i * step, y, x + i * step + 6, y + 12))
        for i, c in enumerate(text)
    ]


def test_text_drawn_twice_is_read_once() -> None:
    shadow = glyphs("bold", x=0.6, y=0.4)

    assert "".join(g.text for g in distinct(glyphs("bold") + shadow)) == "bold"
    assert "".join(g.text for g in distinct(glyphs("llama"))) == "llama"


def test_a_soft_hyphen_is_seen_at_the_line_s_end_only() -> None:
    runs = runs_of([*glyphs("hy\u00adphen\u00ad"), Glyph("\n", None)], 0, (600, 800))

    assert [run.text for run in runs] == ["hyphen-"]


def test_words_that_stand_apart_are_parted_although_the_layer_has_no_space() -> None:
    runs = runs_of([*glyphs("two"), *glyphs("words", x=21)], 0, (600, 800))

    assert [run.text for run in runs] == ["two words"]


def test_a_word_that_pdfium_ends_in_its_middle_is_one() -> None:
    end = Glyph("\n", None)

    runs = runs_of([*glyphs("whit"), end, *glyphs("e", x=24), end], 0, (600, 800))
    below = runs_of([*glyphs("one"), end, *glyphs("two", y=14)], 0, (600, 800))

    assert [run.text for run in runs] == ["white"]
    assert [run.text for run in below] == ["one", "two"]


def test_arabic_is_one_run_from_right_to_left() -> None:
    word = "\u0645\u0631\u062d\u0628\u0627"
    letters = [Glyph(c, (100 - 6 * i, 0, 106 - 6 * i, 12)) for i, c in enumerate(word)]

    assert [run.text for run in runs_of(letters, 0, (600, 800))] == [word]


def test_vertical_chinese_is_one_run() -> None:
    column = [Glyph(c, (500, 20 + 14 * i, 512, 32 + 14 * i)) for i, c in enumerate("竖排文字")]

    runs = runs_of(column, 0, (600, 800))

    assert [(run.text, run.x0, run.y1) for run in runs] == [("竖排文字", 500, 74)]


def test_a_line_that_stands_sideways_keeps_its_place_and_says_so() -> None:
    label = [Glyph(c, (10, 300 - 6 * i, 22, 306 - 6 * i), turn=3) for i, c in enumerate("axis")]

    runs = runs_of([*glyphs("level", x=100), *label], 0, (600, 800))

    assert [(r.text, r.turn) for r in runs] == [("level", 0), ("axis", 3)]
    assert (runs[1].x0, runs[1].y0, runs[1].x1, runs[1].y1) == pytest.approx((10, 282, 22, 306))


@given(st.integers(0, 3), st.floats(0, 500), st.floats(0, 700))
def test_turning_a_box_back_and_forth_leaves_it_where_it_was(turn: int, x: float, y: float) -> None:
    box, size = (x, y, x + 30, y + 10), (600.0, 800.0)

    there = upright(box, turn, size)
    back = upright(there, (4 - turn) % 4, size if turn % 2 == 0 else (size[1], size[0]))

    assert back == pytest.approx(box)


def test_the_font_of_a_run_is_that_of_most_of_its_characters() -> None:
    bold = Font(18.0, 700, italic=False, mono=False, hidden=False)
    letters = [dataclasses.replace(g, font=bold) for g in glyphs("Head")]

    (run,) = runs_of([*letters, *glyphs("i", x=24)], 0, (600, 800))

    assert (run.size, run.weight) == (18.0, 700)


def test_text_that_cannot_be_seen_is_no_part_of_the_page() -> None:
    image = np.full((200, 200, 3), 255, np.uint8)
    image[20:40, 20:120] = 0
    seen, white = Line(10, 10, 60, 20, "seen and long"), Line(10, 60, 60, 70, "white")
    outside = Line(-50, 10, -10, 20, "clipped")
    layer = TextLayer((seen, white, outside), SOUND)

    assert visible_layer(layer, image, 2.0).runs == (seen,)


def test_a_rendering_that_shows_nothing_hides_no_text() -> None:
    blank = np.full((200, 200, 3), 255, np.uint8)
    layer = TextLayer((Line(10, 10, 60, 20, "drawn by nobody"),), SOUND)

    assert visible_layer(layer, blank, 2.0) == layer


def test_a_tall_sign_does_not_glue_the_line_below() -> None:
    font = Font(10.0, 400, italic=False, mono=False, hidden=False)
    sentence = glyphs("第一句", y=100)
    stop = Glyph("。", (18, 90, 24, 124))
    number = Glyph("1", (24, 118, 30, 130))
    letters = [dataclasses.replace(g, font=font) for g in [*sentence, stop, number]]

    assert [run.text for run in runs_of(letters, 0, (600, 800))] == ["第一句。", "1"]


def test_a_line_of_code_after_its_number_is_code() -> None:
    runs = [Line(0, 0, 5, 10, "1", 10), Line(11, 0, 16, 10, "$", 10, mono=True)]
    runs.append(Line(22, 0, 60, 10, "./start", 10, mono=True))

    (whole,) = join_prose(runs, [])

    assert (whole.text, whole.mono) == ("1 $ ./start", True)


def test_small_capitals_are_of_the_size_that_they_are_set_in() -> None:
    large = Font(10.0, 400, italic=False, mono=False, hidden=False)
    small = Font(8.0, 400, italic=False, mono=False, hidden=False)

    def run(text: str) -> Line:
        found = glyphs(text)
        for index, glyph in enumerate(found):
            glyph.font = large if index == 0 else small
        return runs_of(found, 0, (600, 800))[0]

    assert run("RESULTS").size == 10.0
    assert run("Results").size == 8.0
