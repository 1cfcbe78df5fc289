"""What everything runs on: nodes, volumes, quotas, and the jobs and pods that are not as they should be."""

from typing import Final

from components.board import RATE, Board, Panel, Variable, files, now, rate
from components.monitoring.boards_shared import (
    FILLING,
    NODE_CPU,
    NODE_DISK,
    NODE_MEMORY,
    SAFE,
    THERE,
    VOLUMES,
    cpu,
    memory,
)

_HERE: Final = 'namespace=~"$namespace"'


def _pressure(resource: str, what: str) -> str:
    return rate(f"node_pressure_{resource}_{what}_seconds_total", by="node")


_NODES: Final = (
    Panel(
        title="Ready",
        description="Whether each node takes pods.",
        unit="bool_yes_no",
        look="number",
        width=12,
        steps=THERE,
        queries={"{{node}}": 'max by (node) (kube_node_status_condition{condition="Ready",status="true"})'},
    ),
    Panel(
        title="Disks",
        description="Of each node's own disk, what images, logs and scratch take. Beyond 85 % the kubelet "
        "ends pods to make room.",
        unit="percentunit",
        look="number",
        width=12,
        steps=FILLING,
        queries={"{{node}} {{device}}": NODE_DISK},
    ),
    Panel(
        title="CPU",
        description="In use. Beyond 80 % for long, everything waits for everything.",
        unit="percentunit",
        most=1,
        queries={"{{node}}": NODE_CPU},
    ),
    Panel(
        title="Memory",
        description="In use, without what the kernel gives back by itself. Beyond 95 % pods are ended.",
        unit="percentunit",
        most=1,
        queries={"{{node}}": NODE_MEMORY},
    ),
    Panel(
        title="Asked for",
        description="Of what a node has for pods, what those on it reserve. At 1 nothing more fits, however "
        "idle it is.",
        unit="percentunit",
        most=1,
        queries={
            f"{resource} of {{{{node}}}}": "sum by (node) "
            f'(kube_pod_container_resource_requests{{resource="{resource}"}}) '
            f'/ sum by (node) (kube_node_status_allocatable{{resource="{resource}"}})'
            for resource in ("cpu", "memory")
        },
    ),
    Panel(
        title="Waiting",
        description="Of the time, that in which something waited for a CPU, or everything for memory or a "
        "disk.",
        unit="percentunit",
        queries={
            "{{node}} for CPU": _pressure("cpu", "waiting"),
            "{{node}} for memory": _pressure("memory", "stalled"),
            "{{node}} for a disk": _pressure("io", "stalled"),
        },
    ),
    Panel(
        title="Load for each core",
        description="Processes that run, want to, or wait for a disk. Beyond 2 for long there is too much.",
        unit="short",
        queries={
            "{{node}}": "max by (node) (node_load5) "
            '/ on (node) count by (node) (node_cpu_seconds_total{mode="idle"})'
        },
    ),
    Panel(
        title="API server",
        description="Its answers, by code. 429 is that it is asked too much, 5xx that it can't.",
        unit="reqps",
        queries={"{{code}}": rate("apiserver_request_total", by="code")},
    ),
)

_VOLUMES: Final = (
    Panel(
        title="Used",
        description="Of each claim's volume. They grow in place; nothing shrinks one.",
        unit="percentunit",
        most=1,
        width=12,
        queries={"{{persistentvolumeclaim}}": VOLUMES},
    ),
    Panel(
        title="Files",
        description="Of how many a volume can have, how many it has.",
        unit="percentunit",
        most=1,
        width=12,
        queries={
            "{{persistentvolumeclaim}}": "max by (namespace, persistentvolumeclaim) "
            "(kubelet_volume_stats_inodes_used / (kubelet_volume_stats_inodes > 0))"
        },
    ),
)

_BUDGETS: Final = (
    Panel(
        title="Quotas",
        description="Of what a namespace may have, what it has. At 1 no more pod starts there: a release "
        "needs room for one more of each.",
        unit="percentunit",
        look="table",
        width=12,
        queries={
            "used": "max by (namespace, resource) "
            f'(kube_resourcequota{{type="used",{_HERE}}}) '
            "/ max by (namespace, resource) "
            f'(kube_resourcequota{{type="hard",{_HERE}}} > 0)'
        },
    ),
    Panel(
        title="Pods that may be moved",
        description="At a time, by disruption budget. None for long: no node of theirs can be drained.",
        unit="short",
        look="table",
        width=12,
        queries={
            "may be moved": now(
                "kube_poddisruptionbudget_status_pod_disruptions_allowed",
                _HERE,
                by="namespace, poddisruptionbudget",
                how="min",
            )
        },
    ),
    Panel(
        title="CPU by namespace",
        description="Cores in use, by containers.",
        unit="short",
        queries={"{{namespace}}": cpu(_HERE, by="namespace")},
    ),
    Panel(
        title="Memory by namespace",
        description="In use, by containers, with the page cache that is active.",
        unit="bytes",
        queries={"{{namespace}}": memory(_HERE, by="namespace")},
    ),
    Panel(
        title="Network by namespace",
        description="Of pods, in and out, among themselves too.",
        unit="Bps",
        queries={
            "into {{namespace}}": rate("container_network_receive_bytes_total", _HERE, by="namespace"),
            "out of {{namespace}}": rate("container_network_transmit_bytes_total", _HERE, by="namespace"),
        },
    ),
)

_RUNNING: Final = (
    Panel(
        title="Pods by phase",
        description="Pending for long is no room, no volume or no certificate; Failed is a job's, kept to "
        "look at.",
        unit="short",
        queries={"{{phase}}": f"{now('kube_pod_status_phase', _HERE, by='phase')} > 0"},
    ),
    Panel(
        title="Containers that can't start",
        description="By reason. An image that can't be had, a command that ends again and again.",
        unit="short",
        queries={
            "{{reason}}": now(
                "kube_pod_container_status_waiting_reason",
                _HERE,
                'reason!~"ContainerCreating|PodInitializing"',
                by="reason",
            )
            + " or vector(0)"
        },
    ),
    Panel(
        title="Restarts",
        description="Of containers in an hour, the ten with the most.",
        unit="short",
        queries={
            "{{pod}} {{container}}": "topk(10, 3600 * "
            f"{rate('kube_pod_container_status_restarts_total', _HERE, by='pod, container')})"
        },
    ),
    Panel(
        title="Deployments with too few pods",
        description="Wanted and not available. None, but for a moment.",
        unit="short",
        look="number",
        width=8,
        steps=SAFE,
        queries={
            "missing": f"sum(clamp_min(kube_deployment_spec_replicas{{{_HERE}}} "
            f"- kube_deployment_status_replicas_available{{{_HERE}}}, 0))"
        },
    ),
    Panel(
        title="Failed jobs",
        description="That are still there to look at. A release's job that failed has stopped the release.",
        unit="short",
        look="number",
        width=8,
        steps=SAFE,
        queries={"failed": f'sum(kube_job_failed{{condition="true",{_HERE}}}) or vector(0)'},
    ),
    Panel(
        title="Ended for its memory",
        description="Containers whose last end was the kernel's doing: the limit is too low, or it leaks.",
        unit="short",
        look="number",
        width=8,
        steps=SAFE,
        queries={
            "containers": "sum(kube_pod_container_status_last_terminated_reason"
            f'{{reason="OOMKilled",{_HERE}}}) or vector(0)'
        },
    ),
    Panel(
        title="Jobs by the clock: since the last success",
        description="Of each. Nightly ones a day, weekly ones a week, the drill a month.",
        unit="s",
        look="table",
        width=12,
        queries={
            "since": "sort_desc(time() - "
            + now("kube_cronjob_status_last_successful_time", _HERE, by="namespace, cronjob", how="max")
            + ")"
        },
    ),
    Panel(
        title="Autoscalers",
        description="Pods now, and the most that there may be.",
        unit="short",
        look="table",
        width=12,
        queries={
            of: now(
                f"kube_horizontalpodautoscaler_{metric}",
                _HERE,
                by="namespace, horizontalpodautoscaler",
                how="max",
            )
            for of, metric in (("now", "status_current_replicas"), ("most", "spec_max_replicas"))
        },
    ),
    Panel(
        title="Held back",
        description="Of the time, that in which a container wanted to run and was not let. There are no "
        "limits of CPU here, so anything is somebody else's doing.",
        unit="percentunit",
        queries={
            "{{pod}}": "topk(10, sum by (pod) "
            f"(rate(container_cpu_cfs_throttled_periods_total{{{_HERE}}}[{RATE}])) "
            f"/ (sum by (pod) (rate(container_cpu_cfs_periods_total{{{_HERE}}}[{RATE}])) > 0)) or vector(0)"
        },
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-cluster",
        title="Cluster",
        description="Nodes, volumes, quotas, and the jobs and pods that are not as they should be.",
        tags=["platform"],
        variables=[Variable(name="namespace", metric="kube_pod_status_phase", many=True)],
        rows={"Nodes": _NODES, "Volumes": _VOLUMES, "Budgets": _BUDGETS, "Running": _RUNNING},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
