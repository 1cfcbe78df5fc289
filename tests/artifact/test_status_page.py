"""The status page's own program: with a real Prometheus' figures, and as its recorded pod over TLS and password."""

import html
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.status import status
from components.monitoring.status_page import SCRIPTS, StatusPage, StatusPageArgs
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from components.watch import Target, Watch
from simulator.images.container import Container
from tests.artifact.pod import RecordedPod, eventually, free_port
from tests.artifact.prometheus_pod import IDENTITY, NAMESPACE, PASSWORD, PrometheusPod, Server, names
from tests.artifact.test_boards import MINUTE, NOW, served
from tests.recorder import record

DAY = 86400
SERVICES = {"api": "The <API>", "web": "Website"}


def probed() -> str:
    """Forty days of probes: the API was away for 6 hours of the day before yesterday, and is away for 2 minutes."""
    yesterday = NOW // DAY * DAY - DAY
    away = [(yesterday - DAY, yesterday - DAY + 6 * 3600), (NOW - 2 * MINUTE, NOW + 1)]
    lines = []
    for at in range(NOW - 40 * DAY, NOW + 1, MINUTE):
        down = any(start <= at < end for start, end in away)
        lines.append(
            f'probe_success{{job="probe",probe="api",instance="https://internal"}} {int(not down)} {at}'
        )
    web = range(NOW - 10 * DAY, NOW + 1, MINUTE)
    lines += [f'probe_success{{job="probe",probe="web",instance="https://internal"}} 1 {at}' for at in web]
    lines.append(f'probe_success{{job="probe",probe="hidden",instance="https://internal"}} 0 {NOW}')
    return "\n".join([*lines, "# EOF\n"])


def test_it_shows_what_a_real_prometheus_knows_of_thirty_days(tmp_path: Path) -> None:
    with served(probed(), tmp_path) as server:

        def ask(expression: str, at: float) -> dict[str, float]:
            told = json.loads(server.get("/api/v1/query", query=expression, time=str(at)))
            assert told["status"] == "success", told
            return {each["metric"]["probe"]: float(each["value"][1]) for each in told["data"]["result"]}

        told = status.summary(SERVICES, ask, NOW)
    api, web = told["services"]
    assert told["status"] == api["status"] == "degraded"
    assert web["status"] == "operational"
    assert web["uptime"] == {"24h": 1, "7d": 1, "30d": 1}
    assert api["uptime"]["30d"] == pytest.approx(1 - (6 * 60 + 3) / (30 * 24 * 60), abs=1e-4)
    days = {each["date"]: each["uptime"] for each in api["days"]}
    today = datetime.fromtimestamp(NOW, UTC).date()
    assert len(days) == 30
    assert list(days)[-1] == today.isoformat()
    assert list(days.values())[-3] == pytest.approx(0.75, abs=0.001)
    assert list(days.values())[-2] == 1
    assert 0.99 < list(days.values())[-1] < 1
    # Nobody asked the website twenty days ago.
    assert [each["uptime"] for each in web["days"]].count(None) == 19
    shown = status.page(told, "Status", (SCRIPTS / "page.html").read_text(encoding="utf-8"))
    assert "The &lt;API&gt;" in shown
    assert "Something works in part" in shown
    for inside in ("internal", "hidden", "probe", "<API>"):
        assert inside not in shown
        assert inside not in json.dumps(told).replace("The <API>", "")


@dataclass
class World:
    """The page's pod, the Prometheus that it asks, and what that is told."""

    pod: RecordedPod
    running: Container
    port: int
    found: dict[str, int]

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, dict(refused.headers), refused.read().decode()

    def status(self) -> Any:
        return json.loads(self.ask("/status.json")[2])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("status")
    found = {"api": 1, "web": 1}
    probes = Server(
        lambda _path, _headers: (
            200,
            "".join(f'probe_success{{probe="{name}"}} {value}\n' for name, value in found.items()),
        )
    )
    target = endpoint(IDENTITY, "probes", NAMESPACE, probes.port)
    prometheus = PrometheusPod(
        folder / "prometheus", [Watch(name="probes", targets=[Target(job="probe", endpoint=target)])]
    )
    port = free_port()
    recording = record(lambda: page(prometheus, port) and None)
    deployment = recording.one("kubernetes:apps/v1:Deployment", "status-deployment").inputs
    (folder / "page").mkdir()
    pod = RecordedPod(folder / "page", recording, deployment["spec"]["template"]["spec"])
    pod.containers["status"]["env"] += [
        {"name": "INTERVAL_SECONDS", "value": "1"},
        {"name": "ADDRESS", "value": "127.0.0.1"},
    ]
    pod.write_secret("ca.crt", (prometheus.authority / "ca.crt").read_text(), volume="tls")
    known = {f"prometheus.{NAMESPACE}.svc.cluster.local": ("127.0.0.1",)}
    with probes, prometheus.api() as api, names(folder, known):
        api.pod("probes-1", target)
        with prometheus.serving(), pod.run("status") as running:
            made = World(pod, running, port, found)
            eventually(lambda: _answers(made), "the page answers")
            yield made


def page(prometheus: PrometheusPod, port: int) -> StatusPage:
    """The component."""
    args = StatusPageArgs(
        identity=IDENTITY,
        namespace=NAMESPACE,
        image="status",
        resources=Resources(cpu="10m", memory="24Mi", memory_limit="64Mi"),
        prometheus=prometheus.endpoint,
        prometheus_password=PASSWORD,
        authority=Authority("authority", AuthorityArgs(identity=IDENTITY)),
        shown=SERVICES,
        title="Status of fixia.app",
        port=port,
    )
    return StatusPage("status", args)


def _answers(world: World) -> bool:
    assert world.running.poll() is None, world.pod.log("status")
    try:
        return world.ask("/health")[0] == 200
    except OSError:
        return False


def test_everybody_sees_how_it_is_and_when_it_changes(world: World) -> None:
    eventually(lambda: world.status()["status"] == "operational", "it knows that all works")
    world.found["web"] = 0
    eventually(lambda: world.status()["status"] in {"degraded", "outage"}, "it knows that something does not")
    code, headers, text = world.ask("/")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Server"] == "status"
    assert re.search(r"Website</th><td class=\"(degraded|outage)\"", text)
    assert html.escape("The <API>") in text


def test_it_shows_no_secret_and_no_name_of_the_platform(world: World) -> None:
    shown = "".join(world.ask(path)[2] for path in ("/", "/status.json", "/style.css", "/health"))
    for inside in (PASSWORD, "prometheus", NAMESPACE, "probe_success", "127.0.0.1"):
        assert inside not in shown.lower()


def test_it_answers_nothing_else(world: World) -> None:
    assert [world.ask(path)[0] for path in ("/metrics", "/../status.py", "/status.json?x=1")] == [
        404,
        404,
        200,
    ]
    assert world.ask("/", "POST")[0] == 501
    code, headers, text = world.ask("/status.json", "HEAD")
    assert (code, text) == (200, "")
    assert int(headers["Content-Length"]) > 100


def test_a_wrong_password_is_told_without_it_and_what_was_known_stays(world: World) -> None:
    before = world.status()["updated"]
    world.pod.write_secret("prometheus-password", "wrong-password")
    eventually(lambda: "Prometheus was not heard: HTTPError" in world.pod.log("status"), "it says so")
    assert "wrong-password" not in world.pod.log("status")
    assert world.status()["updated"] >= before
    world.pod.write_secret("prometheus-password", PASSWORD)
    last = world.status()["updated"]
    eventually(lambda: world.status()["updated"] > last, "it hears again")


def test_after_a_while_without_an_answer_nothing_is_known() -> None:
    told = status.summary(SERVICES, lambda _expression, _at: {"api": 1.0, "web": 1.0}, NOW)
    assert told["status"] == "operational"
    later = status.stale(told)
    assert later["status"] == "unknown"
    assert [part["status"] for part in later["services"]] == ["unknown", "unknown"]
    assert later["services"][0]["uptime"] == told["services"][0]["uptime"]


@pytest.mark.parametrize(
    ("share", "state"), [(1.0, "operational"), (0.9, "degraded"), (0.49, "outage"), (None, "unknown")]
)
def test_a_state_is_a_share_of_good_answers(share: float | None, state: str) -> None:
    assert status.state(share) == state
