"""Each alert on logs comes at its minute and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.monitoring.collector_alerts import ALERTS
from components.monitoring.logs_alerts import of_store
from tests.artifact.alert_trials import Case, Series, judge, trials

POD = 'namespace="fixia-collector",pod="collector-x2kzq"'
EXPORTER = f'{POD},exporter="otlp_http/logs",data_type="logs"'
OTLP = f'{POD},job="collector",receiver="otlp"'
API = 'namespace="fixia-app",workload="api"'
HERE = 'namespace="fixia-monitoring"'
CLAIM = f'{HERE},persistentvolumeclaim="logs-data-1a2b3c4d"'
OTHER = f'{HERE},persistentvolumeclaim="prometheus-data-1a2b3c4d"'


def nodes(count: int, read: int) -> Series:
    return {
        **{f'kube_node_info{{node="node-{number}"}}': 1 for number in range(count)},
        **{f'up{{job="collector",instance="10.0.0.{number}:8888"}}': 1 for number in range(read)},
    }


def queue(size: int, exporter: str = "otlp_http/logs") -> Series:
    labels = f'{POD},exporter="{exporter}"'
    return {
        f"otelcol_exporter_queue_size{{{labels}}}": size,
        f"otelcol_exporter_queue_capacity{{{labels}}}": 100,
    }


def counted(metric: str, a_step: float, labels: str) -> Series:
    return {f"{metric}{{{labels}}}": f"0+{a_step}x900"}


def errors(value: str, level: str = "error") -> Series:
    return {
        f'log_records_total{{{API},level="{level}"}}': value,
        f'log_records_total{{{API},level="info"}}': "0+1x1500",
    }


def lines(value: str, *, deployed: int = 1) -> Series:
    return {
        f'log_records_total{{{API},level="info"}}': value,
        'kube_deployment_status_replicas_available{namespace="fixia-app",deployment="api"}': deployed,
    }


def volume(free: int, labels: str = CLAIM) -> Series:
    return {
        f"kubelet_volume_stats_available_bytes{{{labels}}}": free,
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": 100,
    }


OF_THE_COLLECTOR = {
    "CollectorMissing": Case([nodes(2, 1), nodes(1, 0)], nodes(2, 2), begins=0),
    "CollectorWaits": Case(queue(81), [queue(79), queue(81, "otlp_http/traces")], begins=0),
    "CollectorDrops": Case(
        [
            counted("otelcol_exporter_send_failed_log_records_total", 1, EXPORTER),
            {
                **counted("otelcol_exporter_send_failed_log_records_total", 0, EXPORTER),
                **counted("otelcol_exporter_enqueue_failed_log_records_total", 1, EXPORTER),
            },
        ],
        counted("otelcol_exporter_send_failed_log_records_total", 0, EXPORTER),
        begins=1,
    ),
    "CollectorRefuses": Case(
        [
            counted("otelcol_receiver_refused_log_records_total", 1, f'{POD},receiver="filelog"'),
            counted("otelcol_receiver_refused_spans_total", 1, OTLP),
        ],
        [
            counted("otelcol_receiver_refused_spans_total", 0, OTLP),
            counted("otelcol_receiver_refused_spans_total", 1, OTLP.replace('"collector"', '"traces"')),
        ],
        begins=1,
    ),
    # A day of one error in five minutes, and then so many.
    "LogErrorsBurst": Case(
        [errors("0+0.2x300 70+10x300"), errors("0+0.2x300 70+10x300", "fatal")],
        # As many as ever; few; and no errors at all.
        [errors("0+10x1500"), errors("0+0.2x300 62+2x300"), errors("0+0.2x300 70+10x300", "warn")],
        minutes=315,
    ),
    "LogSilence": Case(
        lines("0+20x72 1440x72"),
        # It goes on; it never wrote much; it is not there any more.
        [lines("0+20x144"), lines("0+0.4x72 29x72"), lines("0+20x72 1440x72", deployed=0)],
        minutes=144 * 5,
        step=5,
    ),
}

OF_THE_STORE = {
    "LogsDown": Case([{'up{job="logs"}': 0}, {}], {'up{job="logs"}': 1}, begins=0),
    "LogsFail": Case(
        counted(
            "loki_request_duration_seconds_count",
            1,
            f'{HERE},job="logs",route="otlp_v1_logs",status_code="500"',
        ),
        [
            counted(
                "loki_request_duration_seconds_count", 9, f'{HERE},job="logs",route="a",status_code="204"'
            ),
            counted(
                "loki_request_duration_seconds_count", 0.4, f'{HERE},job="logs",route="a",status_code="500"'
            ),
        ],
    ),
    "LogsRefused": Case(
        counted("loki_discarded_samples_total", 1, f'{HERE},reason="rate_limited"'),
        counted("loki_discarded_samples_total", 0, f'{HERE},reason="rate_limited"'),
        begins=1,
    ),
    # Prometheus' tests begin in 1970, at 0.
    "LogsRetentionStopped": Case(
        {"loki_compactor_apply_retention_last_successful_run_timestamp_seconds": 60},
        {"loki_compactor_apply_retention_last_successful_run_timestamp_seconds": "0+300x200"},
        minutes=10 * 60,
        step=5,
    ),
    "LogsVolumeOutgrown": Case(volume(24), [volume(26), volume(1, OTHER)], begins=0),
    "LogsVolumeFull": Case(volume(9), [volume(11), volume(1, OTHER)], begins=0),
}


def test_each_on_the_collector_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    judge(tmp_path, ALERTS, trials(ALERTS, OF_THE_COLLECTOR))


def test_each_on_the_store_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = of_store("logs", "logs-data.*")
    judge(tmp_path, alerts, trials(alerts, OF_THE_STORE))
