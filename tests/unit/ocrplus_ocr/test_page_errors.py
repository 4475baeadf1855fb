"""A page that cannot be written fails alone; no model runs here, only what follows the models."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.states import PageState, TextSource
from ocrplus_ocr.engine import Evidence, ReadOptions
from ocrplus_ocr.engine import ppstructure as module
from ocrplus_ocr.engine.found import FoundBlock, FoundPage
from ocrplus_ocr.engine.orientation import Lie
from ocrplus_ocr.engine.ppstructure import PPStructureEngine
from ocrplus_ocr.engine.rendering import RenderedPage
from ocrplus_ocr.engine.textlayer import TextLayer

IMAGE = np.full((140, 100, 3), 255, np.uint8)
EVIDENCE = Evidence(200, 0.0, 0.0, 0.0, 0.0)


class TwoPages:
    """Pages that are rendered already."""

    def pages(self, pdf: Path, pages: list[int]) -> Iterator[RenderedPage]:
        for page in pages:
            yield RenderedPage(page, IMAGE, 1.0, TextLayer((), EVIDENCE), 0.1, 0.2)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> PPStructureEngine:
    made = PPStructureEngine.__new__(PPStructureEngine)

    def found(page: RenderedPage, source: TextSource) -> tuple[FoundPage, np.ndarray, Lie]:
        block = FoundBlock("text", f"words of page {page.page}", (10, 10, 90, 30))
        return FoundPage(page.page, [block], [], [], (100, 140)), IMAGE, Lie(0)

    for name, value in {
        "_config": SimpleNamespace(steps_off=frozenset()),
        "_on_found": None,
        "_renderer": TwoPages(),
        "_found": found,
    }.items():
        monkeypatch.setattr(made, name, value, raising=False)
    return made


@pytest.mark.parametrize("part", ["finished", "page_markdown", "joints", "headings", "coverage"])
def test_what_goes_wrong_after_the_models_ends_the_page_and_not_the_chunk(
    part: str, engine: PPStructureEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(module, part), []

    def fails_once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise RecursionError("too deep")
        return real(*arguments)

    monkeypatch.setattr(module, part, fails_once)

    first, second = engine.read(Path("any.pdf"), [1, 2], ReadOptions())

    assert (first.state, first.error) == (PageState.FAILED, PageErrorCode.ENGINE_FAILED)
    assert (second.state, second.markdown) == (PageState.OK, "words of page 2")
    assert set(second.timings) == {"render", "text", "engine"}
