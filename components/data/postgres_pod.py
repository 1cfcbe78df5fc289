"""What runs in a pod of the database: the server, what keeps it in step with its files, and its exporter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.core.v1 import (
    EmptyDirVolumeSourceArgs,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)

from components.backup.repository import Mounted
from components.backup.restore import Restore, environment
from components.data import postgres_backup, postgres_config
from components.pods import Container, Resources, command_probe, http_probe
from components.volumes import config_volume, secret_volume

CONFIG_FOLDER: Final = "/etc/database"
VOLUME_FOLDER: Final = "/var/lib/postgresql/data"
DATA_FOLDER: Final = f"{VOLUME_FOLDER}/pgdata"
SECRETS_FOLDER: Final = "/run/secrets/database"
EXPORTER_SECRETS_FOLDER: Final = "/run/secrets/exporter"
TLS_FOLDER: Final = "/run/secrets/database-tls"
SOCKET_FOLDER: Final = "/run/postgresql"
SCRIPTS_FOLDER: Final = "/usr/lib/database"

CHECK_SECONDS: Final = 10
BEAT_SECONDS: Final = 60

COLLECTORS: Final = (
    "database_wraparound",
    "long_running_transactions",
    "stat_activity_autovacuum",
    "stat_checkpointer",
    "stat_statements",
    "stat_wal_receiver",
)
"""What the exporter collects beside its defaults."""

_SIDECAR: Final = Resources(cpu="10m", memory="32Mi", memory_limit="96Mi")

SIDECARS: Final = (_SIDECAR, _SIDECAR)
"""What the pod asks for beside its server."""

LAYOUT: Final = postgres_backup.Layout(
    volume=VOLUME_FOLDER,
    data=DATA_FOLDER,
    socket=SOCKET_FOLDER,
    tls=TLS_FOLDER,
    scripts=SCRIPTS_FOLDER,
    check_seconds=CHECK_SECONDS,
)

_MOUNTS: Final = {
    "config": CONFIG_FOLDER,
    "secrets": SECRETS_FOLDER,
    "exporter-secrets": EXPORTER_SECRETS_FOLDER,
    "tls": TLS_FOLDER,
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server: the primary, or a standby.

    Attributes:
        role: which of the two.
        image: the PostgreSQL image.
        exporter_image: the exporter's image.
        resources: what PostgreSQL may use.
        database: the product's database.
        primary: the primary's host name.
        standbys: the name of all standbys' addresses.
        port: where PostgreSQL listens.
        metrics_port: where the exporter listens.
        scram_iterations: how often a generated password of the product's is hashed.
        repository: where its WAL is archived, if anywhere.
        restore: what it is to be brought back to, if anything.
    """

    role: Literal["primary", "standby"]
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]
    resources: Resources
    database: str
    primary: pulumi.Input[str]
    standbys: pulumi.Input[str]
    port: int
    metrics_port: int
    scram_iterations: int
    repository: Mounted | None = None
    restore: Restore | None = None


def containers(server: Server) -> list[Container]:
    """The pod's containers."""
    told = [_postgresql(server), _reconciler(server), _exporter(server)]
    # Backups are taken from the primary: it alone has everything that was acknowledged.
    if server.repository and server.role == "primary":
        told.append(
            postgres_backup.container(server.image, server.database, server.port, server.repository, LAYOUT)
        )
    return told


def volumes(
    server: Server, *, config: pulumi.Input[str], secrets: pulumi.Input[str], tls: pulumi.Input[str]
) -> list[VolumeArgs]:
    """The pod's volumes, but for the data.

    Args:
        server: whose they are.
        config: the ConfigMap's name.
        secrets: the name of the Secret with the passwords.
        tls: the name of the Secret with the certificate.
    """
    shared = postgres_config.binary(server.resources.memory_limit) // 8 // postgres_config.MIB
    return [
        config_volume("config", config),
        secret_volume("secrets", secrets),
        # Nobody else's: who breaks into the exporter finds what reads statistics.
        secret_volume("exporter-secrets", secrets, "exporter-password"),
        secret_volume("tls", tls),
        VolumeArgs(name="socket", empty_dir=EmptyDirVolumeSourceArgs(size_limit="16Mi")),
        # What parallel workers share. The 64 MiB that a container has of it by itself are soon used up, and
        # the query ends with an error; this counts against the memory limit.
        VolumeArgs(name="shm", empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit=f"{shared}Mi")),
        *([postgres_backup.role_volume(secrets), *server.repository.volumes] if server.repository else []),
    ]


def claim_spec(storage: str, storage_class: pulumi.Input[str] | None) -> PersistentVolumeClaimSpecArgs:
    """What the data's volume is asked for as.

    Args:
        storage: its size.
        storage_class: its class; the cluster's default unless told.
    """
    return PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"],
        storage_class_name=storage_class,
        resources=VolumeResourceRequirementsArgs(requests={"storage": storage}),
    )


def claimed(claim: pulumi.Input[str]) -> VolumeArgs:
    """The data's volume, by the name of its claim."""
    source = PersistentVolumeClaimVolumeSourceArgs(claim_name=claim)
    return VolumeArgs(name="data", persistent_volume_claim=source)


def _mounts(*names: str) -> list[VolumeMountArgs]:
    # Whole folders, never single files: those would stay as they were when a Secret is renewed.
    return [VolumeMountArgs(name=name, mount_path=_MOUNTS[name], read_only=True) for name in names]


def _socket() -> VolumeMountArgs:
    return VolumeMountArgs(name="socket", mount_path=SOCKET_FOLDER)


def _env(server: Server) -> Mapping[str, pulumi.Input[str]]:
    return {
        "PGPORT": str(server.port),
        "DATABASE_NAME": server.database,
        "DATABASE_ROLE": server.role,
        "DATABASE_PRIMARY": server.primary,
        "DATABASE_STANDBYS": server.standbys,
    }


def _repository_env(server: Server) -> Mapping[str, pulumi.Input[str]]:
    return {**server.repository.env, **environment(server.restore)} if server.repository else {}


def _postgresql(server: Server) -> Container:
    probe = [f"{SCRIPTS_FOLDER}/probe.sh"]
    # The first start copies the primary's data, which may be large, and so does a restore; else the primary
    # answers while it recovers, however long that takes.
    seconds = 6 * 3600 if server.role == "standby" or server.restore else 300
    return Container(
        name="postgresql",
        image=server.image,
        resources=server.resources,
        command=[f"{SCRIPTS_FOLDER}/entrypoint.sh"],
        ports={"postgresql": server.port},
        env={**_env(server), "PGDATA": DATA_FOLDER, **_repository_env(server)},
        mounts=[
            *_mounts("config", "secrets", "tls"),
            _socket(),
            VolumeMountArgs(name="shm", mount_path="/dev/shm"),  # noqa: S108 the pod's own
            VolumeMountArgs(name="data", mount_path=VOLUME_FOLDER),
            *(server.repository.mounts if server.repository else []),
        ],
        startup=command_probe([*probe, "alive"], period_seconds=5, failure_threshold=seconds // 5),
        readiness=command_probe([*probe, "ready"], period_seconds=5, failure_threshold=3),
        # A restart drops the cache and replays the log: only when nothing was heard for two minutes.
        liveness=command_probe([*probe, "alive"], period_seconds=10, failure_threshold=12),
    )


def _reconciler(server: Server) -> Container:
    return Container(
        name="reconciler",
        image=server.image,
        resources=_SIDECAR,
        command=[f"{SCRIPTS_FOLDER}/reconcile.sh"],
        env={
            **_env(server),
            "CHECK_SECONDS": str(CHECK_SECONDS),
            "BEAT_SECONDS": str(BEAT_SECONDS),
            "SCRAM_ITERATIONS": str(server.scram_iterations),
        },
        mounts=[*_mounts("secrets", "tls"), _socket()],
    )


def _exporter(server: Server) -> Container:
    # As any client, by password and a checked certificate: through the socket it would be the superuser.
    checked = f"sslmode=verify-full&sslrootcert={TLS_FOLDER}/ca.crt"
    return Container(
        name="exporter",
        image=server.exporter_image,
        resources=_SIDECAR,
        command=[
            "/usr/lib/exporter/run.sh",
            *(f"--collector.{collector}" for collector in COLLECTORS),
            f"--web.listen-address=:{server.metrics_port}",
        ],
        ports={"metrics": server.metrics_port},
        env={
            "DATA_SOURCE_NAME": f"postgresql://exporter@localhost:{server.port}/{server.database}?{checked}",
            "PASSWORD_FILE": f"{EXPORTER_SECRETS_FOLDER}/exporter-password",
            "PGPASSFILE": "/tmp/exporter.pass",  # noqa: S108 the pod's own
            "CHECK_SECONDS": str(CHECK_SECONDS),
        },
        mounts=_mounts("exporter-secrets", "tls"),
        # Its own health, not the database's: that is what `pg_up` is for.
        liveness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
        readiness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
    )
