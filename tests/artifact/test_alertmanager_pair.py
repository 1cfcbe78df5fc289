"""Two real Alertmanagers stand in for each other, tell everything once, and let nobody else in."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.monitoring.alertmanager_alerts import ALERTS, PAIR
from simulator.images.container import Container
from tests.artifact.alertmanager_world import AlertmanagerPod, World, alert, both, world
from tests.artifact.pod import eventually


@pytest.fixture
def around(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_every_metric_that_an_alert_asks_for_is_there(around: World) -> None:
    first = AlertmanagerPod(around.folder / "first", around, replicas=2)
    second = AlertmanagerPod(around.folder / "second", around, replicas=2)
    with both(first, second):
        told = first.ask("/metrics")
    asked = {
        name for each in (*ALERTS, *PAIR) for name in re.findall(r"\balertmanager_[a-z_]+\b", each.expression)
    }
    assert len(asked) >= 4
    for name in asked:
        assert re.search(rf"^{name}[ {{]", told, re.MULTILINE), name
    for kind in (
        "slack",
        "email",
        "pagerduty",
        "webhook",
    ):  # from the start, so that the first failure counts
        assert re.search(
            rf'^alertmanager_notification_requests_failed_total{{.*integration="{kind}".*}} 0$',
            told,
            re.MULTILINE,
        )


def test_two_tell_everything_once_and_one_goes_on_alone(around: World) -> None:
    first = AlertmanagerPod(around.folder / "first", around, replicas=2)
    second = AlertmanagerPod(around.folder / "second", around, replicas=2)
    places = {"/v2/enqueue": 1, "/slack": 1, "mail": 1, "/webhook": 1}
    with both(first, second) as running:
        for pod in (first, second):
            pod.fires(alert("Shared"))
        eventually(lambda: around.about("Shared") == places, "it is told")
        for pod in (first, second):
            eventually(lambda pod=pod: pod.looked("Shared") >= 3, "each has had its turn")  # type: ignore[misc]
        assert around.about("Shared") == places
        running[0].end()
        second.fires(alert("Alone"))
        eventually(lambda: around.about("Alone") == places, "the other one tells")
    assert around.about("Shared") == places


def test_the_other_one_tells_for_one_that_is_killed(around: World) -> None:
    """It says no goodbye, as when its node is lost, and may be counted on: the other one tells nevertheless."""
    first = AlertmanagerPod(around.folder / "first", around, replicas=2)
    second = AlertmanagerPod(around.folder / "second", around, replicas=2)
    places = {"/v2/enqueue": 1, "/slack": 1, "mail": 1, "/webhook": 1}
    with both(first, second) as running:
        running[1].send_signal(signal.SIGKILL)
        running[1].wait(20)
        first.fires(alert("Alone"))
        eventually(lambda: around.about("Alone") == places, "the other one tells")
        eventually(lambda: first.looked("Alone") >= 3, "it has had chances to tell again")
        assert around.about("Alone") == places


def test_a_silence_outlives_the_pod_that_it_was_made_in(around: World) -> None:
    first = AlertmanagerPod(around.folder / "first", around, replicas=2)
    second = AlertmanagerPod(around.folder / "second", around, replicas=2)

    def silences(running: Container) -> str:
        return "\n".join(running.execute(["amtool", "silence", "query", "-q"], timeout=30).lines)

    with both(first, second) as running:
        told = ["--author=a", "--comment=moving", "--duration=1h", "alertname=CacheDown"]
        made = running[0].execute(["amtool", "silence", "add", *told], timeout=30)
        assert made.code == 0, made.lines
        (number,) = made.lines
        eventually(lambda: number in silences(running[1]), "the other one has it")
        running[0].end()
        # A new pod: nothing of the old one's is in it.
        shutil.rmtree(first.volumes["data"])
        third = AlertmanagerPod(around.folder / "third", around, replicas=2)
        third.joins(second, third)
        with third.serving() as replacement:
            eventually(lambda: number in silences(replacement), "its replacement has it")
            third.fires(alert("CacheDown"), alert("Other"))
            eventually(lambda: around.about("Other").get("/slack") == 1, "what is not silenced is told")
            eventually(lambda: third.looked("CacheDown") >= 3, "it has had chances to tell")
            assert around.about("CacheDown") == {}


def test_nobody_joins_them_by_another_tiers_certificate(around: World) -> None:
    first = AlertmanagerPod(around.folder / "first", around, replicas=2)
    second = AlertmanagerPod(around.folder / "second", around, replicas=2)
    stranger = AlertmanagerPod(
        around.folder / "stranger", around, replicas=2, names=("database", "localhost")
    )
    told = yaml.safe_load((stranger.volumes["config"] / "cluster-tls.yml").read_text())
    assert told["tls_server_config"]["client_allowed_sans"] == ["alertmanager"]
    with both(first, second):
        stranger.joins(first, second)
        with stranger.serving():
            refusal = "could not find allowed SANs"
            for pod in (first, second):
                eventually(lambda pod=pod: refusal in pod.log("alertmanager"), "it tried, in vain")  # type: ignore[misc]
            assert stranger.metrics("alertmanager_cluster_members") == {"": 1}
        assert first.metrics("alertmanager_cluster_members") == {"": 2}
