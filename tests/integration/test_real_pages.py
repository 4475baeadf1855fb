"""The real engine on difficult pages: steps off, a pasted scan, scans that lie wrong."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
import tiny_pdf

from ocrplus_contract.settings import OcrSettings
from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import PageResult, ReadOptions
from ocrplus_ocr.engine.build import engine_config, missing_models
from ocrplus_ocr.engine.found import FoundPage, scaled, sound
from ocrplus_ocr.engine.labels import block_kind
from ocrplus_ocr.engine.ppstructure import PPStructureEngine

SAMPLE = Path(__file__).parents[2] / "examples" / "samples" / "report_en.pdf"
PROSE = [f"This is line {n} of a page of plain English prose that says little." for n in range(12)]


def settings(**changes: str) -> OcrSettings:
    chosen = OcrSettings(**changes)
    if missing_models(chosen):
        pytest.skip("the model pack is not assembled")
    return chosen


@pytest.fixture(scope="module")
def engine() -> Iterator[PPStructureEngine]:
    with closing(PPStructureEngine(engine_config(settings()))) as running:
        yield running


def photographed(turn: int = 0) -> np.ndarray:
    """The first page of the sample in grey, turned clockwise by quarters."""
    with pdfium.PdfDocument(SAMPLE) as document:
        image = document[0].render(scale=2, grayscale=True).to_numpy()
    return np.ascontiguousarray(np.rot90(image.reshape(image.shape[:2]), -turn))


def read(engine: PPStructureEngine, pdf: Path) -> PageResult:
    (result,) = list(engine.read(pdf, [1], ReadOptions()))
    return result


def test_with_the_steps_off_the_blocks_are_those_of_the_pipeline() -> None:
    found: list[FoundPage] = []
    bare = PPStructureEngine(
        engine_config(settings(markdown_steps_off="all")),
        on_found=lambda page, image: found.append(page),
    )

    with closing(bare):
        assert bare.version.endswith("-all"), "cached results of other steps are not its own"
        results = list(bare.read(SAMPLE, [1, 2], ReadOptions()))

    assert len(found) == len(results) == 2
    for page, result in zip(found, results, strict=True):
        own = [
            (block_kind(b.label), sound(b.content), scaled(b.box, page.scale)) for b in page.blocks
        ]
        assert [(b.kind, b.text, b.box) for b in result.blocks] == own


def test_a_scan_pasted_into_a_born_digital_page_is_read_too(
    engine: PPStructureEngine, tmp_path: Path
) -> None:
    scan = photographed()[100:760]
    height, width = scan.shape
    content = "".join(tiny_pdf.text(line, 60, 760 - 16 * n) for n, line in enumerate(PROSE))
    content += f"q {width / 2} 0 0 {height / 2} 2 120 cm /Im Do Q\n"
    pdf = tiny_pdf.write(
        tmp_path / "a.pdf", [content], image=scan.tobytes(), image_size=(width, height)
    )

    result = read(engine, pdf)

    assert result.source is TextSource.TEXT_LAYER
    assert all(line in result.markdown for line in ("line 0 of a page", "line 11 of a page"))
    assert "A year" in result.markdown, "what the pasted scan says"


@pytest.mark.parametrize("turn", [2, 3])
def test_a_scan_that_lies_wrong_is_turned_upright(
    engine: PPStructureEngine, turn: int, tmp_path: Path
) -> None:
    scan = photographed(turn)
    height, width = scan.shape
    content = "q 600 0 0 800 0 0 cm /Im Do Q\n"
    pdf = tiny_pdf.write(
        tmp_path / "a.pdf", [content], image=scan.tobytes(), image_size=(width, height)
    )

    result = read(engine, pdf)

    assert result.reading is not None
    assert result.reading.turn == turn
    assert "A year" in result.markdown
    assert result.coverage is not None
    assert result.coverage > 0.98
