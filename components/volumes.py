"""Volumes of files that somebody else writes: ConfigMaps, Secrets, scripts as they are in the tree.

They are mounted as whole folders, never as single files: those would stay as they were after a change.
"""

from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    KeyToPathArgs,
    SecretVolumeSourceArgs,
    VolumeArgs,
)

from components.base import Component

SECRET_MODE: Final = 0o440
"""Owned by root, readable by the pod's group: so much and no more PostgreSQL accepts for a key."""


def config_volume(name: str, config_map: pulumi.Input[str], *only: str, optional: bool = False) -> VolumeArgs:
    """The files of a ConfigMap.

    Args:
        name: the volume's, in its pod.
        config_map: the ConfigMap's name in the cluster.
        *only: the files that are there; all unless told.
        optional: whether the ConfigMap may come after the pod; until then there are no files.
    """
    source = ConfigMapVolumeSourceArgs(name=config_map, items=_items(only), optional=optional or None)
    return VolumeArgs(name=name, config_map=source)


def secret_volume(name: str, secret: pulumi.Input[str], *only: str) -> VolumeArgs:
    """The files of a Secret, for the pod's group.

    Args:
        name: the volume's, in its pod.
        secret: the Secret's name in the cluster.
        *only: the files that are there; all unless told.
    """
    source = SecretVolumeSourceArgs(secret_name=secret, default_mode=SECRET_MODE, items=_items(only))
    return VolumeArgs(name=name, secret=source)


def scripts_volume(owner: Component, name: str, namespace: pulumi.Input[str], folder: Path) -> VolumeArgs:
    """The scripts of a folder of the tree, in a ConfigMap whose name changes with them.

    Args:
        owner: whose they are.
        name: the ConfigMap's, in the program.
        namespace: where they are read.
        folder: each of its files is one.
    """
    config_map = ConfigMap(
        name,
        metadata=owner.metadata(namespace),
        immutable=True,
        data={
            path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file()
        },
        opts=owner.child(),
    )
    return config_volume("scripts", config_map.metadata.name)


def _items(only: tuple[str, ...]) -> list[KeyToPathArgs] | None:
    return [KeyToPathArgs(key=key, path=key) for key in only] or None
