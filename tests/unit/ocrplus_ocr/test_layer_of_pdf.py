"""What is read from real PDFs that are made difficult on purpose."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import tiny_pdf

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer
from ocrplus_ocr.engine.textlayer import choose_source
from ocrplus_ocr.engine.visible import visible_layer
from ocrplus_ocr.markdown.page import Bookmark

PROSE = [f"This is line {n} of a page of plain English prose that says little." for n in range(12)]
GREY = bytes([120]) * 64


def prose(more: str = "") -> str:
    return "".join(tiny_pdf.text(line, 60, 700 - 20 * n, more=more) for n, line in enumerate(PROSE))


Read = Callable[[Path], RenderedPage]


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """Renders the first page of a file, all in one process."""
    with closing(Renderer()) as renderer:

        def first_page(pdf: Path) -> RenderedPage:
            (page,) = list(renderer.pages(pdf, [1]))
            assert isinstance(page, RenderedPage)
            return page

        yield first_page


def words(page: RenderedPage) -> list[str]:
    return [run.text for run in page.text.runs]


UPRIGHT = {0: "1 0 0 1 0 0", 90: "0 1 -1 0 600 0", 180: "-1 0 0 -1 600 800", 270: "0 -1 1 0 0 800"}


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_page_that_its_rotation_sets_upright_needs_no_turning(
    rotate: int, tmp_path: Path, read: Read
) -> None:
    content = f"{UPRIGHT[rotate]} cm\n" + "".join(
        tiny_pdf.text(line, 20, 500 - 20 * n) for n, line in enumerate(PROSE)
    )

    page = read(tiny_pdf.write(tmp_path / "a.pdf", [content], rotate=rotate))

    assert page.text.evidence.turn == 0
    assert words(page)[0] == PROSE[0]
    assert page.text.runs[0].x0 < page.text.runs[0].x1


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_page_that_its_rotation_turns_wrong_is_read_in_order(
    rotate: int, tmp_path: Path, read: Read
) -> None:
    page = read(tiny_pdf.write(tmp_path / "a.pdf", [prose()], rotate=rotate))

    assert page.text.evidence.turn == rotate // 90
    by_height = sorted(page.text.runs, key=lambda run: run.y0)
    assert [run.text for run in by_height] == PROSE


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_a_page_drawn_sideways_is_turned_with_its_image(
    rotate: int, tmp_path: Path, read: Read
) -> None:
    content = f"{UPRIGHT[rotate]} cm\n" + "".join(
        tiny_pdf.text(line, 20, 500 - 20 * n) for n, line in enumerate(PROSE)
    )

    page = read(tiny_pdf.write(tmp_path / "a.pdf", [content]))

    assert page.text.evidence.turn == (360 - rotate) // 90
    by_height = sorted(page.text.runs, key=lambda run: run.y0)  # PDFium may begin at the end
    assert [run.text for run in by_height] == PROSE
    first = by_height[0]
    sides = (first.x0, first.y0, first.x1, first.y1)
    x0, y0, x1, y1 = (round(side * page.scale) for side in sides)
    assert page.image[y0:y1, x0:x1].min() < 100, "the words are where the layer says"


def test_the_font_is_known(tmp_path: Path, read: Read) -> None:
    content = tiny_pdf.text("Heading", 60, 740, 20, "F2") + tiny_pdf.text("code", 60, 700, 9, "F3")

    heading, code = read(tiny_pdf.write(tmp_path / "a.pdf", [content])).text.runs

    assert (heading.size, heading.weight >= 600, heading.mono) == (20, True, False)
    assert (code.size, code.weight >= 600, code.mono) == (9, False, True)


def test_a_hidden_layer_under_a_scan_is_left_for_ocr(tmp_path: Path, read: Read) -> None:
    scan = "q 600 0 0 800 0 0 cm /Im Do Q\n"
    pdf = tiny_pdf.write(tmp_path / "a.pdf", [scan + prose("3 Tr")], image=GREY, image_size=(8, 8))

    evidence = read(pdf).text.evidence

    assert evidence.hidden_share == 1.0
    assert choose_source(evidence) == (TextSource.OCR, "hidden under a scan")


def test_text_under_a_full_page_image_is_hidden_too(tmp_path: Path, read: Read) -> None:
    scan = "q 600 0 0 800 0 0 cm /Im Do Q\n"
    pdf = tiny_pdf.write(tmp_path / "a.pdf", [prose() + scan], image=GREY, image_size=(8, 8))

    assert choose_source(read(pdf).text.evidence)[1] == "hidden under a scan"


def test_text_on_a_full_page_background_is_used(tmp_path: Path, read: Read) -> None:
    back = "q 600 0 0 800 0 0 cm /Im Do Q\n"
    pdf = tiny_pdf.write(tmp_path / "a.pdf", [back + prose()], image=GREY, image_size=(8, 8))

    assert choose_source(read(pdf).text.evidence) == (TextSource.TEXT_LAYER, "sound")


def test_a_few_hidden_words_on_a_sound_page_are_no_part_of_it(tmp_path: Path, read: Read) -> None:
    secret = tiny_pdf.text("keyword keyword", 60, 100, more="3 Tr")

    assert words(read(tiny_pdf.write(tmp_path / "a.pdf", [prose() + secret]))) == PROSE


def test_white_and_clipped_text_cannot_be_seen(tmp_path: Path, read: Read) -> None:
    white = tiny_pdf.text("white on white", 60, 100, more="1 1 1 rg")
    clipped = tiny_pdf.text("clipped away", 60, 80, more="0 0 1 1 re W n")
    outside = tiny_pdf.text("off the page", 60, -50)
    page = read(tiny_pdf.write(tmp_path / "a.pdf", [prose() + white + clipped + outside]))

    seen = visible_layer(page.text, page.image, page.scale)

    assert [run.text for run in seen.runs] == PROSE


def test_white_text_on_a_dark_bar_is_seen(tmp_path: Path, read: Read) -> None:
    bar = "q 0 0 0 rg 50 90 300 30 re f Q\n" + tiny_pdf.text("white", 60, 100, more="1 1 1 rg")
    page = read(tiny_pdf.write(tmp_path / "a.pdf", [prose() + bar]))

    assert visible_layer(page.text, page.image, page.scale).runs[-1].text == "white"


def test_text_drawn_twice_for_a_shadow_is_read_once(tmp_path: Path, read: Read) -> None:
    shadow = tiny_pdf.text("Shadow", 60.5, 749.5, 24) + tiny_pdf.text("Shadow", 60, 750, 24)

    assert words(read(tiny_pdf.write(tmp_path / "a.pdf", [shadow + prose()])))[0] == "Shadow"
    assert words(read(tiny_pdf.write(tmp_path / "a.pdf", [shadow]))) == ["Shadow"]


def test_a_large_initial_belongs_to_the_line_at_its_top(tmp_path: Path, read: Read) -> None:
    content = (
        tiny_pdf.text("O", 60, 700, 36)
        + tiny_pdf.text("ver the past three decades", 89, 716)
        + tiny_pdf.text("pressure has grown", 89, 702)
    )

    first, second = read(tiny_pdf.write(tmp_path / "a.pdf", [content])).text.runs

    assert (first.text, second.text) == ("Over the past three decades", "pressure has grown")
    assert first.y1 - first.y0 < 20


def test_images_lines_and_shapes_are_told_apart(tmp_path: Path, read: Read) -> None:
    content = (
        "q 200 0 0 100 100 500 cm /Im Do Q\n"
        "q 0.5 w 100 400 m 500 400 l S Q\nq 0.2 g 100 200 50 60 re f Q\n"
    )
    pdf = tiny_pdf.write(tmp_path / "a.pdf", [content], image=GREY, image_size=(8, 8))

    text = read(pdf).text

    assert [tuple(round(side) for side in box) for box in text.pictures] == [(100, 200, 300, 300)]
    assert [tuple(round(side) for side in box) for box in text.drawings] == [(100, 540, 150, 600)]
    assert len(text.rules) == 1
    assert text.rules[0][1] == pytest.approx(400, abs=1.5)


def test_bookmarks_come_with_every_page(tmp_path: Path, read: Read) -> None:
    pdf = tiny_pdf.write(
        tmp_path / "a.pdf", [prose(), prose()], outline=[("First", 1), ("Second", 2)]
    )

    assert read(pdf).bookmarks == (Bookmark("First", 1, 1), Bookmark("Second", 1, 2))


def test_flattened_fields_leave_the_text_where_it_is_drawn(tmp_path: Path, read: Read) -> None:
    plain = tiny_pdf.write(tmp_path / "a.pdf", [prose()])
    data = plain.read_bytes()
    # The box of the page comes from its parent, and a link has to be flattened.
    note = b"/Annots [<< /Type /Annot /Subtype /Square /Rect [300 20 320 40] /F 4 >>]"
    inherited = data.replace(b"/MediaBox [0 0 600 800] /Rotate 0", note)
    inherited = inherited.replace(b"/Type /Pages", b"/Type /Pages /MediaBox [0 0 600 800]")
    pdf = tmp_path / "b.pdf"
    pdf.write_bytes(inherited)

    places = [[(run.text, run.x0, run.y0) for run in read(p).text.runs] for p in (plain, pdf)]

    assert places[0] == places[1]
