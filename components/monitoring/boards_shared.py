"""What several boards ask alike, so that a number is the same wherever it stands.

Metrics and their labels are those that the alerts look at (`application_alerts`, `cluster_alerts`,
`node_alerts`). `job` is the component's name, and a workload's Deployment and container have the workload's.
"""

import math
from typing import Final

from components.board import RATE, Panel, now, quantile, rate, share
from components.monitoring.application_alerts import ANSWERED, DURATIONS, REQUESTS

DAY: Final = 86400
"""Seconds."""

ERRORS: Final = 'code=~"5.."'
FIRING: Final = 'ALERTS{alertstate="firing"}'
URGENT: Final = 'ALERTS{alertstate="firing",severity=~"P1|P2"}'
REFUSED: Final = 'code=~"401|403|429"'
"""Not signed in, not allowed, too often."""

SAFE: Final = {-math.inf: "green", 1: "red"}
"""For what should be none."""
THERE: Final = {-math.inf: "red", 1: "green"}
"""For what should be."""
FILLING: Final = {-math.inf: "green", 0.7: "orange", 0.85: "red"}
"""For the used share of what ends; the alerts have the same two limits."""
PERCENTILES: Final = (0.5, 0.95, 0.99)


def requests(*matching: str, by: str = "service") -> str:
    """Answers of the entrance in a second; also those for which no pod was there."""
    return rate(REQUESTS, *matching, by=by)


def failed(*matching: str, by: str = "service") -> str:
    """Of the entrance's answers, those that are errors of ours."""
    return share(requests(ERRORS, *matching, by=by), requests(*matching, by=by))


def answered_within(of: float, *matching: str, by: str = "service") -> str:
    """In how many seconds that share of the entrance's answers was given."""
    return quantile(of, DURATIONS, ANSWERED, *matching, by=by)


def percent(of: float) -> str:
    """A percentile's name, such as `p95`."""
    return f"p{of * 100:.0f}"


def cpu(*matching: str, by: str = "pod") -> str:
    """Cores in use, by containers."""
    return rate("container_cpu_usage_seconds_total", *matching, by=by)


def memory(*matching: str, by: str = "pod") -> str:
    """Bytes in use, by containers, with the page cache that is active."""
    return now("container_memory_working_set_bytes", *matching, by=by)


def granted(resource: str, kind: str, *matching: str, by: str = "pod") -> str:
    """What containers ask for (`requests`) or may use (`limits`) of `cpu` or `memory`."""
    return now(f"kube_pod_container_resource_{kind}", f'resource="{resource}"', *matching, by=by)


NODE_CPU: Final = (
    f'1 - avg by (node) (sum without (mode) (rate(node_cpu_seconds_total{{mode=~"idle|iowait"}}[{RATE}])))'
)
NODE_MEMORY: Final = "1 - max by (node) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"
_ROOT: Final = 'id="/",device=~"/dev/.+"'
NODE_DISK: Final = (
    f"max by (node, device) (container_fs_usage_bytes{{{_ROOT}}}) "
    f"/ max by (node, device) (container_fs_limit_bytes{{{_ROOT}}} > 0)"
)
VOLUMES: Final = (
    "1 - min by (namespace, persistentvolumeclaim) "
    "(kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)"
)
CERTIFICATES: Final = (
    "min by (namespace, name) ((certmanager_certificate_expiration_timestamp_seconds > 0) - time())"
)

ALERTS: Final = Panel(
    title="Alerts that are firing",
    description="What somebody is being told of, the most urgent first. Each has a runbook that names it. Of "
    "these the watchdog alone is always there.",
    unit="short",
    look="table",
    sorted_by="severity",
    queries={"series": f"count by (severity, alertname, namespace) ({FIRING})"},
    leads_to="fixia-monitoring",
)

URGENT_ALERTS: Final = Panel(
    title="Urgent alerts",
    description="Of severity P1 and P2: somebody is looking at it now, or should be.",
    unit="short",
    look="number",
    steps=SAFE,
    queries={"firing": f"count({URGENT}) or vector(0)"},
    leads_to="fixia-operations",
)

RPO: Final = Panel(
    title="What a restore loses (RPO)",
    description="As it was measured last, beside the promise.",
    unit="s",
    look="number",
    width=8,
    queries={
        "measured": "max(backup_measured_rpo_seconds)",
        "promised": "min(backup_promised_rpo_seconds)",
    },
    leads_to="fixia-backups",
)

RTO: Final = Panel(
    title="How long a restore takes (RTO)",
    description="As it was measured last, beside the promise. It grows with the data.",
    unit="s",
    look="number",
    width=8,
    queries={
        "measured": "max(backup_measured_rto_seconds)",
        "promised": "min(backup_promised_rto_seconds)",
    },
    leads_to="fixia-backups",
)
