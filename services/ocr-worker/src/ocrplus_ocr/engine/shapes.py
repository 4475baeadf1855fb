"""Few shapes for the models that read text, and a session of its own for each shape.

ONNX Runtime's CUDA provider plans every convolution anew whenever a shape differs from the one
before (microsoft/onnxruntime#23006, since 1.20): 110 ms for the detection on an H200 that then runs
in 3, and no two pages or lines are of one size. So an image is padded up to one of few sizes, a
batch of lines to a full one, and what the padding adds to the answer is cut off.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final  # Any: onnxruntime is untyped

import numpy as np
from numpy.typing import NDArray

from ocrplus_ocr.engine.cuda import on_gpu

Array = NDArray[np.float32]
Shape = tuple[int, ...]

_PAGE_SHAPES: Final = 6  # portrait and landscape, whole and small to see how it lies, two spare
_FINE_SIDE: Final = 1024
_FINE_STEP: Final = 256
_COARSE_STEP: Final = 512
# Of lines. What follows a line is not quite without effect on it: no line may get much of it.
_WIDTHS: Final = (320, 480, 640, 800, 960, 1280, 1600, 1920, 2560)
_LINE_PX: Final = 48  # their height


def page_shape(shape: Shape) -> Shape:
    """The shape that a page for the detection of lines is padded to."""
    count, channels, *sides = shape
    return count, channels, *map(_side, sides)


def _side(pixels: int) -> int:
    step = _FINE_STEP if pixels <= _FINE_SIDE else _COARSE_STEP
    return -(-pixels // step) * step


def lines_shape(shape: Shape, batch: int) -> Shape:
    """The shape that lines for recognition are padded to."""
    count, channels, height, width = shape
    widest = _WIDTHS[-1]
    wide = next((step for step in _WIDTHS if step >= width), -(-width // widest) * widest)
    return max(count, batch), channels, height, wide


def padded_page(page: Array, shape: Shape) -> Array:
    """A page whose last row and column go on: nothing begins there that could be a line."""
    grown = [(0, wanted - has) for wanted, has in zip(shape, page.shape, strict=True)]
    return np.pad(page, grown, mode="edge")


def padded_lines(lines: Array, shape: Shape) -> Array:
    """Lines with nothing after them, and empty lines, as PaddleX pads those of one batch."""
    padded = np.zeros(shape, np.float32)
    padded[tuple(slice(side) for side in lines.shape)] = lines
    return padded


def cut_page(answer: Array, shape: Shape, _: Shape) -> Array:
    """The part of a map that belongs to the page."""
    return answer[: shape[0], :, : shape[2], : shape[3]]


def cut_lines(answer: Array, shape: Shape, padded: Shape) -> Array:
    """The steps that belong to the lines."""
    return answer[: shape[0], : -(-answer.shape[1] * shape[3] // padded[3])]


@dataclass(frozen=True, slots=True)
class Padding:
    """How the images of one model are padded, and its answers cut. `sessions`: most at a time."""

    shape_of: Callable[[Shape], Shape]
    pad: Callable[[Array, Shape], Array]
    cut: Callable[[Array, Shape, Shape], Array]
    sessions: int


def of_pages() -> Padding:
    """For the detection of lines."""
    return Padding(page_shape, padded_page, cut_page, _PAGE_SHAPES)


def of_lines(batch: int) -> Padding:
    """For their recognition."""
    return Padding(partial(lines_shape, batch=batch), padded_lines, cut_lines, len(_WIDTHS) + 1)


class ByShape:
    """A session of a model, as PaddleX's runner sees it; in truth one for each shape."""

    def __init__(self, create: Callable[[], Any], padding: Padding) -> None:
        self._create = create
        self._padding = padding
        self._sessions: OrderedDict[Shape, Any] = OrderedDict()  # the last used at the end

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """One input, padded; its answers, cut."""
        ((name, given),) = feeds.items()
        shape = self._padding.shape_of(given.shape)
        answers = self._session(shape).run(names, {name: self._padding.pad(given, shape)})
        cut = self._padding.cut
        return [np.ascontiguousarray(cut(answer, given.shape, shape)) for answer in answers]

    def _session(self, shape: Shape) -> Any:
        if shape not in self._sessions:
            while len(self._sessions) >= self._padding.sessions:
                self._sessions.popitem(last=False)
            self._sessions[shape] = self._create()
        self._sessions.move_to_end(shape)
        return self._sessions[shape]


def settle(ocr: Any, batch: int) -> None:
    """Give the detection and the recognition of PaddleX's `ocr` pipeline few shapes."""
    models = (
        (ocr.text_det_model.runner, of_pages()),
        (ocr.text_rec_model.runner, of_lines(batch)),
    )
    for runner, padding in models:
        runner.session = ByShape(partial(on_gpu, runner._create_session), padding)


def warm_up(recognition: Any) -> None:
    """Plan what lines of every usual width need."""
    for width in _WIDTHS:
        list(recognition([np.full((_LINE_PX, width, 3), 255, np.uint8)]))
