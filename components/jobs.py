"""One job, whoever starts it: it ends in time, and is kept a while; by the clock it overlaps with nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import (
    CronJob,
    CronJobSpecArgs,
    JobSpecArgs,
    JobTemplateSpecArgs,
    PodFailurePolicyArgs,
    PodFailurePolicyOnExitCodesRequirementArgs,
    PodFailurePolicyOnPodConditionsPatternArgs,
    PodFailurePolicyRuleArgs,
)
from pulumi_kubernetes.batch.v1 import Job as BatchJob
from pulumi_kubernetes.core.v1 import (
    EmptyDirVolumeSourceArgs,
    EphemeralVolumeSourceArgs,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimTemplateArgs,
    PodTemplateSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.base import Component
from components.pods import Pod, hardened_pod

LATE_SECONDS: Final = 1800
"""When the control plane was away: still within half an hour, or not at all."""
HISTORY: Final = 3
"""How many ended jobs are kept to be looked at, of those that succeeded and of those that failed."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one job runs.

    Attributes:
        deadline: seconds after which it is ended, whatever it does; counted over all its tries.
        pod: what it runs.
        retries: how often it is tried again. The default is for a database that restarts at that moment.
        final: exit codes after which it is not tried again, because another try would end the same way.
        labels: of its pods, for policies that mean them alone; the owner's unless told.
    """

    deadline: int
    pod: Pod
    retries: int = 2
    final: Sequence[int] = ()
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Job(Work):
    """What one job runs, and when.

    Attributes:
        schedule: five fields of cron, in UTC.
        suspended: whether only people and pipelines start it: `kubectl create job --from=cronjob/<name>`.
    """

    schedule: str
    suspended: bool = False


def cron_job(owner: Component, name: str, namespace: pulumi.Input[str], job: Job) -> CronJob:
    """Make it.

    Args:
        owner: the component that it belongs to.
        name: the resource's, and its own in the cluster: people start it by hand, and alerts name it.
        namespace: where it runs.
        job: what it is.
    """
    return CronJob(
        name,
        metadata=owner.metadata(namespace, name=name),
        spec=CronJobSpecArgs(
            schedule=job.schedule,
            time_zone="Etc/UTC",
            suspend=True if job.suspended else None,
            concurrency_policy="Forbid",
            starting_deadline_seconds=LATE_SECONDS,
            successful_jobs_history_limit=HISTORY,
            failed_jobs_history_limit=HISTORY,
            job_template=JobTemplateSpecArgs(
                metadata=owner.metadata(), spec=_spec(owner, job, _failures(job.final))
            ),
        ),
        opts=owner.child(),
    )


def once(
    owner: Component, name: str, namespace: pulumi.Input[str], work: Work, after: Sequence[pulumi.Resource]
) -> BatchJob:
    """Run it at once, and again whenever anything of it changes; the engine waits until it has succeeded.

    Args:
        owner: the component that it belongs to.
        name: the resource's; the engine makes up its own in the cluster.
        namespace: where it runs.
        work: what it is. With no retries it has one try, whatever ends it.
        after: what must have succeeded before.
    """
    return BatchJob(
        name,
        # Without it, an `up` after a failure would wait again for the Job that has failed already.
        metadata=owner.metadata(namespace, annotations={"pulumi.com/replaceUnready": "true"}),
        spec=_spec(owner, work, _failures(work.final) if work.retries else None),
        opts=owner.child(
            depends_on=list(after),
            custom_timeouts=pulumi.CustomTimeouts(create=f"{work.deadline + 60}s"),
        ),
    )


def _spec(owner: Component, work: Work, failures: PodFailurePolicyArgs | None) -> JobSpecArgs:
    of_pods = ObjectMetaArgs(labels=dict(work.labels)) if work.labels else owner.metadata()
    return JobSpecArgs(
        backoff_limit=work.retries,
        active_deadline_seconds=work.deadline,
        pod_failure_policy=failures,
        template=PodTemplateSpecArgs(metadata=of_pods, spec=hardened_pod(work.pod)),
    )


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Space that a job uses while it runs; it goes with the pod, however that ends.

    Attributes:
        folder: where it is mounted.
        size: as a binary Kubernetes quantity.
        claimed: whether it is a volume of its own, of that size, and not the node's disk up to that size. For
            what is as large as the database: no node is chosen that can't have it, and none is filled up.
        storage_class: of a volume of its own; the cluster's default unless told.
    """

    folder: str
    size: str
    claimed: bool = False
    storage_class: pulumi.Input[str] | None = None

    def volume(self, labels: dict[str, str]) -> VolumeArgs:
        """The pod's volume.

        Args:
            labels: of the claim, if there is one.

        Source: https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes
        """
        if not self.claimed:
            return VolumeArgs(name="scratch", empty_dir=EmptyDirVolumeSourceArgs(size_limit=self.size))
        claim = PersistentVolumeClaimTemplateArgs(
            metadata=ObjectMetaArgs(labels=labels),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=self.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": self.size}),
            ),
        )
        return VolumeArgs(name="scratch", ephemeral=EphemeralVolumeSourceArgs(volume_claim_template=claim))

    def mount(self) -> VolumeMountArgs:
        """Where the container finds it."""
        return VolumeMountArgs(name="scratch", mount_path=self.folder)


def _failures(final: Sequence[int]) -> PodFailurePolicyArgs:
    """A node that is drained at night is nobody's failure: the pod is made anew.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    disrupted = PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
    rules = [PodFailurePolicyRuleArgs(action="Ignore", on_pod_conditions=[disrupted])]
    if final:
        codes = PodFailurePolicyOnExitCodesRequirementArgs(operator="In", values=sorted(final))
        rules.append(PodFailurePolicyRuleArgs(action="FailJob", on_exit_codes=codes))
    return PodFailurePolicyArgs(rules=rules)
