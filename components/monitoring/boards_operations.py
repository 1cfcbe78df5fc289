"""For who is on call: every tier at a glance, and the way to the board that tells more."""

from typing import Final

from components.board import Board, Panel, files, now, rate
from components.monitoring.boards_shared import (
    ALERTS,
    CERTIFICATES,
    FILLING,
    NODE_CPU,
    NODE_DISK,
    NODE_MEMORY,
    RPO,
    RTO,
    SAFE,
    THERE,
    URGENT_ALERTS,
    VOLUMES,
    answered_within,
    failed,
    requests,
)

_NOW: Final = (
    URGENT_ALERTS,
    Panel(
        title="Targets that do not answer",
        description="Pods that should tell their metrics and don't: they are down, or cut off.",
        unit="short",
        look="number",
        steps=SAFE,
        queries={"down": "count(up == 0) or vector(0)"},
        leads_to="fixia-monitoring",
    ),
    Panel(
        title="Seen from outside",
        description="Whether each public address answers as it should when it is asked as a user would.",
        unit="bool_yes_no",
        look="number",
        width=8,
        steps=THERE,
        queries={"{{probe}}": now("probe_success", by="probe", how="min")},
        leads_to="fixia-entrance",
    ),
    Panel(
        title="Nodes that are ready",
        description="Those that take pods. One that is missing is a third of everything in a cluster of "
        "three.",
        unit="short",
        look="number",
        queries={"ready": 'sum(kube_node_status_condition{condition="Ready",status="true"})'},
        leads_to="fixia-cluster",
    ),
    Panel(
        title="Pods that are not running",
        description="Waiting for a place, or unknown. Some for a moment is a release; for minutes it is not.",
        unit="short",
        look="number",
        steps=SAFE,
        queries={"pods": 'sum(kube_pod_status_phase{phase=~"Pending|Unknown"})'},
        leads_to="fixia-cluster",
    ),
    ALERTS,
    Panel(
        title="Up",
        description="Of each component, how many pods answer when they are asked for their metrics.",
        unit="short",
        look="table",
        width=12,
        queries={"up": now("up", by="job"), "of": now("up", by="job", how="count")},
        leads_to="fixia-monitoring",
    ),
    Panel(
        title="Certificates: time left",
        description="Until each of our certificates ends. They are renewed 30 days before.",
        unit="s",
        look="table",
        width=12,
        queries={"left": f"sort({CERTIFICATES})"},
        leads_to="fixia-security",
    ),
)

_ASKED: Final = (
    Panel(
        title="Requests",
        description="By service, as they are counted at the entrance.",
        unit="reqps",
        queries={"{{service}}": requests()},
        leads_to="fixia-entrance",
    ),
    Panel(
        title="Errors",
        description="Of each service's answers, those that are errors of ours. One in a hundred is worth a "
        "look, one in ten is an outage.",
        unit="percentunit",
        queries={"{{service}}": failed()},
        leads_to="fixia-entrance",
    ),
    Panel(
        title="Time of an answer (p95)",
        description="95 of 100 answers come sooner. Half a second is promised, beyond one people leave.",
        unit="s",
        queries={"{{service}}": answered_within(0.95)},
        leads_to="fixia-entrance",
    ),
)

_KEPT: Final = (
    Panel(
        title="Jobs in the queue",
        description="By state. Waiting that only rises means too few workers, or jobs that fail and come "
        "back.",
        unit="short",
        # Every pod tells of the whole queue.
        queries={"{{state}}": now("queue_jobs", by="state", how="max")},
        leads_to="fixia-cache",
    ),
    Panel(
        title="Longest wait in the queue",
        description="Of the job that is next.",
        unit="s",
        queries={"next": "max(queue_oldest_waiting_seconds)"},
        leads_to="fixia-cache",
    ),
    Panel(
        title="Jobs done",
        description="Attempts in a second, by how they ended. A job that failed is tried three times.",
        unit="ops",
        queries={"{{outcome}}": rate("jobs_finished_total", by="outcome")},
        leads_to="fixia-cache",
    ),
    Panel(
        title="Database connections",
        description="Taken, and the most that are allowed. The pool keeps the number low and steady.",
        unit="short",
        queries={
            "{{pod}}": now("pg_stat_database_numbackends"),
            "limit of {{pod}}": now("pg_settings_max_connections", how="max"),
        },
        leads_to="fixia-database",
    ),
    Panel(
        title="Waiting for a database connection",
        description="Clients of the pool that have none. For moments only.",
        unit="short",
        queries={"{{pod}}": now("pgbouncer_pools_client_waiting_connections")},
        leads_to="fixia-database",
    ),
    Panel(
        title="Cache: memory for data",
        description="Used, and where writes are refused. Nothing is evicted.",
        unit="bytes",
        queries={
            "{{pod}}": now("redis_memory_used_bytes", how="max"),
            "limit of {{pod}}": now("redis_memory_max_bytes", how="max"),
        },
        leads_to="fixia-cache",
    ),
    RPO,
    RTO,
    Panel(
        title="Age of the newest backup",
        description="A day at most, and a week for the full one.",
        unit="s",
        look="number",
        width=8,
        queries={"{{type}}": "time() - max by (type) (backup_last_success_timestamp_seconds)"},
        leads_to="fixia-backups",
    ),
    Panel(
        title="Age of the archive",
        description="Since the database's log was archived last: a minute. All since is lost with the "
        "volume.",
        unit="s",
        look="number",
        width=8,
        queries={"{{pod}}": now("pg_stat_archiver_last_archive_age", how="max")},
        leads_to="fixia-backups",
    ),
)

_BELOW: Final = (
    Panel(
        title="CPU of the nodes",
        description="In use. Beyond 80 % for long, everything waits for everything.",
        unit="percentunit",
        most=1,
        queries={"{{node}}": NODE_CPU},
        leads_to="fixia-cluster",
    ),
    Panel(
        title="Memory of the nodes",
        description="In use. Beyond 95 % pods are ended.",
        unit="percentunit",
        most=1,
        queries={"{{node}}": NODE_MEMORY},
        leads_to="fixia-cluster",
    ),
    Panel(
        title="Disks of the nodes",
        description="In use by images, logs and scratch. Beyond 85 % the kubelet makes room by ending pods.",
        unit="percentunit",
        look="number",
        steps=FILLING,
        width=8,
        queries={"{{node}} {{device}}": NODE_DISK},
        leads_to="fixia-cluster",
    ),
    Panel(
        title="Volumes",
        description="Used share of each claim's volume; they grow in place.",
        unit="percentunit",
        look="number",
        steps=FILLING,
        width=24,
        queries={"{{persistentvolumeclaim}}": VOLUMES},
        leads_to="fixia-cluster",
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-operations",
        title="Operations",
        description="Every tier at a glance; each panel leads to the board that tells more.",
        tags=["overview"],
        rows={"Now": _NOW, "Asked": _ASKED, "Kept": _KEPT, "Below": _BELOW},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
