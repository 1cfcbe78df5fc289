"""Each alert on Prometheus and the exporters comes at its minute and keeps quiet otherwise, as Prometheus judges."""

from pathlib import Path

from components.monitoring import kube_state_metrics, self_alerts
from components.monitoring.self_alerts import DAY
from tests.artifact.alert_trials import Case, Series, judge, trials

AT = 'job="prometheus",namespace="fixia-monitoring",pod="prometheus-0",instance="10.0.0.1:9090"'
TELEMETRY = 'namespace="fixia-monitoring",pod="kube-state-metrics-1"'
HOUR = 60
"""Minutes."""


def own(metric: str, value: float | str, labels: str = "") -> Series:
    return {f"prometheus_{metric}{{{AT}{labels}}}": value}


def together(*metrics: str, counts: str) -> Series:
    """Counters of which the first counts, and the others stand still."""
    first, *others = metrics
    return {**own(first, counts), **{name: value for each in others for name, value in own(each, 0).items()}}


def turns(*metrics: str) -> list[Series]:
    """Each of the counters in its turn, once a minute."""
    return [
        together(each, *(other for other in metrics if other != each), counts="0+1x300") for each in metrics
    ]


def volume(available: float, claim: str = "prometheus-data-1a2b") -> Series:
    at = f'job="kubelet",node="one",namespace="fixia-monitoring",persistentvolumeclaim="{claim}"'
    return {
        f"kubelet_volume_stats_available_bytes{{{at}}}": available,
        f"kubelet_volume_stats_capacity_bytes{{{at}}}": 100,
    }


def up(job: str, value: float | str) -> Series:
    return {f'up{{job="{job}",instance="10.0.0.2:9121",namespace="fixia-data",pod="cache-0"}}': value}


LIMITS = (
    "target_scrapes_exceeded_sample_limit_total",
    "target_scrapes_exceeded_body_size_limit_total",
    "target_scrape_pool_exceeded_label_limits_total",
)
DROPPED = (
    "target_scrapes_sample_duplicate_timestamp_total",
    "target_scrapes_sample_out_of_order_total",
    "target_scrapes_sample_out_of_bounds_total",
)
COMPACTED = ("tsdb_compactions_failed_total", "tsdb_reloads_failures_total")
LOG = ("tsdb_wal_corruptions_total", "tsdb_wal_writes_failed_total")
GROUP = ',rule_group="/etc/prometheus-rules/cache.yaml;cache"'
PEER = ',alertmanager="https://10.0.0.3:9093/api/v2/alerts"'
SENT, ERRORS = (f"notifications_{what}_total" for what in ("sent", "errors"))

# The trials' time begins in 1970, so that the past is as long as the trial: `lowest` before it is a longer one.
SHORT = -10 * DAY
LONG = -31 * DAY


def past(lowest: int, deleted_for_size: str) -> Series:
    return {
        **own("tsdb_lowest_timestamp_seconds", lowest),
        **own("tsdb_size_retentions_total", deleted_for_size),
    }


CASES = {
    "TargetDown": Case(
        up("cache", 0), [up("cache", 1), up("kubelet", 0), up("cache", "0x4 1x200")], begins=0
    ),
    "PrometheusRefusesTarget": Case(turns(*LIMITS), together(*LIMITS, counts="5x300"), begins=1),
    "PrometheusDropsSamples": Case(turns(*DROPPED), together(*DROPPED, counts="5x300"), begins=1),
    "PrometheusFindsNoTargets": Case(
        own("sd_kubernetes_failures_total", "0+1x300"),
        [own("sd_kubernetes_failures_total", "0x10 1x300"), own("sd_kubernetes_failures_total", 5)],
        begins=1,
    ),
    "PrometheusManySeries": Case(own("tsdb_head_series", 60_001), own("tsdb_head_series", 60_000), begins=0),
    "PrometheusRuleFails": Case(
        own("rule_evaluation_failures_total", "0+1x300", GROUP),
        own("rule_evaluation_failures_total", 9, GROUP),
        begins=1,
    ),
    "PrometheusRulesLate": Case(
        own("rule_group_iterations_missed_total", "0+1x300", GROUP),
        own("rule_group_iterations_missed_total", "0x20 1x300", GROUP),
        begins=1,
    ),
    "PrometheusConfigurationNotLoaded": Case(
        own("config_last_reload_successful", 0), own("config_last_reload_successful", 1), begins=0
    ),
    "PrometheusKnowsNoAlertmanager": Case(
        own("notifications_alertmanagers_discovered", 0),
        [
            own("notifications_alertmanagers_discovered", 1),
            own("notifications_alertmanagers_discovered", "0x4 2x200"),
        ],
        begins=0,
    ),
    "PrometheusNotificationsDropped": Case(
        own("notifications_dropped_total", "0+2x300"),
        [
            own("notifications_dropped_total", 7),
            {
                **own("notifications_dropped_total", "0+2x300", PEER),
                **own("notifications_dropped_total", 0, PEER.replace("10.0.0.3", "10.0.0.4")),
            },
        ],
        begins=1,
    ),
    "PrometheusNotificationsFail": Case(
        {**own(ERRORS, "0+2x300", PEER), **own(SENT, "0+100x300", PEER)},
        [
            {**own(ERRORS, "0+1x300", PEER), **own(SENT, "0+200x300", PEER)},
            {**own(ERRORS, 0, PEER), **own(SENT, 0, PEER)},
        ],
        begins=1,
    ),
    "PrometheusCompactionFails": Case(
        turns(*COMPACTED), together(*COMPACTED, counts="3x300"), begins=1, minutes=3 * HOUR
    ),
    "PrometheusLogCorrupt": Case(turns(*LOG), together(*LOG, counts="1x300"), begins=1),
    "PrometheusRetentionShort": Case(
        past(SHORT, "0x20 1x3000"),
        [past(LONG, "0x20 1x3000"), past(SHORT, "1x3000")],
        minutes=10 * HOUR,
    ),
    "PrometheusVolumeFull": Case(volume(9), [volume(11), volume(9, "cache-data-1a2b")], begins=0),
    "KubeStateMetricsCannotRead": Case(
        [
            {f'kube_state_metrics_list_total{{{TELEMETRY},resource="*v1.Pod",result="error"}}': "0+1x300"},
            {f'kube_state_metrics_watch_total{{{TELEMETRY},resource="*v1.Pod",result="error"}}': "0+1x300"},
        ],
        [
            {f'kube_state_metrics_list_total{{{TELEMETRY},resource="*v1.Pod",result="success"}}': "0+1x300"},
            {f'kube_state_metrics_list_total{{{TELEMETRY},resource="*v1.Pod",result="error"}}': "0x5 2x300"},
            {f'kube_state_metrics_watch_total{{{TELEMETRY},resource="*v1.Pod",result="error"}}': "0x5 3x300"},
        ],
    ),
    "KubeStateMetricsSilent": Case(
        [{'kube_pod_info{pod="a"}': 1}, {'kube_node_info{node="a"}': 1}],
        {'kube_pod_info{pod="a"}': 1, 'kube_node_info{node="a"}': 1},
        begins=0,
    ),
}

ALERTS = (
    *self_alerts.ALERTS,
    *self_alerts.storage(30, "prometheus-data.*"),
    *kube_state_metrics.ALERTS,
)


def test_each_comes_when_it_must_and_keeps_quiet_otherwise(tmp_path: Path) -> None:
    judge(tmp_path, ALERTS, trials(ALERTS, CASES))
