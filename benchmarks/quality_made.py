"""Documents of kinds that the development set lacks and a Markdown step exists for, with truth.

python benchmarks/quality_made.py SET [--seed N]
Writes a set of the corpus' shape: letters that begin and end in the margin, running headers set
like the text with numbers far from the edge, listings, paragraphs that run over columns round a
figure and over pages past notes, questions with hanging numbers, drawings with decorations and
loose captions, tables with words outside of their lines.
`make quality SET=…` and quality_steps.py take it like any other.
"""

import argparse
import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = A4
_SERIF: Final = "Times-Roman"
_WORDS: Final = re.findall(
    "[a-z]+",
    "harbour signal ledger meadow engine granite lantern copper archive river station window "
    "summer method pattern valley record number winter market bridge garden keeper survey "
    "warehouse insurance carpenter telegraph committee provision instrument settlement",
)
_JOINTS: Final = ("of the", "near the", "under the", "behind the", "with the", "before the")


@dataclass
class Made:
    """A document as it is drawn: the canvas, and the truth of each page."""

    canvas: Canvas
    rng: random.Random
    pages: list[list[str]] = field(default_factory=lambda: [[]])
    boxes: list[list[float]] = field(default_factory=list)
    joints: list[str] = field(default_factory=list)
    """Words around the place where a paragraph runs over a page's end, as one reads them."""

    def say(self, text: str) -> None:
        """A paragraph of the page's truth."""
        self.pages[-1].append(text)

    def turn(self) -> None:
        """The next page."""
        self.canvas.showPage()
        self.pages.append([])

    def line(self, text: str, x: float, top: float, font: str = _SERIF, size: float = 11) -> None:
        """A line whose top is so far from the page's."""
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, HEIGHT - top - 0.75 * size, text)

    def paragraph(self, text: str, x: float, top: float, width: float, size: float = 11) -> float:
        """Lines of a paragraph, justified; the top of what comes after."""
        lines = simpleSplit(text, _SERIF, size, width)
        for index, words in enumerate(lines):
            self.justified(words, x, top, width, size, last=index == len(lines) - 1)
            top += 1.27 * size
        return top

    def justified(
        self, words: str, x: float, top: float, width: float, size: float, *, last: bool
    ) -> None:
        """One line as wide as its column, but for a paragraph's last."""
        gaps = words.count(" ")
        spare = width - stringWidth(words, _SERIF, size)
        text = self.canvas.beginText(x, HEIGHT - top - 0.75 * size)
        text.setFont(_SERIF, size)
        text.setWordSpace(0 if last or not gaps else spare / gaps)
        text.textLine(words)
        text.setWordSpace(0)
        self.canvas.drawText(text)

    def sentence(self) -> str:
        """Words that mean nothing, as a sentence."""
        words = " ".join(
            f"{self.rng.choice(_WORDS)} {self.rng.choice(_JOINTS)} {self.rng.choice(_WORDS)}"
            for _ in range(3)
        )
        return f"The {words}."

    def prose(self, sentences: int = 4) -> str:
        """A paragraph's text."""
        return " ".join(self.sentence() for _ in range(sentences))

    def photo(self, x: float, top: float, width: float, height: float) -> None:
        """A picture that nobody takes for text, and its place in the truth."""
        self.boxes.append([len(self.pages), x, top, x + width, top + height])
        self.image(x, top, width, height, cells=12)

    def image(self, x: float, top: float, width: float, height: float, cells: int) -> None:
        """A raster image of coloured patches."""
        colours = [
            tuple(self.rng.randrange(40, 230) for _ in range(3)) for _ in range(cells * cells)
        ]
        small = Image.new("RGB", (cells, cells))
        small.putdata(colours)
        shown = small.resize((20 * cells, 20 * cells), Image.Resampling.BICUBIC)
        self.canvas.drawImage(ImageReader(shown), x, HEIGHT - top - height, width, height)


def letter(made: Made) -> None:
    """The first and last lines stand in the margin, set as all others."""
    made.line("Dear Ms Smith,", 36, 38)
    made.say("Dear Ms Smith,")
    top = 82.0
    for _ in range(4):
        text = made.prose(3)
        top = made.paragraph(text, 36, top, 480) + 14
        made.say(text)
    ending = "Amount due by 1 March: 4,300 EUR, order 77-1203."
    made.line(ending, 36, 790)
    made.say(ending)
    made.turn()
    opening = "which the keeper of the archive has not seen before this summer."
    made.line(opening, 36, 34)
    made.say(opening)
    top = 80
    for _ in range(3):
        text = made.prose(3)
        top = made.paragraph(text, 36, top, 480) + 14
        made.say(text)
    made.line("Yours sincerely,", 36, 780)
    made.say("Yours sincerely,")


def manuscript(made: Made) -> None:
    """A running header set as the text, and bare numbers far from the edge."""
    for page in range(4):
        if page:
            made.turn()
        header = "A History of the Harbour" if page % 2 else "The Keeper of the Archive"
        made.line(header, 90, 50)
        top = 96.0
        while top < 640:
            text = made.prose(4)
            top = made.paragraph(text, 90, top, 415) + 6
            made.say(text)
        number = str(301 + page)
        made.line(number, WIDTH / 2 - 8, 0.895 * HEIGHT)


_PARTED: Final = (
    "It was the keeper of the archive who had first seen in the winter how well the har-",
    "bour was hidden behind the granite bridge; and the carpenter of the station had de-",
    "scribed it with many words to the committee of the market in the very same sum-",
)
_CUT: Final = (
    ("and what they had seen from the window of the warehouse was the old signal-", "box"),
    ("and what they had written in the ledger of the settlement was no connec-", "tion"),
)


def notes(made: Made) -> None:
    """Paragraphs that run over pages past footnotes and a figure, with hyphens at the joints."""
    made.line("The signal and the bridge", 72, 60, "Helvetica-Bold", 18)
    made.say("# The signal and the bridge")
    top = 100.0
    for page in range(1 + len(_CUT)):
        if page:
            made.turn()
            top = _rest(made, _CUT[page - 1][1], with_figure=page == 1)
        top = _full(made, _PARTED, top)
        made.line("mer.", 72, top)
        made.say(f"{' '.join(_PARTED)} mer.".replace("- ", ""))
        top += 24
        while top < 540:
            text = f"The signal-box was new. {made.prose(3)}"
            top = made.paragraph(text, 72, top, 450) + 10
            made.say(text)
        if page < len(_CUT):
            _cut_off(made, top, *_CUT[page])


def _full(made: Made, lines: Sequence[str], top: float) -> float:
    for words in lines:
        made.justified(words, 72, top, 450, 11, last=False)
        top += 14
    return top


def _cut_off(made: Made, top: float, end: str, start: str) -> None:
    """A paragraph that goes on in the next page, with a note below it."""
    lines = simpleSplit(made.prose(4), _SERIF, 11, 450)[:3]
    _full(made, [*lines, end], top)
    made.say(" ".join([*lines, end]))
    whole = end if end.endswith("signal-") else end[:-1]
    made.joints.append(f"{whole}{start}")
    made.canvas.line(72, HEIGHT - 742, 200, HEIGHT - 742)
    note = f"{len(made.pages)} The record of the archive is not complete."
    made.line(note, 72, 750, _SERIF, 8)
    made.say(note)


def _rest(made: Made, start: str, *, with_figure: bool) -> float:
    """The page's top: the rest of the paragraph before, perhaps under a figure."""
    top = 72.0
    if with_figure:
        made.photo(150, top, 290, 120)
        caption = "Figure 1. The station in winter"
        made.line(caption, 220, top + 132, _SERIF, 10)
        made.say("![](figure.png)")
        made.say(caption)
        top += 170
    text = f"{start} of the bridge. {made.prose(2)}"
    top = made.paragraph(text, 72, top, 450) + 10
    made.say(text)
    return top


def questions(made: Made) -> None:
    """Questions whose numbers hang far before their text."""
    made.line("Questions on the harbour", 72, 60, "Helvetica-Bold", 18)
    made.say("# Questions on the harbour")
    top = 110.0
    for number in range(1, 8):
        made.line(f"{number}.", 72, top)
        text = f"{made.prose(2)} Why was that so?"
        top = made.paragraph(text, 100, top, 420) + 16
        made.say(f"{number}. {text}")


_CODE: Final = '''def settle(pages, limit=3):
    """Settle what is owed."""
    for page in pages:
        if page.owed > limit:
            page.pay(page.owed)
        else:
            page.wait()
    return [p for p in pages if p.owed]'''
_MARKED: Final = """```js
const rows = `${name}`;
if (rows) {
  rows.push("''");
}
```"""


def listings(made: Made) -> None:
    """Code whose indentation means something, and code about code."""
    made.line("Settling accounts", 72, 70, "Helvetica-Bold", 18)
    made.say("# Settling accounts")
    top = 110.0
    for code in (_CODE, _MARKED):
        text = made.prose(3)
        top = made.paragraph(text, 72, top, 450) + 14
        made.say(text)
        for row in code.split("\n"):
            indent = len(row) - len(row.lstrip())
            made.line(row.lstrip(), 84 + indent * 5.4, top, "Courier", 9)
            top += 11.5
        top += 14
        fence = "````" if "```" in code else "```"
        made.say(f"{fence}\n{code}\n{fence}")
    text = made.prose(3)
    made.paragraph(text, 72, top, 450)
    made.say(text)


def article(made: Made) -> None:
    """Two columns whose paragraphs go on in the next one, a picture standing between."""
    made.line("The granite bridge", 60, 60, "Helvetica-Bold", 18)
    made.say("# The granite bridge")
    text = made.prose(44)
    lines = simpleSplit(text, _SERIF, 10, 228)
    column, end = 50, 110.0
    first, second = lines[:column], lines[column : column + 30]
    for number, words in enumerate(first):
        made.justified(words, 60, end + 12.7 * number, 228, 10, last=False)
    made.photo(307, 110, 228, 150)
    caption = "Figure 1. The bridge near the market in winter"
    made.line(caption, 320, 268, _SERIF, 9)
    for number, words in enumerate(second):
        last = number == len(second) - 1
        made.justified(words, 307, 300 + 12.7 * number, 228, 10, last=last)
    said = " ".join(first + second)
    made.say(said)
    made.say("![](figure.png)")
    made.say(caption)
    closing = made.prose(2)
    made.paragraph(closing, 307, 316 + 12.7 * len(second), 228, 10)
    made.say(closing)


def drawings(made: Made) -> None:
    """A photograph with a thin mat around, a drawn chart, and icons that are none."""
    made.line("Places of the survey", 72, 60, "Helvetica-Bold", 18)
    made.say("# Places of the survey")
    top = 100.0
    for _ in range(2):
        made.image(46, top - 2, 20, 20, cells=3)
        text = made.prose(3)
        top = made.paragraph(text, 72, top, 450) + 12
        made.say(text)
    made.photo(150, top, 290, 170)
    caption = "Figure 1. The valley in summer"
    made.line(caption, 220, top + 184, _SERIF, 10)
    made.say("![](figure.png)")
    made.say(caption)
    top += 220
    text = made.prose(3)
    top = made.paragraph(text, 72, top, 450) + 12
    made.say(text)
    _chart(made, 150, top, 290, 130)
    caption = "Figure 2. Records by month"
    made.line(caption, 220, top + 146, _SERIF, 10)
    made.say("![](figure.png)")
    made.say(caption)


def _chart(made: Made, x: float, top: float, width: float, height: float) -> None:
    made.boxes.append([len(made.pages), x, top, x + width, top + height])
    base = HEIGHT - top - height
    made.canvas.line(x, base, x + width, base)
    made.canvas.line(x, base, x, base + height)
    points = [(x + width * k / 14, base + made.rng.uniform(0.1, 1) * height) for k in range(15)]
    for (x0, y0), (x1, y1) in pairwise(points):
        made.canvas.line(x0, y0, x1, y1)
        made.canvas.circle(x1, y1, 2, fill=1)


def ledger(made: Made) -> None:
    """A ruled table with a unit above and a remark below that its lines do not enclose."""
    made.line("Accounts of the station", 72, 60, "Helvetica-Bold", 18)
    made.say("# Accounts of the station")
    text = made.prose(3)
    top = made.paragraph(text, 72, 96, 450) + 20
    made.say(text)
    caption = "Table 1. Copper by year"
    made.line(caption, 200, top, _SERIF, 10)
    made.say(caption)
    unit = "in thousands of kilograms"
    made.line(unit, 372, top + 16, _SERIF, 9)
    made.say(unit)
    top += 32
    rows = _by_place(made, "1901", "1902", "1903")
    top = _table(made, rows, top, ruled=rows)
    remark = "Figures of the last year are not complete."
    made.line(remark, 112, top + 5, _SERIF, 9)
    made.say(remark)
    text = made.prose(3)
    made.paragraph(text, 72, top + 40, 450)
    made.say(text)


def remarks(made: Made) -> None:
    """A ruled table with notes right below it, that the model's region of it takes in."""
    made.line("Weights of the harbour", 72, 60, "Helvetica-Bold", 18)
    made.say("# Weights of the harbour")
    text = made.prose(3)
    top = made.paragraph(text, 72, 96, 450) + 20
    made.say(text)
    rows = _by_place(made, "1901", "1902", "1903")
    top = _table(made, rows, top, ruled=rows)
    for number, note in enumerate(("a) without the copper of the market", "b) weighed twice")):
        made.line(note, 112, top + 2 + 10 * number, _SERIF, 8)
        made.say(note)
    text = made.prose(3)
    made.paragraph(text, 72, top + 40, 450)
    made.say(text)


def accounts(made: Made) -> None:
    """A table whose headings stand above its drawn lines, and its sums below."""
    made.line("Accounts of the market", 72, 60, "Helvetica-Bold", 18)
    made.say("# Accounts of the market")
    text = made.prose(3)
    top = made.paragraph(text, 72, 96, 450) + 24
    made.say(text)
    rows = _by_place(made, "Spring", "Summer", "Autumn")
    rows.append(["Sum", *(str(sum(int(row[n]) for row in rows[1:])) for n in (1, 2, 3))])
    top = _table(made, rows, top, ruled=rows[1:-1])
    text = made.prose(3)
    made.paragraph(text, 72, top + 30, 450)
    made.say(text)


def _by_place(made: Made, *heads: str) -> list[list[str]]:
    """The rows of a table of numbers, a place each."""
    rows = [["Place", *heads]]
    for place in made.rng.sample(_WORDS, 5):
        rows.append([place, *(str(made.rng.randint(100, 9999)) for _ in heads)])
    return rows


def _table(made: Made, rows: list[list[str]], top: float, ruled: list[list[str]]) -> float:
    """Draw a table whose lines enclose these of its rows; return where it ends."""
    for number, row in enumerate(rows):
        for column, word in enumerate(row):
            x, y = 110 + column * 90, top + number * 18
            if row in ruled:
                made.canvas.rect(x, HEIGHT - y - 18, 90, 18)
            made.line(word, x + 5, y + 4, _SERIF, 10)
    made.say(_pipes(rows))
    return top + len(rows) * 18


def _pipes(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


KINDS: Final[tuple[Callable[[Made], None], ...]] = (
    letter,
    manuscript,
    notes,
    questions,
    listings,
    article,
    drawings,
    ledger,
    remarks,
    accounts,
)


def make(folder: Path, seed: int, copies: int = 2) -> None:
    """The set: each kind so many times."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for kind in KINDS:
        for copy in range(1, copies + 1):
            rows.append(_document(folder, f"{kind.__name__}_{copy}", kind, seed))
    (folder / "manifest.json").write_text(json.dumps(rows, indent=1))


def _document(
    folder: Path, name: str, kind: Callable[[Made], None], seed: int
) -> dict[str, object]:
    file = f"quality/{name}.pdf"
    truth = folder / "truth" / name
    truth.mkdir(parents=True)
    (folder / "quality").mkdir(exist_ok=True)
    made = Made(
        Canvas(str(folder / file), pagesize=A4, invariant=1), random.Random(f"{seed}{name}")
    )
    kind(made)
    made.canvas.save()
    pages = ["\n\n".join(page) + "\n" for page in made.pages]
    for number, page in enumerate(pages, start=1):
        (truth / f"page_{number}.md").write_text(page)
    truth.with_suffix(".md").write_text("\n".join(pages))
    truth.with_suffix(".boxes.json").write_text(json.dumps(made.boxes))
    truth.with_suffix(".joints.json").write_text(json.dumps(made.joints))
    return {
        "part": "quality",
        "name": name,
        "file": file,
        "pages": len(pages),
        "kind": f"made {kind.__name__}",
        "languages": ["en"],
        "image_only": False,
        "text_layer_pages": len(pages),
        "truth": f"truth/{name}.md",
        "truth_pages": f"truth/{name}/",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    make(arguments.set, arguments.seed)


if __name__ == "__main__":
    main()
