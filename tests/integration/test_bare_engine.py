"""The real engine with and without the steps between its blocks and the Markdown."""

from contextlib import closing
from pathlib import Path

import pytest

from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine import PageResult, ReadOptions
from ocrplus_ocr.engine.build import engine_config, missing_models
from ocrplus_ocr.engine.found import FoundPage, scaled, sound
from ocrplus_ocr.engine.labels import block_kind
from ocrplus_ocr.engine.ppstructure import PPStructureEngine

SAMPLES = Path(__file__).parents[2] / "examples" / "samples"


def test_with_the_steps_off_the_blocks_are_those_of_the_pipeline() -> None:
    settings = OcrSettings(markdown_steps_off="all")
    if missing_models(settings):
        pytest.skip("the model pack is not assembled")
    found: list[FoundPage] = []
    engine = PPStructureEngine(
        engine_config(settings), on_found=lambda page, image: found.append(page)
    )

    with closing(engine):
        assert engine.version.endswith("-all"), "cached results of other steps are not its own"
        results: list[PageResult] = list(
            engine.read(SAMPLES / "report_en.pdf", [1, 2], ReadOptions())
        )

    assert len(found) == len(results) == 2
    for page, result in zip(found, results, strict=True):
        own = [
            (block_kind(b.label), sound(b.content), scaled(b.box, page.scale)) for b in page.blocks
        ]
        assert [(b.kind, b.text, b.box) for b in result.blocks] == own
        assert result.reading is not None
        assert result.reading.reason == "sound"
