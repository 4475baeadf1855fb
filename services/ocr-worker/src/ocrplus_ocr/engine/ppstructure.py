"""The real engine: `paddleocr.PPStructureV3`, a page a call, text from the layer where it is sound.

The pipeline's OCR step is replaced by one that hands over the lines of the PDF's text layer on
born-digital pages; layout, tables, reading order and figure crops stay PP-StructureV3's. Measured:
10 to 30 times less CPU, and exact text.
"""

import contextlib
import ctypes
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ocrplus_contract import logs
from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.states import PageState, TextSource
from ocrplus_ocr.engine import (
    BlockKind,
    Box,
    PageResult,
    Reading,
    ReadOptions,
    cuda,
    shapes,
    telemetry,
)
from ocrplus_ocr.engine.cropping import cropped_figures
from ocrplus_ocr.engine.dashes import lone_dashes
from ocrplus_ocr.engine.found import FoundBlock, FoundPage, page_of, scaled
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.engine.orientation import LOOK_SIDE_PX, Lie, Pixels, Reader, lie_of, straightened
from ocrplus_ocr.engine.photos import photos
from ocrplus_ocr.engine.profiles import (
    RECOGNITION_BATCH_GPU,
    Arguments,
    EngineConfig,
    Profile,
    constructor_arguments,
    predict_arguments,
)
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer, RenderLimits, UnreadablePage
from ocrplus_ocr.engine.rulings import scanned_rules
from ocrplus_ocr.engine.standins import RememberedLayout, TextLayerOcr, box_of
from ocrplus_ocr.engine.textlayer import TextLayer, choose_source
from ocrplus_ocr.engine.visible import visible_layer
from ocrplus_ocr.markdown.continued import joints
from ocrplus_ocr.markdown.coverage import coverage, excused, repeated
from ocrplus_ocr.markdown.edges import edges
from ocrplus_ocr.markdown.geometry import area
from ocrplus_ocr.markdown.render import headings, page_markdown
from ocrplus_ocr.markdown.steps import finished, is_on

_PAGE_SIZED: Final = 0.3  # share of the page
_SMALL_PX: Final = (1100, 800)
_A4_PX: Final = (1696, 1184)  # as a scan of it is rendered: the shape that most pages have

log = logging.getLogger(__name__)


class PPStructureEngine:
    """PP-StructureV3 behind the seam; warm once constructed."""

    def __init__(
        self,
        config: EngineConfig,
        limits: RenderLimits | None = None,
        *,
        on_found: Callable[[FoundPage, Pixels], None] | None = None,
    ) -> None:
        """`on_found` is told of each page before its steps, for those who study them."""
        self._config = config
        self._on_found = on_found
        self._renderer = Renderer(limits)
        self._predict_arguments = predict_arguments(config)
        self._pipeline = _build(config)
        inner = self._pipeline.paddlex_pipeline._pipeline
        if config.profile is Profile.GPU_ONNX:
            shapes.settle(inner.general_ocr_pipeline, RECOGNITION_BATCH_GPU)
        self._reader = _reader(inner)
        inner.layout_det_model = self._layout = RememberedLayout(inner.layout_det_model)
        self._ocr = TextLayerOcr(inner.general_ocr_pipeline, self._layout)
        inner.general_ocr_pipeline = self._ocr
        self._warm_up()

    @property
    def version(self) -> str:
        """Our version, the library's, the profile, what is switched off."""
        import paddleocr

        ours = importlib.metadata.version("ocrplus")
        parts = (ours, "ppstructurev3", paddleocr.__version__, self._config.profile)
        return "-".join((*parts, *sorted(self._config.steps_off)))

    def read(
        self, pdf: Path, pages: Sequence[int], options: ReadOptions
    ) -> Generator[PageResult, None, None]:
        """See `Engine.read`."""
        rendered = self._renderer.pages(pdf, pages)
        with contextlib.closing(rendered):
            for item in rendered:
                if isinstance(item, UnreadablePage):
                    yield _failed(item.page, item.error, {"render": item.render_seconds})
                else:
                    yield self._read_page(item, options)

    def close(self) -> None:
        """See `Engine.close`."""
        self._renderer.close()
        self._pipeline.close()

    def _warm_up(self) -> None:
        """One page of real inference: sessions allocate and threads start before a page waits."""
        gpu = self._config.profile is Profile.GPU_ONNX
        page = np.full((*(_A4_PX if gpu else _SMALL_PX), 3), 255, np.uint8)
        page[100:130, 100:600] = 0
        if gpu:
            shapes.warm_up(self._ocr.text_rec_model)
        self._ocr.hand_over(None, 1.0)
        lie_of(page, self._reader)
        list(self._pipeline.predict_iter(page, **self._predict_arguments))

    def _read_page(self, page: RenderedPage, options: ReadOptions) -> PageResult:
        timings = {"render": page.render_seconds, "text": page.text_seconds}
        try:
            return self._result(page, options, timings)
        except Exception:
            # The pipeline raises whatever its libraries raise; one page must not end the chunk.
            log.exception("page could not be read", extra={"page": page.page})
            return _failed(page.page, PageErrorCode.ENGINE_FAILED, timings)
        finally:
            _give_back_memory()

    def _result(
        self, page: RenderedPage, options: ReadOptions, timings: dict[str, float]
    ) -> PageResult:
        """A page that is read; adds its time to `timings`."""
        source, reason = choose_source(page.text.evidence, options.text_source)
        began = time.monotonic()
        found, image, lie = self._found(page, source)
        if self._on_found is not None:
            self._on_found(found, image)
        off = self._config.steps_off
        content = finished(page_of(found), off)
        blocks = content.blocks
        wanted = options.figures != "none"
        figures = cropped_figures(page.page, blocks, image, page.scale) if wanted else ()
        markdown = page_markdown(blocks, figures, options)
        start, end = joints(content) if is_on("continued", off) else (None, None)
        timings["engine"] = time.monotonic() - began
        return PageResult(
            page=page.page,
            state=PageState.OK if markdown else PageState.EMPTY,
            markdown=markdown,
            source=source,
            figures=() if options.figures == "inline" else figures,
            blocks=blocks,
            starts_paragraph=start is None,
            ends_paragraph=end is None,
            open_start=start,
            open_end=end,
            headings=headings(content) if is_on("heading_levels", off) else (),
            edges=edges(content) if is_on("running_lines", off) else (),
            reading=Reading(reason, page.text.evidence, lie.turn, lie.skew),
            coverage=coverage(content, markdown),
            excused=excused(content),
            repeated=repeated(content, markdown),
            timings=timings,
        )

    def _found(self, page: RenderedPage, source: TextSource) -> tuple[FoundPage, Pixels, Lie]:
        """What the models find, the upright image it lies in, and how the page lay."""
        layer: TextLayer | None = None
        image, lie = page.image, Lie(page.text.evidence.turn)
        if source is TextSource.TEXT_LAYER:
            layer = visible_layer(page.text, image, page.scale)
        else:
            found_lie = lie_of(image, self._reader)
            image = straightened(image, found_lie)
            lie = Lie((lie.turn + found_lie.turn) % 4, found_lie.skew)
        self._ocr.hand_over(layer, page.scale)
        result = self._pipeline.predict(
            image, use_doc_orientation_classify=False, **self._predict_arguments
        )[0]
        dashes = []
        if layer is None:
            tables = self._layout.of(BlockKind.TABLE, *PICTURES)  # a table may be taken for one
            dashes = lone_dashes(image, tables, self._ocr.lines)
        drawn = layer or TextLayer((), page.text.evidence)
        height, width = image.shape[:2]
        found = FoundPage(
            number=page.page,
            blocks=[
                FoundBlock(block.label, str(block.content or ""), box_of(block.bbox))
                for block in result["parsing_res_list"]
            ],
            lines=[*self._ocr.lines, *dashes],
            layout=self._layout.boxes,
            size=(width, height),
            scale=page.scale,
            source=source,
            pictures=drawn.pictures if layer else self._photos(image, page.scale),
            rules=drawn.rules if layer else scanned_rules(image, page.scale),
            drawings=drawn.drawings,
            bookmarks=page.bookmarks,
            maths=drawn.maths,
        )
        return found, image, lie

    def _photos(self, image: Pixels, scale: float) -> list[Box]:
        """Photographs, in points, within what the layout model takes for one large picture."""
        least = _PAGE_SIZED * image.shape[0] * image.shape[1]
        large = [box for box in self._layout.of(*PICTURES) if area(box) >= least]
        found = [photo for box in large for photo in photos(image, self._ocr.lines, box)]
        return [scaled(box, scale) for box in found]


def _failed(page: int, error: PageErrorCode, timings: dict[str, float]) -> PageResult:
    return PageResult(
        page=page,
        state=PageState.FAILED,
        markdown="",
        source=TextSource.OCR,
        error=error,
        timings=timings,
    )


def _reader(inner: Any) -> Reader:
    """The pipeline's own models, for finding out how a page lies."""
    ocr = inner.general_ocr_pipeline
    orientation = inner.doc_preprocessor_pipeline.doc_ori_classify_model

    def lines(image: Pixels) -> Any:
        found = ocr.text_det_model(
            [image],
            **ocr.get_text_det_params(
                text_det_limit_side_len=LOOK_SIDE_PX, text_det_limit_type="max"
            ),
        )
        return np.array(next(iter(found))["dt_polys"], dtype=float).reshape(-1, 4, 2)

    def score(crops: Sequence[Pixels]) -> list[float]:
        return [float(result["rec_score"]) for result in ocr.text_rec_model(list(crops))]

    def turn(image: Pixels) -> int:
        """The model names the degrees, counter-clockwise, by which the page was turned."""
        return int(next(iter(orientation([image])))["label_names"][0]) // 90

    return Reader(lines, score, turn)


def _build(config: EngineConfig) -> Any:
    """Construct the pipeline; imports the libraries here so that nothing else pays for them."""
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
    telemetry.off()
    import cv2
    from paddleocr import PPStructureV3
    from paddlex.inference import load_pipeline_config

    logs.take_in("paddlex")  # it brings a coloured handler; ours speaks JSON
    if config.profile is Profile.GPU_ONNX:
        cuda.load_libraries()
    cv2.setNumThreads(1)  # its own pool would compete with the inference threads
    arguments: Arguments = constructor_arguments(config, load_pipeline_config("PP-StructureV3"))
    pipeline = PPStructureV3(**arguments)
    if config.profile is Profile.GPU_ONNX:
        cuda.demand(config.device)
    return pipeline


def _load_malloc_trim() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL("libc.so.6").malloc_trim
    return lambda _: 0


_malloc_trim: Final = _load_malloc_trim()


def _give_back_memory() -> None:
    """Return freed memory to the system: pages of varying shapes leave holes in glibc's heap."""
    _malloc_trim(0)
