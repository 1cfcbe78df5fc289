"""Each alert on nodes and the API server comes at its minute and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.monitoring import watches
from tests.artifact.alert_trials import Case, Series, judge, trials

NODE = 'node="one"'
OTHER = 'node="two"'
DISK = f'{NODE},id="/",device="/dev/nvme0n1p1"'
OFFSET = f"node_timex_offset_seconds{{{NODE}}}"
SYNC, ERROR = (f"node_timex_{what}{{{NODE}}}" for what in ("sync_status", "maxerror_seconds"))


def condition(name: str, status: str, value: float | str) -> Series:
    return {f'kube_node_status_condition{{{NODE},condition="{name}",status="{status}"}}': value}


def pods(phases: list[str], most: int) -> Series:
    given: dict[str, float | str] = {f'kube_node_status_allocatable{{{NODE},resource="pods"}}': most}
    for number, phase in enumerate(phases):
        at = f'namespace="fixia-app",pod="pod-{number}"'
        given[f"kube_pod_info{{{at},{NODE}}}"] = 1
        given[f'kube_pod_status_phase{{{at},phase="Running"}}'] = int(phase == "Running")
    return given


def cpu(**a_minute: float) -> Series:
    """Seconds of a minute in each mode, on each of two cores."""
    return {
        f'node_cpu_seconds_total{{{NODE},cpu="{core}",mode="{mode}"}}': f"0+{seconds}x200"
        for core in (0, 1)
        for mode, seconds in a_minute.items()
    }


def memory(available: float) -> Series:
    return {
        f"node_memory_MemAvailable_bytes{{{NODE}}}": available,
        f"node_memory_MemTotal_bytes{{{NODE}}}": 100,
    }


def counted(metric: str, a_minute: float, labels: str = NODE) -> Series:
    return {f"{metric}{{{labels}}}": f"0+{a_minute}x200"}


def load(load5: float) -> Series:
    return {f"node_load5{{{NODE}}}": load5, **cpu(idle=30)}


def disk(used: float | str, labels: str = DISK) -> Series:
    return {f"container_fs_usage_bytes{{{labels}}}": used, f"container_fs_limit_bytes{{{labels}}}": 100}


def api(**codes: int) -> Series:
    return {
        f'apiserver_request_total{{job="apiserver",verb="GET",code="{code.removeprefix("_")}"}}': f"0+{count}x200"
        for code, count in codes.items()
    }


def answered(within_a_second: float, verb: str = "GET", bound: str = "1") -> Series:
    metric, at = "apiserver_request_duration_seconds_bucket", f'job="apiserver",verb="{verb}",le='
    return {
        f'{metric}{{{at}"{bound}"}}': f"0+{within_a_second}x200",
        f'{metric}{{{at}"+Inf"}}': "0+1000x200",
    }


def up(job: str, *values: int) -> Series:
    return {
        f'up{{job="{job}",instance="{number}",node="{number}"}}': value for number, value in enumerate(values)
    }


CASES = {
    "NodeNotReady": Case(
        condition("Ready", "true", 0),
        [condition("Ready", "true", 1), condition("Ready", "true", "0x3 1x200")],
        begins=0,
    ),
    "NodeReadinessFlaps": Case(
        condition("Ready", "true", "1 0 " * 50), condition("Ready", "true", "1x20 0x2 1x200"), begins=4
    ),
    "NodeUnderPressure": Case(
        [condition(f"{what}Pressure", "true", 1) for what in ("Disk", "Memory", "PID")],
        [condition("DiskPressure", "true", 0), condition("Ready", "true", 1)],
        begins=0,
    ),
    "NodeLeftUnschedulable": Case(
        {f"kube_node_spec_unschedulable{{{NODE}}}": 1},
        {f"kube_node_spec_unschedulable{{{NODE}}}": "1x120 0x300"},
        begins=0,
    ),
    "NodePodsNearLimit": Case(
        pods(["Running", "Running"], 2), [pods(["Running", "Succeeded"], 2), pods(["Running"] * 2, 17)], begins=0
    ),
    "NodeUnwatched": Case(
        {f"kube_node_info{{{NODE}}}": 1, f"node_load1{{{OTHER}}}": 1},
        {f"kube_node_info{{{NODE}}}": 1, f"node_load1{{{NODE}}}": 1},
        begins=0,
    ),
    # Their clock begins at 0.
    "NodeRestarted": Case(
        {f"node_boot_time_seconds{{{NODE}}}": -10}, {f"node_boot_time_seconds{{{NODE}}}": -1000}, begins=0
    ),
    "KubeletDown": Case(up("kubelet", 0, 1), [up("kubelet", 1, 1), up("cadvisor", 0)], begins=0),
    "ApiServerDown": Case([up("apiserver", 0), {}], up("apiserver", 0, 1), begins=0),
    "ApiServerErrors": Case(api(_200=967, _503=33), [api(_200=973, _503=27), api(_200=50, _429=50)], begins=1),
    "ApiServerSlow": Case(
        [answered(989), answered(989, bound="1.0")],
        [answered(991), answered(100, verb="WATCH")],
        begins=1,
    ),
    "ApiServerAuditLost": Case(
        [
            {'apiserver_audit_error_total{job="apiserver",plugin="log"}': "0+1x200"},
            {'apiserver_audit_requests_rejected_total{job="apiserver"}': "0+1x200"},
        ],
        [
            {
                'apiserver_audit_error_total{job="apiserver",plugin="log"}': 5,
                'apiserver_audit_event_total{job="apiserver"}': "0+9x200",
            },
            {'apiserver_audit_event_total{job="apiserver"}': "0+9x200"},
        ],
        begins=1,
    ),
    "NodeBusy": Case(cpu(idle=6, user=54), [cpu(idle=15, user=45), cpu(idle=3, iowait=12, user=45)], begins=1),
    "NodeRobbed": Case(cpu(idle=10, steal=6.6), cpu(idle=10, steal=5.4), begins=5),
    "NodeLoadHigh": Case(load(4.4), load(3.6), begins=0),
    "NodeMemoryLow": Case(memory(14), memory(16), begins=0),
    "NodeMemoryUsedUp": Case(memory(4), memory(6), begins=0),
    "NodeRereadsMemory": Case(
        counted("node_vmstat_pgmajfault", 33_000), counted("node_vmstat_pgmajfault", 27_000), begins=5
    ),
    "NodeWaitsForCpu": Case(
        counted("node_pressure_cpu_waiting_seconds_total", 39.6),
        counted("node_pressure_cpu_waiting_seconds_total", 32.4),
        begins=5,
    ),
    "NodeWaitsForMemory": Case(
        counted("node_pressure_memory_stalled_seconds_total", 6.6),
        counted("node_pressure_memory_stalled_seconds_total", 5.4),
        begins=5,
    ),
    "NodeWaitsForDisk": Case(
        counted("node_pressure_io_stalled_seconds_total", 19.8),
        counted("node_pressure_io_stalled_seconds_total", 16.2),
        begins=5,
    ),
    "NodeDiskSaturated": Case(
        counted("node_disk_io_time_weighted_seconds_total", 660, f'{NODE},device="nvme0n1"'),
        [
            counted("node_disk_io_time_weighted_seconds_total", 540, f'{NODE},device="nvme0n1"'),
            counted("node_disk_io_time_weighted_seconds_total", 1200, f'{NODE},device="loop0"'),
        ],
        begins=5,
    ),
    "NodeDiskFilling": Case(
        disk(71), [disk(69), disk(99, f'{NODE},id="/",device="tmpfs"'), disk(99, f'{NODE},id="/x"')], begins=0
    ),
    "NodeDiskNearlyFull": Case(disk(86), disk(84), begins=0),
    "NodeDiskFullWithinADay": Case(
        disk("60+0.1x200"), [disk("60+0.01x200"), disk("10+0.1x200")], begins=1
    ),
    "NodeClockUnsynchronised": Case(
        {SYNC: 0, ERROR: 16}, [{SYNC: 1, ERROR: 16}, {SYNC: 0, ERROR: 1}], begins=0
    ),
    "NodeClockSkewed": Case(
        [{OFFSET: 0.055}, {OFFSET: "-0.1-0.001x200"}],
        # It is being mended, or is nothing.
        [{OFFSET: "0.2-0.001x100"}, {OFFSET: 0.045}],
        begins=1,
    ),
}  # fmt: skip


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = watches.of_nodes().alerts
    judge(tmp_path, alerts, trials(alerts, CASES))
