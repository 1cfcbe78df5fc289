"""What the database's pod has for its backups: where it archives to, and a server for the backup jobs."""

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    ServiceAccount,
    VolumeArgs,
    VolumeMountArgs,
)

from components.backup import repository as backup_repository
from components.backup import repository_conf
from components.backup.repository import Mounted, Repository, WebIdentity
from components.base import Component, Identity
from components.data import postgres_config
from components.network import Connections, ConnectionsArgs, Endpoint
from components.platform.service_account import service_account
from components.pods import Container, Resources, command_probe
from components.volumes import secret_volume

ARCHIVE_COMMAND: Final = f"pgbackrest --stanza={repository_conf.STANZA} archive-push %p"
"""Succeeds once the file is in the repository; a failure is tried again, and counted in pg_stat_archiver."""

BACKUP_SERVER: Final = Resources(cpu="50m", memory="64Mi", memory_limit="512Mi")
"""It reads files and encrypts a connection; compression is the job's own work."""

ROLE_FOLDER: Final = "/run/secrets/backup-role"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where things are in the pod.

    Attributes:
        volume: the folder of the volume.
        data: PGDATA.
        socket: the folder of PostgreSQL's socket.
        tls: the folder of the certificate.
        scripts: the folder of the image's scripts.
        check_seconds: how often files are looked at.
    """

    volume: str
    data: str
    socket: str
    tls: str
    scripts: str
    check_seconds: int


def files(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    repository: Repository,
    layout: Layout,
    server: postgres_config.Server,
) -> Mounted:
    """Make the files by which PostgreSQL archives, restores and is backed up.

    Args:
        owner: the database.
        name: its name.
        namespace: where it runs.
        repository: where the archive is.
        layout: where things are in its pod.
        server: its sizes.
    """
    conf = repository_conf.server_conf(
        data_folder=layout.data,
        port=server.port,
        socket=layout.socket,
        database=server.database,
        tls=layout.tls,
        # A restore has the node to itself; twice as many as CPUs, for most of them wait for the network.
        processes=2 * postgres_config.cpus(server.cpu),
    )
    return backup_repository.mounted(owner, name, namespace, repository, "database", more=conf)


def allow(owner: Component, identity: Identity, repository: Repository, pods: Endpoint) -> None:
    """Let pods call the repository."""
    Connections(
        f"{pods.name}-archive",
        ConnectionsArgs(identity=identity, caller=pods, talks_to=[backup_repository.addresses(repository)]),
        opts=owner.child(),
    )


def account(
    owner: Component, name: str, namespace: pulumi.Input[str], repository: Repository | None
) -> pulumi.Output[str]:
    """The name of the service account of the database's pods.

    It is fixed where the pods take a role over with it: the trust of that role says it.
    """
    if repository is None or not isinstance(repository.access["database"], WebIdentity):
        return service_account(owner, name, namespace).metadata.name
    made = ServiceAccount(
        f"{name}-account",
        metadata=owner.metadata(namespace, name=backup_repository.account_name("database")),
        automount_service_account_token=False,
        opts=owner.child(),
    )
    return made.metadata.name


def role_volume(secrets: pulumi.Input[str]) -> VolumeArgs:
    """The password of the role `backup`, and nobody else's."""
    return secret_volume("backup-role", secrets, "backup-password")


def container(
    image: pulumi.Input[str], database: str, port: int, mounted: Mounted, layout: Layout
) -> Container:
    """The server that backup jobs call.

    It has no readiness: the database serves its clients also when nobody can back it up.

    Args:
        image: the PostgreSQL image.
        database: the product's database.
        port: where PostgreSQL listens.
        mounted: the repository's files.
        layout: where things are.
    """
    return Container(
        name="backup-server",
        image=image,
        resources=BACKUP_SERVER,
        command=[f"{layout.scripts}/backup-server.sh"],
        ports={"backup": repository_conf.SERVER_PORT},
        env={
            "PGPORT": str(port),
            "DATABASE_NAME": database,
            "PGPASSFILE": "/tmp/backup.pass",  # noqa: S108 the pod's own
            "CHECK_SECONDS": str(layout.check_seconds),
            **mounted.env,
        },
        mounts=[
            VolumeMountArgs(name="backup-role", mount_path=ROLE_FOLDER, read_only=True),
            VolumeMountArgs(name="tls", mount_path=layout.tls, read_only=True),
            VolumeMountArgs(name="socket", mount_path=layout.socket),
            # Whoever calls may have every file read, and can change none.
            VolumeMountArgs(name="data", mount_path=layout.volume, read_only=True),
            *mounted.mounts,
        ],
        liveness=command_probe(["pgbackrest", "server-ping"], period_seconds=30, failure_threshold=4),
    )
