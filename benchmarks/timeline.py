"""Timelines of scaling as an SVG: replicas ordered, pods running, chunks left; a row a scaler."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

Series = Sequence[tuple[float, int, int, int]]
"""Seconds, replicas ordered, pods running, chunks left."""

_WIDTH: Final = 860
_ROW: Final = 210
_LEFT: Final = 50
_RIGHT: Final = 60
_LINES: Final = (
    (1, "replicas ordered", "#1f5fa8", "2"),
    (2, "pods running", "#3a9a5b", "2"),
    (3, "chunks left", "#b0672b", "1.5"),
)


def plot(path: Path, title: str, rows: Mapping[str, Series]) -> None:
    """Draw the series of each name below each other, on the same axes."""
    longest = max(series[-1][0] for series in rows.values())
    most = max(max(point[1], point[2]) for series in rows.values() for point in series)
    left = max(point[3] for series in rows.values() for point in series)
    height = 70 + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for i, (_, name, colour, _) in enumerate(_LINES):
        x = _LEFT + 170 * i
        parts.append(f'<rect x="{x}" y="34" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="40">{name}</text>')
    for i, (name, series) in enumerate(rows.items()):
        parts += _row(name, series, 60 + _ROW * i, (longest, most, left))
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _row(name: str, series: Series, top: int, scale: tuple[float, int, int]) -> list[str]:
    longest, most, left = scale
    bottom, wide = top + _ROW - 50, _WIDTH - _LEFT - _RIGHT

    def x(seconds: float) -> float:
        return _LEFT + wide * seconds / longest

    def y(value: float, of: int) -> float:
        return bottom - (bottom - top - 15) * value / max(1, of)

    parts = [
        f'<text x="{_LEFT + 6}" y="{top + 12}" font-weight="bold">{escape(name)}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_LEFT + wide}" y2="{bottom}" stroke="#888"/>',
    ]
    step = 10 if longest <= 120 else 20
    for second in range(0, int(longest) + 1, step):
        parts.append(
            f'<text x="{x(second):.1f}" y="{bottom + 16}" text-anchor="middle">{second} s</text>'
        )
    for value in sorted({0, most // 2, most}):
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y(value, most):.1f}" text-anchor="end">{value}</text>'
        )
    for value in sorted({0, left // 2, left}):
        colour = _LINES[2][2]
        parts.append(
            f'<text x="{_LEFT + wide + 8}" y="{y(value, left):.1f}" fill="{colour}">{value}</text>'
        )
    for column, _, colour, width in _LINES:
        of = left if column == 3 else most
        points, before = [], y(0, of)
        for point in series:
            here = y(point[column], of)
            points += [f"{x(point[0]):.1f},{before:.1f}", f"{x(point[0]):.1f},{here:.1f}"]
            before = here
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"/>'
        )
    return parts
