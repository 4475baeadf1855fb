"""What each step of the Markdown gains: the score of a set without it, and without any.

python benchmarks/quality_steps.py [SET] OUT
OUT is where quality.py has written; its pages are not read anew, only their steps are taken again.
"""

import argparse
import json
import pickle
import tempfile
from pathlib import Path

import corpus
import quality
import results

from ocrplus_contract.document import DOCUMENT_STEPS, settled
from ocrplus_contract.records import PageRecord
from ocrplus_contract.states import PageState
from ocrplus_ocr.engine import Figure
from ocrplus_ocr.engine.found import FoundPage, page_of
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.edges import edges
from ocrplus_ocr.markdown.render import caption_of, headings, page_markdown
from ocrplus_ocr.markdown.steps import ALL, STEPS, finished

SHOWN = ("overall", "text", "order", "table", "heading", "heading_level", "figure", "tests")


def markdown(pages: list[FoundPage], off: frozenset[str]) -> str:
    """A document's Markdown without some steps."""
    records = []
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
        records.append(
            PageRecord(
                page=found.number,
                state=PageState.OK,
                source=page.source,
                markdown=page_markdown(blocks, figures),
                headings=headings(page),
                edges=edges(page),
            )
        )
    return "\n\n".join(record.markdown for record in settled(records, off))


def scores(folder: Path, found: Path, off: frozenset[str]) -> dict[str, float]:
    """Means over the set without some steps."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        for path in sorted(found.glob("*.pkl")):
            text = markdown(pickle.loads(path.read_bytes()), off)
            (out / f"{path.stem}.md").write_text(text, "utf-8")
        mean = quality.means(quality.score(folder, out))["all"]
    return {metric: mean[metric] for metric in SHOWN if metric in mean}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    found = arguments.out / "found"
    names = [step.name for step in STEPS] + [step.name for step in DOCUMENT_STEPS]
    figures = {"every step": scores(arguments.set, found, frozenset())}
    for name in names:
        figures[f"without {name}"] = scores(arguments.set, found, frozenset({name}))
    figures["no step: the bare engine"] = scores(arguments.set, found, frozenset({ALL}))
    for name, row in figures.items():
        print(f"{name:32}" + "".join(f"{metric} {row.get(metric, 0):.3f}  " for metric in row))
    print(json.dumps(figures))
    results.write("quality_steps", figures)


if __name__ == "__main__":
    main()
