"""Each alert on traces comes at its minute and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.monitoring.traces_alerts import of_store
from tests.artifact.alert_trials import Case, Series, judge, trials

COLLECTOR = 'namespace="fixia-collector",pod="collector-x2kzq",job="collector"'
JAEGER = 'namespace="fixia-monitoring",pod="traces-0",job="traces",receiver="otlp"'


def counted(metric: str, a_step: float, labels: str) -> Series:
    return {f"{metric}{{{labels}}}": f"0+{a_step}x900"}


def sent(metric: str, a_step: float, exporter: str = "otlp_http/traces") -> Series:
    return counted(metric, a_step, f'{COLLECTOR},exporter="{exporter}"')


CASES = {
    "TracesDown": Case([{'up{job="traces"}': 0}, {}], {'up{job="traces"}': 1}, begins=0),
    "TracesDropped": Case(
        [
            sent("otelcol_exporter_enqueue_failed_spans_total", 1),
            {
                **sent("otelcol_exporter_enqueue_failed_spans_total", 0),
                **sent("otelcol_exporter_send_failed_spans_total", 1),
            },
        ],
        [
            sent("otelcol_exporter_enqueue_failed_spans_total", 0),
            sent("otelcol_exporter_enqueue_failed_spans_total", 1, "otlp_http/logs"),
        ],
        begins=1,
    ),
    "TracesRefused": Case(
        [
            counted("otelcol_receiver_refused_spans_total", 1, JAEGER),
            {
                **counted("otelcol_receiver_refused_spans_total", 0, JAEGER),
                **counted("otelcol_receiver_failed_spans_total", 1, JAEGER),
            },
        ],
        [
            counted("otelcol_receiver_refused_spans_total", 0, JAEGER),
            counted("otelcol_receiver_refused_spans_total", 1, f'{COLLECTOR},receiver="otlp"'),
        ],
        begins=1,
    ),
}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = of_store("traces")
    judge(tmp_path, alerts, trials(alerts, CASES))
