"""A release's steps before any traffic: migrations, smoke test; the first that fails stops it.

The new version is tried beside nobody: in a pod of its own, with production's configuration, before the first
pod that serves is replaced. So a failure leaves the old version serving, whichever step it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

from components.application.container import Application
from components.base import Component, Identity
from components.jobs import Work, once
from components.network import Connections, ConnectionsArgs, endpoint
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources

SMOKE_SECONDS: Final = 300
"""How long the trial may take: two minutes for the new version to start, the rest to try it."""

RUNNER: Final = Resources(cpu="50m", memory="128Mi", memory_limit="256Mi")


@dataclass(frozen=True, kw_only=True)
class StepArgs:
    """One step.

    Attributes:
        identity: whose it is.
        namespace: where it runs.
        application: whose image it runs, what it is told and whom it calls.
        args: the arguments that it runs the image with.
        beside_itself: whether the application itself runs beside, at 127.0.0.1, to be tried.
        deadline_seconds: how long it may take.
        after: what must have succeeded before.
        priority_class: the name of its pod's priority class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    application: Application
    args: Sequence[str]
    beside_itself: bool
    deadline_seconds: int
    after: Sequence[pulumi.Resource]
    priority_class: pulumi.Input[str] | None


class Step(Component):
    """One Job with one try, and connections and credentials of its own."""

    TYPE = "fixia:application:Step"

    job: pulumi.Output[str]
    """The Job's name in the cluster."""

    def __init__(self, name: str, args: StepArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        caller = endpoint(args.identity, name, args.namespace, args.application.port)
        connections = Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=caller, talks_to=args.application.talks_to),
            opts=self.child(),
        )
        told = args.application.told(self, name, args.namespace)
        account = service_account(self, name, args.namespace).metadata.name
        runner = Container(
            name="step",
            image=args.application.image,
            args=args.args,
            resources=RUNNER,
            environment=told.environment,
            mounts=told.mounts,
        )
        candidate = (
            [args.application.container("candidate", told, sidecar=True)] if args.beside_itself else []
        )
        work = Work(
            deadline=args.deadline_seconds,
            pod=Pod(
                init_containers=candidate,
                containers=[runner],
                service_account=account,
                volumes=told.volumes,
                restart_policy="Never",
                priority_class=args.priority_class,
            ),
            # A step that failed has failed: a second try would hide what went wrong from the release.
            retries=0,
        )
        after = [connections, *args.after]
        self.job = once(self, f"{name}-job", args.namespace, work, after).metadata.name
        self.finish()


@dataclass(frozen=True, kw_only=True)
class ReleaseArgs:
    """What has to succeed before a new version is rolled out.

    Attributes:
        identity: whose it is.
        namespace: where the steps run.
        application: the new version, with its configuration and whom it calls.
        migrations: the same image, as it migrates: told other credentials, and calling the database itself.
        migrate: the arguments that migrate the database.
        smoke: the arguments that try the new version at 127.0.0.1.
        deadline_seconds: how long the migrations may take.
        after: what must have succeeded before: the database is there, and a snapshot of it was taken.
        priority_class: the name of the steps' priority class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    application: Application
    migrations: Application
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

    jobs: list[pulumi.Output[str]]
    """The Jobs' names in the cluster, in order."""

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        migrate = Step(
            f"{name}-migrate",
            StepArgs(
                identity=args.identity,
                namespace=args.namespace,
                application=args.migrations,
                args=args.migrate,
                beside_itself=False,
                deadline_seconds=args.deadline_seconds,
                after=args.after,
                priority_class=args.priority_class,
            ),
            opts=self.child(),
        )
        smoke = Step(
            f"{name}-smoke",
            StepArgs(
                identity=args.identity,
                namespace=args.namespace,
                application=args.application,
                args=args.smoke,
                beside_itself=True,
                deadline_seconds=SMOKE_SECONDS,
                after=[migrate],
                priority_class=args.priority_class,
            ),
            opts=self.child(),
        )
        self.jobs = [migrate.job, smoke.job]
        self.finish()
