"""How the platform looks over time: dashboards for Grafana as data, and how they are drawn.

What is the same for all stands here, and no board can differ in it: the datasource is the viewer's choice,
all times are UTC, nobody edits one by hand, each panel has a title, a description and a unit, and a rate is
as wide as the zoom asks (`RATE`). A board itself is data, beside the component that it shows.

Source of the rules: https://github.com/grafana/dashboard-linter/tree/main/docs/rules
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    logs,
    loki,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LogsSortOrder,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from components import watch
from components.monitoring.deployed import EVENTS

HERE: Final = 'namespace="$namespace"'
"""Of the namespace that the viewer chose."""

RATE: Final = "$__rate_interval"
"""Four scrapes at least, whatever the zoom: a shorter one would draw gaps."""

EVERYTHING: Final = ".+"
"""What a variable of many values is when all are chosen: whatever has the label at all."""

Look = Literal["lines", "number", "table"]

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
LOKI: Final = DataSourceRef(type_val="loki", uid="loki")
"""Where lines are: one for all, as `grafana_logs.yaml` names it."""
GRID: Final = 24
"""How many cells wide a board is."""

_SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "lines": (8, 8),
    "number": (4, 4),
    "table": (GRID, 8),
    "text": (GRID, 4),
    "logs": (GRID, 12),
}
"""Width and height, in cells."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart.

    Attributes:
        title: what it shows.
        description: what is normal, and what it means when it is not.
        unit: in Grafana's words, such as `bytes` and `percentunit`.
        queries: legend -> PromQL.
        look: lines over time, the newest number, or a table of the newest numbers with their labels.
        steps: from this value on -> colour; what is below the first is plain, unless that is minus infinity.
        most: where the scale ends; where the values end unless told.
        width: in cells; as wide as its kind unless told.
        sorted_by: the column of a table whose least comes first; as the query gives them unless told.
        leads_to: the uid of the board that tells more; on that board itself it leads nowhere.
    """

    title: str
    description: str
    unit: str
    queries: Mapping[str, str]
    look: Look = "lines"
    steps: Mapping[float, str] = field(default_factory=dict)
    most: float | None = None
    width: int | None = None
    sorted_by: str | None = None
    leads_to: str | None = None


@dataclass(frozen=True, kw_only=True)
class Note:
    """Words among the charts, for what no chart can say.

    Attributes:
        title: what it is about.
        description: one line.
        text: the words, as Markdown.
        width: in cells; a whole line unless told.
    """

    title: str
    description: str
    text: str
    width: int | None = None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What containers wrote, the newest first.

    Attributes:
        title: which lines.
        description: what is normal, and what it means when it is not.
        query: LogQL.
        width: in cells; a whole line unless told.
    """

    title: str
    description: str
    query: str
    width: int | None = None


@dataclass(frozen=True, kw_only=True)
class Search:
    """What the viewer types at the top.

    Attributes:
        name: `$name` in the queries.
    """

    name: str


@dataclass(frozen=True, kw_only=True)
class Variable:
    """What the viewer chooses at the top.

    Attributes:
        name: `$name` in the queries.
        metric: one whose labels tell what there is to choose from.
        label: which label; the one of the variable's name unless told.
        many: whether several can be chosen, and all: for `label=~"$name"`. Else it is one.
    """

    name: str
    metric: str
    label: str | None = None
    many: bool = False

    @property
    def query(self) -> str:
        """How Grafana asks for the choices."""
        return f"label_values({self.metric}, {self.label or self.name})"


Shown = Panel | Note | Lines
"""What a board is made of."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard.

    Attributes:
        uid: its address, which never changes.
        title: its title.
        rows: title -> panels.
        variables: what the viewer chooses, beside the datasource.
        tags: by which boards are listed.
        description: for whom it is.
        time: how far back it looks at first, as Grafana writes it.
        legend: whether each chart names its lines below it.
    """

    uid: str
    title: str
    rows: Mapping[str, Sequence[Shown]]
    variables: Sequence[Variable | Search] = ()
    tags: Sequence[str] = ()
    description: str | None = None
    time: str = "now-6h"
    legend: bool = True


def series(metric: str, *matching: str) -> str:
    """A metric's series, of which all of `label="value"` is true."""
    return f"{metric}{{{','.join(matching)}}}" if matching else metric


def now(metric: str, *matching: str, by: str = "pod", how: str = "sum") -> str:
    """A gauge, one number for each value of the labels `by`; for all together where that is empty."""
    return f"{_grouped(how, by)}({series(metric, *matching)})"


def rate(counter: str, *matching: str, by: str = "pod") -> str:
    """How much a counter rises in a second, one number for each value of the labels `by`."""
    return f"{_grouped('sum', by)}(rate({series(counter, *matching)}[{RATE}]))"


def quantile(of: float, histogram: str, *matching: str, by: str = "") -> str:
    """What that share of the observations of a histogram stayed below, by its buckets.

    Args:
        of: the share, such as 0.95.
        histogram: its name, without `_bucket`.
        *matching: as in `series`.
        by: labels that are kept.
    """
    labels = ", ".join(["le", *([by] if by else [])])
    return f"histogram_quantile({of}, {rate(f'{histogram}_bucket', *matching, by=labels)})"


def drawn(board: Board) -> dict[str, Any]:
    """One dashboard as Grafana reads it from a file."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .readonly()
        .tags(list(board.tags))
        .refresh("1m")
        .time(board.time, "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .annotation(_deployments())
    )
    if board.description is not None:
        made = made.description(board.description).link(_others())
    for variable in board.variables:
        made = made.with_variable(_choice(variable))
    number, top = 0, 0
    for title, panels in board.rows.items():
        made = made.with_row(dashboard.Row(title).grid_pos(GridPos(x=0, y=top, w=GRID, h=1)))
        places, top = _places(panels, top + 1)
        for panel, place in zip(panels, places, strict=True):
            number += 1
            made = made.with_panel(_made(panel, board).id(number).grid_pos(place))
    encoded = JSONEncoder(sort_keys=True).encode(made.build())
    found: dict[str, Any] = json.loads(encoded)
    return found


def files(*boards: Board) -> dict[str, str]:
    """Dashboards as files for Grafana: `<uid>.json` -> JSON."""
    return watch.files({board.uid: drawn(board) for board in boards})


def share(part: str, whole: str) -> str:
    """Of two rates or gauges with the same labels, the one as a share of the other.

    Nothing of the first is 0, and not missing: a counter of errors that never happened has no series. Nothing
    of the second has no share.
    """
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def _places(panels: Sequence[Shown], top: int) -> tuple[list[GridPos], int]:
    """Where panels stand, from left to right and then below, and where what follows them begins.

    The builder's own way breaks a line only after one that is exactly full, and lets wide ones stick out.
    """
    places: list[GridPos] = []
    left, height = 0, 0
    for panel in panels:
        wide, high = _SIZES[_kind(panel)]
        wide = panel.width or wide
        if left + wide > GRID:
            left, top, height = 0, top + height, 0
        places.append(GridPos(x=left, y=top, w=wide, h=high))
        left, height = left + wide, max(height, high)
    return places, top + height


def _kind(panel: Shown) -> str:
    if isinstance(panel, Panel):
        return panel.look
    return "text" if isinstance(panel, Note) else "logs"


def _grouped(how: str, by: str) -> str:
    return f"{how} by ({by}) " if by else how


def _others() -> dashboard.DashboardLink:
    """The way to the other boards, which keeps the time that one looks at and what one has chosen."""
    others = dashboard.DashboardLink("Boards").type(DashboardLinkType.DASHBOARDS).as_dropdown(True)
    return others.keep_time(True).include_vars(True)


def _deployments() -> dashboard.AnnotationQuery:
    """A line across every chart where something was deployed: what came after it may come of it."""
    return (
        dashboard.AnnotationQuery()
        .name("Deployments")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(EVENTS)
        .step("60s")
        .title_format("{{stack}}: {{version}}")
        .text_format("{{commit}} by {{author}}")
    )


def _choice(variable: Variable | Search) -> dashboard.QueryVariable | dashboard.TextBoxVariable:
    if isinstance(variable, Search):
        return dashboard.TextBoxVariable(variable.name)
    made = (
        dashboard.QueryVariable(variable.name)
        .query(variable.query)
        .datasource(_SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    return made.multi(True).include_all(True).all_value(EVERYTHING) if variable.many else made


Chart = timeseries.Panel | stat.Panel | table.Panel


def _made(panel: Shown, board: Board) -> Chart | text.Panel | logs.Panel:
    if isinstance(panel, Note):
        note = text.Panel().title(panel.title).description(panel.description)
        return note.mode(TextMode.MARKDOWN).content(panel.text)
    if isinstance(panel, Lines):
        lines = logs.Panel().title(panel.title).description(panel.description).datasource(LOKI)
        lines = lines.show_time(True).wrap_log_message(True).sort_order(LogsSortOrder.DESCENDING)
        return lines.with_target(loki.Dataquery().expr(panel.query).ref_id("A"))
    chart = _looking(panel, legend=board.legend)
    chart = chart.title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    if panel.most is not None:
        chart = chart.max(panel.most)
    if panel.steps:
        chart = chart.thresholds(_thresholds(panel.steps))
    if panel.leads_to and panel.leads_to != board.uid:
        more = f"/d/{panel.leads_to}?${{__url_time_range}}"
        chart = chart.links([dashboard.DashboardLink("More").type(DashboardLinkType.LINK).url(more)])
    for number, (named, expression) in enumerate(panel.queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(named).ref_id(chr(ord("A") + number))
        if panel.look != "lines":
            query = query.instant()
        if panel.look == "table":
            query = query.format(PromQueryFormat.TABLE)
        chart = chart.with_target(query)
    return chart


def _looking(panel: Panel, *, legend: bool) -> Chart:
    if panel.look == "number":
        newest = common.ReduceDataOptions().calcs(["lastNotNull"])
        number = stat.Panel().graph_mode(BigValueGraphMode.NONE).reduce_options(newest)
        return number.color_mode(BigValueColorMode.BACKGROUND if panel.steps else BigValueColorMode.NONE)
    if panel.look == "table":
        rows = table.Panel().transformations(_columns(panel))
        if panel.sorted_by:
            rows = rows.sort_by([common.TableSortByFieldState().display_name(panel.sorted_by).desc(False)])
        return rows
    lines = timeseries.Panel().min(0)
    if legend:
        below = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
        lines = lines.legend(below)
    return lines


def _columns(panel: Panel) -> list[DataTransformerConfig]:
    """One row for each combination of labels: the queries' numbers side by side, under their legends."""
    values = {f"Value #{chr(ord('A') + number)}": named for number, named in enumerate(panel.queries)}
    # Of a single query, the column has no letter.
    only = {"Value": next(iter(panel.queries))} if len(panel.queries) == 1 else {}
    told = {"excludeByName": {"Time": True}, "renameByName": {**values, **only}}
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="organize", options=told),
    ]


def _thresholds(steps: Mapping[float, str]) -> dashboard.ThresholdsConfig:
    base = Threshold(value=None, color=steps.get(-math.inf, "text"))
    each = [
        Threshold(value=value, color=color) for value, color in sorted(steps.items()) if value > -math.inf
    ]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([base, *each])
