"""What CloudNativePG is told of backups: where they go, as whom, when, and what a new Cluster is made of.

The operator's own way is used, `barmanObjectStore`, though it is deprecated since 1.26: it is in the one
release whose definitions and sources judge what is written here. Its successor, the plugin
`barman-cloud.cloudnative-pg.io`, keeps its settings in a custom resource of another module, and the Cluster's
definition takes any text for them; nothing here could tell a wrong one.

Everything is below a prefix of its own in the bucket that our own backups would use. Barman encrypts nothing
by itself: the bucket does. docs/decisions/0017-cloudnative-pg.md says what else is not there.

Source: docs/src/appendixes/backup_barmanobjectstore.md of its release 1.28.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret

from components.backup.grants import CLOUDNATIVE_PG
from components.backup.repository import Repository, WebIdentity
from components.backup.repository_conf import one_line
from components.backup.restore import TIME, Restore
from components.base import Component

JOB: Final = "cloudnative-pg"
"""As whom the repository is used: one of `components.backup.grants.GRANTS`."""

SCHEDULE: Final = "0 0 2 * * *"
"""Daily at 02:00. Six fields: the operator's cron begins with seconds, and goes by its own clock, UTC."""

ARCHIVE_TIMEOUT_SECONDS: Final = 60
"""As our own; the operator's is five minutes."""

PARALLEL: Final = 4
"""Segments of WAL at once; a lone one leaves at once all the same."""

ROLE: Final = "eks.amazonaws.com/role-arn"
"""The annotation by which a pod's service account takes a role of AWS's.

Source: https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
"""

KEEPS_ARCHIVE: Final = "cnpg.io/skipEmptyWalArchiveCheck"
"""The annotation that lets a Cluster archive to where another one has, which a recovered one continues."""

_ORIGIN: Final = "origin"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a Cluster is told.

    Attributes:
        spec: fields of its `spec`, but for `bootstrap`.
        bootstrap: what a new one is made of; None to make it empty. The operator reads it once: in a Cluster
            that is there, it changes nothing.
        annotations: of the Cluster.
        parameters: PostgreSQL's.
    """

    spec: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def told(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    *,
    database: str,
    repository: Repository | None,
    restore: Restore | None = None,
) -> Told:
    """Make what the Cluster needs to archive, to be backed up and to be recovered.

    Args:
        owner: the component that it belongs to.
        name: the Cluster's name, which is the name of its service account and of its folder too.
        namespace: where it runs.
        database: the product's database.
        repository: where to; None for no backups.
        restore: what a new Cluster is brought back to; an empty one unless told.

    Raises:
        KeyError: nobody has said how the operator uses the repository.
        ValueError: there is nothing to recover from; or as `recovery_target`.
    """
    if repository is None:
        if restore is not None:
            raise ValueError("a restore without a repository: there is nothing to recover from")
        return Told()
    store, spec = _store(owner, name, namespace, repository)
    spec["backup"] = {
        "barmanObjectStore": {
            **store,
            # gzip alone needs nothing of the image but Python.
            "data": {"compression": "gzip", "jobs": 2},
        },
        "retentionPolicy": f"{repository.retention_days}d",
        "target": "prefer-standby",
    }
    parameters = {"archive_timeout": f"{ARCHIVE_TIMEOUT_SECONDS}s"}
    if restore is None:
        return Told(spec=spec, parameters=parameters)
    recovery: dict[str, Any] = {"source": _ORIGIN, "database": database, "owner": "owner"}
    if target := recovery_target(restore):
        recovery["recoveryTarget"] = target
    # Its folder is the source's name unless told.
    spec["externalClusters"] = [{"name": _ORIGIN, "barmanObjectStore": {**store, "serverName": name}}]
    return Told(
        spec=spec,
        bootstrap={"recovery": recovery},
        # It goes on where the lost one ended, on a timeline of its own: one archive for all of the past.
        annotations={KEEPS_ARCHIVE: "enabled"},
        parameters=parameters,
    )


def recovery_target(restore: Restore) -> dict[str, str]:
    """Until when WAL is replayed; nothing for all that there is.

    Raises:
        ValueError: the operator can't: it takes neither a label of pgBackRest's nor `backup`.
    """
    if restore.set is not None:
        raise ValueError(f"restore from {restore.set!r}: the operator finds the backup itself")
    if restore.to == "latest":
        return {}
    if not TIME.fullmatch(restore.to):
        raise ValueError(f"restore to {restore.to!r}: the operator takes `latest`, or a time with its zone")
    text = restore.to.replace("UTC", "+00:00").replace("Z", "+00:00")
    day, _, clock = text.replace("T", " ").partition(" ")
    moment = datetime.fromisoformat(f"{day}T{clock.replace(' ', '')}")
    return {"targetTime": moment.astimezone(UTC).isoformat()}


def schedule(owner: Component, name: str, namespace: pulumi.Input[str], cluster: CustomResource) -> None:
    """Have the Cluster backed up every night, and once now."""
    CustomResource(
        f"{name}-scheduled-backup",
        api_version="postgresql.cnpg.io/v1",
        kind="ScheduledBackup",
        # Each Backup is named after it.
        metadata=owner.metadata(namespace, name=f"{name}-nightly"),
        spec={
            "schedule": SCHEDULE,
            "immediate": True,
            "cluster": {"name": name},
            "method": "barmanObjectStore",
            # Records of it go with the Cluster; what is in the bucket stays.
            "backupOwnerReference": "cluster",
        },
        opts=owner.child(depends_on=[cluster]),
    )


def _store(
    owner: Component, name: str, namespace: pulumi.Input[str], repository: Repository
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The object store, and what else the Cluster is told for it."""
    place, access = repository.place, repository.access[JOB]
    secrets: dict[str, pulumi.Input[str]] = {}
    # What boto3 signs for; the operator's own field for it is not read where a role is taken.
    spec: dict[str, Any] = {"env": [{"name": "AWS_DEFAULT_REGION", "value": place.region}]}
    if isinstance(access, WebIdentity):
        spec["serviceAccountTemplate"] = {"metadata": {"annotations": {ROLE: access.role}}}
    else:
        secrets["access-key-id"] = access.key.current.apply(one_line)
        secrets["secret-access-key"] = access.secret.current.apply(one_line)
    if place.authority is not None:
        secrets["ca.crt"] = place.authority
    held: pulumi.Input[str] = ""
    if secrets:
        written: pulumi.Output[dict[str, str]] = pulumi.Output.secret(pulumi.Output.all(**secrets))
        held = Secret(
            f"{name}-object-store",
            metadata=owner.metadata(namespace),
            type="Opaque",
            string_data=written,
            opts=owner.child(),
        ).metadata.name
    store: dict[str, Any] = {
        "destinationPath": pulumi.Output.concat("s3://", place.bucket, "/", CLOUDNATIVE_PG.rstrip("/*")),
        # With one, boto3 names the bucket in the path; AWS takes that too.
        "endpointURL": pulumi.Output.concat("https://", place.endpoint),
        "s3Credentials": {"inheritFromIAMRole": True}
        if isinstance(access, WebIdentity)
        else {
            "accessKeyId": {"name": held, "key": "access-key-id"},
            "secretAccessKey": {"name": held, "key": "secret-access-key"},
        },
        "wal": {"compression": "gzip", "maxParallel": PARALLEL},
    }
    if place.authority is not None:
        store["endpointCA"] = {"name": held, "key": "ca.crt"}
    return store, spec
