"""The objectives, and what follows from them: recording rules, burn-rate alerts, docs/slo.md.

An objective is a ratio of bad to all events. Its budget is what may be bad in 30 days; an alert
fires when it burns so fast, over a long window and still over a short one, that waiting would cost
too much of it (windows and factors are the usual ones of the SRE workbook).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: YAML

import yaml

ROOT: Final = Path(__file__).parents[1]
ALERTS: Final = ROOT / "charts" / "ocrplus" / "files" / "alerts"
RULES: Final = ALERTS / "objectives.yaml"
RATIO: Final = "ocrplus:slo_errors:ratio_rate"
LATE: Final = "ocrplus:queue_late:bool"
LATE_SECONDS: Final = 300
FIRST_PAGE_SECONDS: Final = 30
DELIVERY_SECONDS: Final = 1
LEAST_BAD: Final = 5  # of a handful of documents one bad page is a large share, and no trend

BY: Final = "sum by (namespace)"
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
LONG: Final = ("6h", "1d", "3d")
PAGE: Final = (("5m", "1h", 14.4), ("30m", "6h", 6.0))
TICKET: Final = (("2h", "1d", 3.0), ("6h", "3d", 1.0))

Expression = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Objective:
    """`bad` and `all` are PromQL of events in a window; without `all`, `bad` is the ratio."""

    name: str
    alert: str
    target: float
    promise: str
    measured: str
    summary: str
    bad: Expression
    all: Expression | None = None

    def ratio(self, window: str) -> str:
        """Share of bad events."""
        if self.all is None:
            return self.bad(window)
        return f"({self.bad(window)})\n/\n({self.all(window)})"


def _increase(metric: str, selector: str = "") -> Expression:
    labels = f"{{{selector}}}" if selector else ""
    return lambda window: f"{BY} (increase({metric}{labels}[{window}]))"


def _poisoned(window: str) -> str:
    return f'max by (namespace) (increase(ocrplus_queue_poisoned_total{{pool="ocr"}}[{window}]))'


def _given_up(window: str) -> str:
    by_reason = f"max by (namespace, reason) (increase(ocrplus_caption_given_up_total[{window}]))"
    return f"{BY} ({by_reason})"


def _slower(metric: str, seconds: float, selector: str = "") -> tuple[Expression, Expression]:
    """Bad: those above a bucket's bound; all of them."""
    every = _increase(f"{metric}_count", selector)
    below = _increase(
        f"{metric}_bucket", ", ".join(filter(None, (selector, f'le="{seconds:.1f}"')))
    )
    return lambda window: f"{every(window)} - {below(window)}", every


_OURS: Final = 'outcome=~"busy|internal"'
_ASKED: Final = 'outcome=~"accepted|duplicate|busy|internal"'
_PAGES: Final = _increase("ocrplus_ocr_pages_total")
_UNDESCRIBED: Final = _increase("ocrplus_caption_figures_total", 'outcome="failed"')
_ASKED_ABOUT: Final = _increase("ocrplus_caption_figures_total", 'outcome=~"ok|failed"')
_FAILED: Final = _increase("ocrplus_ocr_pages_total", 'outcome="failed"')

OBJECTIVES: Final = (
    Objective(
        "submissions",
        "OcrplusSubmissionsRefused",
        0.999,
        "A document is accepted unless it is at fault itself",
        "`ocrplus_gateway_jobs_total`: `busy` and `internal` of these and the accepted",
        "Documents are refused although nothing is wrong with them",
        _increase("ocrplus_gateway_jobs_total", _OURS),
        _increase("ocrplus_gateway_jobs_total", _ASKED),
    ),
    Objective(
        "waiting",
        "OcrplusWorkWaits",
        0.995,
        f"No work waits for longer than {LATE_SECONDS} s (share of the time)",
        f"`ocrplus_queue_oldest_seconds` of pool ocr above {LATE_SECONDS}",
        "Documents wait too long before a worker takes them",
        lambda window: f"avg_over_time({LATE}[{window}])",
    ),
    Objective(
        "first_page",
        "OcrplusFirstPageSlow",
        0.95,
        f"A document's first page is there within {FIRST_PAGE_SECONDS} s",
        "`ocrplus_gateway_first_page_seconds`, of connected users",
        "First pages come late",
        *_slower("ocrplus_gateway_first_page_seconds", FIRST_PAGE_SECONDS),
    ),
    Objective(
        "pages",
        "OcrplusPagesFail",
        0.99,
        "A page of an accepted document is read",
        "`ocrplus_ocr_pages_total` with outcome `failed`, and `ocrplus_queue_poisoned_total`",
        "Pages of accepted documents fail",
        lambda window: f"{_FAILED(window)} + {_poisoned(window)}",
        lambda window: f"{_PAGES(window)} + {_poisoned(window)}",
    ),
    Objective(
        "delivery",
        "OcrplusDeliverySlow",
        0.99,
        f"An event reaches a connected client's socket within {DELIVERY_SECONDS} s",
        "`ocrplus_gateway_delivery_seconds` of kind `live`",
        "Events reach connected clients late",
        *_slower("ocrplus_gateway_delivery_seconds", DELIVERY_SECONDS, 'kind="live"'),
    ),
    Objective(
        "captions",
        "OcrplusCaptionsFail",
        0.95,
        "A figure that the model is asked about gets its description",
        "`ocrplus_caption_figures_total`: `failed` of these and `ok`; and `ocrplus_caption_given_up_total`",
        "Figures get no description",
        lambda window: f"{_UNDESCRIBED(window)} + {_given_up(window)}",
        lambda window: f"{_ASKED_ABOUT(window)} + {_given_up(window)}",
    ),
)


class _Text(str):
    """A string that is written as a block."""


class _Dumper(yaml.SafeDumper):
    """Writes lists as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    _Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def rules() -> str:
    """charts/ocrplus/files/alerts/objectives.yaml."""
    late = f'max by (namespace) (ocrplus_queue_oldest_seconds{{pool="ocr"}} > bool {LATE_SECONDS})'
    short = [{"record": LATE, "expr": late}, *_ratios(set(WINDOWS) - set(LONG))]
    groups = [
        {"name": "ocrplus-objectives", "rules": short},
        # Over hours and days a look every few minutes is enough, and cheaper.
        {"name": "ocrplus-objectives-long", "interval": "5m", "rules": _ratios(set(LONG))},
        {
            "name": "ocrplus-burn-rates",
            "rules": [_alert(o, s) for o in OBJECTIVES for s in _SPEEDS],
        },
    ]
    text = yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=10_000)
    return "# Generated by `make docs` from tools/objectives.py.\n" + text


def _ratios(windows: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "record": RATIO + window,
            "expr": _Text(objective.ratio(window) + "\n"),
            "labels": {"slo": objective.name},
        }
        for objective in OBJECTIVES
        for window in WINDOWS
        if window in windows
    ]


_SPEEDS: Final = {"page": PAGE, "ticket": TICKET}


def _alert(objective: Objective, severity: str) -> dict[str, Any]:
    budget, speeds = 1 - objective.target, _SPEEDS[severity]
    parts = [
        f"({_of(objective, short)} > {factor * budget:.4g} and {_of(objective, long)} > {factor * budget:.4g})"
        for short, long, factor in speeds
    ]
    burns = "\nor\n".join(parts)
    if objective.all is not None:
        longest = speeds[-1][1]
        burns = f"(\n{burns}\n)\nand on (namespace) ({objective.bad(longest)}) >= {LEAST_BAD}"
    return {
        "alert": objective.alert,
        "expr": _Text(burns + "\n"),
        "for": "2m" if severity == "page" else "15m",
        "labels": {"severity": severity, "slo": objective.name},
        "annotations": {
            "summary": objective.summary,
            "description": f"{objective.promise}: {{{{ $value | humanizePercentage }}}} was not so "
            f"lately, {budget * 100:.3g} % may be in 30 days.",
            "runbook_url": f"docs/runbooks/{objective.alert}.md",
        },
    }


def _of(objective: Objective, window: str) -> str:
    return f'{RATIO}{window}{{slo="{objective.name}"}}'


_HEAD: Final = """\
# Objectives and alerts

What users are promised, over 30 days, and what tells when it is not kept. The numbers are a start for a service
people wait for: change them in `tools/objectives.py`, then `make docs`.

<!-- generated by `make docs` from tools/objectives.py and charts/ocrplus/files/alerts -->

## Objectives

| objective | of | may be bad in 30 days | measured by | alert |
|---|---|---|---|---|
"""
_BETWEEN: Final = """
A burn rate of 1 uses the budget up in exactly 30 days. `page` fires at 14.4 times that over an hour and still over
five minutes (2 % of the budget gone), or at 6 times over six hours and still over half an hour (5 %); `ticket` at
3 times over a day and 2 hours, or at 1 over three days and 6 hours. With fewer than {least} bad events in the longest window none fires.

First pages and delivery are measured on sockets: what nobody waits for is not counted. Documents that find no worker
at all make no first page, hence `waiting`.

## Alerts

`page` is for now, `ticket` for the working day. Each has a runbook.

| alert | severity | means |
|---|---|---|
"""


def page() -> str:
    """docs/slo.md."""
    rows = [
        f"| {o.promise} | {o.target:.4g} | {_allowed(o)} | {o.measured} | [{o.alert}](runbooks/{o.alert}.md) |\n"
        for o in OBJECTIVES
    ]
    listed = [
        f"| [{name}](runbooks/{name}.md) | {', '.join(severities)} | {summary} |\n"
        for name, (severities, summary) in sorted(_listed().items())
    ]
    between = _BETWEEN.format(least=LEAST_BAD)
    return "".join((_HEAD, *rows, between, *listed))


def _allowed(objective: Objective) -> str:
    if objective.all is None:
        return f"{(1 - objective.target) * 30 * 24:.1f} h"
    return f"{(1 - objective.target) * 1000:.3g} of 1,000"


def _listed() -> dict[str, tuple[list[str], str]]:
    found: dict[str, tuple[list[str], str]] = {}
    texts = [rules(), *(p.read_text() for p in sorted(ALERTS.glob("*.yaml")) if p != RULES)]
    for text in texts:
        for group in yaml.safe_load(text)["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    severities, _ = found.setdefault(
                        rule["alert"], ([], rule["annotations"]["summary"])
                    )
                    severities.append(rule["labels"]["severity"])
    return found
