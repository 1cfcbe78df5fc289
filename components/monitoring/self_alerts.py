"""When Prometheus itself needs somebody: what it does not see, does not keep, or gets told to nobody.

That it is down altogether no alert of its own can say: the dead man's switch does, and that a job has no
target at all `components.monitoring.watchdog`. The metrics are those of Prometheus 2.53; 3 has them all.
Source: https://prometheus.io/docs/practices/alerting/#metamonitoring
"""

from typing import Final

from components.watch import Alert

DAY: Final = 86400
"""Seconds."""

MOST_SERIES: Final = 60_000
"""At one sample in 30 seconds and 1.5 bytes each, 30 days of so many take 8 GB."""

_RUNBOOKS: Final = "docs/runbooks"
TARGET: Final = f"{_RUNBOOKS}/target-down.md"
SCRAPES: Final = f"{_RUNBOOKS}/prometheus-scrapes.md"
RULES: Final = f"{_RUNBOOKS}/prometheus-rules.md"
NOTIFICATIONS: Final = f"{_RUNBOOKS}/prometheus-notifications.md"
STORAGE: Final = f"{_RUNBOOKS}/prometheus-storage.md"


def storage(retention_days: int, claim: str) -> tuple[Alert, ...]:
    """When the past is in danger.

    Args:
        retention_days: how long it should be kept.
        claim: a pattern of the volume claim's name.
    """
    selected = f'{{persistentvolumeclaim=~"{claim}"}}'
    free = "min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes"
    whole = "max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes"
    return (
        Alert(
            name="PrometheusRetentionShort",
            # A block of three days goes at once, so the last time that its size was why may be days ago.
            expression=f"time() - prometheus_tsdb_lowest_timestamp_seconds < {retention_days * DAY} "
            "and increase(prometheus_tsdb_size_retentions_total[4d]) > 0",
            minutes=60,
            severity="P3",
            summary="Metrics are kept for {{ $value | humanizeDuration }} alone, not for "
            f"{retention_days} days: they have outgrown the volume",
            runbook=STORAGE,
        ),
        Alert(
            name="PrometheusVolumeFull",
            expression=f"{free}{selected}) / {whole}{selected}) < 0.1",
            minutes=15,
            severity="P2",
            summary="Prometheus' volume {{ $labels.persistentvolumeclaim }} has "
            "{{ $value | humanizePercentage }} left; without any it sees and tells nothing",
            runbook=STORAGE,
        ),
    )


def _of_rules(metric: str) -> str:
    return f"sum by (namespace, pod, rule_group) (increase({metric}[5m]))"


ALERTS: Final = (
    Alert(
        name="TargetDown",
        # Of a kubelet KubeletDown says more.
        expression='up == 0 unless up{job="kubelet"}',
        minutes=5,
        severity="P2",
        summary="{{ $labels.job }} at {{ $labels.instance }} does not tell its metrics: its alerts are blind",
        runbook=TARGET,
    ),
    Alert(
        name="PrometheusRefusesTarget",
        expression="increase(prometheus_target_scrapes_exceeded_sample_limit_total[10m]) "
        "+ increase(prometheus_target_scrapes_exceeded_body_size_limit_total[10m]) "
        "+ increase(prometheus_target_scrape_pool_exceeded_label_limits_total[10m]) > 0",
        minutes=10,
        severity="P2",
        summary="A target tells more than is taken from one: it is not watched at all",
        runbook=SCRAPES,
    ),
    Alert(
        name="PrometheusDropsSamples",
        expression="rate(prometheus_target_scrapes_sample_duplicate_timestamp_total[10m]) "
        "+ rate(prometheus_target_scrapes_sample_out_of_order_total[10m]) "
        "+ rate(prometheus_target_scrapes_sample_out_of_bounds_total[10m]) > 0",
        minutes=30,
        severity="P3",
        summary="{{ $value | humanize }} samples a second are dropped: two series look the same, "
        "or a clock is off",
        runbook=SCRAPES,
    ),
    Alert(
        name="PrometheusFindsNoTargets",
        expression="sum by (namespace, pod) (increase(prometheus_sd_kubernetes_failures_total[10m])) > 0",
        minutes=10,
        severity="P2",
        summary="Prometheus may not, or cannot, ask the API server for pods: new ones are not watched",
        runbook=SCRAPES,
    ),
    Alert(
        name="PrometheusManySeries",
        expression=f"prometheus_tsdb_head_series > {MOST_SERIES}",
        minutes=60,
        severity="P3",
        summary="{{ $value | humanize }} series: the volume will not hold 30 days of so many",
        runbook=STORAGE,
    ),
    Alert(
        name="PrometheusRuleFails",
        expression=f"{_of_rules('prometheus_rule_evaluation_failures_total')} > 0",
        minutes=5,
        severity="P2",
        summary="A rule of {{ $labels.rule_group }} cannot be evaluated: its alert can't come",
        runbook=RULES,
    ),
    Alert(
        name="PrometheusRulesLate",
        expression=f"{_of_rules('prometheus_rule_group_iterations_missed_total')} > 0",
        minutes=15,
        severity="P3",
        summary="The rules of {{ $labels.rule_group }} take longer than the time between two evaluations",
        runbook=RULES,
    ),
    Alert(
        name="PrometheusConfigurationNotLoaded",
        expression="prometheus_config_last_reload_successful == 0",
        minutes=5,
        severity="P2",
        summary="Prometheus refuses its configuration and goes on with the one before",
        runbook=RULES,
    ),
    Alert(
        name="PrometheusKnowsNoAlertmanager",
        expression="prometheus_notifications_alertmanagers_discovered < 1",
        minutes=5,
        severity="P1",
        summary="Prometheus finds no Alertmanager: no alert reaches anybody",
        runbook=NOTIFICATIONS,
    ),
    Alert(
        name="PrometheusNotificationsDropped",
        # 3 counts for each Alertmanager; that one of two is down is not this.
        expression="min by (namespace, pod) (increase(prometheus_notifications_dropped_total[5m])) > 0",
        minutes=5,
        severity="P1",
        summary="{{ $value | humanize }} alerts reached no Alertmanager in five minutes",
        runbook=NOTIFICATIONS,
    ),
    Alert(
        name="PrometheusNotificationsFail",
        expression="rate(prometheus_notifications_errors_total[5m]) "
        "/ rate(prometheus_notifications_sent_total[5m]) > 0.01",
        minutes=15,
        severity="P2",
        summary="{{ $labels.alertmanager }} does not take {{ $value | humanizePercentage }} of the alerts",
        runbook=NOTIFICATIONS,
    ),
    Alert(
        name="PrometheusCompactionFails",
        expression="increase(prometheus_tsdb_compactions_failed_total[3h]) "
        "+ increase(prometheus_tsdb_reloads_failures_total[3h]) > 0",
        minutes=60,
        severity="P2",
        summary="Prometheus cannot compact or read its blocks: its log grows until the volume is full",
        runbook=STORAGE,
    ),
    Alert(
        name="PrometheusLogCorrupt",
        expression="increase(prometheus_tsdb_wal_corruptions_total[3h]) "
        "+ increase(prometheus_tsdb_wal_writes_failed_total[3h]) > 0",
        minutes=1,
        severity="P2",
        summary="The log of the last hours' metrics is damaged or can't be written",
        runbook=STORAGE,
    ),
)
"""What needs no more than Prometheus' own metrics."""
