"""The repository of the backups: where it is, who may use it, and what pgBackRest and rclone are told of it.

pgBackRest keeps its backups and the archived WAL below `REPOSITORY_PATH`. Beside them, put there by rclone:
each job's last result, and dumps. All but the results is encrypted before it leaves the pod.

What is secret goes into files of its own; nothing of it is in a ConfigMap, an environment or an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ProjectedVolumeSourceArgs,
    Secret,
    ServiceAccountTokenProjectionArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)

from components.backup import repository_conf
from components.backup.repository_conf import CONFIG_FOLDER, SECRETS_FOLDER
from components.base import Component
from components.network import INTERNET, Addresses
from components.platform.credentials import Credential
from components.volumes import config_volume, secret_volume

TOKEN_FOLDER: Final = "/run/secrets/aws"  # noqa: S105 a folder
TOKEN_SECONDS: Final = 3600
"""How long a token is good; the kubelet renews it when a fifth of that is left."""

RETENTION_DAYS: Final = 30

Access = Literal[
    "database",
    "backup",
    "snapshot",
    "freshness",
    "monitor",
    "dump",
    "restore-test",
    "drill",
    "scratch",
    "restore-table",
    "cloudnative-pg",
]
"""Everybody who uses the repository."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One bucket.

    Attributes:
        bucket: its name.
        region: its region, which requests are signed for.
        endpoint: where the service answers, as `host` or `host:port`; by HTTPS always.
        path_style: whether the bucket is named in the path instead of the host's name.
        authority: PEM text of the authority that has signed the service's certificate; the system's own
            unless told.
    """

    bucket: pulumi.Input[str]
    region: pulumi.Input[str]
    endpoint: pulumi.Input[str]
    path_style: bool = False
    authority: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class WebIdentity:
    """A role of AWS's that the pod's own service account may take; nothing secret is kept.

    Attributes:
        role: its ARN.
    """

    role: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class StaticKeys:
    """An access key that stays.

    Attributes:
        key: its identifier.
        secret: its secret.
    """

    key: Credential
    secret: Credential


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Where the backups are.

    Attributes:
        place: the bucket that is written to.
        replica: its copy in another region, which is only read.
        cipher: what everything is encrypted with; without it nothing can be restored.
        access: as whom each one uses it.
        retention_days: for how long one can restore to any point in time.
    """

    place: Place
    cipher: Credential
    access: Mapping[str, WebIdentity | StaticKeys]
    replica: Place | None = None
    retention_days: int = RETENTION_DAYS


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """What a pod needs to use the repository.

    Attributes:
        volumes: of the pod.
        mounts: of each container that uses it.
        env: of each container that uses it; nothing secret.
    """

    volumes: Sequence[VolumeArgs] = ()
    mounts: Sequence[VolumeMountArgs] = ()
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def mounted(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    repository: Repository,
    who: Access,
    *,
    more: pulumi.Input[str] = "",
    replica: bool = False,
) -> Mounted:
    """Make the files by which one pod uses the repository.

    Neither object is immutable: with a provider that changes them in place, a new key needs no restart.

    Args:
        owner: the component that the pod belongs to.
        name: what the objects are named after; unique within the owner.
        namespace: where the pod runs.
        repository: the repository.
        who: as whom.
        more: further lines of pgbackrest.conf, with their sections.
        replica: whether the copy is meant, and not the original.

    Raises:
        KeyError: nobody has said how that one uses it.
        ValueError: there is no replica.
    """
    place = repository.replica if replica else repository.place
    if place is None:
        raise ValueError("there is no replica of the repository")
    access = repository.access[who]
    authorities = _authorities(repository)
    files: dict[str, pulumi.Input[str]] = {
        "pgbackrest.conf": pulumi.Output.concat(
            repository_conf.pgbackrest_conf(
                bucket=place.bucket,
                region=place.region,
                endpoint=place.endpoint,
                path_style=place.path_style,
                authority=bool(authorities),
                web_identity=isinstance(access, WebIdentity),
            ),
            more,
        ),
        "rclone.conf": _rclone_conf(repository, access),
    }
    if authorities:
        files["ca.crt"] = pulumi.Output.concat(*authorities)
    config = ConfigMap(
        f"{name}-repository",
        metadata=owner.metadata(namespace),
        data=files,
        opts=owner.child(),
    )
    secret = Secret(
        f"{name}-repository-secrets",
        metadata=owner.metadata(namespace),
        type="Opaque",
        string_data=_secret_files(repository, access),
        opts=owner.child(),
    )
    volumes = [
        config_volume("repository", config.metadata.name),
        secret_volume("repository-secrets", secret.metadata.name),
    ]
    mounts = [_mount("repository", CONFIG_FOLDER), _mount("repository-secrets", SECRETS_FOLDER)]
    env: dict[str, pulumi.Input[str]] = {
        # Every *.conf of the folder is read after the main file.
        "PGBACKREST_CONFIG_INCLUDE_PATH": SECRETS_FOLDER,
        "RCLONE_CONFIG": f"{CONFIG_FOLDER}/rclone.conf",
        # Both for rclone alone; pgBackRest looks at neither.
        "AWS_SHARED_CREDENTIALS_FILE": f"{SECRETS_FOLDER}/credentials",
        "REPOSITORY_BUCKET": repository.place.bucket,
    }
    if authorities:
        env["RCLONE_CA_CERT"] = f"{CONFIG_FOLDER}/ca.crt"
    if isinstance(access, WebIdentity):
        volumes.append(_token())
        mounts.append(_mount("aws-token", TOKEN_FOLDER))
        env |= {"AWS_ROLE_ARN": access.role, "AWS_WEB_IDENTITY_TOKEN_FILE": f"{TOKEN_FOLDER}/token"}
    return Mounted(volumes=volumes, mounts=mounts, env=env)


def account_name(who: str) -> str:
    """The name of the service account of one who uses the repository.

    It is fixed, because a trust outside the cluster says it: there, one made up would be known too late.

    Args:
        who: one of `Access`.
    """
    return f"backup-{who}"


def addresses(repository: Repository) -> Addresses:
    """Where the repository's pods call out to: HTTPS on the public internet, at the endpoint's own port."""
    endpoint = repository.place.endpoint
    port = endpoint.rpartition(":")[2] if isinstance(endpoint, str) and ":" in endpoint else "443"
    return replace(INTERNET, name="repository", port=int(port))


def _rclone_conf(repository: Repository, access: WebIdentity | StaticKeys) -> pulumi.Output[str]:
    places = {"repository": repository.place, "replica": repository.replica}
    told = [
        repository_conf.remote(
            name,
            region=place.region,
            endpoint=place.endpoint,
            path_style=place.path_style,
            web_identity=isinstance(access, WebIdentity),
        )
        for name, place in places.items()
        if place
    ]
    return pulumi.Output.concat(*told)


def _authorities(repository: Repository) -> list[pulumi.Input[str]]:
    """Who is trusted instead of the system's authorities, one after the other."""
    places = [repository.place, *([repository.replica] if repository.replica else [])]
    return [part for place in places if place.authority is not None for part in (place.authority, "\n")]


def _secret_files(repository: Repository, access: WebIdentity | StaticKeys) -> pulumi.Output[dict[str, str]]:
    cipher = repository.cipher.current.apply(repository_conf.one_line)
    conf = pulumi.Output.concat("[global]\nrepo1-cipher-pass=", cipher, "\n")
    files: dict[str, pulumi.Input[str]] = {"cipher": cipher}
    if isinstance(access, StaticKeys):
        key, secret = (
            access.key.current.apply(repository_conf.one_line),
            access.secret.current.apply(repository_conf.one_line),
        )
        conf = pulumi.Output.concat(conf, "repo1-s3-key=", key, "\nrepo1-s3-key-secret=", secret, "\n")
        files["credentials"] = pulumi.Output.concat(
            "[default]\naws_access_key_id = ", key, "\naws_secret_access_key = ", secret, "\n"
        )
    written: pulumi.Output[dict[str, str]] = pulumi.Output.secret(
        pulumi.Output.all(**files, **{"secrets.conf": conf})
    )
    return written


def _token() -> VolumeArgs:
    token = ServiceAccountTokenProjectionArgs(
        audience="sts.amazonaws.com", expiration_seconds=TOKEN_SECONDS, path="token"
    )
    sources = [VolumeProjectionArgs(service_account_token=token)]
    return VolumeArgs(
        name="aws-token", projected=ProjectedVolumeSourceArgs(sources=sources, default_mode=0o440)
    )


def _mount(name: str, folder: str) -> VolumeMountArgs:
    return VolumeMountArgs(name=name, mount_path=folder, read_only=True)
