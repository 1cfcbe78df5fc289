"""What a workload is told: environment variables from a ConfigMap, credentials as files from a Secret.

Both objects are immutable and named by the engine: a change makes a new object under a new name, so it rolls
exactly the pods that read it, and a pod that restarts in the middle of a release still finds the old one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapEnvSourceArgs,
    EnvFromSourceArgs,
    Secret,
    VolumeArgs,
    VolumeMountArgs,
)

from components.base import Component
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.volumes import secret_volume

SECRETS_FOLDER: Final = "/run/secrets/app"

TLS_FOLDER: Final = "/run/secrets/tls"
"""Its own certificate and key, and `ca.crt` to trust the other tiers by."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A workload's configuration, as its pod takes it.

    Attributes:
        environment: the ConfigMap as environment variables; it holds `<NAME>_FILE` for each credential.
        volumes: the Secrets as volumes.
        mounts: where they are mounted.
    """

    environment: list[EnvFromSourceArgs]
    volumes: list[VolumeArgs]
    mounts: list[VolumeMountArgs]


def configuration(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    *,
    config: Mapping[str, pulumi.Input[str]],
    secrets: Mapping[str, Credential],
    authority: Authority | None = None,
) -> Configuration:
    """The objects that hold a workload's configuration.

    Args:
        owner: the workload.
        name: its name.
        namespace: where its pods run.
        config: environment variables, none of them secret.
        secrets: credentials by name; `jwt-secret` becomes a file of that name and `JWT_SECRET_FILE`, and its
            accepted values `jwt-secret-previous` and so on.
        authority: who vouches for the tiers that it calls, if those encrypt.
    """
    values = {
        file: value for secret, known in secrets.items() for file, value in known.values(secret).items()
    }
    files = {f"{file.upper().replace('-', '_')}_FILE": f"{SECRETS_FOLDER}/{file}" for file in values}
    config_map = ConfigMap(
        f"{name}-config",
        metadata=owner.metadata(namespace),
        immutable=True,
        data={**config, **files},
        opts=owner.child(),
    )
    mounted: dict[str, tuple[str, pulumi.Input[str]]] = {}
    if values:
        secret = Secret(
            f"{name}-secrets",
            metadata=owner.metadata(namespace),
            immutable=True,
            type="Opaque",
            string_data=values,
            opts=owner.child(),
        )
        mounted["secrets"] = (SECRETS_FOLDER, secret.metadata.name)
    if authority is not None:
        mounted["tls"] = (TLS_FOLDER, authority.issue(owner, name, namespace, [name], client=True))
    return Configuration(
        environment=[EnvFromSourceArgs(config_map_ref=ConfigMapEnvSourceArgs(name=config_map.metadata.name))],
        volumes=[secret_volume(volume, of) for volume, (_, of) in mounted.items()],
        mounts=[
            # Whole folders, never single files: those would stay as they were when a Secret is renewed.
            VolumeMountArgs(name=volume, mount_path=folder, read_only=True)
            for volume, (folder, _) in mounted.items()
        ],
    )
