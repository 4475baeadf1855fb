"""Pages of a PDF as images, rendered ahead of inference in one thread.

PDFium is not thread-safe: everything that touches a document happens in the reader's thread, its
text layer included, and readers of one process follow one another.
"""

import ctypes
import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ocrplus_contract.errors import ErrorCode, JobRefused, PageErrorCode
from ocrplus_ocr.engine.textlayer import Evidence, Matrix, TextLayer, read_text_layer

_AHEAD: Final = 1  # pages waiting besides the one being rendered: memory is bounded by three images
_PRECISION: Final = 1000  # PDFium's page-to-device mapping rounds to whole units
_LEAST_SIDE_PX: Final = 16
_NO_TEXT: Final = TextLayer((), Evidence(0, 0.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page ready to be read: BGR image [height, width, 3] of bytes, pixels per point."""

    page: int
    image: "np.ndarray[Any, np.dtype[np.uint8]]" = field(repr=False)
    scale: float
    text: TextLayer = field(repr=False)
    render_seconds: float
    text_seconds: float


@dataclass(frozen=True, slots=True)
class UnreadablePage:
    """A page that could not be rendered."""

    page: int
    error: PageErrorCode
    render_seconds: float


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """How large images get: `scale` in pixels per point, and the longest side in pixels."""

    scale: float = 2.0
    longest_side_px: int = 1800


Item = RenderedPage | UnreadablePage


def rendered_pages(
    pdf: Path, pages: Sequence[int], limits: RenderLimits
) -> Generator[Item, None, None]:
    """Yield pages in order while the next one is being rendered.

    Raises:
        JobRefused: the document cannot be opened.
    """
    ready: queue.Queue[Item | BaseException | None] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            _render_all(pdf, pages, limits, put, stop)
        except BaseException as error:  # handed over and raised where the pages are awaited
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=work, name="render", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _render_all(
    pdf: Path,
    pages: Sequence[int],
    limits: RenderLimits,
    put: Any,
    stop: threading.Event,
) -> None:
    document = _open(pdf)
    try:
        for number in pages:
            if stop.is_set():
                return
            put(_render(document, number, limits))
    finally:
        document.close()


def _open(pdf: Path) -> Any:
    try:
        return pdfium.PdfDocument(pdf)
    except pdfium.PdfiumError as error:
        raise JobRefused(ErrorCode.PDF_INVALID) from error


def _render(document: Any, number: int, limits: RenderLimits) -> Item:
    began = time.monotonic()
    try:
        page = document[number - 1]
        width, height = page.get_size()
        if not (0 < width < 1e7 and 0 < height < 1e7):  # also refuses NaN
            return UnreadablePage(number, PageErrorCode.TOO_LARGE, time.monotonic() - began)
        scale = min(limits.scale, limits.longest_side_px / max(width, height))
        if min(width, height) * scale < _LEAST_SIDE_PX:
            # A sliver: its short side would vanish. Readers need some pixels across.
            scale = min(limits.longest_side_px / max(width, height), limits.scale * 4)
        image = _image(page, scale)
        text_began = time.monotonic()
        text = _text(page, width, height)
        ended = time.monotonic()
        page.close()
    except (pdfium.PdfiumError, MemoryError, ValueError, IndexError):
        return UnreadablePage(number, PageErrorCode.RENDER_FAILED, time.monotonic() - began)
    return RenderedPage(number, image, scale, text, text_began - began, ended - text_began)


def _image(page: Any, scale: float) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    bitmap = page.render(scale=scale, rev_byteorder=False)
    try:
        pixels = bitmap.to_numpy()
        if pixels.ndim == 2 or pixels.shape[2] == 1:
            pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
        return np.ascontiguousarray(pixels[:, :, :3]).copy()
    finally:
        bitmap.close()


def _text(page: Any, width: float, height: float) -> TextLayer:
    try:
        return read_text_layer(page, _to_upright(page, width, height), width * height)
    except pdfium.PdfiumError:
        return _NO_TEXT


def _to_upright(page: Any, width: float, height: float) -> Matrix:
    """The map from page space to points of the upright page: rotation, crop, origin top left."""
    size = round(width * _PRECISION), round(height * _PRECISION)

    def point(x: float, y: float) -> tuple[float, float]:
        shown_x, shown_y = ctypes.c_int(), ctypes.c_int()
        pdfium_c.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, shown_x, shown_y)
        return shown_x.value / _PRECISION, shown_y.value / _PRECISION

    e, f = point(0, 0)
    ax, ay = point(100, 0)
    cx, cy = point(0, 100)
    return (ax - e) / 100, (ay - f) / 100, (cx - e) / 100, (cy - f) / 100, e, f
