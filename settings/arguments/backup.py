"""The backups: their buckets, who may reach for them, and where that leads."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pulumi

from components.backup.grants import GRANTS
from components.backup.places import ObjectLock
from components.backup.repository import Place, Repository, StaticKeys, WebIdentity, account_name
from settings import backup
from settings.arguments.engine import DATABASE
from settings.arguments.ground import Ground
from settings.data import CLOUDNATIVE_PG

if TYPE_CHECKING:
    # Only who has buckets made waits for AWS's provider to be imported, which takes seconds.
    from components.backup.access import Access, AccessArgs
    from components.backup.buckets import Buckets, BucketsArgs

SCHEME: Final = "https://"


def of_buckets(section: backup.Backup, ground: Ground) -> "BucketsArgs | None":
    """The buckets that the stack makes; None where somebody else has made them."""
    cloud = section.aws
    if cloud is None:
        return None
    from components.backup.buckets import BucketsArgs

    lock = cloud.object_lock
    return BucketsArgs(
        identity=ground.identity,
        account=cloud.account,
        region=cloud.region,
        replica_region=cloud.replica_region,
        retention_days=section.retention_days,
        lock=ObjectLock(mode=lock.mode, days=lock.days) if lock else None,
        log_days=cloud.log_days,
        protect=ground.identity.environment == "production",
    )


def of_access(
    section: backup.Backup,
    ground: Ground,
    buckets: "Buckets",
    namespaces: Mapping[str, pulumi.Input[str]],
) -> "AccessArgs | None":
    """One role for each job; None where an access key is used.

    Args:
        section: the section `backup`.
        ground: what everything stands on.
        buckets: what is reached for.
        namespaces: job -> where it runs; those that are left out have no role.
    """
    cloud = section.aws
    if cloud is None or cloud.oidc is None:
        return None
    from components.backup.access import AccessArgs, Oidc, Subject

    return AccessArgs(
        identity=ground.identity,
        account=cloud.account,
        oidc=Oidc(issuer=cloud.oidc.issuer, create=cloud.oidc.create),
        subjects={
            # The operator names the account of its pods after its Cluster.
            job: Subject(
                namespace=namespace, account=DATABASE if job == CLOUDNATIVE_PG else account_name(job)
            )
            for job, namespace in namespaces.items()
        },
        buckets=buckets,
    )


def of_repository(
    section: backup.Backup,
    ground: Ground,
    buckets: "Buckets | None" = None,
    access: "Access | None" = None,
) -> Repository:
    """Where the backups are, and as whom each job reaches for them.

    Args:
        section: the section `backup`.
        ground: what everything stands on.
        buckets: those that the stack made; needed where `of_buckets` gives any.
        access: the roles; needed where `of_access` gives any.

    Raises:
        ValueError: one of the two is missing.
    """
    keys = section.external.keys if section.external else section.aws and section.aws.keys
    if keys:
        static = StaticKeys(key=ground.credentials[keys.key], secret=ground.credentials[keys.secret])
        who: dict[str, WebIdentity | StaticKeys] = dict.fromkeys(GRANTS, static)
    elif access:
        who = {job: WebIdentity(role=role) for job, role in access.roles.items()}
    else:
        raise ValueError("the roles of the jobs are missing")
    place, replica = _made(buckets) if section.aws else _given(section.external, ground)
    return Repository(
        place=place,
        replica=replica,
        cipher=ground.credentials[section.cipher],
        access=who,
        retention_days=section.retention_days,
    )


def _made(buckets: "Buckets | None") -> tuple[Place, Place]:
    if buckets is None:
        raise ValueError("the buckets are missing")
    return (
        Place(bucket=buckets.bucket, region=buckets.region, endpoint=buckets.endpoint),
        Place(
            bucket=buckets.replica_bucket,
            region=buckets.replica_region,
            endpoint=buckets.replica_endpoint,
        ),
    )


def _given(section: backup.External | None, ground: Ground) -> tuple[Place, Place | None]:
    if section is None:
        raise ValueError("the repository's place is missing")
    return _place(section, ground), _place(section.replica, ground) if section.replica else None


def _place(section: backup.ExternalPlace, ground: Ground) -> Place:
    return Place(
        bucket=section.bucket,
        region=section.region,
        endpoint=section.endpoint.removeprefix(SCHEME),
        path_style=section.path_style,
        authority=ground.credentials[section.authority].current if section.authority else None,
    )
