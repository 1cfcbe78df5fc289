"""The backups' composition: what keeps them, before the database; what makes and proves them, after it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.backup.repository import Repository
from components.backup.schedule import Backups, BackupsArgs
from components.backup.snapshot import Snapshot, SnapshotArgs
from components.backup.tasks import TASKS
from components.data.postgres import Database
from components.data.postgres_config import GROUPS, SINGLE_ROLES
from components.watch import Watch
from settings.arguments.backup import of_access, of_buckets, of_repository
from settings.arguments.engine import ServedDatabase
from settings.arguments.ground import Ground
from settings.data import CLOUDNATIVE_PG
from settings.model import Settings

BACKUPS = "backups"
SNAPSHOT = "release-snapshot"


@dataclass(frozen=True, kw_only=True)
class BackedUp:
    """The backups of a database as all others know them.

    Attributes:
        before: what a release waits for: the snapshot of what it is about to migrate.
        watches: how they are watched.
    """

    before: Sequence[pulumi.Resource] = ()
    watches: Sequence[Watch] = ()


def kept_repository(settings: Settings, ground: Ground) -> Repository | None:
    """Where the backups are: made first, if it is this stack's to make; None without backups.

    Args:
        settings: all of them.
        ground: what everything stands on.
    """
    section, database = settings.backup, settings.database
    if section is None or database is None:
        return None
    if section.aws is None:
        return of_repository(section, ground)
    # Two seconds, which only this way needs.
    import pulumi_aws

    from components.backup.access import Access
    from components.backup.buckets import Buckets
    from components.backup.grants import GRANTS

    cloud = pulumi_aws.Provider("cloud", region=section.aws.region, allowed_account_ids=[section.aws.account])
    opts = pulumi.ResourceOptions(providers=[cloud])
    made = of_buckets(section, ground)
    assert made, "the section aws makes buckets"  # noqa: S101 for the types
    buckets = Buckets(BACKUPS, made, opts)
    namespace = ground.namespaces[database.namespace]
    apart = {task.access for task in TASKS.values() if task.apart}
    where = {
        job: ground.namespaces[section.restore_namespace] if job in apart else namespace
        for job in GRANTS
        # Where the operator runs the database there are none of our jobs, and elsewhere no operator.
        if (job == CLOUDNATIVE_PG) == (database.engine == CLOUDNATIVE_PG)
    }
    roles = of_access(section, ground, buckets, where)
    access = Access(f"{BACKUPS}-access", roles, opts) if roles else None
    return of_repository(section, ground, buckets, access)


def backed_up(
    settings: Settings,
    ground: Ground,
    database: ServedDatabase,
    repository: Repository | None,
    opts: pulumi.ResourceOptions,
) -> BackedUp:
    """The jobs, the monitor, and what a release begins with; nothing where an operator makes the backups.

    Args:
        settings: all of them.
        ground: what everything stands on.
        database: what is backed up.
        repository: where to; None without backups.
        opts: with the cluster's provider.
    """
    if repository is None or database.own is None:
        return BackedUp()
    backups = Backups(BACKUPS, of_backups(settings, ground, database.own, repository), opts)
    after = [*database.parts, backups]
    taken = of_snapshot(settings, ground, backups, after)
    return BackedUp(
        before=[Snapshot(SNAPSHOT, taken, opts)] if taken else [],
        watches=[backups.watch],
    )


def of_snapshot(
    settings: Settings, ground: Ground, backups: Backups, after: Sequence[pulumi.Resource]
) -> SnapshotArgs | None:
    """What a release begins with; None if there is no release, or a reason against it.

    Args:
        settings: all of them, with backups.
        ground: what everything stands on.
        backups: the jobs.
        after: what must stand before.
    """
    assert settings.database, "backups are of a database"  # noqa: S101 for the types
    release = settings.release
    if release is None or release.without_snapshot:
        return None
    return SnapshotArgs(
        identity=ground.identity,
        namespace=ground.namespaces[settings.database.namespace],
        work=backups.work["snapshot"],
        image=settings.workloads[release.workload].image,
        after=after,
    )


def of_backups(settings: Settings, ground: Ground, database: Database, repository: Repository) -> BackupsArgs:
    """The jobs and the monitor.

    Args:
        settings: all of them, with backups.
        ground: what everything stands on.
        database: what is backed up.
        repository: where to.
    """
    assert settings.backup, "there is no repository without that section"  # noqa: S101 for the types
    assert settings.database, "nor without a database"  # noqa: S101 for the types
    return BackupsArgs(
        identity=ground.identity,
        namespace=ground.namespaces[settings.database.namespace],
        restore_namespace=ground.namespaces[settings.backup.restore_namespace],
        image=settings.backup.image,
        database=database.endpoint,
        server=database.backup_endpoint,
        passwords={role: ground.credentials[f"{role}-password"] for role in (*GROUPS, *SINGLE_ROLES)},
        authority=ground.authority,
        repository=repository,
        storage=settings.database.storage,
        promised_rpo_seconds=settings.backup.promised_rpo_seconds,
        promised_rto_seconds=settings.backup.promised_rto_seconds,
        priority_class=ground.priorities["background"],
    )
