"""A form's boxes are no picture of its values; a diagram, a chart and a photo stay pictures."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer
from ocrplus_ocr.markdown.forms import set_forms
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.steps import finished

HEIGHT = 800
WHOLE: Box = (60.0, 90.0, 560.0, 500.0)
Draw = Callable[[Canvas], None]


class Pages:
    """Pages as the engine reads them, with one picture where the layout model saw one."""

    def __init__(self, renderer: Renderer, folder: Path) -> None:
        self._renderer = renderer
        self._file = folder / "drawn.pdf"

    def drawn(self, draw: Draw, region: Box = WHOLE) -> Page:
        canvas = Canvas(str(self._file), pagesize=(600, HEIGHT))
        canvas.setFont("Helvetica", 10)
        draw(canvas)
        canvas.save()
        (read,) = self._renderer.pages(self._file, [1])
        assert isinstance(read, RenderedPage)
        layer = read.text
        lines = tuple(TextLine(r.text, (r.x0, r.y0, r.x1, r.y1), 10, 400) for r in layer.runs)
        return Page(
            1,
            (600, HEIGHT),
            (Block(BlockKind.FIGURE, "", region),),
            lines,
            pictures=layer.pictures,
            rules=layer.rules,
            drawings=layer.drawings,
            source=TextSource.TEXT_LAYER,
        )

    def written(self, draw: Draw, region: Box = WHOLE) -> list[str]:
        """The text of each block."""
        return [block.text for block in finished(self.drawn(draw, region)).blocks]

    def stays(self, draw: Draw, region: Box = WHOLE) -> bool:
        kinds = [block.kind for block in finished(self.drawn(draw, region)).blocks]
        return BlockKind.FIGURE in kinds


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with closing(Renderer()) as renderer:
        yield Pages(renderer, tmp_path_factory.mktemp("forms"))


def field(canvas: Canvas, at: tuple[float, float, float], label: str, value: str = "") -> None:
    """A label and, right of it, a box with a value; x, y from the top and width."""
    x, y, width = at
    canvas.drawString(x, HEIGHT - y, label)
    canvas.rect(x + 80, HEIGHT - y - 5, width, 18)
    canvas.drawString(x + 85, HEIGHT - y, value)


def box(canvas: Canvas, at: Box, *texts: str) -> None:
    """A box with lines of text in its middle."""
    x0, y0, x1, y1 = at
    canvas.rect(x0, HEIGHT - y1, x1 - x0, y1 - y0)
    for n, text in enumerate(texts):
        canvas.drawCentredString((x0 + x1) / 2, HEIGHT - (y0 + y1) / 2 - 4 - 12 * n, text)


def form(canvas: Canvas) -> None:
    field(canvas, (80, 120, 120), "Surname", "OKAFOR")
    field(canvas, (320, 120, 120), "First names", "CHIDI EMEKA")
    field(canvas, (80, 150, 360), "Address", "FLAT 3, 88 STATION ROAD")
    field(canvas, (80, 180, 90), "Email")
    field(canvas, (80, 210, 90), "Postcode", "M14 6QX")


def test_a_form_is_its_labels_and_values_row_by_row(pages: Pages) -> None:
    assert pages.written(form) == [
        "Surname OKAFOR First names CHIDI EMEKA",
        "Address FLAT 3, 88 STATION ROAD",
        "Email",
        "Postcode M14 6QX",
    ]


def test_a_frame_around_a_form_and_a_line_through_it_are_no_drawing(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        form(canvas)
        canvas.rect(70, HEIGHT - 230, 470, 130)
        canvas.line(70, HEIGHT - 162, 540, HEIGHT - 162)

    assert pages.written(draw) == pages.written(form)


def test_words_between_the_rows_of_a_form_stay_paragraphs(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        form(canvas)
        canvas.drawString(80, HEIGHT - 240, "Please write in capitals and leave out")
        canvas.drawString(80, HEIGHT - 252, "nothing that the office asks for.")

    whole = "Please write in capitals and leave out nothing that the office asks for."
    assert pages.written(draw) == [*pages.written(form), whole]


def test_typed_values_are_no_code(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        for n, (label, value) in enumerate((("Name", "HOLT"), ("Town", "KENDAL"))):
            field(canvas, (80, 120 + 30 * n, 200), label, value)

    page = pages.drawn(draw)
    lines = tuple(replace(line, mono=line.text.isupper()) for line in page.lines)

    result = finished(replace(page, lines=lines))

    assert [(b.kind, b.text) for b in result.blocks] == [
        (BlockKind.TEXT, "Name HOLT"),
        (BlockKind.TEXT, "Town KENDAL"),
    ]


def text_blocks(page: Page, *columns: tuple[str, ...]) -> Page:
    """The page with a text block for each column of lines, and no picture."""
    said = {line.text: line for line in page.lines}
    blocks = []
    for texts in columns:
        lines = tuple(said[text] for text in texts)
        blocks.append(Block(BlockKind.TEXT, " ".join(texts), around(w.box for w in lines), lines))
    return replace(page, blocks=tuple(blocks))


LABELS, VALUES = ("Name", "Town", "Country", "Fax"), ("HOLT", "KENDAL", "ENGLAND")


def filled_in(canvas: Canvas) -> None:
    for n, (label, value) in enumerate(zip(LABELS, (*VALUES, ""), strict=True)):
        field(canvas, (80, 120 + 30 * n, 200), label, value)


def test_columns_of_labels_and_of_values_are_rows(pages: Pages) -> None:
    page = text_blocks(pages.drawn(filled_in), LABELS, VALUES)

    texts = [block.text for block in set_forms(page).blocks]

    assert texts == ["Name HOLT", "Town KENDAL", "Country ENGLAND", "Fax"]


def test_a_list_whose_bullets_are_drawn_boxes_is_no_form(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        for n, text in enumerate(LABELS):
            canvas.rect(80, HEIGHT - 121 - 16 * n, 7, 7)
            canvas.drawString(94, HEIGHT - 120 - 16 * n, text)

    page = text_blocks(pages.drawn(draw), LABELS)

    assert set_forms(page) == page


def test_a_flowchart_beside_text_takes_none_of_it(pages: Pages) -> None:
    page = text_blocks(pages.drawn(flowchart), ("Read the page", "Find its lines"))

    assert set_forms(page) == page


def test_labels_beside_the_picture_belong_to_it(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        for n, (label, value) in enumerate((("Name", "HOLT"), ("Town", "KENDAL"), ("Fax", ""))):
            field(canvas, (80, 120 + 30 * n, 200), label, value)

    assert pages.written(draw, (158, 90, 370, 200)) == ["Name HOLT", "Town KENDAL", "Fax"]


def test_a_label_above_its_field_stays_with_it(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        for n, (label, value) in enumerate((("Surname", "OKAFOR"), ("Born in", "LAGOS"))):
            canvas.drawString(80 + 200 * n, HEIGHT - 120, label)
            canvas.rect(80 + 200 * n, HEIGHT - 145, 150, 18)
            canvas.drawString(85 + 200 * n, HEIGHT - 140, value)

    assert pages.written(draw) == ["Surname OKAFOR", "Born in LAGOS"]


def test_boxes_to_tick_and_boxes_for_a_letter_each(pages: Pages) -> None:
    def draw(canvas: Canvas) -> None:
        for n, label in enumerate(("Resident", "Visitor", "Business")):
            canvas.rect(80 + 130 * n, HEIGHT - 121, 9, 9)
            canvas.drawString(94 + 130 * n, HEIGHT - 120, label)
        canvas.drawString(80, HEIGHT - 150, "Date of birth")
        for n, digit in enumerate("04111979"):
            canvas.rect(160 + 14 * n, HEIGHT - 155, 14, 18)
            canvas.drawString(164 + 14 * n, HEIGHT - 150, digit)

    first, second = pages.written(draw)

    assert first == "Resident Visitor Business"
    assert second.replace(" ", "") == "Dateofbirth04111979"


def test_a_boxed_paragraph_is_text(pages: Pages) -> None:
    said = ("Keep this part of the form until the", "permit has come; it is your receipt.")

    def draw(canvas: Canvas) -> None:
        canvas.rect(80, HEIGHT - 150, 200, 40)
        for n, line in enumerate(said):
            canvas.drawString(86, HEIGHT - 125 - 14 * n, line)

    assert pages.written(draw) == [" ".join(said)]


def flowchart(canvas: Canvas) -> None:
    for n, text in enumerate(("Read the page", "Find its lines", "Write them")):
        box(canvas, (100, 120 + 60 * n, 220, 150 + 60 * n), text)
        if n:
            canvas.line(160, HEIGHT - 90 - 60 * n, 160, HEIGHT - 120 - 60 * n)


def labelled_flow(canvas: Canvas) -> None:
    """Boxes in a row with words before each, joined by lines that run level."""
    for n in range(3):
        canvas.drawString(80, HEIGHT - 130 - 60 * n, "in")
        box(canvas, (120, 120 + 60 * n, 220, 150 + 60 * n), "filter")
        box(canvas, (300, 120 + 60 * n, 400, 150 + 60 * n), "store")
        canvas.line(220, HEIGHT - 135 - 60 * n, 300, HEIGHT - 135 - 60 * n)


def organisation(canvas: Canvas) -> None:
    box(canvas, (240, 100, 360, 140), "Jane Carter", "Director")
    canvas.line(300, HEIGHT - 140, 300, HEIGHT - 160)
    canvas.line(120, HEIGHT - 160, 480, HEIGHT - 160)
    for n, name in enumerate(("Paul Lowe", "Ann Reeve", "Max Dunn")):
        canvas.line(120 + 180 * n, HEIGHT - 160, 120 + 180 * n, HEIGHT - 180)
        box(canvas, (70 + 180 * n, 180, 170 + 180 * n, 220), name, "Surveyor")


def bars(canvas: Canvas) -> None:
    canvas.line(100, HEIGHT - 400, 400, HEIGHT - 400)
    for n, high in enumerate((40, 120, 90, 200)):
        canvas.rect(120 + 60 * n, HEIGHT - 400, 40, high)
        canvas.drawString(120 + 60 * n, HEIGHT - 415, f"{2019 + n}")
        canvas.drawString(120 + 60 * n, HEIGHT - 395 + high, f"{high} t")


def level_bars(canvas: Canvas) -> None:
    canvas.line(160, HEIGHT - 100, 160, HEIGHT - 300)
    for n, (name, wide) in enumerate((("Rail", 200), ("Road", 320), ("Water", 60))):
        canvas.drawString(100, HEIGHT - 140 - 50 * n, name)
        canvas.rect(160, HEIGHT - 145 - 50 * n, wide, 18)
        canvas.drawString(165, HEIGHT - 140 - 50 * n, f"{wide} t")


def bars_alone(canvas: Canvas) -> None:
    for n, (name, wide) in enumerate((("Rail", 200), ("Road", 320), ("Water", 60))):
        field(canvas, (100, 120 + 30 * n, wide), name, f"{wide} t")


def low_bars(canvas: Canvas) -> None:
    """Bars that are wider than high, on a line, each with its number above it."""
    canvas.line(100, HEIGHT - 200, 400, HEIGHT - 200)
    for n, high in enumerate((12, 20, 28)):
        canvas.rect(120 + 60 * n, HEIGHT - 200, 40, high)
        canvas.drawString(122 + 60 * n, HEIGHT - 195 + high, f"{high} t")


def framed_flow(canvas: Canvas) -> None:
    """A flowchart with a step's number before each box, all in a frame."""
    canvas.rect(70, HEIGHT - 480, 400, 380)
    for n, text in enumerate(("Read", "Find", "Write")):
        field(canvas, (90, 140 + 60 * n, 120), f"{n + 1}.", text)
        if n:
            canvas.line(230, HEIGHT - 85 - 60 * n, 230, HEIGHT - 122 - 60 * n)


def filled_bars(canvas: Canvas) -> None:
    canvas.setFillColorRGB(0.6, 0.7, 0.9)
    for n, wide in enumerate((200, 320, 60)):
        canvas.rect(160, HEIGHT - 145 - 50 * n, wide, 18, fill=1, stroke=0)
    canvas.setFillColorRGB(0, 0, 0)
    for n, name in enumerate(("Rail", "Road", "Water")):
        canvas.drawString(100, HEIGHT - 140 - 50 * n, name)
        canvas.drawString(165, HEIGHT - 140 - 50 * n, "much")


def layers(canvas: Canvas) -> None:
    for n, text in enumerate(("Application", "Library", "Kernel")):
        box(canvas, (100, 120 + 40 * n, 300, 160 + 40 * n), text)


def slanted(canvas: Canvas) -> None:
    form(canvas)
    canvas.line(160, HEIGHT - 230, 330, HEIGHT - 300)


def round_boxes(canvas: Canvas) -> None:
    for n, text in enumerate(("Start", "Go on", "Stop")):
        canvas.drawString(80, HEIGHT - 135 - 60 * n, f"Step {n}")
        canvas.roundRect(160, HEIGHT - 145 - 60 * n, 120, 22, 6)
        canvas.drawString(165, HEIGHT - 138 - 60 * n, text)


def photo(canvas: Canvas) -> None:
    image = BytesIO()
    Image.new("RGB", (40, 30), (90, 120, 60)).save(image, "PNG")
    image.seek(0)
    canvas.rect(80, HEIGHT - 400, 400, 250)
    canvas.drawImage(ImageReader(image), 90, HEIGHT - 390, 380, 230)
    canvas.drawString(90, HEIGHT - 160, "The bridge")


@pytest.mark.parametrize(
    "draw",
    [
        flowchart,
        labelled_flow,
        organisation,
        bars,
        level_bars,
        bars_alone,
        low_bars,
        framed_flow,
        filled_bars,
        layers,
        slanted,
        round_boxes,
        photo,
    ],
)
def test_what_is_drawn_stays_a_picture(draw: Draw, pages: Pages) -> None:
    assert pages.stays(draw)


def test_a_scan_does_not_tell_and_keeps_its_picture(pages: Pages) -> None:
    page = pages.drawn(form)
    scan = replace(page, drawings=(), source=TextSource.OCR)

    assert [block.kind for block in finished(scan).blocks] == [BlockKind.FIGURE]
