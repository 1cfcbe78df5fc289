"""When traces are not kept as promised. How full the volume is the alerts on all volumes say."""

from typing import Final

from components.watch import Alert

RUNBOOK: Final = "docs/runbooks/traces-store.md"


def of_store(job: str) -> tuple[Alert, ...]:
    """What somebody is told of Jaeger, and of those who send to it.

    Args:
        job: the job that its metrics are collected as.
    """
    of_it = f'{{job="{job}"}}'
    sent = '{exporter="otlp_http/traces"}'
    return (
        Alert(
            name="TracesDown",
            expression=f'up{{job="{job}"}} == 0 or absent(up{{job="{job}"}})',
            minutes=10,
            severity="P3",
            summary="Jaeger does not answer: the collectors keep some minutes of traces and drop the rest",
            runbook=RUNBOOK,
        ),
        Alert(
            name="TracesDropped",
            # Either by itself: within one sum the second would hide behind a first that stands at nothing.
            expression="sum by (namespace, pod) "
            f"(increase(otelcol_exporter_enqueue_failed_spans_total{sent}[10m])) > 0 "
            "or sum by (namespace, pod) "
            f"(increase(otelcol_exporter_send_failed_spans_total{sent}[10m])) > 0",
            minutes=15,
            severity="P3",
            summary="The collector {{ $labels.pod }} drops {{ $value | humanize }} spans in ten minutes",
            runbook=RUNBOOK,
        ),
        Alert(
            name="TracesRefused",
            # For want of memory, or for what its volume says; the collectors send them again.
            expression="sum by (namespace, pod) "
            f"(increase(otelcol_receiver_refused_spans_total{of_it}[10m])) > 0 or sum by (namespace, pod) "
            f"(increase(otelcol_receiver_failed_spans_total{of_it}[10m])) > 0",
            minutes=15,
            severity="P3",
            summary="Jaeger takes {{ $value | humanize }} spans in ten minutes not in: memory, or its volume",
            runbook=RUNBOOK,
        ),
    )
