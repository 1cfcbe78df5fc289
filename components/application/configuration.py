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
    SecretVolumeSourceArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from components.base import Component

SECRETS_FOLDER: Final = "/run/secrets/app"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A workload's configuration, as its pod takes it.

    Attributes:
        environment: the ConfigMap as environment variables; it holds `<NAME>_FILE` for each credential.
        volumes: the Secret as a volume, if there is one.
        mounts: where it is mounted.
    """

    environment: list[EnvFromSourceArgs]
    volumes: list[VolumeArgs]
    mounts: list[VolumeMountArgs]


def configuration(
    owner: Component,
    name: str,
    namespace: pulumi.Input[str],
    *,
    config: Mapping[str, str],
    secrets: Mapping[str, pulumi.Output[str]],
) -> Configuration:
    """The objects that hold a workload's configuration.

    Args:
        owner: the workload.
        name: its name.
        namespace: where its pods run.
        config: environment variables, none of them secret.
        secrets: credentials by name; `jwt-secret` becomes a file of that name and `JWT_SECRET_FILE`.
    """
    files = {f"{secret.upper().replace('-', '_')}_FILE": f"{SECRETS_FOLDER}/{secret}" for secret in secrets}
    config_map = ConfigMap(
        f"{name}-config",
        metadata=owner.metadata(namespace),
        immutable=True,
        data={**config, **files},
        opts=owner.child(),
    )
    environment = [EnvFromSourceArgs(config_map_ref=ConfigMapEnvSourceArgs(name=config_map.metadata.name))]
    if not secrets:
        return Configuration(environment=environment, volumes=[], mounts=[])
    secret = Secret(
        f"{name}-secrets",
        metadata=owner.metadata(namespace),
        immutable=True,
        type="Opaque",
        string_data=dict(secrets),
        opts=owner.child(),
    )
    return Configuration(
        environment=environment,
        volumes=[
            VolumeArgs(
                name="secrets",
                secret=SecretVolumeSourceArgs(secret_name=secret.metadata.name, default_mode=0o440),
            )
        ],
        mounts=[VolumeMountArgs(name="secrets", mount_path=SECRETS_FOLDER, read_only=True)],
    )
