"""What each step of the Markdown gains: the scores of sets with every step, less those without it.

python benchmarks/quality_steps.py [SET] OUT [--made SET OUT]
OUT is where quality.py has written; its pages are not read anew, only their steps are taken again.
--made: a second set, of `quality_made.py`, whose documents are of the kinds that some steps exist
for and the first set lacks. A third are pages under regions at random: of these only the share of
the lines that is written, and once, is measured. A gain below zero is a loss.
"""

import argparse
import json
import pickle
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import mean

import corpus
import quality
import results
from random_pages import random_pages

from ocrplus_contract.document import DOCUMENT_STEPS, page_texts, settled
from ocrplus_contract.merging import merged
from ocrplus_contract.records import PageRecord
from ocrplus_contract.states import PageState
from ocrplus_ocr.engine import Box, Figure
from ocrplus_ocr.engine.found import FoundPage, page_of
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.continued import joints
from ocrplus_ocr.markdown.coverage import coverage, repeated
from ocrplus_ocr.markdown.edges import edges
from ocrplus_ocr.markdown.geometry import area, common
from ocrplus_ocr.markdown.render import caption_of, headings, page_markdown
from ocrplus_ocr.markdown.steps import ALL, STEPS, finished, is_on

SHOWN = ("overall", "text", "order", "table", "heading", "heading_level", "figure", "tests")
_CODE = re.compile(r"^(`{3,})[\w+-]*\n(.*?)\n\1$", re.M | re.S)
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LEAST_GAIN = 0.0005
RANDOM_PAGES = 400


@dataclass(frozen=True)
class Written:
    """A document's Markdown by page and merged, the places of its pictures by page, and how whole
    its pages are."""

    markdown: str
    merged: str
    crops: list[tuple[int, Box]]
    whole: list[float]


def written(pages: list[FoundPage], off: frozenset[str]) -> Written:
    """A document without some steps."""
    records: list[PageRecord] = []
    crops: list[tuple[int, Box]] = []
    whole: list[float] = []
    for found in pages:
        page = finished(page_of(found), off)
        blocks = page.blocks
        figures = [
            Figure(
                f"p{found.number}-f{index}", block.kind, block.box, b"", caption_of(blocks, index)
            )
            for index, block in enumerate(blocks)
            if block.kind in PICTURES
        ]
        markdown = page_markdown(blocks, figures)
        start, end = joints(page) if is_on("continued", off) else (None, None)
        crops += [(found.number, figure.box) for figure in figures]
        whole.append(coverage(page, markdown) - repeated(page, markdown))
        records.append(
            PageRecord(
                page=found.number,
                state=PageState.OK,
                source=page.source,
                markdown=markdown,
                headings=headings(page),
                edges=edges(page),
                starts_paragraph=start is None,
                ends_paragraph=end is None,
                open_start=start,
                open_end=end,
            )
        )
    records = settled(records, off)
    text = "\n\n".join(record.markdown for record in records)
    merged_text = merged(page_texts(records, lambda record: record.markdown))
    return Written(text, merged_text, crops, whole)


def scores(folder: Path, found: Path, off: frozenset[str]) -> dict[str, float]:
    """Means over the set without some steps: the scorer's metrics, and what it does not see."""
    own: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        for path in sorted(found.glob("*.pkl")):
            document = written(pickle.loads(path.read_bytes()), off)
            (out / f"{path.stem}.md").write_text(document.markdown, "utf-8")
            for metric, value in _unseen(folder / "truth" / path.stem, document).items():
                own.setdefault(metric, []).append(value)
        found_means = quality.means(quality.score(folder, out))["all"]
    shown = {metric: found_means[metric] for metric in SHOWN if metric in found_means}
    return shown | {metric: mean(values) for metric, values in own.items()}


def _unseen(truth: Path, document: Written) -> dict[str, float]:
    """What the scorer does not see: whole paragraphs, and how many of those written are the
    truth's; those that run over pages; code with its indentation, captions as alternative texts,
    tight crops; and of each page the share that is written, and once."""
    metrics = {"once": mean(document.whole)} if document.whole else {}
    text = truth.with_suffix(".md")
    if not text.exists():
        return metrics
    wanted = text.read_text("utf-8")
    there = _paragraphs(document.markdown)
    for metric, share in (
        ("paragraphs", _shared(set(_paragraphs(wanted)), set(there))),
        ("own", _own(there, _paragraphs(wanted))),
        ("joints", _joined(truth.with_suffix(".joints.json"), document.merged)),
        ("code", _shared(_code(wanted), _code(document.markdown))),
        ("alt", _shared(_captions(wanted), set(_PICTURE.findall(document.markdown)))),
        ("crops", _tightness(truth.with_suffix(".boxes.json"), document.crops)),
    ):
        if share is not None:
            metrics[metric] = share
    return metrics


def _shared(wanted: set[str], there: set[str]) -> float | None:
    return len(wanted & there) / len(wanted) if wanted else None


def _joined(path: Path, markdown: str) -> float | None:
    """Share of the words around pages' ends that stand there whole, but for the anchor."""
    wanted = json.loads(path.read_text()) if path.exists() else []
    plain = re.sub(r"\s+", " ", re.sub(r" ?<!--.*?-->(?: )?", _gap, markdown))
    return mean(words in plain for words in wanted) if wanted else None


def _gap(anchor: re.Match[str]) -> str:
    return " " if anchor.group().startswith(" ") else ""


def _code(markdown: str) -> set[str]:
    return {body for _, body in _CODE.findall(markdown)}


def _own(there: Sequence[str], wanted: Sequence[str]) -> float | None:
    """Share of the paragraphs written that the truth has, as often as it has them: a running
    header is none of them."""
    both = Counter(there) & Counter(wanted)
    return both.total() / len(there) if there else None


def _paragraphs(markdown: str) -> list[str]:
    parts = re.split(r"\n\n|\n(?=\s*(?:- |\w{1,2}[.)]))", _CODE.sub("", markdown))
    plain = (re.sub(r"\s+", "", part) for part in parts)
    return [part for part in plain if part and part[0] not in "#|<!$"]


def _captions(markdown: str) -> set[str]:
    """The paragraphs after pictures."""
    parts = [" ".join(part.split()) for part in markdown.split("\n\n")]
    return {after for picture, after in pairwise(parts) if _PICTURE.fullmatch(picture)}


def _tightness(path: Path, crops: list[tuple[int, Box]]) -> float | None:
    """How well the true pictures are covered by one crop each: intersection over union; a crop
    too many counts as a picture that is missed."""
    if not path.exists():
        return None
    boxes = [(int(page), (x0, y0, x1, y1)) for page, x0, y0, x1, y1 in json.loads(path.read_text())]
    best = [
        max((_overlap(box, crop) for at, crop in crops if at == page), default=0.0)
        for page, box in boxes
    ]
    most = max(len(boxes), len(crops))
    return sum(best) / most if most else None


def _overlap(a: Box, b: Box) -> float:
    both = common(a, b)
    return both / (area(a) + area(b) - both) if both else 0.0


def scores_of_random(off: frozenset[str]) -> dict[str, float]:
    """How much of pages under random regions is written once, without some steps."""
    whole = []
    for found in random_pages(RANDOM_PAGES):
        page = finished(found, off)
        markdown = page_markdown(page.blocks, [])
        whole.append(coverage(page, markdown) - repeated(page, markdown))
    return {"once": mean(whole), "pages_whole": mean(share == 1.0 for share in whole)}


def gains(scored: Callable[[frozenset[str]], dict[str, float]]) -> dict[str, dict[str, float]]:
    """The means with every step, and what each step adds to them."""
    every = scored(frozenset())
    figures = {"every step": every}
    names = [step.name for step in STEPS] + [step.name for step in DOCUMENT_STEPS]
    for name in [*names, ALL]:
        without = scored(frozenset({name}))
        moved = {m: round(value - without.get(m, 0.0), 4) for m, value in every.items()}
        label = "all together, against the bare engine" if name == ALL else name
        figures[label] = {m: value for m, value in moved.items() if abs(value) >= _LEAST_GAIN}
        print(f"{label:40}", figures[label], flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("out", type=Path)
    parser.add_argument("--made", nargs=2, type=Path, metavar=("SET", "OUT"))
    arguments = parser.parse_args()
    read = {"development set": (arguments.set, arguments.out)}
    if arguments.made:
        read["made documents"] = tuple(arguments.made)
    by_set = {
        name: gains(partial(scores, folder, out / "found")) for name, (folder, out) in read.items()
    }
    by_set["random regions"] = gains(scores_of_random)
    figures = {
        step: {name: of_set[step] for name, of_set in by_set.items()}
        for step in by_set["development set"]
    }
    results.write("quality_steps", figures)


if __name__ == "__main__":
    main()
