"""Make the sample PDFs beside this file; the same bytes every time.

    python examples/samples/make_samples.py --font DroidSansFallbackFull.ttf

The font (Debian's fonts-droid-fallback, Apache-2.0) is embedded, only the characters used.
Text and drawings are this project's own.
"""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).parent
CJK = "Sample"

ENGLISH = (
    "The harbour opened its new north quay in April. Since then the number of ships that call",
    "each week has grown from nineteen to thirty-one, and the mean time at berth has fallen by",
    "a third. This report looks at where the time went before, what changed, and what it cost.",
)
SECOND = (
    "Two cranes of the old type were replaced in May. The third stays until the spring, when the",
    "rails will be laid again. Pilots asked for a second light on the outer mole; it was built in",
    "June and is the cheapest of all the measures by a wide margin.",
)
NEXT = (
    "In the coming year the rails of the last crane are laid again and the customs shed moves to",
    "the east side. Whether a second quay is worth its price can be said when a full year of",
    "figures lies on the table.",
)
TABLE = (
    ("Quarter", "Ships", "Hours at berth", "Cost per call"),
    ("First", "247", "31.5", "8,420"),
    ("Second", "318", "24.0", "7,135"),
    ("Third", "402", "20.8", "6,610"),
    ("Fourth", "389", "21.2", "6,705"),
)
CHINESE = (
    "北码头于四月启用。此后每周到港船舶由十九艘增至三十一艘，",
    "平均停泊时间缩短了三分之一。本报告说明此前时间耗费在何处、",
    "作了哪些改变以及所需的费用。五月更换了两台旧式起重机，",
    "六月在外堤增设了一座灯标。",
)
CHINESE_TABLE = (
    ("季度", "船舶数", "停泊小时"),
    ("第一季度", "247", "31.5"),
    ("第二季度", "318", "24.0"),
    ("第三季度", "402", "20.8"),
)


def canvas_to(out: io.BytesIO, title: str) -> Canvas:
    """A canvas without dates or ids of its own."""
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle(title)
    return canvas


def lines(canvas: Canvas, texts: tuple[str, ...], y: float, font: str, size: float) -> float:
    """Draw lines of text from y downwards; where the next block may begin."""
    canvas.setFont(font, size)
    for text in texts:
        canvas.drawString(72, y, text)
        y -= size * 1.5
    return y - size


def table(canvas: Canvas, rows: tuple[tuple[str, ...], ...], y: float, font: str) -> float:
    """Draw a ruled table; where the next block may begin."""
    width = 450 / len(rows[0])
    for row in rows:
        for column, text in enumerate(row):
            canvas.rect(72 + column * width, y - 6, width, 20)
            # The CJK font has no Latin glyphs.
            canvas.setFont("Helvetica" if text.isascii() else font, 10)
            canvas.drawString(78 + column * width, y, text)
        y -= 20
    return y - 16


def chart(canvas: Canvas, y: float) -> float:
    """Draw bars on axes, with a caption below."""
    canvas.line(110, y - 150, 110, y)
    canvas.line(110, y - 150, 460, y - 150)
    for index, ships in enumerate((247, 318, 402, 389)):
        canvas.setFillColorRGB(0.16, 0.38, 0.58)
        canvas.rect(140 + index * 80, y - 150, 44, ships / 3, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        canvas.setFont("Helvetica", 8)
        canvas.drawString(146 + index * 80, y - 162, f"Q{index + 1}")
    canvas.setFont("Helvetica", 9)
    canvas.drawString(190, y - 186, "Figure 1: Ships per quarter since the opening.")
    return y - 214


def report_en() -> bytes:
    """Two born-digital pages: title, headings, prose, a table, a chart."""
    out = io.BytesIO()
    canvas = canvas_to(out, "A year of the north quay")
    canvas.setFont("Helvetica-Bold", 20)
    canvas.drawString(72, 770, "A year of the north quay")
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(72, 730, "1 What was built")
    y = lines(canvas, ENGLISH, 706, "Helvetica", 10.5)
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(72, y - 6, "2 The figures")
    canvas.setFont("Helvetica", 9)
    canvas.drawString(72, y - 34, "Table 1: Calls by quarter.")
    table(canvas, TABLE, y - 60, "Helvetica")
    canvas.showPage()
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(72, 770, "3 Cranes and lights")
    y = lines(canvas, SECOND, 746, "Helvetica", 10.5)
    y = chart(canvas, y - 10)
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(72, y - 6, "4 What comes next")
    lines(canvas, NEXT, y - 30, "Helvetica", 10.5)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def report_zh() -> bytes:
    """One born-digital page in Chinese."""
    out = io.BytesIO()
    canvas = canvas_to(out, "北码头一年")
    canvas.setFont(CJK, 20)
    canvas.drawString(72, 770, "北码头一年")
    canvas.setFont(CJK, 14)
    canvas.drawString(72, 730, "一、建设情况")
    y = lines(canvas, CHINESE, 704, CJK, 11)
    canvas.setFont(CJK, 14)
    canvas.drawString(72, y - 6, "二、数据")
    table(canvas, CHINESE_TABLE, y - 44, CJK)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def scan(pages: list[Image.Image]) -> bytes:
    """Pages as a scanner gives them: images, slightly turned, with noise."""
    out = io.BytesIO()
    canvas = canvas_to(out, "Scan")
    noise = np.random.default_rng(7)
    for page in pages:
        turned = page.convert("L").rotate(0.4, resample=Image.Resampling.BICUBIC, fillcolor=255)
        grey: Any = np.asarray(turned, dtype=np.int16)
        grey = np.clip(grey + noise.normal(0, 5, grey.shape), 0, 255).astype(np.uint8)
        jpeg = io.BytesIO()
        Image.fromarray(grey).save(jpeg, "JPEG", quality=45)
        canvas.drawImage(ImageReader(jpeg), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def rendered(pdf: bytes, page: int) -> Image.Image:
    """A page at 150 dpi."""
    image: Image.Image = pdfium.PdfDocument(pdf)[page].render(scale=150 / 72).to_pil()
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--font", type=Path, required=True)
    pdfmetrics.registerFont(TTFont(CJK, str(parser.parse_args().font)))
    english, chinese = report_en(), report_zh()
    (HERE / "report_en.pdf").write_bytes(english)
    (HERE / "report_zh.pdf").write_bytes(chinese)
    scanned = scan([rendered(english, 0), rendered(chinese, 0)])
    (HERE / "scan_en_zh.pdf").write_bytes(scanned)
    for path in sorted(HERE.glob("*.pdf")):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
