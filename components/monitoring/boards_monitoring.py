"""Who watches the watchers: Prometheus, Alertmanager, Grafana and what they ask."""

from typing import Final

from components.board import RATE, Board, Panel, files, now, quantile, rate
from components.monitoring.boards_shared import ALERTS, SAFE, URGENT_ALERTS

_COLLECTED: Final = (
    URGENT_ALERTS,
    Panel(
        title="Targets that do not answer",
        description="Pods that should tell their metrics and don't.",
        unit="short",
        look="number",
        steps=SAFE,
        queries={"down": "count(up == 0) or vector(0)"},
    ),
    Panel(
        title="How far back",
        description="The age of the oldest sample; 30 days are promised. Less after the volume was full: "
        "samples are dropped by size first.",
        unit="s",
        look="number",
        width=8,
        queries={"oldest": "time() - min(prometheus_tsdb_lowest_timestamp_seconds)"},
    ),
    Panel(
        title="Samples on disk",
        description="Of the most that there may be, what there is. At 1 the oldest are dropped.",
        unit="percentunit",
        look="number",
        width=8,
        queries={
            "{{pod}}": f"{now('prometheus_tsdb_storage_blocks_bytes', how='max')} "
            f"/ ({now('prometheus_tsdb_retention_limit_bytes', how='max')} > 0)"
        },
    ),
    ALERTS,
    Panel(
        title="Series",
        description="In memory. It grows with pods and routes; a slope without end is a label that never "
        "repeats.",
        unit="short",
        queries={"{{pod}}": now("prometheus_tsdb_head_series", how="max")},
    ),
    Panel(
        title="Samples",
        description="Taken in, in a second.",
        unit="cps",
        queries={"{{pod}}": rate("prometheus_tsdb_head_samples_appended_total")},
    ),
    Panel(
        title="Samples by job",
        description="In each scrape. What grows here is what fills the memory and the disk.",
        unit="short",
        queries={"{{job}}": now("scrape_samples_scraped", by="job")},
    ),
    Panel(
        title="Time of a scrape",
        description="The longest of each job. At 10 seconds it is given up.",
        unit="s",
        queries={"{{job}}": now("scrape_duration_seconds", by="job", how="max")},
    ),
    Panel(
        title="Refused targets",
        description="That tell more than anybody should. None.",
        unit="short",
        queries={"{{pod}}": rate("prometheus_target_scrapes_exceeded_sample_limit_total")},
    ),
    Panel(
        title="Memory",
        description="Of Prometheus, Alertmanager and Grafana, by process.",
        unit="bytes",
        queries={
            "{{job}}": "max by (job) (process_resident_memory_bytes and on (pod) "
            "(prometheus_build_info or alertmanager_build_info or grafana_build_info))"
        },
    ),
)

_JUDGED: Final = (
    Panel(
        title="Rules that fail",
        description="Evaluations in a second that ended with an error. None: such an alert can't come.",
        unit="ops",
        queries={"{{rule_group}}": rate("prometheus_rule_evaluation_failures_total", by="rule_group")},
    ),
    Panel(
        title="Time of the rules",
        description="Of each group's last evaluation. They come every half minute and must be done by then.",
        unit="s",
        queries={
            "{{rule_group}}": now("prometheus_rule_group_last_duration_seconds", by="rule_group", how="max")
        },
    ),
    Panel(
        title="Time of a question",
        description="What 99 of 100 take inside Prometheus, by what is done.",
        unit="s",
        queries={"{{slice}}": 'max by (slice) (prometheus_engine_query_duration_seconds{quantile="0.99"})'},
    ),
    Panel(
        title="Alerts passed on",
        description="From Prometheus to each Alertmanager.",
        unit="ops",
        queries={
            "to {{alertmanager}}": rate("prometheus_notifications_sent_total", by="alertmanager"),
            "failed to {{alertmanager}}": rate("prometheus_notifications_errors_total", by="alertmanager"),
        },
    ),
    Panel(
        title="Alerts that were lost",
        description="That Prometheus could pass on to nobody. None.",
        unit="ops",
        queries={"{{pod}}": rate("prometheus_notifications_dropped_total")},
    ),
)

_TOLD: Final = (
    Panel(
        title="Alerts at Alertmanager",
        description="By state; suppressed are silenced, or told by a greater one.",
        unit="short",
        queries={"{{state}}": now("alertmanager_alerts", by="state", how="max")},
    ),
    Panel(
        title="Messages",
        description="To people, by the way they go; and those that did not arrive. What fails is tried "
        "again.",
        unit="ops",
        queries={
            "{{integration}}": rate("alertmanager_notifications_total", by="integration"),
            "failed {{integration}}": rate("alertmanager_notifications_failed_total", by="integration"),
        },
    ),
    Panel(
        title="Time of a message (p95)",
        description="Until the other side has taken it.",
        unit="s",
        queries={
            "{{integration}}": quantile(0.95, "alertmanager_notification_latency_seconds", by="integration")
        },
    ),
    Panel(
        title="Silences",
        description="By state. An active one hides what is wrong: each has an end and a reason.",
        unit="short",
        queries={"{{state}}": now("alertmanager_silences", by="state", how="max")},
    ),
    Panel(
        title="Alertmanagers that know each other",
        description="As many as there are pods. Fewer: both tell, and nobody is told less.",
        unit="short",
        # One that is meant to be alone does not count.
        queries={
            "{{pod}}": f"{now('alertmanager_cluster_members', how='max')} "
            f"or {now('alertmanager_build_info', how='max')}"
        },
    ),
)

_SHOWN: Final = (
    Panel(
        title="Requests to Grafana",
        description="By the code of the answer; 5xx is its own trouble, or Prometheus'.",
        unit="reqps",
        queries={
            "{{status_code}}": rate("grafana_http_request_duration_seconds_count", by="status_code"),
        },
    ),
    Panel(
        title="Time of an answer of Grafana (p95)",
        description="With the question to Prometheus in it.",
        unit="s",
        queries={"p95": quantile(0.95, "grafana_http_request_duration_seconds")},
    ),
    Panel(
        title="Configuration",
        description="1 when the last one was read without an error.",
        unit="bool_yes_no",
        queries={
            "Prometheus {{pod}}": now("prometheus_config_last_reload_successful", how="min"),
            "Alertmanager {{pod}}": now("alertmanager_config_last_reload_successful", how="min"),
        },
    ),
    Panel(
        title="Write-ahead log",
        description="Damage that was found in it, in a second. None: a sick disk, or a full one.",
        unit="ops",
        queries={"{{pod}}": f"sum by (pod) (rate(prometheus_tsdb_wal_corruptions_total[{RATE}]))"},
    ),
)

_LOGGED: Final = (
    Panel(
        title="Lines",
        description="Written in a second, by workload. The lines themselves are on the board Logs.",
        unit="cps",
        queries={"{{workload}}": rate("log_records_total", by="namespace, workload")},
    ),
    Panel(
        title="Errors in lines",
        description="Lines of the levels error and fatal in a second, by workload.",
        unit="cps",
        queries={
            "{{workload}}": rate("log_records_total", 'level=~"error|fatal"', by="namespace, workload"),
        },
    ),
    Panel(
        title="Collectors' queues",
        description="How full they are. Full, reading waits for Loki, and nothing is lost for hours.",
        unit="percentunit",
        queries={
            "{{pod}} {{exporter}}": f"{now('otelcol_exporter_queue_size', by='pod, exporter', how='max')} "
            f"/ {now('otelcol_exporter_queue_capacity', by='pod, exporter', how='max')}"
        },
    ),
    Panel(
        title="Lines that Loki refuses",
        description="In a second, and why. None: a flood, or lines that come a week late.",
        unit="cps",
        queries={"{{reason}}": rate("loki_discarded_samples_total", by="reason")},
    ),
    Panel(
        title="Since old lines were deleted",
        description="Ten minutes at most. More: the volume fills.",
        unit="s",
        queries={
            "{{pod}}": "time() - "
            + now("loki_compactor_apply_retention_last_successful_run_timestamp_seconds", how="max")
        },
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-monitoring",
        title="Monitoring",
        description="Prometheus, Alertmanager, Grafana and what they ask.",
        tags=["platform"],
        rows={"Collected": _COLLECTED, "Judged": _JUDGED, "Told": _TOLD, "Shown": _SHOWN, "Logged": _LOGGED},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
