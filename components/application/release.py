"""A release's steps before any traffic: snapshot, migrations, smoke test; the first that fails stops it.

The new version is tried beside nobody: in a pod of its own, with production's configuration, before the first
pod that serves is replaced. So a failure leaves the old version serving, whichever step it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs

from components.application.configuration import Configuration
from components.application.container import Application
from components.base import Component, Identity
from components.network import Connections, ConnectionsArgs, endpoint
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, hardened_pod

SMOKE_SECONDS: Final = 300
"""How long the trial may take: two minutes for the new version to start, the rest to try it."""

RUNNER: Final = Resources(cpu="50m", memory="128Mi", memory_limit="256Mi")


@dataclass(frozen=True, kw_only=True)
class ReleaseArgs:
    """What has to succeed before a new version is rolled out.

    Attributes:
        identity: whose it is.
        namespace: where the steps run.
        application: the new version, with its configuration and whom it calls.
        migrate: the arguments that migrate the database.
        smoke: the arguments that try the new version at 127.0.0.1.
        deadline_seconds: how long the migrations may take.
        after: what must have succeeded before, such as a snapshot of the database.
        priority_class: the name of the steps' priority class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    application: Application
    migrate: Sequence[str]
    smoke: Sequence[str]
    deadline_seconds: int
    after: Sequence[pulumi.Resource] = ()
    priority_class: pulumi.Input[str] | None = None


class Release(Component):
    """One Job for each step, in order; another image or configuration makes new Jobs, the same makes none.

    A Job that fails stays, with its pod's log, until the next try: `kubectl logs -n <namespace> job/<name>`.
    One that runs into its deadline loses its pod, and the log with it. The next `up` makes failed Jobs anew,
    also when nothing else has changed. Migrations must be such that the version before them still works: it
    serves meanwhile, and after a failure.
    """

    TYPE = "fixia:application:Release"

    steps: list[pulumi.Output[str]]
    """The Jobs' names in the cluster, in order."""

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        connections = Connections(
            name,
            ConnectionsArgs(
                identity=args.identity,
                caller=endpoint(args.identity, name, args.namespace, args.application.port),
                talks_to=args.application.talks_to,
            ),
            opts=self.child(),
        )
        told = args.application.told(self, name, args.namespace)
        account = service_account(self, name, args.namespace).metadata.name
        migrate = self._step(
            f"{name}-migrate",
            args,
            told,
            account,
            containers=[_runner("migrate", args, told, args.migrate)],
            after=[connections, *args.after],
            deadline_seconds=args.deadline_seconds,
        )
        smoke = self._step(
            f"{name}-smoke",
            args,
            told,
            account,
            beside=[args.application.container("candidate", told, sidecar=True)],
            containers=[_runner("smoke", args, told, args.smoke)],
            after=[migrate],
            deadline_seconds=SMOKE_SECONDS,
        )
        self.steps = [migrate.metadata.name, smoke.metadata.name]
        self.finish()

    def _step(
        self,
        name: str,
        args: ReleaseArgs,
        told: Configuration,
        account: pulumi.Input[str],
        *,
        containers: Sequence[Container],
        after: Sequence[pulumi.Resource],
        deadline_seconds: int,
        beside: Sequence[Container] = (),
    ) -> Job:
        return Job(
            name,
            # Without it, an `up` after a failure would wait again for the Job that has failed already.
            metadata=self.metadata(args.namespace, annotations={"pulumi.com/replaceUnready": "true"}),
            spec=JobSpecArgs(
                # A step that failed has failed: a second try would hide what went wrong from the release.
                backoff_limit=0,
                active_deadline_seconds=deadline_seconds,
                template=PodTemplateSpecArgs(
                    metadata=self.metadata(),
                    spec=hardened_pod(
                        Pod(
                            init_containers=beside,
                            containers=containers,
                            service_account=account,
                            volumes=told.volumes,
                            restart_policy="Never",
                            priority_class=args.priority_class,
                        )
                    ),
                ),
            ),
            opts=self.child(
                depends_on=list(after),
                custom_timeouts=pulumi.CustomTimeouts(create=f"{deadline_seconds + 60}s"),
            ),
        )


def _runner(name: str, args: ReleaseArgs, told: Configuration, arguments: Sequence[str]) -> Container:
    return Container(
        name=name,
        image=args.application.image,
        args=arguments,
        resources=RUNNER,
        environment=told.environment,
        mounts=told.mounts,
    )
