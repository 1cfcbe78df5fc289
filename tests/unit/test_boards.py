"""The house rules of every board of the platform: readable by who did not make it, on any Grafana, at any zoom.

Source of most: https://github.com/grafana/dashboard-linter/tree/main/docs/rules
"""

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components import board, watch
from components.board import Board, Note, Panel, Variable
from components.monitoring import (
    business,
    deployed,
    kube_state_metrics,
    node_exporter,
    prometheus_config,
    slo,
)
from tests.recorder import ROOT

Drawn = dict[str, Any]

SHAPES = {"timeseries", "stat", "table", "text", "logs"}
"""Kinds of panels that every Grafana since 9 has by itself."""

RECORDED = (
    *business.RECORDINGS,
    *slo.recordings(slo.promised("api", "fixia-app-api-http@kubernetes")),
)
"""What is computed ahead: of the product, and of one service's promises."""


def modules() -> list[Any]:
    """All that hold boards, wherever they are."""
    found = sorted([*ROOT.glob("components/*/dashboard.py"), *ROOT.glob("components/*/boards_*.py")])
    return [importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in found]


def board_files() -> dict[str, str]:
    """Every board as a file, by its name."""
    found: dict[str, str] = {}
    for module in modules():
        if hasattr(module, "boards"):
            found |= module.boards()
        elif hasattr(module, "dashboards"):
            found |= watch.files(module.dashboards())
    return found


def boards() -> list[Board]:
    """Every board, as data."""
    return [each for module in modules() for each in getattr(module, "BOARDS", ())]


def panels(drawn: Drawn) -> list[dict[str, Any]]:
    """Its panels, without the titles of its rows."""
    return [panel for panel in drawn["panels"] if panel["type"] != "row"]


def charts(drawn: Drawn) -> list[dict[str, Any]]:
    """Its panels that ask Prometheus for something."""
    return [panel for panel in panels(drawn) if panel["type"] not in ("text", "logs")]


def lines(drawn: Drawn) -> list[dict[str, Any]]:
    """Its panels that ask Loki for lines."""
    return [panel for panel in panels(drawn) if panel["type"] == "logs"]


def queries(drawn: Drawn) -> Iterator[str]:
    """All that it asks Prometheus."""
    for panel in charts(drawn):
        for target in panel["targets"]:
            yield target["expr"]


(LOKI,) = yaml.safe_load((ROOT / "components/monitoring/grafana_logs.yaml").read_text(encoding="utf-8"))[
    "datasources"
]
"""The source of lines, as Grafana is told of it."""

BOARDS: dict[str, Drawn] = {name: json.loads(text) for name, text in board_files().items()}

every_board = pytest.mark.parametrize("drawn", BOARDS.values(), ids=list(BOARDS))


def test_there_is_one_for_everybody_who_looks() -> None:
    known = "executive operations development security slo monitoring application entrance cluster logs"
    kept = "database cache backups"
    assert set(BOARDS) == {f"fixia-{uid}.json" for uid in f"{known} {kept}".split()}


def test_each_has_an_address_and_a_title_of_its_own() -> None:
    assert [f"{drawn['uid']}.json" for drawn in BOARDS.values()] == list(BOARDS)
    for what in ("uid", "title"):
        counts = Counter(drawn[what] for drawn in BOARDS.values())
        assert max(counts.values()) == 1, what
    assert len(boards()) == len(BOARDS)


def test_they_are_the_same_each_time() -> None:
    assert board_files() == board_files()


@every_board
def test_nobody_edits_one_by_hand(drawn: Drawn) -> None:
    assert drawn["editable"] is False


@every_board
def test_times_are_everybodys(drawn: Drawn) -> None:
    assert drawn["timezone"] == "utc"
    assert drawn["refresh"] == "1m"


@every_board
def test_the_datasource_is_the_viewers_choice(drawn: Drawn) -> None:
    variables = {variable["name"]: variable for variable in drawn["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    others = [variable for variable in variables.values() if variable["type"] == "query"]
    for held in (*others, *charts(drawn)):
        assert held["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for held in lines(drawn):
        assert held["datasource"] == {"type": LOKI["type"], "uid": LOKI["uid"]}


@every_board
def test_each_marks_where_something_was_deployed(drawn: Drawn) -> None:
    (marked,) = drawn["annotations"]["list"]
    assert (marked["name"], marked["enable"], marked["datasource"]["uid"]) == (
        "Deployments",
        True,
        "${datasource}",
    )
    assert marked["expr"] == deployed.EVENTS
    shown = set(re.findall(r"{{(\w+)}}", marked["titleFormat"] + marked["textFormat"]))
    assert shown == set(deployed.LABELS.split(", "))


@every_board
def test_each_panel_says_what_it_shows(drawn: Drawn) -> None:
    for panel in panels(drawn):
        assert panel["type"] in SHAPES
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
    for panel in charts(drawn):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def rows(drawn: Drawn) -> list[list[dict[str, Any]]]:
    """Its panels, row by row."""
    found: list[list[dict[str, Any]]] = []
    for panel in drawn["panels"]:
        if panel["type"] == "row":
            found.append([])
        else:
            found[-1].append(panel)
    return found


@every_board
def test_no_two_panels_of_a_row_have_one_title(drawn: Drawn) -> None:
    for row in rows(drawn):
        assert row
        assert max(Counter(panel["title"] for panel in row).values()) == 1


@every_board
def test_each_panel_has_a_place_and_a_number_of_its_own(drawn: Drawn) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in drawn["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in panels(drawn)]
    assert numbers == list(range(1, len(numbers) + 1))


@every_board
def test_each_query_has_a_name_and_a_legend(drawn: Drawn) -> None:
    for panel in charts(drawn):
        assert panel["targets"]
        for of in ("refId", "legendFormat"):
            names = [target[of] for target in panel["targets"]]
            assert all(names)
            assert len(set(names)) == len(names), panel["title"]


@every_board
def test_what_is_no_line_asks_for_now_alone(drawn: Drawn) -> None:
    for panel in charts(drawn):
        instant = [target.get("instant", False) for target in panel["targets"]]
        assert instant == [panel["type"] != "timeseries"] * len(instant), panel["title"]


@every_board
def test_a_table_names_its_numbers(drawn: Drawn) -> None:
    for panel in charts(drawn):
        if panel["type"] == "table":
            assert {target["format"] for target in panel["targets"]} == {"table"}
            merge, organize = panel["transformations"]
            assert merge["id"] == "merge"
            renamed = organize["options"]["renameByName"]
            for target in panel["targets"]:
                assert renamed[f"Value #{target['refId']}"] == target["legendFormat"]


@every_board
def test_rates_are_as_wide_as_the_zoom_asks(drawn: Drawn) -> None:
    for query in queries(drawn):
        windows = re.findall(r"\[([^]]*)]", query)
        assert set(windows) <= {board.RATE, "$__range"}, query
        assert query.count("rate(") == windows.count(board.RATE), query
        assert query.count("increase(") + query.count("_over_time(") == windows.count("$__range"), query


@every_board
def test_a_counter_is_never_shown_as_it_is(drawn: Drawn) -> None:
    for query in queries(drawn):
        # How many there are is no matter of how far they have come.
        counted = re.sub(r"count by \([^)]*\) \(\w+\{[^}]*}\)", "", query)
        bare = re.sub(r"(?:rate|increase)\([^][]*\[[^]]*]\)", "", counted)
        assert not re.search(r"\w+_total\b", re.sub(r"nodejs_active_handles_total|_increase\w*", "", bare)), (
            query
        )


@every_board
def test_what_the_viewer_chooses_is_used_and_what_is_used_is_chosen(drawn: Drawn) -> None:
    chosen = {variable["name"] for variable in drawn["templating"]["list"]} - {"datasource"}
    of_lines = [target["expr"] for panel in lines(drawn) for target in panel["targets"]]
    used = {name for query in [*queries(drawn), *of_lines] for name in re.findall(r"\$(?!__)(\w+)", query)}
    assert used == chosen


@every_board
def test_a_choice_of_many_is_matched_as_a_pattern(drawn: Drawn) -> None:
    for variable in drawn["templating"]["list"]:
        many = variable.get("multi", False)
        for query in queries(drawn):
            for sign in re.findall(rf'(=~|=)"\${variable["name"]}', query):
                assert sign == ("=~" if many or f"${variable['name']}-" in query else "="), query


@every_board
def test_every_way_further_leads_somewhere(drawn: Drawn) -> None:
    for panel in charts(drawn):
        for link in panel.get("links", []):
            uid = link["url"].removeprefix("/d/").partition("?")[0]
            assert f"{uid}.json" in BOARDS, panel["title"]
            assert uid != drawn["uid"], panel["title"]


@every_board
def test_what_is_computed_ahead_is_computed_by_a_rule(drawn: Drawn) -> None:
    recorded = {each.record for each in RECORDED}
    for query in queries(drawn):
        assert set(re.findall(r"\b\w+:\w+:\w+", query)) <= recorded, query


def asked(beginning: str) -> set[str]:
    """Every metric that any board asks for and whose name begins so."""
    every = " ".join(query for drawn in BOARDS.values() for query in queries(drawn))
    found = set(re.findall(rf"\b{beginning}_\w+", every))
    assert found, beginning
    return found


def kept(job: str, metric: str) -> bool:
    """Whether Prometheus keeps a metric of one of its own jobs, by the rules that go by the name."""
    told = yaml.safe_load(prometheus_config.prometheus_yml(external_labels={}, alertmanagers=None))
    (scraped,) = [each for each in told["scrape_configs"] if each["job_name"] == job]
    by_name = [
        (len(rule["source_labels"]), rule["regex"])
        for rule in scraped["metric_relabel_configs"]
        if rule["action"] == "keep" and rule["source_labels"] in (["__name__"], ["__name__", "le"])
    ]
    assert by_name, job
    # The second label is one that such a metric has not.
    return all(re.fullmatch(regex, metric + ";" * (labels - 1)) for labels, regex in by_name)


@pytest.mark.parametrize(
    ("job", "beginning"),
    [
        ("cadvisor", "container"),
        ("kubelet", "kubelet"),
        ("apiserver", "apiserver"),
        ("apiserver", "pod_security"),
    ],
)
def test_what_is_asked_of_a_node_is_not_thrown_away(job: str, beginning: str) -> None:
    assert not kept(job, f"{beginning}_of_nobody")
    assert {metric for metric in asked(beginning) if not kept(job, metric)} == set()


def test_what_is_asked_of_the_clusters_objects_is_told() -> None:
    watched = {resource for group in kube_state_metrics.RESOURCES.values() for resource in group}
    for metric in asked("kube"):
        assert f"{metric.split('_')[1]}s" in watched, metric
        assert metric not in kube_state_metrics.LEFT_OUT, metric


def test_what_is_asked_of_the_machines_is_collected() -> None:
    # Source: https://github.com/prometheus/node_exporter/tree/v1.9.0/collector
    of = {"load5": "loadavg", "memory": "meminfo"}
    collected = {of.get(metric.split("_")[1], metric.split("_")[1]) for metric in asked("node")}
    assert collected <= {*node_exporter.COLLECTORS}


@every_board
def test_a_board_fits_into_a_config_map(drawn: Drawn) -> None:
    assert len(json.dumps(drawn)) < 2**20 / 4


def test_a_panel_of_each_look_and_a_note_are_drawn() -> None:
    drawn = board.drawn(
        Board(
            uid="fixia-x",
            title="X",
            description="All that there is.",
            variables=[Variable(name="node", metric="node_load5", many=True)],
            rows={
                "Row": [
                    Panel(title="L", description="d", unit="s", queries={"a": "a", "b": "b"}, most=2),
                    Panel(
                        title="N",
                        description="d",
                        unit="s",
                        look="number",
                        queries={"a": "a"},
                        steps={1: "red"},
                    ),
                    Panel(
                        title="T",
                        description="d",
                        unit="s",
                        look="table",
                        queries={"a": "a"},
                        leads_to="y",
                        sorted_by="a",
                    ),
                    Note(title="W", description="d", text="*words*"),
                ]
            },
        )
    )
    line, number, table, note = panels(drawn)
    assert [each["type"] for each in panels(drawn)] == ["timeseries", "stat", "table", "text"]
    assert line["fieldConfig"]["defaults"] == {"custom": {}, "min": 0, "max": 2, "unit": "s"}
    assert line["options"]["legend"]["showLegend"] is True
    assert [target["refId"] for target in line["targets"]] == ["A", "B"]
    assert number["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "text", "value": None},
        {"color": "red", "value": 1},
    ]
    assert table["links"][0]["url"] == "/d/y?${__url_time_range}"
    assert table["transformations"][1]["options"] == {
        "excludeByName": {"Time": True},
        "renameByName": {"Value": "a", "Value #A": "a"},
    }
    assert table["options"]["sortBy"] == [{"displayName": "a", "desc": False}]
    assert note["options"]["content"] == "*words*"
    node = drawn["templating"]["list"][1]
    assert (node["query"], node["multi"], node["includeAll"], node["allValue"]) == (
        "label_values(node_load5, node)",
        True,
        True,
        board.EVERYTHING,
    )


def test_a_share_of_nothing_is_nothing_and_a_share_of_errors_that_never_were_is_zero() -> None:
    assert board.share("part", "whole") == "(part or 0 * whole) / (whole > 0)"
    assert board.rate("x_total", 'a="b"', by="c") == 'sum by (c) (rate(x_total{a="b"}[$__rate_interval]))'
    assert board.rate("x_total", by="") == "sum(rate(x_total[$__rate_interval]))"
    assert board.now("x", how="max") == "max by (pod) (x)"
    assert board.quantile(0.5, "x", by="r") == (
        "histogram_quantile(0.5, sum by (le, r) (rate(x_bucket[$__rate_interval])))"
    )
