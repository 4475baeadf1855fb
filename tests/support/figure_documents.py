"""Documents with a chart of its own on each page, as captions want them."""

import io

import pictures
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

_PROSE = (
    "The harbour opened its new north quay in April. Since then the number of ships that call",
    "each week has grown from nineteen to thirty-one, and the mean time at berth has fallen by",
    "a third. This page looks at where the time went before, what changed, and what it cost.",
)


def figure_document(pages: int, seed: int) -> bytes:
    """A PDF of `pages` A4 pages, each of them prose, a chart and prose; no seed's is another's."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for page in range(1, pages + 1):
        name = f"{seed}-{page}"
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(72, 770, f"Section {page} of report {seed}")
        _prose(canvas, 740)
        drawn = ImageReader(pictures.numbered(name, (800, 600)))
        canvas.drawImage(drawn, 110, 340, width=373, height=280)
        canvas.setFont("Helvetica", 9)
        canvas.drawString(190, 312, f"Figure {page}: Ships per quarter, series {name}.")
        _prose(canvas, 280)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _prose(canvas: Canvas, y: float) -> None:
    canvas.setFont("Helvetica", 10.5)
    for number, line in enumerate(_PROSE):
        canvas.drawString(72, y - number * 15, line)
