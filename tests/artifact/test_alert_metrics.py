"""What the data tier's alerts and dashboards ask for exists: in the real exporters' output, or by its source."""

import re
import urllib.request
from pathlib import Path

from components.data import alerts
from components.data.dashboard import dashboards
from tests.artifact.cache_pod import CachePod
from tests.artifact.database_pod import DatabasePod
from tests.artifact.pod import eventually
from tests.artifact.pool_world import world
from tests.unit.test_dashboard import queries

ALERTS = (*alerts.DATABASE, *alerts.POOLED, *alerts.CACHED, *alerts.NIGHTLY, *alerts.MACHINES)

ELSEWHERE = {
    # Source: kube-state-metrics 2.20, docs/metrics/workload/*.md
    "kube_cronjob_created": {"namespace", "cronjob"},
    "kube_cronjob_status_last_successful_time": {"namespace", "cronjob"},
    "kube_job_failed": {"namespace", "job_name", "condition"},
    "kube_job_status_start_time": {"namespace", "job_name"},
    "kube_pod_container_resource_limits": {"namespace", "pod", "container", "resource", "unit", "node"},
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container", "uid"},
    # Source: cAdvisor 0.52, docs/storage/prometheus.md; labels as the kubelet serves them
    "container_memory_working_set_bytes": {"namespace", "pod", "container"},
    # Source: Kubernetes 1.35, Instrumentation / Kubernetes Metrics Reference
    "kubelet_volume_stats_available_bytes": {"namespace", "persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"namespace", "persistentvolumeclaim"},
}
"""Metrics of exporters that are not run here, and their labels."""

ADDED = {"namespace", "pod", "job", "instance"}
"""Labels that the scrape adds."""


def asked(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression, each with the labels that it is filtered by."""
    found: dict[str, set[str]] = {}
    for name, filters in re.findall(
        r"\b((?:pg|pgbouncer|redis|kube|kubelet|container)_\w+)(\{[^}]*\})?", expression
    ):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", filters))
    return found


EXPRESSIONS = {
    **{alert.name: alert.expression for alert in ALERTS},
    **{f"{title}: {query}": query for title, board in dashboards().items() for query in queries(board)},
}


def test_metrics_are_found_in_expressions() -> None:
    said = 'sum by (pod) (rate(pg_a{x="1",y!~"z.*"}[5m])) / on (pod) kube_b > 0.5 and absent(redis_up)'
    assert asked(said) == {"pg_a": {"x", "y"}, "kube_b": set(), "redis_up": set()}


def wanted(prefix: str) -> dict[str, set[str]]:
    """All metrics of one exporter that anything asks for."""
    found: dict[str, set[str]] = {}
    for expression in EXPRESSIONS.values():
        for name, labels in asked(expression).items():
            if name.startswith(prefix):
                found.setdefault(name, set()).update(labels)
    return found


def scraped(text: str) -> dict[str, set[str]]:
    """The metrics of an exporter's output, with all their labels."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z]\w*)(\{.*\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def scrape(port: int) -> dict[str, set[str]] | None:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
            return scraped(answer.read().decode())
    except OSError:
        return None


def missing(prefix: str, port: int) -> list[str]:
    """What is asked for and not there: metrics, and labels that they do not have."""
    seen = eventually(lambda: scrape(port), "metrics")
    asked_for = wanted(prefix)
    metrics = sorted(asked_for.keys() - seen.keys())
    labels = [
        f"{name}{{{label}}}"
        for name in asked_for.keys() & seen.keys()
        for label in sorted(asked_for[name] - ADDED - seen[name])
    ]
    assert asked_for
    return [*metrics, *labels]


def test_every_expression_asks_for_something() -> None:
    assert [name for name, expression in EXPRESSIONS.items() if not asked(expression)] == []


def test_what_is_not_run_here_is_known_by_its_source() -> None:
    for expression in EXPRESSIONS.values():
        for name, labels in asked(expression).items():
            if name.startswith(("kube_", "kubelet_", "container_")):
                assert labels <= ELSEWHERE[name], name


def test_the_databases_exporter_has_what_is_asked_for(tmp_path: Path) -> None:
    pod = DatabasePod(tmp_path / "pod")
    with pod.serving() as server, pod.run("exporter"):
        pod.root(
            server,
            "CREATE TABLE public.there (id int)",
            "INSERT INTO public.there VALUES (1)",
            "SELECT pg_create_physical_replication_slot('there', true)",
            "SELECT pg_stat_force_next_flush()",
        )
        # Tables and slots that are new are told after a moment.
        eventually(lambda: not missing("pg_", pod.metrics_port), "everything is collected", 15)


def test_the_pools_exporter_has_what_is_asked_for(tmp_path: Path) -> None:
    with (
        world(tmp_path) as (_, pod),
        pod.serving(),
        pod.run("exporter", command=["prometheus-pgbouncer-exporter"]),
        pod.client() as client,
    ):
        assert client("SELECT 1")
        eventually(lambda: not missing("pgbouncer_", pod.metrics_port), "everything is collected", 15)


def test_the_caches_exporter_has_what_is_asked_for(tmp_path: Path) -> None:
    pod = CachePod(tmp_path)
    with pod.serving() as (_, client), pod.run("exporter", command=["prometheus-redis-exporter"]):
        client("SET", "key", "value")
        assert missing("redis_", pod.metrics_port) == []
