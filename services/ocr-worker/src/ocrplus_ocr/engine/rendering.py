"""Pages of a PDF as images and text, made by a process of their own one page ahead of inference.

A hostile page can hang PDFium, crash it or take any memory. `render_child` runs it under limits;
here that process is started, asked, and replaced when a page has ended it, so that such a page
costs itself alone and the engine stays warm. Nothing that the child says is trusted to be sound.
"""

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final  # Any: what the child says, before it is checked

import numpy as np

from ocrplus_contract.errors import ErrorCode, JobRefused, PageErrorCode
from ocrplus_ocr.engine import Box, Evidence
from ocrplus_ocr.engine.mathglyphs import MathGlyph
from ocrplus_ocr.engine.textlayer import Line, TextLayer
from ocrplus_ocr.markdown.page import Bookmark

log = logging.getLogger(__name__)

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_START_SECONDS: Final = 20
_SPARE_SECONDS: Final = 5  # the child ends itself at the limit; this is for one that cannot
_MOST_HEADER_BYTES: Final = 32 << 20
_PIPE_BYTES: Final = 1 << 20
_OUT_OF_TIME: Final = (-signal.SIGALRM, -signal.SIGPROF)
_CHANNELS: Final = 3
# OpenBLAS, which comes with NumPy and is not needed here, takes 40 MiB of address space for each
# core: with 16 every document got a process of its own, with 24 no page would have room.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_UNSOUND: Final = (ValueError, KeyError, TypeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page ready to be read: BGR image [height, width, 3] of bytes, pixels per point.

    Where the text layer stands sideways, image and layer alike are turned upright.
    """

    page: int
    image: Pixels = field(repr=False)
    scale: float
    text: TextLayer = field(repr=False)
    render_seconds: float
    text_seconds: float
    bookmarks: tuple[Bookmark, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadablePage:
    """A page that could not be rendered."""

    page: int
    error: PageErrorCode
    render_seconds: float


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """How large images get: `scale` in pixels per point, and the longest side in pixels; what
    one page may take: `seconds` of CPU, `megabytes` of address space."""

    scale: float = 2.0
    longest_side_px: int = 1800
    seconds: float = 30.0
    megabytes: int = 1024

    @property
    def wall_seconds(self) -> float:
        """By the clock: a machine that is shared gives less than a second a second."""
        return 1.5 * self.seconds


Item = RenderedPage | UnreadablePage


class _ChildDied(Exception):
    """The rendering process ended, or had to be ended, before it answered."""

    def __init__(self, status: int, *, timed_out: bool) -> None:
        self.status = status
        self.timed_out = timed_out
        super().__init__(f"exit status {status}")

    @property
    def error(self) -> PageErrorCode:
        """What the page that it was at is told."""
        return PageErrorCode.TIMEOUT if self.timed_out else PageErrorCode.RENDER_FAILED


class Renderer:
    """Renders documents one after the other; starts its process when it is needed.

    The kernel ends that process with the thread that started it: use one thread.
    """

    def __init__(self, limits: RenderLimits | None = None) -> None:
        self._limits = limits or RenderLimits()
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """The rendering process, if there is one now."""
        return self._child.pid if self._child is not None else None

    def pages(self, pdf: Path, pages: Sequence[int]) -> Generator[Item, None, None]:
        """Yield pages in order while the next one is being rendered.

        Raises:
            JobRefused: the document cannot be opened.
        """
        owed = deque(pages)
        in_order = False
        try:
            while owed:
                child = self._open(pdf, owed)
                yield from self._pages_of(child, owed)
            in_order = True
        finally:
            if not in_order:  # it would go on with pages that nobody wants
                self.close()

    def close(self) -> None:
        """End the process; another one is started when it is needed."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _open(self, pdf: Path, pages: Sequence[int]) -> "_Child":
        request = {"pdf": str(pdf), "pages": list(pages)}
        try:
            return self._ask(request)
        except _ChildDied as death:
            if death.timed_out:
                raise JobRefused(ErrorCode.PDF_TIMEOUT) from death
        try:
            return self._ask(request)  # the one before may have been dead for long: once more
        except _ChildDied as death:
            code = ErrorCode.PDF_TIMEOUT if death.timed_out else ErrorCode.PDF_INVALID
            raise JobRefused(code) from death

    def _ask(self, request: Mapping[str, Any]) -> "_Child":
        if self._child is None:
            self._child = _Child(self._limits)
        try:
            refused = self._child.open(request)
        except _ChildDied:
            self.close()
            raise
        if refused is not None:
            raise JobRefused(refused)
        return self._child

    def _pages_of(self, child: "_Child", owed: deque[int]) -> Generator[Item, None, None]:
        """Pages until they are all there, or one has ended the child."""
        while owed:
            began = time.monotonic()
            try:
                item = child.page(owed[0])
            except _ChildDied as death:
                log.warning(
                    "page ended its rendering process, another one is started",
                    extra={"page": owed[0], "code": death.error, "status": death.status},
                )
                self.close()
                yield UnreadablePage(owed.popleft(), death.error, time.monotonic() - began)
                return
            owed.popleft()
            yield item
        try:
            peak_megabytes = child.end_document()
        except _ChildDied:
            peak_megabytes = float("inf")
        if peak_megabytes > self._limits.megabytes / 2:  # the next document shall have its room
            self.close()


class _Child:
    """The process, and what is said to it and by it."""

    def __init__(self, limits: RenderLimits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "ocrplus_ocr.engine.render_child",
                str(os.getpid()),
                json.dumps({**asdict(limits), "wall_seconds": limits.wall_seconds}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_ONE_THREAD},
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._bookmarks: tuple[Bookmark, ...] = ()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._message(_START_SECONDS)
        except _ChildDied as death:
            self.kill()
            raise RuntimeError(f"the rendering process cannot start: {death}") from death

    @property
    def pid(self) -> int:
        return self._process.pid

    def open(self, request: Mapping[str, Any]) -> ErrorCode | None:
        """Ask for a document's pages; why it cannot be opened, if so."""
        assert self._process.stdin is not None
        data = memoryview(json.dumps(request).encode() + b"\n")
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except OSError as error:
            raise self._death() from error
        answer = self._message()
        try:
            if answer["refused"] is not None:
                return ErrorCode(answer["refused"])
            self._bookmarks = tuple(
                Bookmark(str(title), int(level), int(page))
                for title, level, page in answer["bookmarks"]
            )
            return None
        except _UNSOUND as error:
            raise self._unsound() from error

    def page(self, number: int) -> Item:
        """The next page, which must be this one."""
        header = self._message()
        try:
            if header["page"] != number:
                raise ValueError(f"page {header['page']} instead of {number}")
            if "error" in header:
                error = PageErrorCode(header["error"])
                return UnreadablePage(number, error, float(header["render_seconds"]))
            image = self._image(*map(int, header["size"]))
            text = _text_layer(header)
            return RenderedPage(
                page=number,
                image=np.ascontiguousarray(np.rot90(image, text.evidence.turn)),
                scale=float(header["scale"]),
                text=text,
                render_seconds=float(header["render_seconds"]),
                text_seconds=float(header["text_seconds"]),
                bookmarks=self._bookmarks,
            )
        except _UNSOUND as error:
            raise self._unsound() from error

    def end_document(self) -> float:
        """Wait until the document is closed; the most memory the process has ever had."""
        try:
            return float(self._message()["peak_megabytes"])
        except _UNSOUND as error:
            raise self._unsound() from error

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def _image(self, height: int, width: int, stride: int) -> Pixels:
        most = self._limits.longest_side_px + 1  # sizes are rounded up
        if not (0 < height <= most and 0 < width <= most and 0 <= stride - width * _CHANNELS < 64):
            raise ValueError(f"image of {width} x {height}, {stride} bytes a row")
        rows = np.empty((height, stride), np.uint8)
        self._fill(rows.data.cast("B"), time.monotonic() + self._patience)
        return np.ascontiguousarray(rows[:, : width * _CHANNELS]).reshape(height, width, _CHANNELS)

    @property
    def _patience(self) -> float:
        return self._limits.wall_seconds + _SPARE_SECONDS

    def _message(self, seconds: float | None = None) -> Any:
        deadline = time.monotonic() + (self._patience if seconds is None else seconds)
        size = bytearray(4)
        self._fill(memoryview(size), deadline)
        length = int.from_bytes(size, "big")
        if length > _MOST_HEADER_BYTES:
            raise self._unsound()
        text = bytearray(length)
        self._fill(memoryview(text), deadline)
        try:
            return json.loads(text)
        except _UNSOUND as error:
            raise self._unsound() from error

    def _fill(self, buffer: memoryview, deadline: float) -> None:
        """Read as many bytes as the buffer holds."""
        ready = select.poll()
        ready.register(self._out, select.POLLIN)
        while buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.poll(left * 1000):
                self._process.kill()
                raise _ChildDied(self._process.wait(), timed_out=True)
            count = os.readv(self._out, [buffer])
            if count == 0:
                raise self._death()
            buffer = buffer[count:]

    def _death(self) -> _ChildDied:
        """It has closed its end: find out what ended it."""
        try:
            status = self._process.wait(_SPARE_SECONDS)
        except subprocess.TimeoutExpired:
            return self._unsound()
        return _ChildDied(status, timed_out=status in _OUT_OF_TIME)

    def _unsound(self) -> _ChildDied:
        """It said what it never should: do not listen any further."""
        self._process.kill()
        return _ChildDied(self._process.wait(), timed_out=False)


def _text_layer(header: Mapping[str, Any]) -> TextLayer:
    characters, bad, image, hidden, turned, odd, turn = header["evidence"]
    shares = float(bad), float(image), float(hidden), float(turned), float(odd)
    pictures, rules, drawings = (tuple(map(_box, boxes)) for boxes in header["drawn"])
    return TextLayer(
        tuple(map(_run, header["runs"])),
        Evidence(int(characters), *shares, int(turn) % 4),
        pictures,
        rules,
        drawings,
        tuple(map(_math_glyph, header["maths"])),
    )


def _math_glyph(sent: Sequence[Any]) -> MathGlyph:
    text, x0, y0, x1, y1, baseline, size = sent
    return MathGlyph(str(text), *_box((x0, y0, x1, y1)), float(baseline), float(size))


def _run(sent: Sequence[Any]) -> Line:
    x0, y0, x1, y1, text, size, weight, italic, mono, turn = sent
    return Line(
        *_box((x0, y0, x1, y1)),
        str(text),
        float(size),
        int(weight),
        italic=bool(italic),
        mono=bool(mono),
        turn=int(turn) % 4,
    )


def _box(sides: Sequence[Any]) -> Box:
    x0, y0, x1, y1 = map(float, sides)
    return x0, y0, x1, y1
