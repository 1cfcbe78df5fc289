"""When what runs in the cluster needs somebody: rollouts, jobs, pods, containers, their limits and volumes.

`kube_*` are kube-state-metrics', which keep the `namespace` and `pod` that they tell of (`honor_labels`);
`container_*` and `kubelet_*` are the kubelet's. What the data tier and the backups say of their own jobs and
containers (`components.data.alerts`, `components.backup.alerts`) is left out here, so that nobody is told
twice. CoreDNS, the network plugin and the storage driver are the cluster's, outside this program: a probe may
ask the names, and otherwise their absence shows in what depends on them.
"""

from typing import Final

from components.watch import Alert

DAY: Final = 86400
"""Seconds."""

COVERED_JOBS: Final = "(maintenance|backups)-.*"
COVERED_CONTAINERS: Final = "postgresql|postgres|pgbouncer|valkey"
"""What has alerts of its own, which say more."""

_RUNBOOKS: Final = "docs/runbooks"
ROLLOUT: Final = f"{_RUNBOOKS}/rollout-stuck.md"
JOB: Final = f"{_RUNBOOKS}/job-failed.md"
POD: Final = f"{_RUNBOOKS}/pod-not-running.md"
CONTAINER: Final = f"{_RUNBOOKS}/container-resources.md"
CAPACITY: Final = f"{_RUNBOOKS}/capacity-used-up.md"
VOLUME: Final = f"{_RUNBOOKS}/volume-filling.md"

_CONTAINER: Final = "namespace, pod, container"
_OTHERS: Final = f'container!~"|{COVERED_CONTAINERS}"'
"""Without what is no container: cAdvisor counts pods and slices by an empty name."""


def _per_container(metric: str, how: str = "max") -> str:
    """One number for each container: cAdvisor's and kube-state-metrics' carry different labels beside."""
    return f"{how} by ({_CONTAINER}) ({metric})"


def _unlike(kind: str, has: str, wanted: str) -> str:
    """Where two numbers of an object are not the same."""
    return f"kube_{kind}_{has} != kube_{kind}_{wanted}"


ROLLOUTS: Final = (
    Alert(
        name="DeploymentStuck",
        expression='kube_deployment_status_condition{condition="Progressing",status="false"} == 1',
        minutes=1,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.deployment }}: the new version does not come up; "
        "the old one serves on",
        runbook=ROLLOUT,
    ),
    Alert(
        name="DeploymentIncomplete",
        expression="kube_deployment_status_replicas_available < kube_deployment_spec_replicas "
        "and kube_deployment_status_replicas_available > 0",
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.deployment }}: only {{ $value }} of its pods serve",
        runbook=ROLLOUT,
    ),
    Alert(
        name="DeploymentUnavailable",
        expression="kube_deployment_status_replicas_available == 0 and kube_deployment_spec_replicas > 0",
        minutes=3,
        severity="P2",
        summary="{{ $labels.namespace }}/{{ $labels.deployment }}: none of its pods serves",
        runbook=ROLLOUT,
    ),
    Alert(
        name="StatefulSetIncomplete",
        expression="kube_statefulset_status_replicas_ready < kube_statefulset_replicas",
        minutes=15,
        severity="P2",
        summary="{{ $labels.namespace }}/{{ $labels.statefulset }}: only {{ $value }} of its pods are ready",
        runbook=ROLLOUT,
    ),
    Alert(
        name="StatefulSetStuck",
        # Two series that differ by their revision alone: what is there is not what is wanted.
        expression="count by (namespace, statefulset) (kube_statefulset_status_update_revision "
        "unless kube_statefulset_status_current_revision)",
        minutes=30,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.statefulset }}: some pods are still of the old version",
        runbook=ROLLOUT,
    ),
    Alert(
        name="DaemonSetIncomplete",
        expression=_unlike("daemonset", "status_number_ready", "status_desired_number_scheduled")
        + " or "
        + _unlike("daemonset", "status_updated_number_scheduled", "status_desired_number_scheduled"),
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.daemonset }}: it is not ready, or old, on some nodes",
        runbook=ROLLOUT,
    ),
)
"""For what should be running, in the version and the number that were asked for."""

JOBS: Final = (
    Alert(
        name="JobFailed",
        # A failed Job stays, so only the last day's counts.
        expression=f'kube_job_failed{{job_name!~"{COVERED_JOBS}",condition="true"}} == 1 '
        f"and on (namespace, job_name) time() - kube_job_status_start_time < {DAY}",
        minutes=1,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.job_name }} failed: its log says why",
        runbook=JOB,
    ),
    Alert(
        name="JobRunsLong",
        expression=f"time() - kube_job_status_start_time > {DAY // 2} "
        "and on (namespace, job_name) kube_job_status_active > 0",
        minutes=5,
        severity="P4",
        summary="{{ $labels.namespace }}/{{ $labels.job_name }} has run for {{ $value | humanizeDuration }}",
        runbook=JOB,
    ),
    Alert(
        name="CronJobOverdue",
        expression=f'time() - kube_cronjob_next_schedule_time{{cronjob!~"{COVERED_JOBS}"}} > 3600 '
        "and on (namespace, cronjob) kube_cronjob_spec_suspend == 0",
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.cronjob }} should have been started "
        "{{ $value | humanizeDuration }} ago",
        runbook=JOB,
    ),
)
"""For what ends by itself."""

_NO_START: Final = "(Err)?ImagePull(BackOff)?|InvalidImageName|CreateContainer(Config)?Error"


def _waits(reason: str, containers: str = "") -> str:
    """Init containers, and with them sidecars, are told apart from the others."""
    return " or ".join(
        f'max_over_time(kube_pod_{kind}_status_waiting_reason{{reason=~"{reason}"{containers}}}[5m]) == 1'
        for kind in ("container", "init_container")
    )


PODS: Final = (
    Alert(
        name="PodCrashLoops",
        expression=_waits("CrashLoopBackOff", f",{_OTHERS}"),
        minutes=5,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} ends again and again",
        runbook=POD,
    ),
    Alert(
        name="PodCannotStart",
        expression=_waits(_NO_START),
        minutes=10,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} cannot start, "
        "{{ $labels.reason }}",
        runbook=POD,
    ),
    Alert(
        name="PodPending",
        expression='kube_pod_status_phase{phase="Pending"} == 1',
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }} finds no node, or waits for a volume or an image",
        runbook=POD,
    ),
    Alert(
        name="PodNotReady",
        expression='kube_pod_status_ready{condition="true"} == 0 '
        'and on (namespace, pod) kube_pod_status_phase{phase="Running"} == 1',
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }} runs and is not ready: it gets no requests",
        runbook=POD,
    ),
)
"""For single pods."""

_USED: Final = f"container_memory_working_set_bytes{{{_OTHERS}}}"
_MOST: Final = _per_container(f'kube_pod_container_resource_limits{{resource="memory",{_OTHERS}}}')
_CPU: Final = _per_container('rate(container_cpu_usage_seconds_total{container!=""}[5m])', "sum")
_GRANTED: Final = " or ".join(
    _per_container(f'kube_pod_container_resource_{kind}{{resource="cpu"}}') for kind in ("limits", "requests")
)
"""Ours have no limit of CPU, so it is what they asked for."""

CONTAINERS: Final = (
    Alert(
        name="ContainerOutOfMemory",
        # The first tells of a container that was ended, the second of a process within one.
        expression=_per_container(
            f'kube_pod_container_status_last_terminated_reason{{reason="OOMKilled",{_OTHERS}}} == 1 and '
            f"on ({_CONTAINER}) increase(kube_pod_container_status_restarts_total[15m]) > 0"
        )
        + " or "
        + _per_container(f"increase(container_oom_events_total{{{_OTHERS}}}[15m])")
        + " > 0",
        minutes=1,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} used all of its memory, "
        "and the kernel ended it",
        runbook=CONTAINER,
    ),
    Alert(
        name="ContainerMemoryNearLimit",
        expression=f"{_per_container(_USED)} / {_MOST} > 0.85",
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} uses "
        "{{ $value | humanizePercentage }} of its memory",
        runbook=CONTAINER,
    ),
    Alert(
        name="ContainerMemoryGrows",
        expression=f"{_per_container(f'predict_linear({_USED}[6h], {DAY})')} > {_MOST} "
        f"and {_per_container(_USED)} > 0.6 * {_MOST}",
        minutes=60,
        severity="P4",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} grows, and reaches its "
        "limit within a day: a leak?",
        runbook=CONTAINER,
    ),
    Alert(
        name="ContainerBusy",
        # A tenth of a core is nothing, however little was asked for.
        expression=f"{_CPU} / ({_GRANTED}) > 0.8 and {_CPU} > 0.1",
        minutes=30,
        severity="P4",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} uses "
        "{{ $value | humanizePercentage }} of its CPU",
        runbook=CONTAINER,
    ),
    Alert(
        name="ContainerThrottled",
        expression=_per_container("increase(container_cpu_cfs_throttled_periods_total[5m])", "sum")
        + " / "
        + _per_container("increase(container_cpu_cfs_periods_total[5m])", "sum")
        + " > 0.25",
        minutes=15,
        severity="P4",
        summary="{{ $labels.namespace }}/{{ $labels.pod }}: {{ $labels.container }} is held back in "
        "{{ $value | humanizePercentage }} of its time",
        runbook=CONTAINER,
    ),
)
"""For what a container may use."""

_HPA: Final = "kube_horizontalpodautoscaler"
_QUOTA: Final = (
    'max by (namespace, resourcequota, resource) (kube_resourcequota{type="used"}) '
    '/ max by (namespace, resourcequota, resource) (kube_resourcequota{type="hard"} > 0)'
)

LIMITS: Final = (
    Alert(
        name="AutoscalerAtMaximum",
        expression=f"{_HPA}_status_current_replicas >= {_HPA}_spec_max_replicas "
        f"and {_HPA}_spec_max_replicas > {_HPA}_spec_min_replicas",
        minutes=30,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.horizontalpodautoscaler }} has had all of its "
        "{{ $value }} pods for half an hour: what comes on top slows down",
        runbook=CAPACITY,
    ),
    Alert(
        name="AutoscalerBlind",
        expression=f'{_HPA}_status_condition{{condition=~"AbleToScale|ScalingActive",status="false"}} == 1',
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}/{{ $labels.horizontalpodautoscaler }} cannot scale: "
        "{{ $labels.condition }} is false",
        runbook=CAPACITY,
    ),
    Alert(
        name="DisruptionBudgetWithoutRoom",
        expression="kube_poddisruptionbudget_status_pod_disruptions_allowed == 0 "
        "and kube_poddisruptionbudget_status_expected_pods > 0",
        minutes=60,
        severity="P4",
        summary="{{ $labels.namespace }}/{{ $labels.poddisruptionbudget }}: not one pod may be moved, so no "
        "node of theirs can be drained",
        runbook=CAPACITY,
    ),
    Alert(
        name="QuotaNearlyUsed",
        expression=f"{_QUOTA} > 0.85",
        minutes=30,
        severity="P4",
        summary="{{ $labels.namespace }}: {{ $value | humanizePercentage }} of the quota of "
        "{{ $labels.resource }} is used",
        runbook=CAPACITY,
    ),
    Alert(
        name="QuotaUsedUp",
        expression=f"{_QUOTA} > 0.95",
        minutes=15,
        severity="P3",
        summary="{{ $labels.namespace }}: {{ $value | humanizePercentage }} of the quota of "
        "{{ $labels.resource }} is used; no pod more may start",
        runbook=CAPACITY,
    ),
)
"""For how far the platform can grow by itself."""

_CLAIM: Final = "namespace, persistentvolumeclaim"
_AVAILABLE: Final = "kubelet_volume_stats_available_bytes"
# Prometheus fills its volume up to what it was told, and has an alert of its own.
_OTHER_VOLUMES: Final = f'{_AVAILABLE}{{persistentvolumeclaim!~"prometheus-data.*"}}'
_FILLED: Final = f"1 - min by ({_CLAIM}) ({_OTHER_VOLUMES} / kubelet_volume_stats_capacity_bytes)"
_FILES: Final = f"max by ({_CLAIM}) (kubelet_volume_stats_inodes_used / (kubelet_volume_stats_inodes > 0))"


def _full_within(seconds: int, seen: str) -> str:
    """At the pace of a while; a volume that is mostly empty may as well be new."""
    return f"min by ({_CLAIM}) (predict_linear({_AVAILABLE}[{seen}], {seconds})) < 0 and {_FILLED} > 0.5"


_AT: Final = "{{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }}"

VOLUMES: Final = (
    Alert(
        name="VolumeFilling",
        expression=f"{_FILLED} > 0.7",
        minutes=60,
        severity="P4",
        summary=f"{_AT}: {{{{ $value | humanizePercentage }}}} of the volume is used",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeNearlyFull",
        expression=f"{_FILLED} > 0.85",
        minutes=15,
        severity="P2",
        summary=f"{_AT}: {{{{ $value | humanizePercentage }}}} of the volume is used",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeFullWithinHours",
        expression=_full_within(DAY // 6, "1h"),
        minutes=15,
        severity="P2",
        summary=f"{_AT} is full within four hours at the pace of the last one",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeFullWithinDays",
        expression=_full_within(4 * DAY, "6h"),
        minutes=60,
        severity="P4",
        summary=f"{_AT} is full within four days at the pace of the last hours",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeFilesFilling",
        expression=f"{_FILES} > 0.7",
        minutes=60,
        severity="P4",
        summary=f"{_AT}: {{{{ $value | humanizePercentage }}}} of the number of files are used",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeFilesNearlyFull",
        expression=f"{_FILES} > 0.85",
        minutes=15,
        severity="P2",
        summary=f"{_AT}: {{{{ $value | humanizePercentage }}}} of the number of files are used",
        runbook=VOLUME,
    ),
    Alert(
        name="VolumeNotBound",
        expression='kube_persistentvolumeclaim_status_phase{phase=~"Pending|Lost"} == 1',
        minutes=15,
        severity="P3",
        summary=f"{_AT} is {{{{ $labels.phase }}}}: it has no volume",
        runbook=VOLUME,
    ),
)
"""For every claim; of the data tier's, `components.data.alerts.MACHINES` wakes people sooner."""

ALERTS: Final = (*ROLLOUTS, *JOBS, *PODS, *CONTAINERS, *LIMITS, *VOLUMES)
