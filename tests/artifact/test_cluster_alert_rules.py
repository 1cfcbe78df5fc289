"""Each alert on what runs in the cluster comes at its minute and keeps quiet otherwise, by Prometheus' own judgement."""

import re
from pathlib import Path

import pytest

from components.monitoring import watches
from simulator.programs.registry import PROGRAMS
from tests.artifact.alert_trials import Case, Series, judge, trials
from tests.artifact.test_alert_metrics import ELSEWHERE

APP = 'namespace="fixia-app"'
DEPLOYMENT = f'{{{APP},deployment="api"}}'
AVAILABLE, WANTED = (
    f"kube_deployment_{what}{DEPLOYMENT}" for what in ("status_replicas_available", "spec_replicas")
)
READY, REPLICAS = (
    f'kube_statefulset_{what}{{{APP},statefulset="store"}}' for what in ("status_replicas_ready", "replicas")
)
ON_NODES, OF_NOW, ON_ALL = (
    f'kube_daemonset_status_{what}{{{APP},daemonset="node-exporter"}}'
    for what in ("number_ready", "updated_number_scheduled", "desired_number_scheduled")
)
CONTAINER = f'{APP},pod="api-1",container="api"'
DATA = 'namespace="fixia-data",pod="database-0",container="postgresql"'
HPA = f'{APP},horizontalpodautoscaler="api-autoscaler"'
BUDGET = f'{{{APP},poddisruptionbudget="api-budget"}}'
CLAIM = 'namespace="fixia-monitoring",persistentvolumeclaim="registry-data"'
FREE, SIZE, FILES, MOST_FILES = (
    f"kubelet_volume_stats_{what}{{{CLAIM}}}"
    for what in ("available_bytes", "capacity_bytes", "inodes_used", "inodes")
)
PHASE = f'kube_pod_status_phase{{{APP},pod="api-1",phase="%s"}}'
RUNS = PHASE % "Running"


def revisions(current: str, wanted: str) -> Series:
    at = f'{APP},statefulset="store",revision='
    return {
        f'kube_statefulset_status_current_revision{{{at}"{current}"}}': 1,
        f'kube_statefulset_status_update_revision{{{at}"{wanted}"}}': 1,
    }


def job(name: str, *, failed: int = 0, active: int = 0, started: int = 0) -> Series:
    at = f'{APP},job_name="{name}"'
    return {
        f'kube_job_failed{{{at},condition="true"}}': failed,
        f"kube_job_status_active{{{at}}}": active,
        f"kube_job_status_start_time{{{at}}}": started,
    }


def cron(name: str, due: int, *, suspended: int = 0) -> Series:
    at = f'{{{APP},cronjob="{name}"}}'
    return {f"kube_cronjob_next_schedule_time{at}": due, f"kube_cronjob_spec_suspend{at}": suspended}


def waits(reason: str, kind: str = "container", container: str = CONTAINER, value: float | str = 1) -> Series:
    return {f'kube_pod_{kind}_status_waiting_reason{{{container},reason="{reason}"}}': value}


def ended(reason: str, restarts: float | str, container: str = CONTAINER) -> Series:
    return {
        f'kube_pod_container_status_last_terminated_reason{{{container},reason="{reason}"}}': 1,
        f"kube_pod_container_status_restarts_total{{{container}}}": restarts,
    }


def memory(used: float | str, most: float, container: str = CONTAINER) -> Series:
    return {
        f'container_memory_working_set_bytes{{{container},id="/kubepods/x"}}': used,
        f'kube_pod_container_resource_limits{{{container},resource="memory",unit="byte"}}': most,
    }


def cpu(used: str, **granted: float) -> Series:
    limits = {
        f'kube_pod_container_resource_{kind}{{{CONTAINER},resource="cpu",unit="core"}}': value
        for kind, value in granted.items()
    }
    return {f'container_cpu_usage_seconds_total{{{CONTAINER},id="/kubepods/x"}}': used, **limits}


def throttled(periods: int) -> Series:
    at = f'{{{CONTAINER},id="/kubepods/x"}}'
    return {
        f"container_cpu_cfs_throttled_periods_total{at}": f"0+{periods}x200",
        f"container_cpu_cfs_periods_total{at}": "0+100x200",
    }


def scaled(current: int, most: int = 5, fewest: int = 2) -> Series:
    return {
        f"kube_horizontalpodautoscaler_status_current_replicas{{{HPA}}}": current,
        f"kube_horizontalpodautoscaler_spec_max_replicas{{{HPA}}}": most,
        f"kube_horizontalpodautoscaler_spec_min_replicas{{{HPA}}}": fewest,
    }


def condition(name: str, value: int) -> Series:
    at = f'{HPA},condition="{name}",status="false"'
    return {f"kube_horizontalpodautoscaler_status_condition{{{at}}}": value}


def room(allowed: int, pods: int) -> Series:
    return {
        f"kube_poddisruptionbudget_status_pod_disruptions_allowed{BUDGET}": allowed,
        f"kube_poddisruptionbudget_status_expected_pods{BUDGET}": pods,
    }


def quota(used: int, most: int) -> Series:
    at = f'{APP},resourcequota="quota",resource="requests.cpu",type='
    return {f'kube_resourcequota{{{at}"used"}}': used, f'kube_resourcequota{{{at}"hard"}}': most}


def claim(phase: str, value: int) -> Series:
    return {f'kube_persistentvolumeclaim_status_phase{{{CLAIM},phase="{phase}"}}': value}


# Their clock begins at 0.
CASES = {
    "DeploymentStuck": Case(
        {f'kube_deployment_status_condition{{{APP},deployment="api",condition="Progressing",status="false"}}': 1},
        [
            {f'kube_deployment_status_condition{{{APP},deployment="api",condition="{name}",status="false"}}': value}
            for name, value in (("Progressing", 0), ("Available", 1))
        ],
        begins=0,
    ),
    "DeploymentIncomplete": Case(
        {AVAILABLE: 2, WANTED: 3},
        # A release; none at all is another alert's.
        [{AVAILABLE: 3, WANTED: 3}, {AVAILABLE: 0, WANTED: 3}, {AVAILABLE: "3x5 2x10 3x200", WANTED: 3}],
        begins=0,
    ),
    "DeploymentUnavailable": Case(
        {AVAILABLE: 0, WANTED: 3}, [{AVAILABLE: 0, WANTED: 0}, {AVAILABLE: "3x9 0x1 3x200", WANTED: 3}], begins=0
    ),
    "StatefulSetIncomplete": Case({READY: 0, REPLICAS: 1}, {READY: 1, REPLICAS: 1}, begins=0),
    "StatefulSetStuck": Case(revisions("a", "b"), revisions("b", "b"), begins=0),
    "DaemonSetIncomplete": Case(
        [{ON_NODES: 2, OF_NOW: 3, ON_ALL: 3}, {ON_NODES: 3, OF_NOW: 1, ON_ALL: 3}],
        {ON_NODES: 3, OF_NOW: 3, ON_ALL: 3},
        begins=0,
    ),
    "JobFailed": Case(
        job("release-migrate", failed=1),
        [
            job("release-migrate", failed=1, started=-90_000),
            job("maintenance-vacuum-29", failed=1),
            job("backups-full-29", failed=1),
        ],
        begins=0,
    ),
    "JobRunsLong": Case(
        job("import", active=1, started=-50_000),
        [job("import", active=0, started=-50_000), job("import", active=1, started=-30_000)],
        begins=0,
    ),
    "CronJobOverdue": Case(
        cron("report", -3700),
        [cron("report", 3600), cron("report", -3700, suspended=1), cron("backups-full", -3700)],
        begins=0,
    ),
    "PodCrashLoops": Case(
        # Between two tries it runs for a while.
        [
            waits("CrashLoopBackOff", value="1 1 0 0 1 " * 40),
            waits("CrashLoopBackOff", kind="init_container"),
        ],
        [waits("CrashLoopBackOff", value=0), waits("CrashLoopBackOff", container=DATA), waits("ContainerCreating")],
        begins=0,
    ),
    "PodCannotStart": Case(
        [waits("ImagePullBackOff"), waits("CreateContainerConfigError"), waits("ErrImagePull", "init_container")],
        [waits("ImagePullBackOff", value=0), waits("PodInitializing")],
        begins=0,
    ),
    "PodPending": Case({PHASE % "Pending": 1}, {PHASE % "Pending": "1x10 0x200"}, begins=0),
    "PodNotReady": Case(
        {f'kube_pod_status_ready{{{APP},pod="api-1",condition="true"}}': 0, RUNS: 1},
        # A job's, that is done.
        {f'kube_pod_status_ready{{{APP},pod="api-1",condition="true"}}': 0, RUNS: 0},
        begins=0,
    ),
    "ContainerOutOfMemory": Case(
        [
            ended("OOMKilled", "0+1x200"),
            {f'container_oom_events_total{{{CONTAINER},id="/kubepods/x"}}': "0+1x200"},
        ],
        [
            ended("OOMKilled", 3),
            ended("Error", "0+1x200"),
            ended("OOMKilled", "0+1x200", DATA),
            {f'container_oom_events_total{{{CONTAINER},id="/kubepods/x"}}': 1},
            {'container_oom_events_total{container="",id="/"}': "0+1x200"},
        ],
        begins=1,
    ),
    "ContainerMemoryNearLimit": Case(
        memory(86, 100), [memory(84, 100), memory(99, 100, DATA), memory("99x10 60x200", 100)], begins=0
    ),
    "ContainerMemoryGrows": Case(
        memory("650+0.5x200", 1000), [memory("650+0.1x200", 1000), memory("100+1x200", 1000)], begins=1
    ),
    "ContainerBusy": Case(
        [cpu("0+54x200", requests=1), cpu("0+54x200", limits=1, requests=0.1)],
        [
            cpu("0+42x200", requests=1),
            cpu("0+54x200", limits=2, requests=1),
            # It asked for next to nothing, and takes little more.
            cpu("0+3x200", requests=0.01),
        ],
        begins=5,
    ),
    "ContainerThrottled": Case(throttled(27), throttled(23), begins=1),
    "AutoscalerAtMaximum": Case(scaled(5), [scaled(4), scaled(2, 2, 2)], begins=0),
    "AutoscalerBlind": Case(
        [condition("ScalingActive", 1), condition("AbleToScale", 1)],
        [condition("ScalingActive", 0), condition("ScalingLimited", 1)],
        begins=0,
    ),
    "DisruptionBudgetWithoutRoom": Case(room(0, 2), [room(1, 2), room(0, 0)], begins=0),
    "QuotaNearlyUsed": Case(quota(86, 100), [quota(84, 100), quota(0, 0)], begins=0),
    "QuotaUsedUp": Case(quota(96, 100), [quota(94, 100), quota(0, 0)], begins=0),
    "VolumeFilling": Case({FREE: 29, SIZE: 100}, {FREE: 31, SIZE: 100}, begins=0),
    "VolumeNearlyFull": Case({FREE: 14, SIZE: 100}, {FREE: 16, SIZE: 100}, begins=0),
    "VolumeFullWithinHours": Case(
        {FREE: "45000-200x200", SIZE: 100_000},
        # Slowly; or fast, and there is much room.
        [{FREE: "45000-50x200", SIZE: 100_000}, {FREE: "95000-400x200", SIZE: 100_000}],
        begins=1,
    ),
    "VolumeFullWithinDays": Case(
        {FREE: "45000-10x200", SIZE: 100_000},
        [{FREE: "45000-5x200", SIZE: 100_000}, {FREE: "95000-20x200", SIZE: 100_000}],
        begins=1,
    ),
    "VolumeFilesFilling": Case(
        {FILES: 71, MOST_FILES: 100}, [{FILES: 69, MOST_FILES: 100}, {FILES: 0, MOST_FILES: 0}], begins=0
    ),
    "VolumeFilesNearlyFull": Case(
        {FILES: 86, MOST_FILES: 100}, [{FILES: 84, MOST_FILES: 100}, {FILES: 0, MOST_FILES: 0}], begins=0
    ),
    "VolumeNotBound": Case(
        [claim("Pending", 1), claim("Lost", 1)], [claim("Pending", 0), claim("Bound", 1)], begins=0
    ),
}  # fmt: skip


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = watches.of_cluster().alerts
    judge(tmp_path, alerts, trials(alerts, CASES))


def test_the_sources_of_kube_state_metrics_say_the_same() -> None:
    """Its pages have a row for each metric, with its labels."""
    program = PROGRAMS["kube-state-metrics"]
    wanted = f"{program.module}@v{program.version}"
    docs = Path.home() / "go" / "pkg" / "mod" / wanted / "docs" / "metrics"
    if not docs.is_dir():
        pytest.skip(f"{docs} is not there: go mod download {wanted}")
    rows = [line for page in docs.rglob("*.md") for line in page.read_text(encoding="utf-8").splitlines()]
    told = {
        name: set(re.findall(r"`(\w+)` ?=`?(?:&lt;|<)", row))
        for row in rows
        for name in re.findall(r"^\| (kube_\w+) ", row)
    }
    ours = {name: labels for name, labels in ELSEWHERE.items() if name.startswith("kube_")}
    assert {name: labels - told[name] for name, labels in ours.items() if labels - told[name]} == {}
