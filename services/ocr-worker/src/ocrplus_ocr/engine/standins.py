"""What stands where PP-StructureV3's pipeline has its OCR and its layout model.

The OCR's stand-in hands over the lines of the text layer where there is one, reads for itself
where the layer has nothing to say, and remembers the lines as they were found: the pipeline
changes the lists that it is given.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final  # Any: the pipeline is untyped

import numpy as np

from ocrplus_ocr.engine import BlockKind, Box, TextLine
from ocrplus_ocr.engine.found import FoundBlock
from ocrplus_ocr.engine.grids import is_table
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES, block_kind
from ocrplus_ocr.engine.runs import join_prose
from ocrplus_ocr.engine.textlayer import Line, TextLayer
from ocrplus_ocr.markdown.geometry import area, around, common, holds

_TABLE: Final = "table"
_ON_A_PICTURE: Final = 0.5
_LEAST_PICTURE: Final = 24.0  # points: a badge or a logo is no page that was pasted in
_READ_MARGIN_PX: Final = 6


class RememberedLayout:
    """The layout model, with what it found last; a picture that is a table is told as one."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._told: list[dict[str, Any]] = []
        self.boxes: list[FoundBlock] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __call__(self, *args: Any, **options: Any) -> Iterator[Any]:
        for result in self._real(*args, **options):
            self._told = list(result["boxes"])
            self._note()
            yield result

    def judge(self, image: Any, lines: Sequence[TextLine]) -> None:
        """Once the lines are known: a picture that is a table becomes one, before it is read."""
        for box in self._told:
            if block_kind(box["label"]) in PICTURES and is_table(
                image, lines, box_of(box["coordinate"])
            ):
                box["label"] = _TABLE
        self._note()

    def _note(self) -> None:
        self.boxes = [
            FoundBlock(box["label"], "", box_of(box["coordinate"]), float(box["score"]))
            for box in self._told
        ]

    def of(self, *kinds: BlockKind) -> list[Box]:
        """Boxes of these kinds on the page."""
        return [block.box for block in self.boxes if block_kind(block.label) in kinds]


class TextLayerOcr:
    """Gives the lines it was handed, else really reads; `lines` is what it gave, in pixels."""

    def __init__(self, real: Any, layout: RememberedLayout) -> None:
        self._real = real
        self._layout = layout
        self._layer: TextLayer | None = None
        self._scale = 1.0
        self.lines: list[TextLine] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def hand_over(self, layer: TextLayer | None, scale: float) -> None:
        """The text layer of the next page, None for a page to be read."""
        self._layer, self._scale = layer, scale
        self.lines = []

    def __call__(self, images: Sequence[Any], **options: Any) -> Iterator[Any]:
        for image in images:
            if self._layer is None:
                result = next(iter(self._real([image], **options)))
                self.lines = _lines_of(result)
                self._layout.judge(image, self.lines)
            else:
                runs = [_text_line(run, self._scale) for run in self._layer.runs]
                self._layout.judge(image, runs)
                self.lines = self._layer_lines(self._layer)
                for region in self._silent_regions(self._layer):
                    self.lines += self._read_region(image, region, options)
                result = _ocr_result(image, self.lines)
            yield result

    def _layer_lines(self, layer: TextLayer) -> list[TextLine]:
        s = self._scale
        tables = [_scaled(box, 1 / s) for box in self._layout.of(BlockKind.TABLE)]
        return [_text_line(line, s) for line in join_prose(layer.runs, tables)]

    def _silent_regions(self, layer: TextLayer) -> list[Box]:
        """Pasted pictures where the layout model sees text and the layer has none."""
        pictures = [_scaled(box, self._scale) for box in layer.pictures]
        silent = [
            block.box
            for block in self._layout.boxes
            if block_kind(block.label) not in PICTURES | FURNITURE
            and not any(holds(block.box, line.box) for line in self.lines)
        ]
        least = _LEAST_PICTURE * self._scale
        regions = []
        for picture in pictures:
            inside = [
                box for box in silent if common(box, picture) > _ON_A_PICTURE * max(area(box), 1.0)
            ]
            if inside and min(picture[2] - picture[0], picture[3] - picture[1]) > least:
                regions.append(around(inside))
        return regions

    def _read_region(self, image: Any, region: Box, options: Any) -> list[TextLine]:
        height, width = image.shape[:2]
        x0, y0 = (max(0, int(side) - _READ_MARGIN_PX) for side in region[:2])
        x1, y1 = (
            min(width, int(region[2]) + _READ_MARGIN_PX),
            min(height, int(region[3]) + _READ_MARGIN_PX),
        )
        crop = np.ascontiguousarray(image[y0:y1, x0:x1])
        if min(crop.shape[:2]) < 2:
            return []
        # Unlike a page, a strip must not be blown up until its short side is long enough.
        limit = {"text_det_limit_side_len": max(crop.shape[:2]), "text_det_limit_type": "max"}
        found = _lines_of(next(iter(self._real([crop], **{**options, **limit}))))
        return [
            TextLine(
                line.text,
                (line.box[0] + x0, line.box[1] + y0, line.box[2] + x0, line.box[3] + y0),
                score=line.score,
            )
            for line in found
        ]


def box_of(coordinates: Sequence[Any]) -> Box:
    """Four numbers of the pipeline's as a box."""
    x0, y0, x1, y1 = map(float, coordinates)
    return x0, y0, x1, y1


def _scaled(box: Box, by: float) -> Box:
    return box[0] * by, box[1] * by, box[2] * by, box[3] * by


def _text_line(line: Line, scale: float) -> TextLine:
    return TextLine(
        line.text,
        _scaled((line.x0, line.y0, line.x1, line.y1), scale),
        line.size,
        line.weight,
        italic=line.italic,
        mono=line.mono,
        turn=line.turn,
    )


def _lines_of(result: Any) -> list[TextLine]:
    read = zip(result["rec_texts"], result["rec_boxes"], result["rec_scores"], strict=True)
    return [TextLine(text, box_of(box), score=float(score)) for text, box, score in read]


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
