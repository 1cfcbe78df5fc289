"""When logs do not reach who keeps them, and what the logs themselves say: a burst of errors, a silence."""

from typing import Final

from components.watch import Alert

LOGS: Final = "docs/runbooks/logs-collector.md"
ERRORS: Final = "docs/runbooks/logs-errors.md"

BURST: Final = 30
"""Errors of one workload in five minutes that are more than somebody's bad request."""

USUAL: Final = 5
"""How many times as many errors as on average of a day are no usual day's."""

SAMPLES: Final = 10
"""Of five minutes. A day's average is of the samples that there are: who is new has none to be above."""

TALKATIVE: Final = 240
"""Lines a day: whoever writes so many is not silent for three hours."""

_OF_LOGS: Final = '{exporter="otlp_http/logs"}'
_PER_WORKLOAD: Final = "sum by (namespace, workload)"
_ERRORS: Final = 'log_records_total{level=~"error|fatal"}'


def _running(kind: str, metric: str) -> str:
    return f'label_replace({metric} > 0, "workload", "$1", "{kind}", "(.+)")'


_GOES_ON: Final = (
    f"{_running('deployment', 'kube_deployment_status_replicas_available')} "
    f"or {_running('statefulset', 'kube_statefulset_status_replicas_ready')}"
)


ALERTS: Final = (
    Alert(
        name="CollectorMissing",
        expression="count(count by (node) (kube_node_info)) "
        '- (count(up{job="collector"} == 1) or vector(0)) > 0',
        minutes=10,
        severity="P2",
        summary="On {{ $value }} nodes nobody reads the logs: they are lost when they are rotated",
        runbook=LOGS,
    ),
    Alert(
        name="CollectorWaits",
        # For traces nothing waits: what does not fit is dropped, which has an alert of its own.
        expression="max by (namespace, pod, exporter) (otelcol_exporter_queue_size"
        f"{_OF_LOGS}) / max by (namespace, pod, exporter) (otelcol_exporter_queue_capacity{_OF_LOGS}) > 0.8",
        minutes=15,
        severity="P2",
        summary="The queue of {{ $labels.exporter }} at {{ $labels.pod }} is full: reading waits",
        runbook=LOGS,
    ),
    Alert(
        name="CollectorDrops",
        # What is tried again forever is no failure; what the other side refuses for good is.
        # Either by itself: within one sum the second would hide behind a first that stands at nothing.
        expression="sum by (namespace, pod, exporter) "
        "(increase(otelcol_exporter_send_failed_log_records_total[10m])) > 0 "
        "or sum by (namespace, pod, exporter) "
        "(increase(otelcol_exporter_enqueue_failed_log_records_total[10m])) > 0",
        minutes=5,
        severity="P2",
        summary="{{ $labels.exporter }} at {{ $labels.pod }} drops what it can't deliver",
        runbook=LOGS,
    ),
    Alert(
        name="CollectorRefuses",
        expression="sum by (namespace, pod, receiver) ("
        "increase(otelcol_receiver_refused_log_records_total[10m]) "
        # Of Jaeger's own, which is a collector too, somebody else tells.
        'or increase(otelcol_receiver_refused_spans_total{job="collector"}[10m])) > 0',
        minutes=30,
        severity="P3",
        summary="{{ $labels.receiver }} at {{ $labels.pod }} is refused: there is no memory to spare",
        runbook=LOGS,
    ),
    Alert(
        name="LogErrorsBurst",
        expression=f"{_PER_WORKLOAD} (increase({_ERRORS}[5m])) > {BURST} "
        f"and {_PER_WORKLOAD} (increase({_ERRORS}[5m])) "
        f"> {USUAL * SAMPLES} * {_PER_WORKLOAD} (increase({_ERRORS}[1d])) "
        "/ max by (namespace, workload) (count_over_time(log_records_total[1d]))",
        minutes=5,
        severity="P3",
        summary="{{ $labels.workload }} wrote {{ $value | humanize }} errors in five minutes: too many",
        runbook=ERRORS,
    ),
    Alert(
        name="LogSilence",
        # Of who runs on: jobs come and go.
        expression=f"{_PER_WORKLOAD} (increase(log_records_total[3h])) == 0 "
        f"and {_PER_WORKLOAD} (increase(log_records_total[1d] offset 3h)) > {TALKATIVE} "
        f"and on (namespace, workload) ({_GOES_ON})",
        minutes=15,
        severity="P3",
        summary="{{ $labels.workload }}, which wrote a lot, has written nothing for three hours",
        runbook=ERRORS,
    ),
)
