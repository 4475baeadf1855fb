"""Whether a region is a form: boxes that frame a value, or stand empty beside a label. Pure.

A diagram is told by what a form lacks: connectors that end at boxes, curves and slanted lines,
shapes without an outline, boxes whose words stand in their middle and have no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocrplus_ocr.engine import Box, TextLine
from ocrplus_ocr.markdown.geometry import area, around, common, holds
from ocrplus_ocr.markdown.page import Page

_EDGE: Final = 2.5  # points between a shape's bounds and its lines: half a stroke and a hair
_HAIR: Final = 0.1  # points
_TOUCH: Final = 4.0  # points between a connector's end and its box
_LEAST_FIELDS: Final = 2
_LEAST_BARS: Final = 3
_LEAST_LINES: Final = 2  # of a box without a label
_MOST_SHAPES: Final = 150  # the work grows by the square
_MOST_RULES: Final = 1000
_MOST_LINES: Final = 1000
_LABEL_WIDTH: Final = 0.35  # of the page's width
_LABEL_GAP: Final = 0.4  # of the page's width
_LABEL: Final = 50  # characters
_ABOVE: Final = 1.2  # line heights between a label and its field
_MARK: Final = 1.6  # line heights of a box to tick
_AFTER: Final = 1.5  # line heights between a box to tick and its label
_SNUG: Final = 4.0  # line heights of a field for each line in it
_INDENT: Final = 1.2  # line heights between a box's left side and its words
_ALIGNED: Final = 2.0  # points
_RIM: Final = 40.0  # points above and below a form where its labels are


@dataclass(frozen=True, slots=True)
class _Form:
    """What the fields of a form are found with; `labels` are the short lines in no box."""

    width: float
    boxes: Sequence[Box]
    lines: Sequence[TextLine]
    labels: Sequence[TextLine]


@dataclass(frozen=True, slots=True)
class Field:
    """A box to fill in, what stands in it, and its label, which may be missing."""

    box: Box
    values: tuple[TextLine, ...]
    label: TextLine | None = None

    @property
    def lines(self) -> tuple[TextLine, ...]:
        """Label and values in reading order."""
        return self.values if self.label is None else (self.label, *self.values)


def fields_of(region: Box, page: Page) -> tuple[Field, ...]:
    """The fields of a region that is a form and nothing else; none where it may be a drawing."""
    shapes = [shape for shape in page.drawings if common(shape, region) > 0]
    if not 0 < len(shapes) <= _MOST_SHAPES or any(common(p, region) > 0 for p in page.pictures):
        return ()
    whole = around([region, *shapes])
    near = [rule for rule in page.rules if _meets(rule, whole)]
    if len(near) > _MOST_RULES or not all(_is_outlined(shape, near) for shape in shapes):
        return ()
    frames = [box for box in shapes if any(_frames(box, other) for other in shapes)]
    boxes = _combs([box for box in shapes if box not in frames])
    if any(_is_loose(rule, boxes, shapes) for rule in near):
        return ()
    lines = [line for line in page.lines if whole[1] - _RIM < line.box[3] < whole[3] + _RIM]
    if len(lines) > _MOST_LINES or not any(holds(whole, line.box) for line in lines):
        return ()
    fields = _fields(_Form(page.size[0], boxes, lines, _labels(boxes, lines, page.size[0])))
    several = len(fields) >= _LEAST_FIELDS or len(fields[0].values) >= _LEAST_LINES
    sound = several and all(_is_sound(field) for field in fields)
    return fields if sound and not _are_bars(fields) else ()


def _meets(rule: Box, box: Box) -> bool:
    return (
        rule[0] <= box[2] + _EDGE
        and rule[2] >= box[0] - _EDGE
        and rule[1] <= box[3] + _EDGE
        and rule[3] >= box[1] - _EDGE
    )


def _is_outlined(shape: Box, rules: Sequence[Box]) -> bool:
    """Whether a straight line runs along each side of a shape."""
    x0, y0, x1, y1 = shape
    sides = ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1))
    return all(
        any(all(abs(a - b) <= _EDGE for a, b in zip(rule, side, strict=True)) for rule in rules)
        for side in sides
    )


def _frames(outer: Box, inner: Box) -> bool:
    return area(outer) > area(inner) and common(outer, inner) > 0.95 * area(inner)


def _combs(boxes: Sequence[Box]) -> list[Box]:
    """Boxes, with those that stand side by side without a gap as one: a letter in each."""
    joined: list[Box] = []
    for box in sorted(boxes, key=lambda b: (round(b[1]), b[0])):
        last = joined[-1] if joined else None
        if (
            last is not None
            and abs(last[1] - box[1]) <= 1.0
            and abs(last[3] - box[3]) <= 1.0
            and box[0] - last[2] <= _EDGE
        ):
            joined[-1] = around((last, box))
        else:
            joined.append(box)
    return joined


def _is_loose(rule: Box, boxes: Sequence[Box], shapes: Sequence[Box]) -> bool:
    """Whether a line is no side of a box and parts none, but stands upright or touches one."""
    if any(_lies_along(rule, shape) for shape in shapes):
        return False
    if any(_frames(_wide(box, _EDGE), _wide(rule, _HAIR)) for box in boxes):
        return rule[2] - rule[0] > _EDGE  # upright it parts a field's letters
    if rule[3] - rule[1] > _EDGE:
        return True
    return any(
        rule[0] <= x1 + _TOUCH and rule[2] >= x0 - _TOUCH and y0 - 1 <= rule[1] <= y1 + 1
        for x0, y0, x1, y1 in boxes
    )


def _lies_along(rule: Box, shape: Box) -> bool:
    """Whether a line is on one side of a shape and no longer than it."""
    wide = _wide(shape, _EDGE)
    if not (
        wide[0] <= rule[0] and rule[2] <= wide[2] and wide[1] <= rule[1] and rule[3] <= wide[3]
    ):
        return False
    if rule[2] - rule[0] >= rule[3] - rule[1]:
        return min(abs(rule[1] - shape[1]), abs(rule[3] - shape[3])) <= _EDGE
    return min(abs(rule[0] - shape[0]), abs(rule[2] - shape[2])) <= _EDGE


def _wide(box: Box, more: float) -> Box:
    return box[0] - more, box[1] - more, box[2] + more, box[3] + more


def _fields(form: _Form) -> tuple[Field, ...]:
    fields = []
    for box in form.boxes:
        values = tuple(line for line in form.lines if holds(box, line.box))
        mark = _is_mark(box, form)
        label = _after(box, form) if mark else _before(box, form) or _above(box, form)
        fields.append(Field(box, values, label))
    return tuple(fields)


def _labels(boxes: Sequence[Box], lines: Sequence[TextLine], width: float) -> list[TextLine]:
    return [
        line
        for line in lines
        if len(line.text) <= _LABEL
        and line.box[2] - line.box[0] <= _LABEL_WIDTH * width
        and not any(holds(box, line.box) for box in boxes)
    ]


def _is_mark(box: Box, form: _Form) -> bool:
    """Whether a box is as small as one to tick, beside a line."""
    beside = [_height(line) for line in form.lines if share_row(line.box, box)]
    return max(box[2] - box[0], box[3] - box[1]) <= _MARK * min(beside, default=0.0)


def _after(box: Box, form: _Form) -> TextLine | None:
    """The label right of a box to tick; it may be one line with the cross in the box."""
    found = [
        line
        for line in form.labels
        if share_row(line.box, box)
        and box[0] <= line.box[0] <= box[2] + _AFTER * _height(line)
        and line.box[2] > box[2]
    ]
    return min(found, key=lambda line: line.box[0], default=None)


def _before(box: Box, form: _Form) -> TextLine | None:
    """The nearest label left of a field, with no other field between."""
    found = [
        line
        for line in form.labels
        if -_EDGE <= box[0] - line.box[2] <= _LABEL_GAP * form.width
        and share_row(line.box, box)
        and not any(
            line.box[2] <= other[0] < other[2] <= box[0] and share_row(line.box, other)
            for other in form.boxes
        )
    ]
    return max(found, key=lambda line: line.box[2], default=None)


def _above(box: Box, form: _Form) -> TextLine | None:
    """The label right above a field that is wider than high, where it begins."""
    if box[2] - box[0] <= box[3] - box[1]:
        return None
    found = [
        line
        for line in form.labels
        if -_EDGE <= box[1] - line.box[3] <= _ABOVE * _height(line)
        and abs(line.box[0] - box[0]) <= _INDENT * _height(line)
    ]
    return max(found, key=lambda line: line.box[3], default=None)


def _is_sound(field: Field) -> bool:
    """Whether a box can be one to fill in: it has a label, or a paragraph at its left side."""
    width, height = field.box[2] - field.box[0], field.box[3] - field.box[1]
    if not field.values:
        return field.label is not None and width > 0.8 * height
    if field.label is not None:
        return height <= _SNUG * sum(map(_height, field.values)) + _height(field.label)
    lefts = [line.box[0] for line in field.values]
    first = max(map(_height, field.values))
    return (
        len(field.values) >= _LEAST_LINES
        and lefts[0] - field.box[0] <= _INDENT * first
        and all(abs(a - b) <= _ALIGNED for a, b in pairwise(lefts))
        and height <= _SNUG * sum(map(_height, field.values))
    )


def _are_bars(fields: Sequence[Field]) -> bool:
    """Whether boxes begin at one line, end each elsewhere, and say numbers only."""
    lefts = {round(field.box[0]) for field in fields}
    rights = {round(field.box[2]) for field in fields}
    numbers = all(field.values and field.values[0].text[:1].isdigit() for field in fields)
    return len(fields) >= _LEAST_BARS and len(lefts) == 1 and len(rights) == len(fields) and numbers


def _height(line: TextLine) -> float:
    return line.box[3] - line.box[1]


def share_row(a: Box, b: Box) -> bool:
    """Whether two boxes lie beside each other by half of the lower one."""
    both = min(a[3], b[3]) - max(a[1], b[1])
    return both > 0.5 * min(a[3] - a[1], b[3] - b[1])
