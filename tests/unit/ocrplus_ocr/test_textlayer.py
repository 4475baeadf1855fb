"""Lines from the text layer, and when to trust it."""

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer, RenderLimits
from ocrplus_ocr.engine.textlayer import (
    Evidence,
    Line,
    _clean,
    choose_source,
    join_prose,
)

SAMPLES = Path(__file__).parents[3] / "examples" / "samples"
SOUND = Evidence(
    characters=2000, bad_share=0.0, image_share=0.1, hidden_share=0.0, turned_share=0.0
)


def choice(**changes: float) -> TextSource:
    return choose_source(dataclasses.replace(SOUND, **changes))


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
        {"turned_share": 0.9},
    ],
    ids=[
        "none",
        "broken",
        "hidden under a scan",
        "stamp on a scan",
        "few beside a picture",
        "turned",
    ],
)
def test_a_layer_that_cannot_be_trusted_is_not(changes: dict[str, float]) -> None:
    assert choice(**changes) is TextSource.OCR


def test_text_drawn_over_a_full_page_picture_is_used() -> None:
    assert choice(image_share=1.0, characters=600) is TextSource.TEXT_LAYER


def test_what_was_asked_for_wins_where_it_can() -> None:
    broken = dataclasses.replace(SOUND, bad_share=1.0)
    nothing = dataclasses.replace(SOUND, characters=0)

    assert choose_source(SOUND, "ocr") is TextSource.OCR
    assert choose_source(broken, "text_layer") is TextSource.TEXT_LAYER
    assert choose_source(nothing, "text_layer") is TextSource.OCR


@given(st.integers(0, 0x10FFFF + 5))
def test_no_code_point_becomes_text_that_cannot_be_encoded(code: int) -> None:
    assert _clean(code).encode("utf-8") is not None


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
    assert (width > height) == (rotation != 180)
    assert first.text.evidence.turned_share > 0.9, "drawn upright, shown turned: left to OCR"
    assert choose_source(first.text.evidence) is TextSource.OCR
