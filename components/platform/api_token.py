"""The token of a pod that asks the API server."""

from typing import Final

from pulumi_kubernetes.core.v1 import (
    ConfigMapProjectionArgs,
    KeyToPathArgs,
    ProjectedVolumeSourceArgs,
    ServiceAccountTokenProjectionArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)

TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 a path
"""Where every client library looks."""

TOKEN_SECONDS: Final = 3600


def token_volume() -> VolumeArgs:
    """A token that expires and is renewed, with the certificate of the server that it is for.

    Asked for, where the pod would otherwise have none: unlike the one that is mounted automatically, it does
    not come to containers that did not ask.
    """
    token = ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=TOKEN_SECONDS)
    authority = ConfigMapProjectionArgs(
        name="kube-root-ca.crt", items=[KeyToPathArgs(key="ca.crt", path="ca.crt")]
    )
    return VolumeArgs(
        name="token",
        projected=ProjectedVolumeSourceArgs(
            default_mode=0o440,
            sources=[
                VolumeProjectionArgs(service_account_token=token),
                VolumeProjectionArgs(config_map=authority),
            ],
        ),
    )


def token_mount() -> VolumeMountArgs:
    """Where the token is mounted."""
    return VolumeMountArgs(name="token", mount_path=TOKEN_FOLDER, read_only=True)
