"""When logs are not kept as promised."""

from typing import Final

from components.watch import Alert

RUNBOOK: Final = "docs/runbooks/logs-store.md"

HOUR: Final = 3600
"""Seconds."""


def of_store(job: str, claim: str) -> tuple[Alert, ...]:
    """What somebody is told of Loki.

    Args:
        job: the job that its metrics are collected as.
        claim: a pattern of the volume claim's name.
    """
    selected = f'{{persistentvolumeclaim=~"{claim}"}}'
    free = f"min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{selected})"
    whole = f"max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes{selected})"
    return (
        Alert(
            name="LogsDown",
            expression=f'up{{job="{job}"}} == 0 or absent(up{{job="{job}"}})',
            minutes=10,
            severity="P2",
            summary="Loki does not answer: logs wait on the nodes, and are lost there after a while",
            runbook=RUNBOOK,
        ),
        Alert(
            name="LogsFail",
            expression="sum by (namespace, route) (increase(loki_request_duration_seconds_count"
            f'{{job="{job}", status_code=~"5.."}}[10m])) > 5',
            minutes=10,
            severity="P2",
            summary="Loki fails at {{ $labels.route }}: {{ $value | humanize }} times in ten minutes",
            runbook=RUNBOOK,
        ),
        Alert(
            name="LogsRefused",
            expression="sum by (namespace, reason) (increase(loki_discarded_samples_total[10m])) > 0",
            minutes=15,
            severity="P3",
            summary="Loki refuses {{ $value | humanize }} lines in ten minutes: {{ $labels.reason }}",
            runbook=RUNBOOK,
        ),
        Alert(
            name="LogsRetentionStopped",
            # Nothing is said before the first time, which is ten minutes after the start.
            expression="time() - loki_compactor_apply_retention_last_successful_run_timestamp_seconds "
            f"> {6 * HOUR}",
            minutes=30,
            severity="P3",
            summary="Loki has deleted nothing old for {{ $value | humanizeDuration }}: its volume will fill",
            runbook=RUNBOOK,
        ),
        Alert(
            name="LogsVolumeOutgrown",
            expression=f"{free} / {whole} < 0.25",
            minutes=60,
            severity="P3",
            summary="Loki's volume {{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} "
            "left: what is written in its days has outgrown it",
            runbook=RUNBOOK,
        ),
        Alert(
            name="LogsVolumeFull",
            expression=f"{free} / {whole} < 0.1",
            minutes=15,
            severity="P2",
            summary="Loki's volume {{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} "
            "left; it is about to take nothing more in",
            runbook=RUNBOOK,
        ),
    )
