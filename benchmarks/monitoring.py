"""`make monitoring`: the local services under load, a real Prometheus, every dashboard's query.

Fails on a query without data, on a series that the catalogue does not know, and on a rule that
Prometheus cannot evaluate. Writes OUT/index.html, a look at the panels.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import metric_catalogue
import monitoring_load
import panels_page
import prometheus_server
import results
from captions_setup import vlm_process
from dashboards import DASHBOARDS
from service import service

ROOT: Final = Path(__file__).parents[1]
RULES: Final = sorted((ROOT / "charts" / "ocrplus" / "files" / "alerts").glob("*.yaml"))
LOAD_SECONDS: Final = 80.0
_OWN: Final = ("__name__", "job", "instance", "namespace", "le", "version", "slo")


def main() -> int:
    """0 when all is well, 1 when not, 2 when Prometheus is missing."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out") / "monitoring"
    try:
        with vlm_process() as vlm:
            vlm.control(seconds=0.3)
            problems, figures = _watched(vlm.base_url, out)
    except prometheus_server.Missing as missing:
        print(f"monitoring: {missing}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"monitoring: {problem}", file=sys.stderr)
    print(f"monitoring: {figures}; look at {out / 'index.html'}")
    if not problems:
        results.write("monitoring", figures)
    return 1 if problems else 0


def _watched(model: str, out: Path) -> tuple[list[str], dict[str, Any]]:
    env = {
        "OPENAI_BASE_URL": model,
        "OPENAI_API_KEY": "none",
        "OCRPLUS_CAPTION__PRICE_INPUT": "2",
        "OCRPLUS_CAPTION__PRICE_OUTPUT": "6",
        "TMPDIR": tempfile.gettempdir(),
        **{name: os.environ[name] for name in ("OCRPLUS_MODELS_DIR",) if name in os.environ},
    }
    with service(env=env) as running, monitoring_load.played_operator() as operator:
        scraped = {**running.metrics, "operator": [operator]}
        namespaces = {prometheus_server.NAMESPACE: scraped}
        with prometheus_server.prometheus(namespaces, RULES) as server:
            began = time.monotonic()
            done = asyncio.run(monitoring_load.load(running.http, LOAD_SECONDS))
            return _judged(server, out, done, time.monotonic() - began)


def _judged(
    server: prometheus_server.Prometheus, out: Path, done: dict[str, int], seconds: float
) -> tuple[list[str], dict[str, Any]]:
    shown, empty, panels, queries = [], [], 0, 0
    for dashboard in DASHBOARDS:
        drawn: dict[str, list[panels_page.Line]] = {}
        for panel in dashboard.panels:
            drawn[panel.title] = []
            panels += 1
            for query in panel.queries:
                found = panels_page.lines(query, server.range(query.promql, seconds))
                drawn[panel.title] += found
                queries += 1
                if not found:
                    empty.append(f"{dashboard.title}: {panel.title}: {query.legend}")
        shown.append((dashboard, drawn))
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(panels_page.page(shown), "utf-8")
    series = server.series()
    unknown = _unknown(series)
    broken = [rule["name"] for rule in server.rules() if rule["health"] == "err"]
    problems = [f"no data: {title}" for title in empty]
    problems += [f"not in the catalogue: {one}" for one in unknown]
    problems += [f"cannot be evaluated: {name}" for name in broken]
    problems += [f"not scraped: {url}" for url in server.silent()]
    figures = {
        "panels": panels,
        "queries": queries,
        "queries_without_data": len(empty),
        "unknown_metrics": len(unknown),
        "rules_with_errors": len(broken),
        "series": len(series),
        "alerts_firing": sorted(
            rule["name"] for rule in server.rules() if rule.get("state") == "firing"
        ),
        "documents": done["sent"],
    }
    return problems, figures


def _unknown(series: list[dict[str, str]]) -> list[str]:
    """Series with a name or a label's value that the code does not admit to."""
    known = {
        (metric.component, name): metric
        for metric in metric_catalogue.metrics()
        for name in metric.names
    }
    found = set()
    for labels in series:
        name, component = labels["__name__"], labels.get("job", "")
        if not name.startswith("ocrplus_"):
            continue
        metric = known.get((component, name))
        if metric is None:
            found.add(f"{component}: {name}")
            continue
        for label, value in labels.items():
            if label not in _OWN and value not in metric.labels.get(label, ()):
                found.add(f"{name}{{{label}={value!r}}}")
    return sorted(found)


if __name__ == "__main__":
    sys.exit(main())
