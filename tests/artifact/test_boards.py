"""No panel of any board is empty: a real Prometheus answers every question, out of what a platform really tells.

What is told stands in board_series.txt, by itself and not made from the questions: a name or a label that a
board gets wrong finds nothing. Who tells it is not run here, but for Prometheus.
"""

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.board import EVERYTHING
from components.monitoring.deployed import EVENTS, INFO
from tests.artifact import alertmanager_world
from tests.artifact.pod import eventually, free_port, system
from tests.unit.test_boards import BOARDS, RECORDED, charts

SERIES = Path(__file__).with_name("board_series.txt")

NOW = 1_767_268_800
"""The moment that is looked at: the first noon of 2026. Fixed, so that nothing here depends on the clock."""
MINUTE = 60
WINDOWS = ((NOW - 90 * MINUTE, NOW), (NOW - 7 * 86400 - 15 * MINUTE, NOW - 7 * 86400))
"""Of what there are samples: the last hour and a half, and what is compared with a week ago."""

CHOSEN = {
    "namespace": {
        **dict.fromkeys(("fixia-backups", "fixia-database", "fixia-cache"), "fixia-data"),
        "fixia-logs": "fixia-app",
    },
    "workload": {"fixia-application": "api"},
}
"""What a viewer chooses where one must be: variable -> the board's uid -> the value."""

BOUNDS = {"0.1": 0.5, "0.5": 0.9, "1.0": 0.97, "10.0": 1.0, "+Inf": 1.0}
"""A histogram's buckets, as OpenMetrics writes them, and the share of the observations in each."""

LINE = re.compile(r"(?P<name>[\w:]+)\{(?P<labels>[^}]*)}\s+(?P<value>\S.*)")
WORDS = re.compile(r'"[^"]*"|\[[^]]*]|\b(?:by|on|without)\s*\([^)]*\)')
"""What is no name of a metric in PromQL: texts, windows and lists of labels."""
SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?P<matching>\{[^}]*})?(?!\w|\s*\()")


@dataclass(frozen=True)
class Told:
    """One line of the file: a series, or a histogram's several.

    Attributes:
        name: the metric, without `_bucket` and the like.
        labels: as they are written.
        value: how it goes on.
    """

    name: str
    labels: str
    value: str

    def series(self) -> Iterator[tuple[str, str, str]]:
        """Each series: name, labels, value."""
        kind, _, count = self.value.partition(" ")
        if kind != "histogram":
            yield self.name, self.labels, self.value
            return
        for bound, share in BOUNDS.items():
            yield f"{self.name}_bucket", f'{self.labels},le="{bound}"', f"+{float(count) * share}"
        yield f"{self.name}_count", self.labels, f"+{count}"
        yield f"{self.name}_sum", self.labels, f"+{float(count) * 0.2}"


def told() -> list[Told]:
    """Every line of the file, with the labels of the scrape."""
    found: list[Told] = []
    common = ""
    for line in SERIES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            common = line.strip("[]")
        elif line and not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            labels = ",".join(part for part in (match["labels"], common) if part)
            found.append(Told(match["name"], labels, match["value"]))
    return found


def sample(value: str, at: int) -> float:
    """What a series says at a moment."""
    if value.startswith("+"):
        return float(value) * (at - WINDOWS[1][0]) / MINUTE
    return NOW + float(value[1:]) if value.startswith("@") else float(value)


def written() -> str:
    """All of it in OpenMetrics, which Prometheus makes blocks from."""
    lines = []
    for each in told():
        for name, labels, value in each.series():
            for start, end in WINDOWS:
                for at in range(start, end + 1, MINUTE):
                    lines.append(f"{name}{{{labels}}} {sample(value, at)} {at}")
    return "\n".join([*lines, "# EOF\n"])


@dataclass(frozen=True)
class Server:
    """A running Prometheus.

    Attributes:
        port: where it answers.
    """

    port: int

    def get(self, path: str, **parameters: str) -> str:
        """The body of an answer; of a refusal too."""
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as refusal:
            body = refusal.read()
        return body.decode()

    def ask(self, expression: str) -> list[Any]:
        """What an expression yields at the moment that is looked at.

        Raises:
            AssertionError: Prometheus does not understand it.
        """
        answer = json.loads(self.get("/api/v1/query", query=expression, time=str(NOW)))
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        found: list[Any] = answer["data"]["result"]
        return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that has scraped all of it."""
    with served(written(), tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@contextmanager
def served(series: str, folder: Path) -> Iterator[Server]:
    """A Prometheus that has scraped this.

    Args:
        series: in OpenMetrics, with times.
        folder: for its data.
    """
    programs = system("prometheus") / "usr" / "bin"
    (folder / "series.txt").write_text(series, encoding="utf-8")
    made: list[str | Path] = [
        programs / "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "-q",
        "series.txt",
        "data",
    ]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    rule = {"groups": [{"name": "one", "rules": [{"record": "one:one:one", "expr": "vector(1)"}]}]}
    (folder / "rules.yaml").write_text(json.dumps(rule), encoding="utf-8")
    settings = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yaml"]}
    (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    server = Server(free_port())
    command: list[str | Path] = [
        programs / "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=20y",
        f"--web.listen-address=127.0.0.1:{server.port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: _ready(server), "Prometheus is ready")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(server: Server) -> bool:
    try:
        return "Ready" in server.get("/-/ready")
    except OSError:
        return False


def test_a_deployment_is_marked_once_and_a_gap_is_none(tmp_path: Path) -> None:
    """By a Prometheus of its own: two versions, a gap of three minutes, and the way back to the first."""
    minutes = {"a": [*range(30), *range(60, 80)], "b": [*range(30, 40), *range(43, 60)]}
    lines = [
        f'{INFO}{{stack="s",version="1",commit="{commit}",author="A",pod="{pod}"}} 1 {NOW + MINUTE * minute}'
        for commit, told in minutes.items()
        for pod in ("node-exporter-1", "node-exporter-2")
        for minute in told
    ]
    with served("\n".join([*lines, "# EOF\n"]), tmp_path) as server:
        # As Grafana asks, a step of a minute.
        told = server.get(
            "/api/v1/query_range", query=EVENTS, start=str(NOW), end=str(NOW + 5400), step=str(MINUTE)
        )
        marked = {
            (each["metric"]["commit"], int(at - NOW) // MINUTE)
            for each in json.loads(told)["data"]["result"]
            for at, _ in each["values"]
        }
    assert marked == {("a", 0), ("b", 30), ("a", 60)}


def filled(expression: str, board: dict[str, Any]) -> str:
    """A question as Grafana asks it, once somebody looks."""
    written = expression.replace("$__rate_interval", "4m").replace("$__range", "1h")
    for variable in board["templating"]["list"]:
        name = variable["name"]
        if variable["type"] == "query":
            value = EVERYTHING if variable.get("multi") else CHOSEN[name][board["uid"]]
            written = written.replace(f"${name}", value)
    assert "$" not in written, written
    return written


def selectors(expression: str) -> set[str]:
    """Every selection of series within a question, each to be asked by itself.

    A share of errors is 0 where the errors' name is wrong, and so it would pass as a whole.
    """
    found = set()
    for match in SELECTOR.finditer(_without_words(expression)):
        name, matching = match["name"], match["matching"]
        if matching or "_" in name or ":" in name:
            found.add(expression[match.start() : match.end()])
    return found


def _without_words(expression: str) -> str:
    """The same length, with blanks in their place."""

    def blank(match: re.Match[str]) -> str:
        text = match[0]
        # Texts stand within braces, which are still looked for.
        return '"' + "x" * (len(text) - 2) + '"' if text[0] == '"' else " " * len(text)

    return WORDS.sub(blank, expression)


def asked(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and question of all that a board asks, its choices included."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            metric = variable["query"].removeprefix("label_values(").partition(",")[0]
            yield f"${variable['name']}", metric
    for panel in charts(board):
        for target in panel["targets"]:
            # What is 0 where there is nothing must be there too, or nobody would know that it is wrong.
            yield panel["title"], filled(target["expr"], board).replace(" or vector(0)", "")


def test_selections_are_found_in_questions() -> None:
    said = 'sum by (le, a_b) (rate(x_total{c="d",e=~"f|g{1}"}[4m])) / on (h_i) (up{j="k"} or 0 * y:z:w) > 0'
    assert selectors(said.replace("{1}", "")) == {'x_total{c="d",e=~"f|g"}', 'up{j="k"}', "y:z:w"}
    assert selectors("time() - max(a_b_seconds) + vector(1)") == {"a_b_seconds"}


@pytest.mark.parametrize("name", list(BOARDS))
def test_no_panel_of_a_board_is_empty(name: str, prometheus: Server) -> None:
    empty = [
        f"{title}: {question}" for title, question in asked(BOARDS[name]) if not prometheus.ask(question)
    ]
    assert empty == []


@pytest.mark.parametrize("name", list(BOARDS))
def test_everything_within_a_question_finds_something(name: str, prometheus: Server) -> None:
    wanted = {each: title for title, question in asked(BOARDS[name]) for each in selectors(question)}
    assert wanted
    assert {each: title for each, title in wanted.items() if not prometheus.ask(each)} == {}


@pytest.mark.parametrize("name", list(BOARDS))
def test_every_legend_names_a_label_that_is_there(name: str, prometheus: Server) -> None:
    wrong = []
    for panel in charts(BOARDS[name]):
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)}}", target["legendFormat"]))
            for found in prometheus.ask(filled(target["expr"], BOARDS[name]).replace(" or vector(0)", "")):
                if wanted - set(found["metric"]):
                    wrong.append(f"{panel['title']}: {target['legendFormat']} of {found['metric']}")
    assert wrong == []


def named(legend: str, labels: dict[str, str]) -> str:
    """A legend as Grafana writes it below a chart."""
    return re.sub(r"\{\{(\w+)}}", lambda match: labels[match[1]], legend)


def test_lines_of_a_chart_can_be_told_apart(prometheus: Server) -> None:
    for board in BOARDS.values():
        for panel in charts(board):
            if panel["type"] == "table":
                continue
            legends = [
                named(target["legendFormat"], found["metric"])
                for target in panel["targets"]
                for found in prometheus.ask(filled(target["expr"], board).replace(" or vector(0)", ""))
            ]
            assert len(set(legends)) == len(legends), f"{board['title']}, {panel['title']}: {legends}"


def test_what_is_computed_ahead_is_computed_from_what_is_told(prometheus: Server) -> None:
    assert [rule.record for rule in RECORDED if not prometheus.ask(rule.expression)] == []


def test_nothing_is_told_that_no_board_asks_for() -> None:
    questions = [question for board in BOARDS.values() for _, question in asked(board)]
    wanted = {
        match["name"]
        for question in [*questions, *(rule.expression for rule in RECORDED)]
        for match in SELECTOR.finditer(_without_words(question))
    }
    unasked = {each.name for each in told() if not {name for name, _, _ in each.series()} & wanted}
    assert unasked == set()


def untold(prefix: str, metrics: str) -> list[str]:
    """What is told here in a program's name, and the program itself does not tell: metrics, and their labels."""
    added = {"job", "namespace", "pod", "instance", "node"}
    seen: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z]\w*)(\{.*})? ", metrics, re.MULTILINE):
        seen.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    wanted = {
        name: set(re.findall(r'(\w+)="', labels)) - added
        for each in told()
        # Of each Alertmanager, and there is none here.
        if each.name.startswith(prefix) and 'alertmanager="' not in each.labels
        for name, labels, _ in each.series()
    }
    assert len(wanted) > 5
    return [name for name, labels in wanted.items() if not (name in seen and labels <= seen[name])]


def test_prometheus_tells_of_itself_what_its_board_asks_for(prometheus: Server) -> None:
    # Some of it comes with the first evaluation of a rule.
    eventually(lambda: not untold("prometheus_", prometheus.get("/metrics")), "all that is asked for")


def test_alertmanager_tells_of_itself_what_its_board_asks_for(tmp_path: Path) -> None:
    with alertmanager_world.world(tmp_path) as around:
        # One that is meant to be alone does not count who it knows, which the board stands.
        pod = alertmanager_world.AlertmanagerPod(tmp_path / "pod", around, replicas=2)
        pod.joins()
        with pod.serving():
            assert untold("alertmanager_", pod.ask("/metrics")) == []
