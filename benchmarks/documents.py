"""Documents of any length for the benchmarks: born-digital pages of prose with tables between."""

import io
import random

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

_WORDS = [
    "harbour",
    "signal",
    "ledger",
    "meadow",
    "engine",
    "granite",
    "lantern",
    "copper",
    "archive",
    "river",
    "station",
    "window",
    "summer",
    "method",
    "pattern",
    "valley",
    "record",
    "number",
    "winter",
    "market",
    "bridge",
    "garden",
]


def text_document(pages: int, seed: int = 1) -> bytes:
    """A PDF of `pages` A4 pages; each names its number, so that order can be checked."""
    rng = random.Random(seed)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for page in range(1, pages + 1):
        _draw_page(canvas, page, rng)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def page_marker(page: int) -> str:
    """The heading that stands on a page of these documents."""
    return f"Section {page} of the survey"


def _draw_page(canvas: Canvas, page: int, rng: random.Random) -> None:
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(72, 780, page_marker(page))
    y = 750.0
    for _ in range(4):
        canvas.setFont("Helvetica", 10)
        for _ in range(7):
            canvas.drawString(72, y, " ".join(rng.choices(_WORDS, k=12)) + ".")
            y -= 13
        y -= 14
    if page % 3 == 0:
        _draw_table(canvas, y, rng)


def _draw_table(canvas: Canvas, top: float, rng: random.Random) -> None:
    canvas.setFont("Helvetica", 9)
    for row in range(6):
        for column in range(4):
            x, y = 72 + column * 110, top - row * 18
            canvas.rect(x, y - 5, 110, 18)
            canvas.drawString(x + 4, y, rng.choice(_WORDS))
