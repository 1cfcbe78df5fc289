"""The backup that a release begins with: its migration waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi

from components.base import Component, Identity
from components.jobs import Work, once

RETRIES: Final = 3
"""A first release comes upon a database whose repository is made just then; so does one after a restart."""


@dataclass(frozen=True, kw_only=True)
class SnapshotArgs:
    """One release's snapshot.

    Attributes:
        identity: whose it is.
        namespace: where the backup jobs run.
        work: the job that takes it: `Backups.work["snapshot"]`.
        image: of the version that is about to migrate the database; another one makes another snapshot.
        after: what must stand before: the database, and all that the job needs.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    work: Work
    image: str
    after: Sequence[pulumi.Resource]


class Snapshot(Component):
    """One Job, once for each release: a backup of what has changed, and a point with a name to go back to.

    The same image makes none; what the job itself runs with makes a new one, which costs a small backup. One
    that fails is made anew by the next `up`, and until it has succeeded nothing is migrated. What it took
    stays in the repository for as long as backups are kept, annotated with the image.

    To go back: docs/runbooks/disaster-bad-deploy.md.
    """

    TYPE = "fixia:backup:Snapshot"

    job: pulumi.Output[str]
    """The Job's name in the cluster."""

    def __init__(self, name: str, args: SnapshotArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        (container,) = args.work.pod.containers
        told = replace(container, env={**container.env, "RELEASE": args.image})
        work = replace(args.work, pod=replace(args.work.pod, containers=[told]), retries=RETRIES)
        self.job = once(self, f"{name}-job", args.namespace, work, args.after).metadata.name
        self.finish()
