"""The process that runs PDFium, under limits: started by `rendering` only.

`python -P -m ocrplus_ocr.engine.render_child PARENT_PID LIMITS`. Each line of stdin asks for pages
of one document. Each answer on stdout is a length in four bytes, then JSON; after a page's come
the rows of its image. A page past its time ends the process by the timer's signal, whatever native
code it hangs in. It writes a page before it renders the next and then waits until the page is
read, so one page is ready ahead and no more.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final  # Any: pypdfium2 is untyped

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ocrplus_contract import logs
from ocrplus_contract.errors import ErrorCode, PageErrorCode
from ocrplus_ocr.engine import Evidence
from ocrplus_ocr.engine.drawn import read_text_layer
from ocrplus_ocr.engine.glyphs import Matrix
from ocrplus_ocr.engine.textlayer import TextLayer

_PR_SET_PDEATHSIG: Final = 1
_PRECISION: Final = 1000  # PDFium's page-to-device mapping rounds to whole units
_LEAST_SIDE_PX: Final = 16
_MOST_ANNOTATIONS: Final = 2000
_MOST_BOOKMARKS: Final = 2000
_MOST_TITLE: Final = 300
_DEEPEST_BOOKMARK: Final = 9
_NO_TEXT: Final = TextLayer((), Evidence(0, 0.0, 0.0, 0.0, 0.0))
_PAGE_TROUBLE: Final = (
    pdfium.PdfiumError,
    MemoryError,
    ValueError,
    IndexError,
    AssertionError,
    ctypes.ArgumentError,
)


def main() -> None:
    """Serve documents until stdin ends."""
    logs.configure("ocr-worker")
    parent, limits = int(sys.argv[1]), json.loads(sys.argv[2])
    _end_with(parent)
    _limit(int(limits["megabytes"]))
    out = os.dup(1)
    _send(out, {"ready": True})
    # Until here a traceback helps; from here on stderr may carry a document's words.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for line in sys.stdin.buffer:
        _serve(out, json.loads(line), limits)


def _end_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    # Sent to the whole group they would end a page that the engine still means to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for timer in (signal.SIGALRM, signal.SIGPROF):  # whatever the parent made of them
        signal.signal(timer, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _limit(megabytes: int) -> None:
    with suppress(OSError):  # where memory is short for the whole machine, not the engine goes
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(out: int, request: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    with _timed(limits):
        document = _open(request["pdf"])
        marks = [] if isinstance(document, ErrorCode) else _bookmarks(document)
    if isinstance(document, ErrorCode):
        _send(out, {"refused": document})
        return
    _send(out, {"refused": None, "bookmarks": marks})
    for number in request["pages"]:
        with _timed(limits):
            header, bitmap = _render(document, number, limits)
        _send(out, header, memoryview(bitmap.buffer) if bitmap is not None else None)
        if bitmap is not None:
            bitmap.close()
    with _timed(limits):
        document.close()
    _send(out, {"peak_megabytes": _peak_megabytes()})


def _peak_megabytes() -> float:
    """Most address space so far; 0 where unknown. (getrusage remembers the engine's, by vfork.)"""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def _timed(limits: Mapping[str, Any]) -> Generator[None, None, None]:
    """End the process when this takes too much CPU, or too long by the clock."""
    signal.setitimer(signal.ITIMER_PROF, limits["seconds"])
    signal.setitimer(signal.ITIMER_REAL, limits["wall_seconds"])
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _send(out: int, header: Mapping[str, Any], pixels: memoryview | None = None) -> None:
    text = json.dumps(header).encode()
    _write(out, memoryview(len(text).to_bytes(4, "big") + text))
    if pixels is not None:
        _write(out, pixels.cast("B"))


def _write(out: int, data: memoryview) -> None:
    while data:
        data = data[os.write(out, data) :]


def _open(path: str) -> Any:
    """The document, or why it cannot be opened."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError:
        return ErrorCode.PDF_INVALID
    with suppress(*_PAGE_TROUBLE):  # without it the fields' contents are not drawn
        document.init_forms()
    return document


def _bookmarks(document: Any) -> list[tuple[str, int, int]]:
    """Title, depth from 1 and page from 1 of the outline's entries; 0 for no page."""
    found: list[tuple[str, int, int]] = []
    try:
        for mark in document.get_toc(max_depth=_DEEPEST_BOOKMARK):
            target = mark.get_dest()
            index = target.get_index() if target is not None else None
            page = 0 if index is None else index + 1
            found.append((mark.get_title()[:_MOST_TITLE], mark.level + 1, page))
            if len(found) >= _MOST_BOOKMARKS:
                break
    except _PAGE_TROUBLE:
        pass  # a broken outline tells nothing, and nothing depends on it
    return found


def _render(document: Any, number: int, limits: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """A page's header, and its bitmap unless it failed."""
    began = time.monotonic()
    try:
        page = document[number - 1]
        width, height = page.get_size()
        scale = _scale(width, height, limits)
        if scale is None:
            return _failed(number, PageErrorCode.TOO_LARGE, began), None
        bitmap = page.render(scale=scale, rev_byteorder=False)
        text_began = time.monotonic()
        # Before flattening: it writes a media box of its own over an inherited one.
        to_upright = _to_upright(page, width, height)
        page = _flattened(document, number, page)
        text = _text(page, to_upright, (width, height))
        page.close()
    except _PAGE_TROUBLE:
        return _failed(number, PageErrorCode.RENDER_FAILED, began), None
    header = {
        "page": number,
        "size": [bitmap.height, bitmap.width, bitmap.stride],
        "scale": scale,
        "runs": [astuple(run) for run in text.runs],
        "evidence": astuple(text.evidence),
        "drawn": [text.pictures, text.rules, text.drawings],
        "maths": [astuple(glyph) for glyph in text.maths],
        "render_seconds": text_began - began,
        "text_seconds": time.monotonic() - text_began,
    }
    return header, bitmap


def _failed(number: int, error: PageErrorCode, began: float) -> dict[str, Any]:
    return {"page": number, "error": error, "render_seconds": time.monotonic() - began}


def _scale(width: float, height: float, limits: Mapping[str, Any]) -> float | None:
    """Pixels per point; None for a page that no image can show."""
    if not (0 < width < 1e7 and 0 < height < 1e7):  # also refuses NaN
        return None
    most = float(limits["scale"])
    fitting = limits["longest_side_px"] / max(width, height)
    if min(width, height) * min(most, fitting) < _LEAST_SIDE_PX:
        # A sliver: its short side would vanish. Readers need some pixels across.
        return float(min(fitting, most * 4))
    return float(min(fitting, most))


def _flattened(document: Any, number: int, page: Any) -> Any:
    """The page with its filled-in fields as content: else the text layer lacks their words."""
    if not 0 < pdfium_c.FPDFPage_GetAnnotCount(page) <= _MOST_ANNOTATIONS:
        return page
    changed = pdfium_c.FPDFPage_Flatten(page, pdfium_c.FLAT_NORMALDISPLAY)
    if changed != pdfium_c.FLATTEN_SUCCESS:
        return page
    page.close()
    return document[number - 1]


def _text(page: Any, to_upright: Matrix, size: tuple[float, float]) -> TextLayer:
    try:
        return read_text_layer(page, to_upright, size)
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


if __name__ == "__main__":
    main()
