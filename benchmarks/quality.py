"""Every quality document of a set by the engine alone: scored, compared, and shown.

python benchmarks/quality.py [SET] [OUT] [--only PART] [--keep]
Prints the scorer's table by document, metric and kind beside the committed baseline, and writes
OUT/index.html: page picture, truth and our Markdown side by side. OUT/found holds what the models
found, for quality_steps.py and for work on steps without a model. --keep makes this run the
committed baseline.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import corpus
import psutil
import quality_page
import results
from PIL import Image

from ocrplus_contract.document import settled
from ocrplus_contract.records import LEAST_COVERAGE, MOST_REPEATED, PageRecord
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine import PageResult, ReadOptions
from ocrplus_ocr.engine.build import engine_config
from ocrplus_ocr.engine.found import FoundPage
from ocrplus_ocr.engine.ppstructure import PPStructureEngine

METRICS = (
    "overall",
    "text",
    "order",
    "table",
    "table_s",
    "heading",
    "heading_level",
    "figure",
    "formula",
    "tests",
)
COUNTED = ("text", "order", "table", "heading", "figure", "formula", "tests")
"""Their mean is a document's overall score."""
WELL = 0.97
MUCH_EXCUSED = 0.3  # of a page's characters that coverage leaves out: pages to look at
BASELINE = Path(__file__).parent / "results" / "quality.json"
LITEPARSE = {  # LiteParse 2.18 on the text-layer documents of the development set
    "text": 0.878,
    "order": 0.942,
    "table": 0.605,
    "heading": 0.542,
    "figure": 0.75,
    "tests": 0.506,
}


class Reader:
    """The engine, with what it found and the CPU seconds that it took.

    They are those of this process and the one that renders, less what the pictures for looking cost
    (0.05 a page), as pages.py counts its bare engine. That reads each document before it counts;
    here the first reading counts, which costs the same: 0.540 a born-digital page, the third 0.537.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._found: list[FoundPage] = []
        self._aside = 0.0  # CPU seconds that are not the engine's
        self._name = ""
        (out / "found").mkdir(parents=True, exist_ok=True)
        self._engine = PPStructureEngine(engine_config(OcrSettings()), on_found=self._keep)

    def read(self, document: corpus.Document) -> tuple[list[PageResult], float]:
        """A document's pages, and its CPU seconds."""
        self._name, self._found = document.name, []
        (self._out / document.name).mkdir(exist_ok=True)
        self._aside = 0.0
        began = _cpu_seconds()
        pages = range(1, document.pages + 1)
        read = list(self._engine.read(document.path, pages, ReadOptions()))
        took = _cpu_seconds() - began - self._aside
        (self._out / "found" / f"{document.name}.pkl").write_bytes(pickle.dumps(self._found))
        return read, took

    def close(self) -> None:
        """End it."""
        self._engine.close()

    def _keep(self, found: FoundPage, image: Any) -> None:
        began = time.thread_time()
        self._found.append(found)
        picture = Image.fromarray(image[:, :, ::-1])
        picture.thumbnail((1100, 1100))
        picture.save(self._out / self._name / f"page_{found.number}.jpg", quality=70)
        self._aside += time.thread_time() - began


def _cpu_seconds() -> float:
    own = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [own, *own.children()])


def written(pages: Sequence[PageResult], folder: Path) -> None:
    """The document's Markdown as a client gets it in the end, by page and whole."""
    records = settled([record_of(page) for page in pages])
    for record in records:
        (folder / f"page_{record.page}.md").write_text(record.markdown, "utf-8")
    whole = "\n\n".join(record.markdown for record in records)
    folder.with_suffix(".md").write_text(whole, "utf-8")
    for page in pages:
        for figure in page.figures:
            (folder / "figures").mkdir(exist_ok=True)
            (folder / "figures" / f"{figure.id}.png").write_bytes(figure.png)


def record_of(page: PageResult) -> PageRecord:
    """What a worker would commit of a page, as far as the Markdown depends on it."""
    return PageRecord(
        page=page.page,
        state=page.state,
        source=page.source,
        markdown=page.markdown,
        headings=page.headings,
        edges=page.edges,
        starts_paragraph=page.starts_paragraph,
        ends_paragraph=page.ends_paragraph,
        open_start=page.open_start,
        open_end=page.open_end,
    )


def score(folder: Path, out: Path, only: str = "") -> dict[str, Any]:
    """The scorer's report on a folder of Markdown."""
    report = out / "score.json"
    scorers = (where.parent / "score.py" for where in (folder, corpus.DEFAULT))
    scorer = next(path for path in scorers if path.exists())
    command = [sys.executable, str(scorer), str(folder), str(out)]
    command += ["--json", str(report), "--jobs", "2", *(["--only", only] if only else [])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scored: dict[str, Any] = json.loads(report.read_text())
    return scored


def means(scored: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mean of each metric, by kind of document."""
    return {
        kind: {m: values[m] for m in METRICS if values.get(m) is not None}
        for kind, values in scored["mean"].items()
    }


def table(scored: dict[str, Any], baseline: dict[str, dict[str, float]]) -> str:
    """Scores by document and by kind, and how the kinds moved against the baseline."""

    def row(name: str, values: dict[str, Any]) -> str:
        cells = (f"{values[m]:8.3f}" if values.get(m) is not None else " " * 8 for m in METRICS)
        return f"{name[:30]:30}" + "".join(cells)

    lines = [" " * 30 + "".join(f"{m[:7]:>8}" for m in METRICS)]
    lines += [row(document["name"], document) for document in scored["docs"]]
    for kind, values in scored["mean"].items():
        lines.append(row(f"= {kind} ({values['documents']})", values))
        if kind in baseline:
            old = baseline[kind]
            moved = {
                m: values[m] - old[m] for m in METRICS if m in old and values.get(m) is not None
            }
            lines.append(row("  against the baseline", moved))
    lines.append(row("LiteParse 2.18, text-layer", LITEPARSE))
    return "\n".join(lines)


def limits(scored: dict[str, Any]) -> dict[str, Any]:
    """What keeps the overall score down: of each metric its mean, what the whole would be were it
    perfect, and the documents that are not."""
    found: dict[str, Any] = {}
    for metric in COUNTED:
        own = {d["name"]: d[metric] for d in scored["docs"] if d.get(metric) is not None}
        if not own:
            continue
        perfect = [
            _overall(document | {metric: 1.0} if document["name"] in own else document)
            for document in scored["docs"]
        ]
        found[metric] = {
            "mean": round(mean(own.values()), 4),
            "overall_if_perfect": round(mean(perfect), 4),
            "documents_below": {n: round(v, 3) for n, v in own.items() if v < WELL},
        }
    return found


def _overall(document: dict[str, Any]) -> float:
    values = [document[metric] for metric in COUNTED if document.get(metric) is not None]
    return mean(values) if values else 0.0


def cost(documents: Sequence[corpus.Document], spent: dict[str, float]) -> dict[str, float]:
    """CPU seconds of a page by kind of document."""
    by_kind = {}
    for kind in ("born_digital", "scanned"):
        chosen = [d for d in documents if d.kind == kind]
        pages = sum(d.pages for d in chosen)
        if pages:
            by_kind[kind] = round(sum(spent[d.name] for d in chosen) / pages, 3)
    return by_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--only", default="", help="documents whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="make this run the baseline")
    arguments = parser.parse_args()
    documents = [d for d in corpus.documents(arguments.set) if arguments.only in d.name]
    out = arguments.out or Path(tempfile.mkdtemp(prefix="ocrplus-quality-"))
    reader = Reader(out)
    spent: dict[str, float] = {}
    low: dict[str, float] = {}
    twice: dict[str, float] = {}
    excused: dict[str, float] = {}
    failed: list[str] = []
    for document in documents:
        pages, spent[document.name] = reader.read(document)
        written(pages, out / document.name)
        failed += [f"{document.name} page {p.page}: {p.error}" for p in pages if p.error]
        low |= {
            f"{document.name} page {p.page}": p.coverage
            for p in pages
            if p.coverage is not None and p.coverage < LEAST_COVERAGE
        }
        excused |= {f"{document.name} page {p.page}": p.excused or 0.0 for p in pages}
        twice |= {
            f"{document.name} page {p.page}": p.repeated
            for p in pages
            if p.repeated is not None and p.repeated > MOST_REPEATED
        }
        print(f"{document.name}: {spent[document.name]:.1f} CPU s", flush=True)
    reader.close()
    scored = score(arguments.set, out, arguments.only)
    baseline = json.loads(BASELINE.read_text())["metrics"]["mean"] if BASELINE.exists() else {}
    print(table(scored, baseline if arguments.set.resolve() == corpus.DEFAULT.resolve() else {}))
    figures = {
        "documents": len(documents),
        "failed_pages": failed,
        "mean": means(scored),
        "limits": limits(scored),
        "cpu_seconds_per_page": cost(documents, spent),
        "pages_below_coverage": low,
        "pages_said_twice": twice,
        "excused_mean": round(mean(excused.values()), 4),
        "pages_mostly_excused": {name: v for name, v in excused.items() if v > MUCH_EXCUSED},
    }
    print(json.dumps({k: v for k, v in figures.items() if k not in ("mean", "limits")}, indent=2))
    page = quality_page.write(arguments.set, out, scored["docs"])
    print(f"to look at: {page}")
    if arguments.keep:
        results.write("quality", figures)


if __name__ == "__main__":
    main()
