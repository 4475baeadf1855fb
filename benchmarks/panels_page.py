"""A page of the dashboards without Grafana: every panel drawn from what Prometheus answered.

It is a look at the same queries, not at Grafana: colours and legends are simpler.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from panels import Dashboard, Panel, Query

Series = list[dict[str, Any]]
_COLOURS: Final = (
    "#3274d9", "#e0752d", "#299c46", "#a352cc", "#d44a3a", "#806eb7", "#0f9aa8", "#c9a227",
    "#5d6d7e", "#b3446c",
)  # fmt: skip
_WIDTH: Final = 340
_HEIGHT: Final = 120
_STYLE: Final = """
body{font:13px/1.4 system-ui,sans-serif;margin:1.2rem;background:#f4f5f7;color:#1f2329}
h1{font-size:1.3rem;margin:1.6rem 0 .1rem}h2{font-size:.95rem;margin:1rem 0 .4rem;color:#555}
.row{display:grid;grid-template-columns:repeat(24,1fr);gap:.5rem}
.panel{background:#fff;border:1px solid #dcdfe4;border-radius:3px;padding:.5rem .6rem;min-width:0}
.panel b{display:block}.panel p{margin:.1rem 0 .3rem;color:#666;font-size:11px}
.number{font-size:1.7rem;font-weight:600}svg{width:100%;height:auto;display:block}
.legend{font-size:11px;color:#444}.legend span{margin-right:.7rem;white-space:nowrap}
i{display:inline-block;width:9px;height:3px;margin:0 .3rem .2rem 0}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A series of a panel: its name and its points (seconds, value)."""

    name: str
    points: tuple[tuple[float, float], ...]


def lines(query: Query, series: Series) -> list[Line]:
    """What a query brings to a panel: the finite points of each series, under its legend."""
    found = []
    for one in series:
        name = query.legend
        for label, value in one["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        points = tuple((float(t), float(v)) for t, v in one["values"])
        finite = tuple(point for point in points if math.isfinite(point[1]))
        if finite:
            found.append(Line(name, finite))
    return found


def page(shown: Sequence[tuple[Dashboard, dict[str, list[Line]]]]) -> str:
    """The whole page; panels by their title."""
    parts = [f"<!doctype html><meta charset=utf-8><title>OcrPlus</title><style>{_STYLE}</style>"]
    for dashboard, drawn in shown:
        parts.append(f"<h1>{html.escape(dashboard.title)}</h1>{html.escape(dashboard.description)}")
        for row in dashboard.rows:
            parts.append(f"<h2>{html.escape(row.title)}</h2><div class=row>")
            parts += [_panel(panel, drawn[panel.title]) for panel in row.panels]
            parts.append("</div>")
    return "\n".join(parts)


def _panel(panel: Panel, found: list[Line]) -> str:
    head = f"<b>{html.escape(panel.title)}</b>"
    style = f"<div class=panel style='grid-column:span {panel.width}'>"
    if panel.kind == "number":
        last = ", ".join(_value(line.points[-1][1], panel.unit) for line in found)
        return f"{style}{head}<div class=number>{last or 'no data'}</div></div>"
    text = f"<p>{html.escape(panel.description)}</p>"
    return f"{style}{head}{text}{_drawing(panel, found)}{_legend(found)}</div>"


def _drawing(panel: Panel, found: list[Line]) -> str:
    if not found:
        return "no data"
    if panel.kind == "stack":
        found = _stacked(found)
    times = [t for line in found for t, _ in line.points]
    values = [v for line in found for _, v in line.points]
    left, right = min(times), max(max(times), min(times) + 1)
    low, high = min(panel.least, *values), max(*values, panel.least + 1e-9)
    drawn = []
    for number, line in enumerate(found):
        points = " ".join(
            f"{_WIDTH * (t - left) / (right - left):.1f},"
            f"{_HEIGHT - (_HEIGHT - 14) * (v - low) / (high - low):.1f}"
            for t, v in line.points
        )
        colour = _COLOURS[number % len(_COLOURS)]
        drawn.append(f"<polyline fill=none stroke='{colour}' stroke-width=1.4 points='{points}'/>")
    top = f"<text x=0 y=10 font-size=10 fill='#888'>{_value(max(values), panel.unit)}</text>"
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}'>{''.join(drawn)}{top}</svg>"


def _stacked(found: list[Line]) -> list[Line]:
    below: dict[float, float] = {}
    piled = []
    for line in found:
        for t, value in line.points:
            below[t] = below.get(t, 0.0) + value
        piled.append(Line(line.name, tuple((t, below[t]) for t, _ in line.points)))
    return piled


def _legend(found: list[Line]) -> str:
    spans = [
        f"<span><i style='background:{_COLOURS[number % len(_COLOURS)]}'></i>"
        f"{html.escape(line.name)}</span>"
        for number, line in enumerate(found)
    ]
    return f"<div class=legend>{''.join(spans)}</div>"


def _value(value: float, unit: str) -> str:
    if unit == "bytes":
        power = min(4, int(math.log(max(value, 1), 1024)))
        return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
    if unit == "percentunit":
        return f"{value:.1%}"
    suffix = {"s": " s", "reqps": "/s", "ops": "/s"}.get(unit, "")
    return f"{value:.4g}{suffix}"
