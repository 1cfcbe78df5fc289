"""The real Prometheus with the generated configuration: what it lets in, what it finds, and whom it tells."""

import http.client
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from components.monitoring import self_alerts
from components.network import endpoint
from components.watch import Alert, Target, Watch
from tests.artifact.pod import eventually, sign
from tests.artifact.prometheus_pod import (
    IDENTITY,
    NAMESPACE,
    PASSWORD,
    THEIRS,
    TOKEN,
    PrometheusPod,
    Server,
    alertmanagers,
)
from tests.artifact.prometheus_world import APPLICATION, World, open_to_all, watched
from tests.recorder import ROOT


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with watched(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def test_the_configuration_and_rules_are_accepted(world: World) -> None:
    for command in (
        ["promtool", "check", "config", "/etc/prometheus/prometheus.yml"],
        ["promtool", "check", "web-config", "/run/secrets/prometheus/web.yml"],
    ):
        ended = world.running.execute(command, timeout=30)
        assert ended.code == 0, ended.tail()
    assert "level=error" not in world.pod.log("prometheus")


def test_nothing_is_told_without_the_password(world: World) -> None:
    for path in ("/", "/metrics", "/api/v1/query?query=up", "/-/healthy", "/-/ready"):
        assert world.pod.ask(path, password=None)[0] == 401
        assert world.pod.ask(path, password=PASSWORD[:-1])[0] == 401
    assert world.pod.ask("/metrics")[0] == 200


def test_only_tls_is_spoken(world: World) -> None:
    plain = http.client.HTTPConnection("localhost", world.pod.port, timeout=10)
    plain.request("GET", "/metrics")
    assert plain.getresponse().status == 400
    plain.close()


def test_nobody_can_stop_reload_or_delete(world: World) -> None:
    for path in ("/-/quit", "/-/reload", "/api/v1/admin/tsdb/delete_series"):
        assert world.pod.ask(path)[0] in (403, 404, 405)
    flags = world.pod.api_data("status/flags")
    assert flags["web.enable-lifecycle"] == flags["web.enable-admin-api"] == "false"


def test_the_past_has_both_its_limits(world: World) -> None:
    flags = world.pod.api_data("status/flags")
    assert flags["storage.tsdb.retention.time"] == "30d"
    assert flags["storage.tsdb.retention.size"] == "8GiB"
    assert flags["storage.tsdb.wal-compression"] == "true"


def test_the_targets_are_those_that_were_wanted_and_no_other(world: World) -> None:
    def all_up() -> list[dict[str, Any]] | None:
        found = world.targets()
        return found if len(found) == 9 and all(each["health"] == "up" for each in found) else None

    found = eventually(all_up, "nine targets, and all of them answer")
    labels = {
        (each["labels"]["job"], each["labels"].get("pod", ""), each["labels"].get("node", ""))
        for each in found
    }
    assert labels == {
        ("shop", "shop-1", "node-1"),
        ("objects", "", ""),
        ("prometheus", "prometheus-0", "node-1"),
        ("alertmanager", "alertmanager-0", "node-1"),
        ("alertmanager", "alertmanager-1", "node-1"),
        ("kubelet", "", "node-1"),
        ("cadvisor", "", "node-1"),
        ("apiserver", "", ""),
        ("probe", "", ""),
    }


def test_a_series_says_whose_it_is(world: World) -> None:
    (series,) = world.series("requests_total")
    assert series == {
        "__name__": "requests_total",
        "job": "shop",
        "namespace": "fixia-app",
        "pod": "shop-1",
        "node": "node-1",
        "instance": f"127.0.0.1:{world.ports['application']}",
        "route": "a",
        "value": 7,
    }


def test_what_is_told_of_others_is_theirs_alone(world: World) -> None:
    (pod,) = world.series("kube_pod_info")
    assert (pod["namespace"], pod["pod"], pod["node"]) == ("shop", "shop-1", "node-9")
    (deployment,) = world.series("kube_deployment_created")
    assert deployment["namespace"] == "shop"
    assert not {"pod", "node"} & set(deployment)
    (node,) = world.series("kube_node_info")
    assert node["node"] == "node-9"
    assert "namespace" not in node


@pytest.mark.parametrize(
    ("job", "kept"),
    [
        ("kubelet", {"kubelet_volume_stats_available_bytes"}),
        (
            "cadvisor",
            {
                "container_memory_working_set_bytes",
                "container_fs_limit_bytes",
                "container_network_receive_bytes_total",
            },
        ),
        ("apiserver", {"apiserver_request_total", "apiserver_request_duration_seconds_bucket"}),
    ],
)
def test_of_the_cluster_only_what_is_used_is_kept(world: World, job: str, kept: set[str]) -> None:
    series = world.series(f'{{job="{job}",__name__!~"up|scrape_.*"}}')
    assert {each["__name__"] for each in series} == kept
    assert len(series) == len(kept) + (job == "apiserver")  # two buckets
    if job != "apiserver":
        assert {each["node"] for each in series} == {"node-1"}


def test_what_is_asked_from_outside_keeps_its_own_address(world: World) -> None:
    (series,) = world.series("probe_success")
    assert (series["job"], series["probe"], series["module"]) == ("probe", "api", "http_2xx")
    assert series["instance"] == "https://api.example.org/"


def test_no_more_is_asked_of_the_api_server_than_is_granted(world: World) -> None:
    eventually(lambda: len(world.targets()) >= 9, "all is found")
    assert world.api.calls <= world.pod.granted()
    assert {(resource, namespace) for _, _, resource, namespace in world.api.calls} == {
        ("pods", "fixia-app"),
        ("pods", NAMESPACE),
        ("nodes", ""),
        ("endpointslices", "default"),
        ("services", "default"),
        ("pods", "default"),
    }


def test_every_alertmanager_is_told_by_password(world: World) -> None:
    for each in world.alertmanagers:
        (alert,) = eventually(
            lambda each=each: [  # type: ignore[misc]
                alert for alerts in each.told for alert in alerts if alert["labels"]["alertname"] == "Always"
            ][:1],
            "the alert is told",
        )
        assert alert["labels"] == {
            "alertname": "Always",
            "severity": "P4",
            "product": "fixia",
            "environment": "test",
        }
        assert alert["generatorURL"].startswith(f"https://prometheus.{NAMESPACE}.svc:{world.pod.port}/")


def test_rules_are_recorded(world: World) -> None:
    eventually(lambda: [each["value"] for each in world.pod.query("shop:requests")] == [7], "it is recorded")


@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
def test_the_probes_know_whether_it_answers(world: World, kind: str) -> None:
    code, said = world.pod.probe("prometheus", world.running, kind)
    assert code == 0, said
    world.pod.write_secret("password", "another")
    try:
        code, said = world.pod.probe("prometheus", world.running, kind)
        assert code != 0
        assert "401" in said
    finally:
        world.pod.write_secret("password", PASSWORD)


def test_every_metric_that_its_alerts_ask_for_is_there(world: World) -> None:
    asked = {
        name
        for alert in (*self_alerts.ALERTS, *self_alerts.storage(30, ".*"))
        for name in re.findall(r"\bprometheus_\w+", alert.expression)
    }
    assert len(asked) > 15

    def told() -> set[str]:
        return set(re.findall(r"^(prometheus_\w+)", world.pod.ask("/metrics")[1], re.MULTILINE))

    assert eventually(lambda: asked <= told() or None, f"never told: {asked - told()}")


@pytest.mark.parametrize("alert", self_alerts.ALERTS, ids=lambda alert: alert.name)
def test_what_an_alert_compares_is_there_to_be_compared(world: World, alert: Alert) -> None:
    """Metrics whose labels differ would never come together, and the alert never."""
    compared = re.sub(r"( == 0 unless .*| (==|<|>) [\d.]+)$", "", alert.expression)
    assert compared != alert.expression
    world.series(compared)


def runbook_queries() -> dict[str, str]:
    """Every question of the runbooks to Prometheus."""
    return {
        f"{page.name}: {query}": query
        for page in sorted((ROOT / "docs" / "runbooks").glob("*.md"))
        for query in re.findall(r"\$P '([^']+)'", page.read_text(encoding="utf-8"))
        if "/etc/prometheus/client.yml" in page.read_text(encoding="utf-8")
    }


def test_what_the_runbooks_have_an_operator_ask_is_answered(world: World) -> None:
    queries = runbook_queries()
    assert len(queries) > 8
    for name, query in queries.items():
        status, text = world.pod.ask(f"/api/v1/query?query={quote(query)}")
        assert status == 200, f"{name}: {text}"
    asks = ["promtool", "query", "instant", "--http.config.file=/etc/prometheus/client.yml"]
    ended = world.running.execute([*asks, f"https://localhost:{world.pod.port}", "up"], timeout=30)
    assert ended.code == 0, ended.tail()
    assert 'job="shop"' in "\n".join(ended.lines)


def test_no_password_is_in_an_argument_a_log_or_what_it_tells(world: World) -> None:
    told = [
        *world.pod.containers["prometheus"]["args"],
        world.pod.log("prometheus"),
        world.pod.api_data("status/config")["yaml"],
    ]
    for password in (PASSWORD, THEIRS, TOKEN):
        assert not any(password in text for text in told)


def test_nothing_that_was_written_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    with Server(open_to_all(APPLICATION)) as application:
        shop = endpoint(IDENTITY, "shop", "fixia-app", application.port)
        pod = PrometheusPod(
            tmp_path / "pod", [Watch(name="shop", targets=[Target(job="shop", endpoint=shop)])]
        )
        with pod.api() as api:
            api.pod("shop-1", shop)
            with pod.serving() as running:
                eventually(lambda: pod.query("count_over_time(requests_total[1h])"), "it was scraped")
                before = pod.query("count_over_time(requests_total[1h])")[0]["value"]
                running.send_signal(signal.SIGKILL)
                running.wait(10)
        with pod.serving():  # no API server: nothing new is found
            after = pod.query("count_over_time(requests_total[1h])")
            assert after[0]["value"] >= before


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    """A target that shows a certificate of somebody else's is not told the password."""
    (tmp_path / "tls").mkdir()
    shown: list[str | None] = []

    def stranger(_path: str, headers: Any) -> tuple[int, str]:
        shown.append(headers.get("Authorization"))
        return 200, "stranger 1\n"

    sign(tmp_path / "tls", tmp_path / "another", names=[f"alertmanager.{NAMESPACE}.svc"])
    with Server(stranger, tmp_path / "tls") as server:
        pair = endpoint(IDENTITY, "alertmanager", NAMESPACE, server.port)
        watch = Watch(name="pair", targets=[Target(job="alertmanager", endpoint=pair, tls=True)])
        pod = PrometheusPod(tmp_path / "pod", [watch], **alertmanagers(server.port))
        with pod.api() as api:
            api.pod("alertmanager-0", pair)
            with pod.serving():
                refused = eventually(
                    lambda: [
                        each["lastError"]
                        for each in pod.api_data("targets?state=active")["activeTargets"]
                        if each["labels"]["job"] == "alertmanager" and each["lastError"]
                    ],
                    "it was refused",
                )
    assert "certificate signed by unknown authority" in refused[0]
    assert shown == []
