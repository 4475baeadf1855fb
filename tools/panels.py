"""Panels as data, and the Grafana dashboard that is built of them.

`$ns` in a query stands for the matcher of the dashboard's namespace variable. Grafana 11.6 and
later read what is built: newer ones migrate it forward.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final  # Any: Grafana's JSON

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models

NAMESPACE: Final = 'namespace=~"$namespace"'
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS: Final = 24
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are called in the legend (`{{label}}`)."""

    expr: str
    legend: str

    @property
    def promql(self) -> str:
        """As Grafana sends it, variables still in it."""
        return self.expr.replace("$ns", NAMESPACE)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `description` says what is seen and what would be bad; `unit` is Grafana's name.

    `kind`: `lines`, `stack` (parts of a whole) or `number` (the last value).
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "lines"
    width: int = 8
    least: float = 0
    """Where the axis begins."""

    @property
    def height(self) -> int:
        """Rows of Grafana's grid."""
        return STAT_HEIGHT if self.kind == "number" else HEIGHT


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that answer one question."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One audience's page; `uid` is its file's name and stays, for links."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        """All of them, from the top."""
        for row in self.rows:
            yield from row.panels

    def rendered(self) -> str:
        """Grafana's JSON."""
        built = self._built()
        return json.dumps(_plain(built), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def _built(self) -> models.Dashboard:
        page = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags(["ocrplus"])
            .refresh("30s")
            .time("now-3h", "now")
            .timezone("browser")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .with_variable(
                dashboard.DatasourceVariable("datasource").label("Source").type("prometheus")
            )
            .with_variable(_namespaces())
        )
        x = y = lowest = 0
        for row in self.rows:
            y, x = lowest, 0
            page.with_row(dashboard.Row(row.title).grid_pos(_place(0, y, COLUMNS, 1)))
            y = lowest = y + 1
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y = 0, lowest
                page.with_panel(_panel(panel).grid_pos(_place(x, y, panel.width, panel.height)))
                x, lowest = x + panel.width, max(lowest, y + panel.height)
        return page.build()


def _plain(built: models.Dashboard) -> Any:
    plain = json.loads(JSONEncoder().encode(built))
    for number, panel in enumerate(plain["panels"], start=1):
        panel["id"] = number
    return plain


def _place(x: int, y: int, width: int, height: int) -> models.GridPos:
    return models.GridPos(h=height, w=width, x=x, y=y)


def _namespaces() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("namespace")
        .label("Namespace")
        .datasource(SOURCE)
        .query("label_values(ocrplus_build_info, namespace)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel) -> "stat.Panel | timeseries.Panel":
    built = _number() if panel.kind == "number" else _lines(panel)
    built.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    for number, query in enumerate(panel.queries):
        asked = (
            prometheus.Dataquery()
            .expr(query.promql)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + number))
        )
        if panel.kind != "number" and "histogram_quantile" in query.expr:
            asked.exemplar(True)  # points that lead to a trace, where traces are recorded
        built.with_target(asked)
    return built


def _number() -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().reduce_options(last).graph_mode(looks.BigValueGraphMode.AREA)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
    )
    stacked = panel.kind == "stack"
    built = timeseries.Panel().legend(legend).min(panel.least).line_width(1)
    built.fill_opacity(30 if stacked else 8)
    if stacked:
        built.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    return built
