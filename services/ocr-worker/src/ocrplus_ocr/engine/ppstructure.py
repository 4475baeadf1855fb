"""The real engine: `paddleocr.PPStructureV3`, a page a call, text from the layer where it is sound.

The pipeline's OCR step is replaced by one that hands over the lines of the PDF's text layer on
born-digital pages; layout, tables, reading order and figure crops stay PP-StructureV3's. Measured:
10 to 30 times less CPU, and exact text.
"""

import contextlib
import ctypes
import importlib.metadata
import io
import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.states import PageState, TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, Figure, PageResult, ReadOptions, TextLine
from ocrplus_ocr.engine.found import FoundBlock, FoundPage, page_of
from ocrplus_ocr.engine.labels import PICTURES, block_kind
from ocrplus_ocr.engine.profiles import (
    Arguments,
    EngineConfig,
    constructor_arguments,
    predict_arguments,
)
from ocrplus_ocr.engine.rendering import RenderedPage, Renderer, RenderLimits, UnreadablePage
from ocrplus_ocr.engine.textlayer import Line, choose_source, join_prose
from ocrplus_ocr.markdown.render import caption_of, headings, page_markdown
from ocrplus_ocr.markdown.steps import finished

log = logging.getLogger(__name__)

Pixels = "np.ndarray[Any, np.dtype[np.uint8]]"

_LEAST_FIGURE_PX: Final = 24


class _TextLayerOcr:
    """Stands where the pipeline has its OCR: gives the lines it was handed, else really reads."""

    def __init__(self, real: Any, layout: "_RememberedLayout") -> None:
        self._real = real
        self._layout = layout
        self.runs: Sequence[Line] | None = None
        self.scale = 1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __call__(self, images: Sequence[Any], **options: Any) -> Iterator[Any]:
        if self.runs is None:
            yield from self._real(images, **options)
            return
        for image in images:
            yield _ocr_result(image, self._lines())

    def _lines(self) -> list[TextLine]:
        s = self.scale
        pixels = [Line(r.x0 * s, r.y0 * s, r.x1 * s, r.y1 * s, r.text) for r in self.runs or ()]
        joined = join_prose(pixels, self._layout.tables)
        return [TextLine(line.text, (line.x0, line.y0, line.x1, line.y1)) for line in joined]


class _RememberedLayout:
    """The layout model, with what it found last: text runs are cut finer inside tables, and the
    pipeline changes the list it is given."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.boxes: list[FoundBlock] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __call__(self, *args: Any, **options: Any) -> Iterator[Any]:
        for result in self._real(*args, **options):
            self.boxes = [
                FoundBlock(box["label"], "", _box(box["coordinate"]), float(box["score"]))
                for box in result["boxes"]
            ]
            yield result

    @property
    def tables(self) -> list[Box]:
        """Boxes of the tables on the page."""
        return [block.box for block in self.boxes if block_kind(block.label) is BlockKind.TABLE]


def _ocr_result(image: Any, lines: Sequence[TextLine]) -> Any:
    """What the pipeline's OCR would have given for these lines."""
    from paddlex.inference.pipelines.ocr.result import OCRResult

    boxes = [[round(side) for side in line.box] for line in lines]
    polygons = [np.array([[a, b], [c, b], [c, d], [a, d]]) for a, b, c, d in boxes]
    count = len(lines)
    return OCRResult(
        {
            "input_path": None,
            "page_index": None,
            "doc_preprocessor_res": {"output_img": image},
            "dt_polys": list(polygons),
            "model_settings": {"use_doc_preprocessor": False, "use_textline_orientation": False},
            "text_det_params": {},
            "text_type": "general",
            "text_rec_score_thresh": 0.0,
            "return_word_box": False,
            "rec_texts": [line.text for line in lines],
            "rec_scores": [1.0] * count,
            "rec_polys": list(polygons),
            "vis_fonts": [None] * count,
            "textline_orientation_angles": [-1] * count,
            "rec_boxes": np.array(boxes).reshape(-1, 4),
        }
    )


class PPStructureEngine:
    """PP-StructureV3 behind the seam; warm once constructed."""

    def __init__(self, config: EngineConfig, limits: RenderLimits | None = None) -> None:
        self._config = config
        self._renderer = Renderer(limits)
        self._predict_arguments = predict_arguments(config)
        self._pipeline = _build(config)
        inner = self._pipeline.paddlex_pipeline._pipeline
        inner.layout_det_model = self._layout = _RememberedLayout(inner.layout_det_model)
        self._ocr = _TextLayerOcr(inner.general_ocr_pipeline, self._layout)
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
        page = np.full((1100, 800, 3), 255, np.uint8)
        page[100:130, 100:600] = 0
        self._ocr.runs = None
        list(self._pipeline.predict_iter(page, **self._predict_arguments))

    def _read_page(self, page: RenderedPage, options: ReadOptions) -> PageResult:
        source = choose_source(page.text.evidence, options.text_source)
        from_layer = source is TextSource.TEXT_LAYER
        began = time.monotonic()
        self._ocr.runs = page.text.runs if from_layer else None
        self._ocr.scale = page.scale
        timings = {"render": page.render_seconds, "text": page.text_seconds}
        try:
            # A text layer is upright already: PDFium has undone the page's own rotation.
            result = self._pipeline.predict(
                page.image,
                use_doc_orientation_classify=not from_layer,
                **self._predict_arguments,
            )[0]
            found, image = _found(result, page, self._layout.boxes, source)
            content = finished(page_of(found), self._config.steps_off)
            blocks = content.blocks
            wanted = options.figures != "none"
            figures = _figures(blocks, image, page) if wanted else ()
        except Exception:
            # The pipeline raises whatever its libraries raise; one page must not end the chunk.
            log.exception("page could not be read", extra={"page": page.page})
            return _failed(page.page, PageErrorCode.ENGINE_FAILED, timings)
        finally:
            _give_back_memory()
        timings["engine"] = time.monotonic() - began
        markdown = page_markdown(blocks, figures, options)
        return PageResult(
            page=page.page,
            state=PageState.OK if markdown else PageState.EMPTY,
            markdown=markdown,
            source=source,
            figures=() if options.figures == "inline" else figures,
            blocks=blocks,
            headings=headings(blocks),
            timings=timings,
        )


def _failed(page: int, error: PageErrorCode, timings: dict[str, float]) -> PageResult:
    return PageResult(
        page=page,
        state=PageState.FAILED,
        markdown="",
        source=TextSource.OCR,
        error=error,
        timings=timings,
    )


def _found(
    result: Any, page: RenderedPage, layout: Sequence[FoundBlock], source: TextSource
) -> tuple[FoundPage, Any]:
    """What was found, and the image it lies in (turned upright where the scan was not)."""
    upright = result["doc_preprocessor_res"].get("output_img")
    image = page.image if upright is None else upright
    ocr = result["overall_ocr_res"]
    read = zip(ocr["rec_texts"], ocr["rec_boxes"], ocr["rec_scores"], strict=True)
    found = FoundPage(
        number=page.page,
        blocks=[
            FoundBlock(block.label, str(block.content or ""), _box(block.bbox))
            for block in result["parsing_res_list"]
        ],
        lines=[TextLine(text, _box(box), score=float(score)) for text, box, score in read],
        layout=layout,
        size=(image.shape[1], image.shape[0]),
        scale=page.scale,
        source=source,
    )
    return found, image


def _box(coordinates: Sequence[Any]) -> Box:
    x0, y0, x1, y1 = map(float, coordinates)
    return x0, y0, x1, y1


def _figures(blocks: Sequence[Block], image: Any, page: RenderedPage) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    for index, block in enumerate(blocks):
        if block.kind not in PICTURES:
            continue
        png = _crop(image, block.box, page.scale)
        if png is None:
            continue
        figures.append(
            Figure(
                id=f"p{page.page}-f{len(figures) + 1}",
                kind=block.kind,
                box=block.box,
                png=png,
                caption=caption_of(blocks, index),
            )
        )
    return tuple(figures)


def _crop(image: Any, box: Box, scale: float) -> bytes | None:
    """PNG of a box in points; None where it is too small to show anything."""
    height, width = image.shape[:2]
    x0, y0 = max(0, round(box[0] * scale)), max(0, round(box[1] * scale))
    x1, y1 = min(width, round(box[2] * scale)), min(height, round(box[3] * scale))
    if x1 - x0 < _LEAST_FIGURE_PX or y1 - y0 < _LEAST_FIGURE_PX:
        return None
    out = io.BytesIO()
    Image.fromarray(image[y0:y1, x0:x1, ::-1].copy()).save(out, "PNG", compress_level=3)
    return out.getvalue()


def _build(config: EngineConfig) -> Any:
    """Construct the pipeline; imports the libraries here so that nothing else pays for them."""
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
    import cv2
    from paddleocr import PPStructureV3
    from paddlex.inference import load_pipeline_config

    logging.getLogger("paddlex").handlers.clear()  # it brings a coloured one; ours speaks JSON
    cv2.setNumThreads(1)  # its own pool would compete with the inference threads
    arguments: Arguments = constructor_arguments(config, load_pipeline_config("PP-StructureV3"))
    return PPStructureV3(**arguments)


def _load_malloc_trim() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL("libc.so.6").malloc_trim
    return lambda _: 0


_malloc_trim: Final = _load_malloc_trim()


def _give_back_memory() -> None:
    """Return freed memory to the system: pages of varying shapes leave holes in glibc's heap."""
    _malloc_trim(0)
