"""When the machines, or what Kubernetes runs on them, need somebody.

`node_*` are node-exporter's, one pod for each node, whose series carry the `node` that it runs on. It sees no
file system of the host: it tells what the kernel tells every container, and disks are the kubelet's
(`container_fs_*` of the root, from cAdvisor). The API server belongs to whoever runs the cluster; it is
watched because everything here goes through it. The kubelets and the API server are scraped as the jobs
`KUBELET` and `API_SERVER`.
"""

from typing import Final

from components.watch import Alert

DAY: Final = 86400
"""Seconds."""

KUBELET: Final = "kubelet"
API_SERVER: Final = "apiserver"

_RUNBOOKS: Final = "docs/runbooks"
UNHEALTHY: Final = f"{_RUNBOOKS}/node-unhealthy.md"
OVERLOADED: Final = f"{_RUNBOOKS}/node-overloaded.md"
DISK: Final = f"{_RUNBOOKS}/node-disk-full.md"
CLOCK: Final = f"{_RUNBOOKS}/node-clock.md"
CONTROL: Final = f"{_RUNBOOKS}/api-server.md"

KEPT: Final = (
    Alert(
        name="NodeNotReady",
        expression='kube_node_status_condition{condition="Ready",status="true"} == 0',
        minutes=5,
        severity="P2",
        summary="{{ $labels.node }} is not ready: its pods are being moved, as far as there is room",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodeReadinessFlaps",
        expression='changes(kube_node_status_condition{condition="Ready",status="true"}[30m]) > 3',
        minutes=5,
        severity="P3",
        summary="{{ $labels.node }} became ready and unready {{ $value }} times within half an hour",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodeUnderPressure",
        expression="kube_node_status_condition"
        '{condition=~"(Disk|Memory|PID)Pressure|NetworkUnavailable",status="true"} == 1',
        minutes=5,
        severity="P3",
        summary="{{ $labels.node }}: {{ $labels.condition }}; pods are turned away or ended",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodeLeftUnschedulable",
        expression="kube_node_spec_unschedulable == 1",
        minutes=240,
        severity="P4",
        summary="{{ $labels.node }} takes no new pods: was it forgotten after a drain?",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodePodsNearLimit",
        expression="count by (node) (kube_pod_info and on (namespace, pod) "
        'kube_pod_status_phase{phase="Running"} == 1) '
        '/ max by (node) (kube_node_status_allocatable{resource="pods"}) > 0.9',
        minutes=30,
        severity="P4",
        summary="{{ $labels.node }} has {{ $value | humanizePercentage }} of the pods that it takes",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodeUnwatched",
        expression="max by (node) (kube_node_info) unless on (node) node_load1",
        minutes=15,
        severity="P3",
        summary="{{ $labels.node }} has no node-exporter, so nobody sees how busy it is",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="NodeRestarted",
        expression="time() - node_boot_time_seconds < 900",
        minutes=1,
        severity="P4",
        summary="{{ $labels.node }} was started {{ $value | humanizeDuration }} ago",
        runbook=UNHEALTHY,
    ),
    Alert(
        name="KubeletDown",
        expression=f'up{{job="{KUBELET}"}} == 0',
        minutes=5,
        severity="P2",
        summary="{{ $labels.node }}: the kubelet answers nobody, so its pods are watched by no one",
        runbook=UNHEALTHY,
    ),
)
"""For nodes as Kubernetes sees them."""

_ANSWERED: Final = (
    f'job="{API_SERVER}",verb=~"GET|LIST|POST|PUT|PATCH|DELETE",'
    'subresource!~"log|exec|attach|portforward|proxy"'
)
"""What has an end."""
_TIMES: Final = "apiserver_request_duration_seconds_bucket"

CONTROLLED: Final = (
    Alert(
        name="ApiServerDown",
        expression=f'absent(up{{job="{API_SERVER}"}} == 1)',
        minutes=5,
        severity="P2",
        summary="No API server answers: what runs goes on, and nothing is mended, scaled or deployed",
        runbook=CONTROL,
    ),
    Alert(
        name="ApiServerErrors",
        expression=f'sum(rate(apiserver_request_total{{job="{API_SERVER}",code=~"5.."}}[5m])) '
        f'/ sum(rate(apiserver_request_total{{job="{API_SERVER}"}}[5m])) > 0.03',
        minutes=10,
        severity="P2",
        summary="The API server fails {{ $value | humanizePercentage }} of what it is asked",
        runbook=CONTROL,
    ),
    Alert(
        name="ApiServerSlow",
        # Two buckets are all that is kept of them; Prometheus 3 writes their bounds as 1.0.
        expression=f'1 - sum(rate({_TIMES}{{{_ANSWERED},le=~"1([.]0)?"}}[5m])) '
        f'/ sum(rate({_TIMES}{{{_ANSWERED},le="+Inf"}}[5m])) > 0.01',
        minutes=15,
        severity="P3",
        summary="The API server takes more than a second for {{ $value | humanizePercentage }} of what it is "
        "asked",
        runbook=CONTROL,
    ),
    Alert(
        name="ApiServerAuditLost",
        # What has never happened has no series: of the first burst, the first event does not count.
        expression=" + ".join(
            f'(sum(increase({lost}{{job="{API_SERVER}"}}[15m])) or vector(0))'
            for lost in ("apiserver_audit_error_total", "apiserver_audit_requests_rejected_total")
        )
        + " > 0",
        minutes=1,
        severity="P2",
        summary="{{ $value | humanize }} events of the API server's audit log were lost in a quarter of an "
        "hour, or requests refused for it",
        runbook=CONTROL,
    ),
)
"""For the way to all of them. Source of the targets: kubernetes/community, sig-scalability/slos/slos.md."""


def _share(mode: str) -> str:
    """Of a node's time, over all of its cores."""
    return f'avg by (node) (sum without (mode) (rate(node_cpu_seconds_total{{mode=~"{mode}"}}[5m])))'


_FREE: Final = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
"""What could be had without swapping. Source: Linux, Documentation/filesystems/proc.rst."""


def _stalled(resource: str, what: str) -> str:
    """The share of time in which some, or all, waited. Source: Linux, Documentation/accounting/psi.rst."""
    return f"rate(node_pressure_{resource}_{what}_seconds_total[5m])"


BUSY: Final = (
    Alert(
        name="NodeBusy",
        expression=f"1 - {_share('idle|iowait')} > 0.8",
        minutes=15,
        severity="P3",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of the CPU is used",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeRobbed",
        expression=f"{_share('steal')} > 0.1",
        minutes=30,
        severity="P4",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of its CPU went to other customers' "
        "machines",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeLoadHigh",
        expression='node_load5 / on (node) count by (node) (node_cpu_seconds_total{mode="idle"}) > 2',
        minutes=15,
        severity="P4",
        summary="{{ $labels.node }}: {{ $value | humanize }} processes for each core want to run or wait for "
        "a disk",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeMemoryLow",
        expression=f"1 - {_FREE} > 0.85",
        minutes=15,
        severity="P3",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of the memory is used",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeMemoryUsedUp",
        expression=f"1 - {_FREE} > 0.95",
        minutes=5,
        severity="P2",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of the memory is used; pods are ended "
        "soon",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeRereadsMemory",
        expression="rate(node_vmstat_pgmajfault[5m]) > 500",
        minutes=15,
        severity="P4",
        summary="{{ $labels.node }} reads {{ $value | humanize }} pages a second back from its disk: it has "
        "too little memory",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeWaitsForCpu",
        expression=f"{_stalled('cpu', 'waiting')} > 0.6",
        minutes=15,
        severity="P4",
        summary="{{ $labels.node }}: in {{ $value | humanizePercentage }} of the time something waits for a "
        "CPU",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeWaitsForMemory",
        expression=f"{_stalled('memory', 'stalled')} > 0.1",
        minutes=10,
        severity="P3",
        summary="{{ $labels.node }}: in {{ $value | humanizePercentage }} of the time all wait for memory",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeWaitsForDisk",
        expression=f"{_stalled('io', 'stalled')} > 0.3",
        minutes=15,
        severity="P3",
        summary="{{ $labels.node }}: in {{ $value | humanizePercentage }} of the time all wait for a disk",
        runbook=OVERLOADED,
    ),
    Alert(
        name="NodeDiskSaturated",
        expression='rate(node_disk_io_time_weighted_seconds_total{device!~"(loop|ram|sr|dm-).*"}[5m]) > 10',
        minutes=30,
        severity="P4",
        summary="{{ $labels.node }}: {{ $value | humanize }} requests wait for {{ $labels.device }}",
        runbook=OVERLOADED,
    ),
)
"""For what a node has to give."""

_ROOT: Final = 'id="/",device=~"/dev/.+"'
_DISK: Final = (
    f"max by (node, device) (container_fs_usage_bytes{{{_ROOT}}}) "
    f"/ max by (node, device) (container_fs_limit_bytes{{{_ROOT}}} > 0)"
)
"""The host's own disks, where images, logs and scratch are; a claim's volume is told by its claim."""

DISKS: Final = (
    Alert(
        name="NodeDiskFilling",
        expression=f"{_DISK} > 0.7",
        minutes=60,
        severity="P4",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of {{ $labels.device }} is used",
        runbook=DISK,
    ),
    Alert(
        name="NodeDiskNearlyFull",
        expression=f"{_DISK} > 0.85",
        minutes=10,
        severity="P2",
        summary="{{ $labels.node }}: {{ $value | humanizePercentage }} of {{ $labels.device }} is used; the "
        "kubelet soon ends pods to make room",
        runbook=DISK,
    ),
    Alert(
        name="NodeDiskFullWithinADay",
        expression="max by (node, device) ("
        f"predict_linear(container_fs_usage_bytes{{{_ROOT}}}[6h], {DAY})) "
        f"> max by (node, device) (container_fs_limit_bytes{{{_ROOT}}} > 0) and {_DISK} > 0.5",
        minutes=60,
        severity="P3",
        summary="{{ $labels.node }}: {{ $labels.device }} is full within a day at this pace",
        runbook=DISK,
    ),
)
"""For the nodes' own disks."""

CLOCKS: Final = (
    Alert(
        name="NodeClockUnsynchronised",
        expression="node_timex_sync_status == 0 and node_timex_maxerror_seconds >= 16",
        minutes=15,
        severity="P3",
        summary="{{ $labels.node }}: nothing sets the clock, and it runs away",
        runbook=CLOCK,
    ),
    Alert(
        name="NodeClockSkewed",
        # One that is being mended comes nearer.
        expression="(node_timex_offset_seconds > 0.05 and deriv(node_timex_offset_seconds[5m]) >= 0) "
        "or (node_timex_offset_seconds < -0.05 and deriv(node_timex_offset_seconds[5m]) <= 0)",
        minutes=10,
        severity="P3",
        summary="{{ $labels.node }}: the clock is off by {{ $value | humanizeDuration }}",
        runbook=CLOCK,
    ),
)
"""For what certificates, tokens and recovery to a moment rely on."""

ALERTS: Final = (*KEPT, *CONTROLLED, *BUSY, *DISKS, *CLOCKS)
