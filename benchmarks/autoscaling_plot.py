"""Lines over time as an SVG: three panels, a colour a law. No library is worth this little."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

Line = Sequence[tuple[float, float]]
_COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#7f7f7f")
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 960, 190, 70, 52, 36


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity over time: its title with unit, and a line for each law."""

    title: str
    lines: Mapping[str, Line]


def thinned(line: Line, points: int = 400) -> Line:
    """At most so many points; of each stretch its largest, so that no peak is lost."""
    step = max(1, len(line) // points)
    return [max(line[i : i + step], key=lambda p: p[1]) for i in range(0, len(line), step)]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """The picture."""
    end = max((p[0] for panel in panels for line in panel.lines.values() for p in line), default=1)
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="15">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        x = _LEFT + 110 * i
        parts.append(f'<text x="{x}" y="40" fill="{colours[name]}">■ {escape(name)}</text>')
    for i, panel in enumerate(panels):
        parts += _panel(panel, colours, end, _TOP + i * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, colours: Mapping[str, str], end: float, top: float) -> list[str]:
    most = max((p[1] for line in panel.lines.values() for p in line), default=1) or 1
    width, bottom = _WIDTH - _LEFT - 15, top + 18 + _HEIGHT - 18
    parts = [f'<text x="{_LEFT}" y="{top + 12}">{escape(panel.title)}</text>']
    for part in (0, 0.5, 1):
        y = bottom - part * (_HEIGHT - 18)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 15}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * part:.4g}</text>'
        )
    for part in (0, 0.25, 0.5, 0.75, 1):
        x = _LEFT + part * width
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" fill="#666">'
            f"{end * part / 60:.0f} min</text>"
        )
    for name, line in panel.lines.items():
        points = " ".join(
            f"{_LEFT + at / end * width:.1f},{bottom - value / most * (_HEIGHT - 18):.1f}"
            for at, value in thinned(line)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colours[name]}" '
            'stroke-width="1.4" stroke-opacity="0.85"/>'
        )
    return parts
