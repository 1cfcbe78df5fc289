"""What the data tier's alerts and dashboards ask for exists: in the real exporters' output, or by its source."""

import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from components.data import alerts
from components.monitoring import watches
from components.monitoring.application_alerts import at_entrance
from components.monitoring.slo import promised
from tests.artifact.cache_pod import CachePod
from tests.artifact.database_pod import DatabasePod
from tests.artifact.pod import eventually
from tests.artifact.pool_world import world
from tests.artifact.promtool import judged
from tests.recorder import ROOT
from tests.unit.test_boards import BOARDS, queries

ALERTS = (*alerts.DATABASE, *alerts.POOLED, *alerts.CACHED, *alerts.NIGHTLY, *alerts.MACHINES)
WATCHED = (
    watches.of_cluster(),
    watches.of_nodes(),
    watches.of_application([at_entrance("fixia-app", "api")]),
    watches.of_slos(promised("api", at_entrance("fixia-app", "api"))),
    watches.of_absences(["database"]),
    watches.of_business(),
)
"""What the monitoring brings beside the components' own."""

POD = {"namespace", "pod"}
OF_CONTAINER = {*POD, "container"}
DEPLOYMENT = {"namespace", "deployment"}
STATEFUL = {"namespace", "statefulset"}
DAEMON = {"namespace", "daemonset"}
JOB = {"namespace", "job_name"}
CRON = {"namespace", "cronjob"}
AUTOSCALER = {"namespace", "horizontalpodautoscaler"}
BUDGET = {"namespace", "poddisruptionbudget"}
CLAIM = {"namespace", "persistentvolumeclaim"}
IN_CGROUP = {*OF_CONTAINER, "id", "image", "name"}
REASON, CONDITION = {"reason"}, {"condition", "status"}
RESOURCE = {"resource", "unit", "node"}

ELSEWHERE = {
    # Source: kube-state-metrics 2.20, docs/metrics/*/*.md
    "kube_cronjob_created": CRON,
    "kube_cronjob_next_schedule_time": CRON,
    "kube_cronjob_spec_suspend": CRON,
    "kube_cronjob_status_last_successful_time": CRON,
    "kube_daemonset_status_desired_number_scheduled": DAEMON,
    "kube_daemonset_status_number_ready": DAEMON,
    "kube_daemonset_status_updated_number_scheduled": DAEMON,
    "kube_deployment_spec_replicas": DEPLOYMENT,
    "kube_deployment_status_condition": DEPLOYMENT | CONDITION | REASON,
    "kube_deployment_status_replicas_available": DEPLOYMENT,
    "kube_horizontalpodautoscaler_spec_max_replicas": AUTOSCALER,
    "kube_horizontalpodautoscaler_spec_min_replicas": AUTOSCALER,
    "kube_horizontalpodautoscaler_status_condition": AUTOSCALER | CONDITION,
    "kube_horizontalpodautoscaler_status_current_replicas": AUTOSCALER,
    "kube_job_failed": {*JOB, "condition"},
    "kube_job_status_active": JOB,
    "kube_job_status_start_time": JOB,
    "kube_node_info": {"node", "kubelet_version"},
    "kube_node_spec_unschedulable": {"node"},
    "kube_node_status_allocatable": RESOURCE,
    "kube_node_status_condition": {"node", *CONDITION},
    "kube_persistentvolumeclaim_status_phase": {*CLAIM, "phase"},
    "kube_pod_container_resource_limits": OF_CONTAINER | RESOURCE,
    "kube_pod_container_resource_requests": OF_CONTAINER | RESOURCE,
    "kube_pod_container_status_last_terminated_reason": OF_CONTAINER | REASON | {"uid"},
    "kube_pod_container_status_restarts_total": {*OF_CONTAINER, "uid"},
    "kube_pod_container_status_waiting_reason": OF_CONTAINER | REASON | {"uid"},
    "kube_pod_info": {*POD, "node", "uid"},
    "kube_pod_init_container_status_waiting_reason": OF_CONTAINER | REASON | {"uid"},
    "kube_pod_status_phase": {*POD, "phase", "uid"},
    "kube_pod_status_ready": {*POD, "condition", "uid"},
    "kube_poddisruptionbudget_status_expected_pods": BUDGET,
    "kube_poddisruptionbudget_status_pod_disruptions_allowed": BUDGET,
    "kube_resourcequota": {"namespace", "resourcequota", "resource", "type"},
    "kube_statefulset_replicas": STATEFUL,
    "kube_statefulset_status_current_revision": {*STATEFUL, "revision"},
    "kube_statefulset_status_replicas_ready": STATEFUL,
    "kube_statefulset_status_update_revision": {*STATEFUL, "revision"},
    # Source: cAdvisor 0.52, docs/storage/prometheus.md; labels as the kubelet serves them
    "container_cpu_cfs_periods_total": IN_CGROUP,
    "container_cpu_cfs_throttled_periods_total": IN_CGROUP,
    "container_cpu_usage_seconds_total": {*IN_CGROUP, "cpu"},
    "container_fs_limit_bytes": {*IN_CGROUP, "device"},
    "container_fs_usage_bytes": {*IN_CGROUP, "device"},
    "container_memory_working_set_bytes": IN_CGROUP,
    "container_network_receive_bytes_total": {*POD, "id", "image", "name", "interface"},
    "container_network_transmit_bytes_total": {*POD, "id", "image", "name", "interface"},
    "container_oom_events_total": IN_CGROUP,
    # Source: Kubernetes 1.35, Instrumentation / Kubernetes Metrics Reference
    "apiserver_request_duration_seconds_bucket": {"verb", "resource", "subresource", "scope", "le"},
    "apiserver_request_total": {"verb", "resource", "subresource", "scope", "code"},
    "kubelet_volume_stats_available_bytes": CLAIM,
    "kubelet_volume_stats_capacity_bytes": CLAIM,
    "kubelet_volume_stats_inodes": CLAIM,
    "kubelet_volume_stats_inodes_used": CLAIM,
    # Source: Prometheus, Concepts / Jobs and instances; Configuration / Alerting rules
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_max_fds": set(),
    "process_open_fds": set(),
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
    # Source: cert-manager, docs/devops-tips/prometheus-metrics
    "certmanager_certificate_expiration_timestamp_seconds": {"name", "namespace"},
    "certmanager_certificate_ready_status": {"name", "namespace", "condition"},
    # Source: Grafana 13, pkg/middleware/request_metrics.go and pkg/infra/metrics
    "grafana_build_info": {"version"},
    "grafana_http_request_duration_seconds_bucket": {"handler", "status_code", "method", "le"},
    "grafana_http_request_duration_seconds_count": {"handler", "status_code", "method"},
    "ALERTS": {"alertname", "alertstate", "severity"},
}
"""Metrics of programs that are not run here, and their labels."""

RUN = {
    "the data tier's exporters": "(pg|pgbouncer|redis)_",
    "node-exporter": "node_",
    "the blackbox exporter": "probe_",
    "the entrance": "traefik_",
    "the application": "(app_info|active_users|(http|queue|jobs|nodejs|db|signups|payments|websocket)_\\w+)$",
    "the API server": "(apiserver|pod_security)_",
    "kube-state-metrics": "kube_(?!state_metrics)",
    "Prometheus": "(prometheus_|scrape_)",
    "Alertmanager": "alertmanager_",
    "the backups' monitor": "backup_",
    "the platform's own facts": "platform_",
    "the logs' collector": "(otelcol_|log_records_total)",
    "Loki": "loki_",
}
"""Whose metrics are looked for in what they really tell, here or in a test of their own -> their names."""

ADDED = {"namespace", "pod", "node", "job", "instance"}
"""Labels that the scrape adds."""

_TOKEN = re.compile(
    r"""
      "[^"]*" | \[[^]]*\] | \b\d[\w.]* | \boffset\s+\w+
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)
    | ([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w|\s*\(|\s*(?:by|without)\b)
    """,
    re.VERBOSE,
)
"""Texts, ranges, numbers and offsets; groupings and their labels; metrics and their filters."""

_WORDS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"}


def asked(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression, each with the labels that it is filtered by."""
    found: dict[str, set[str]] = {}
    for _, name, filters in _TOKEN.findall(expression):
        if name and name not in _WORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", filters))
    return found


def grouped(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    return {label for labels, _, _ in _TOKEN.findall(expression) for label in re.findall(r"\w+", labels)}


def queries_of(page: str) -> list[str]:
    """What a runbook has somebody ask Prometheus, a line each."""
    blocks = re.findall(
        r"^```promql\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [query for block in blocks for query in block.splitlines()]


def told(query: str) -> str:
    """A board's question without what Grafana fills in."""
    return query.replace("$__rate_interval", "4m").replace("$__range", "1h")


LOOKED_UP = {
    f"{page}: {query}": query
    for page in sorted({alert.runbook for watch in WATCHED for alert in watch.alerts})
    for query in queries_of(page)
}
"""What the runbooks have somebody ask."""
RECORDED = {recording.record: recording for watch in WATCHED for recording in watch.recordings}
EXPRESSIONS = {
    **{alert.name: alert.expression for alert in ALERTS},
    **{f"{title}: {query}": told(query) for title, board in BOARDS.items() for query in queries(board)},
    **{alert.name: alert.expression for watch in WATCHED for alert in watch.alerts},
    **{record: recording.expression for record, recording in RECORDED.items()},
    **LOOKED_UP,
}
CONSTANT = {"Watchdog", "slo:objective:ratio", "slo:error_budget:ratio"}
"""Expressions that ask for nothing."""


def test_metrics_are_found_in_expressions() -> None:
    said = 'sum by (pod) (rate(pg_a{x="1",y!~"z.*"}[5m])) / on (pod) kube_b > 0.5 and absent(redis_up)'
    assert asked(said) == {"pg_a": {"x", "y"}, "kube_b": set(), "redis_up": set()}
    said = (
        'label_replace(a:b:c offset 1w > on (y) group_left 3e8 * d_e{z="f_g"}, "slo", "x_y", "", "") unless h'
    )
    assert asked(said) == {"a:b:c": set(), "d_e": {"z"}, "h": set()}
    assert grouped(said) == {"y"}


def wanted(pattern: str) -> dict[str, set[str]]:
    """All metrics of one exporter that anything asks for, by the pattern that their names begin with."""
    found: dict[str, set[str]] = {}
    for expression in EXPRESSIONS.values():
        for name, labels in asked(expression).items():
            if re.match(pattern, name):
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


def missing(pattern: str, port: int) -> list[str]:
    """What is asked of an exporter and not there: metrics, and labels that they do not have."""
    return unseen(pattern, eventually(lambda: scrape(port), "metrics"))


def unseen(pattern: str, seen: Mapping[str, set[str]]) -> list[str]:
    """The same of metrics that were told already, and the labels that nothing of an expression has to group by."""
    asked_for = wanted(pattern)
    assert asked_for
    metrics = sorted(asked_for.keys() - seen.keys())
    labels = [
        f"{name}{{{label}}}"
        for name in asked_for.keys() & seen.keys()
        for label in sorted(asked_for[name] - ADDED - seen[name])
    ]
    return [*metrics, *labels, *(() if metrics else sorted(ungrouped(seen)))]


def ungrouped(seen: Mapping[str, set[str]]) -> set[str]:
    """Labels by which these metrics are grouped, and which none of them has."""
    return {
        f"{title}: by {label}"
        for title, expression in EXPRESSIONS.items()
        if (names := asked(expression)) and names.keys() <= seen.keys()
        for label in grouped(expression) - ADDED - {label for name in names for label in seen[name]}
    }


def test_every_expression_asks_for_something() -> None:
    silent = {
        name for name, expression in EXPRESSIONS.items() if not asked(expression) and "vector(" not in name
    }
    assert silent == CONSTANT


def test_somebody_tells_whatever_is_asked_for() -> None:
    """A metric is recorded here, known by its source, or looked for in what a real program tells."""
    for title, expression in EXPRESSIONS.items():
        for name, labels in asked(expression).items():
            if any(re.match(pattern, name) for pattern in RUN.values()):
                continue
            if name in RECORDED:
                # Every series of a promise has its name.
                named = {"slo"} if name.startswith("slo:") else set()
                assert labels <= grouped(RECORDED[name].expression) | named, title
            else:
                assert labels <= ELSEWHERE[name] | ADDED, f"{title}: {name}"


def test_what_is_known_by_its_source_has_what_it_is_grouped_by() -> None:
    assert ungrouped(ELSEWHERE) == set()


def test_what_is_known_by_its_source_is_asked_for() -> None:
    everything = {name for expression in EXPRESSIONS.values() for name in asked(expression)}
    assert ELSEWHERE.keys() <= everything


def test_prometheus_parses_every_query_of_the_runbooks() -> None:
    assert len(LOOKED_UP) > 20
    for title, query in LOOKED_UP.items():
        code, said = judged("promql", "format", query, "--experimental")
        assert code == 0, f"{title}: {said}"


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
