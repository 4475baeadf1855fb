"""Lines and characters of formulas as PDFium gives them, and lines of a scan's picture."""

import io

import numpy as np
import pypdfium2 as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

from ocrplus_ocr.engine.mathglyphs import read_math_glyphs
from ocrplus_ocr.engine.rulings import drawn_rules, scanned_rules

HEIGHT = 400.0
UPRIGHT = (1.0, 0.0, 0.0, -1.0, 0.0, HEIGHT)


@pytest.fixture
def canvas() -> Canvas:
    canvas = Canvas(io.BytesIO(), pagesize=(300, HEIGHT))
    canvas._buffer = canvas._filename
    return canvas


def first_page(canvas: Canvas) -> pdfium.PdfPage:
    canvas.save()
    return pdfium.PdfDocument(canvas._buffer.getvalue())[0]


def test_lines_within_one_path_and_edges_of_boxes_are_found(canvas: Canvas) -> None:
    path = canvas.beginPath()
    for y in (300, 320):
        path.moveTo(50, y)
        path.lineTo(250, y)
    canvas.drawPath(path)
    canvas.rect(50, 100, 200, 80, stroke=1, fill=0)

    rules = drawn_rules(first_page(canvas), UPRIGHT)

    assert {(50, 80, 250, 80), (50, 100, 250, 100)} <= set(rules)
    assert {(50, 220, 250, 220), (50, 300, 250, 300), (50, 220, 50, 300)} <= set(rules)


def test_a_thin_filled_box_is_a_line_and_a_thick_one_is_none(canvas: Canvas) -> None:
    canvas.rect(50, 200, 200, 0.75, stroke=0, fill=1)
    canvas.rect(50, 100, 200, 40, stroke=0, fill=1)

    assert drawn_rules(first_page(canvas), UPRIGHT) == [(50, 199.25, 250, 200)]


def test_a_drawing_of_thousands_of_lines_rules_no_table(canvas: Canvas) -> None:
    for index in range(5000):
        canvas.line(index % 290, 10, index % 290, 300)

    assert drawn_rules(first_page(canvas), UPRIGHT) == []


def test_characters_of_a_row_with_an_equation_have_their_baseline(canvas: Canvas) -> None:
    canvas.setFont("Helvetica", 10)
    canvas.drawString(50, 300, "a = b")
    canvas.drawString(50, 100, "words far away")

    found = read_math_glyphs(first_page(canvas), UPRIGHT)

    assert [glyph.text for glyph in found] == ["a", "=", "b"]
    assert {(glyph.baseline, glyph.size) for glyph in found} == {(100.0, 10.0)}


def test_a_page_without_mathematics_gives_no_characters(canvas: Canvas) -> None:
    canvas.drawString(50, 300, "Only words here")

    assert read_math_glyphs(first_page(canvas), UPRIGHT) == ()


def test_the_lines_of_a_scan_are_found_in_its_picture() -> None:
    image = np.full((400, 400, 3), 240, np.uint8)
    image[100:102, 50:350] = 30
    image[100:300, 200:202] = 30
    image[200:212, 60:66] = 30  # a letter

    rules = scanned_rules(image, pixels_per_point=1.0)

    assert len(rules) == 2
    (flat, steep) = sorted(rules, key=lambda box: box[3] - box[1])
    assert flat[2] - flat[0] > 290
    assert steep[3] - steep[1] > 190
