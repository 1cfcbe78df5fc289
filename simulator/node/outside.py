"""What stands in for the world outside of a node: an S3 server, and somebody who is told of alerts.

The node reaches nothing beyond this machine. What the local stack calls by public names has addresses that
documentation is written with, on the node's own loopback: pods see them as the internet, and the platform's
network policies judge them as that.
Source: RFC 5737
"""

import contextlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from simulator.node.place import Place

PORT: Final = 443
OBJECTS: Final = "objects.fixia.test"
ALERTS: Final = "alerts.fixia.test"
ADDRESSES: Final = MappingProxyType({OBJECTS: "198.51.100.1", ALERTS: "198.51.100.2"})
"""Host -> its address on the node. The local stack names the hosts."""

BUCKET: Final = "fixia-backups"
REPLICA: Final = "fixia-backups-copy"
REGION: Final = "eu-central-1"

_UNFINISHED: Final = ".sgwtmp"
"""What versitygw's own unfinished files begin with."""

STANDS_IN: Final = MappingProxyType(
    {
        OBJECTS: "versitygw on a folder of the node, in the place of S3, with a copy beside it",
        ALERTS: "a server of the node's own, in the place of whoever is told of alerts",
    }
)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """How the S3 server is used.

    Attributes:
        key: the access key's id.
        secret: the access key's secret.
        authority: whom to trust, in PEM.
    """

    key: str
    secret: str
    authority: str


def prepare(place: Place, authority: Path) -> Keys:
    """Give a node the addresses, the bucket and, at its first start, the keys.

    Args:
        place: the node's; called from inside.
        authority: the certificate of who signs for the servers. Of each start's, any verifies what any other
            signed: they share a key.

    Raises:
        subprocess.CalledProcessError: an address can't be given.
    """
    for address in ADDRESSES.values():
        add = ["chroot", str(place.root), "ip", "address", "replace", f"{address}/32", "dev", "lo"]
        subprocess.run(add, check=True, capture_output=True)
    for bucket in (BUCKET, REPLICA):
        (place.objects / bucket).mkdir(mode=0o700, parents=True, exist_ok=True)
    file = _file(place)
    if not file.exists():
        made = {
            "key": f"LOCAL{secrets.token_hex(8).upper()}",
            "secret": secrets.token_hex(20),
            "authority": authority.read_text(encoding="utf-8"),
        }
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(made), encoding="utf-8")
        new.replace(file)
    return keys(place)


@dataclass
class Replica:
    """Keeps the bucket's copy, in the place of replication between regions; what is deleted stays there.

    Attributes:
        place: the node's.
    """

    place: Place

    def serve(self) -> None:
        """Copy what is new or has changed.

        Raises:
            OSError: it can't be written.
        """
        original, copy = self.place.objects / BUCKET, self.place.objects / REPLICA
        for file in original.rglob("*"):
            path = file.relative_to(original)
            if any(part.startswith(_UNFINISHED) for part in path.parts):
                continue
            with contextlib.suppress(FileNotFoundError):  # it has just been deleted
                _copy(file, copy / path)


def _copy(file: Path, target: Path) -> None:
    """Copy an object with its attributes, which are its metadata; it appears whole."""
    if file.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    told = file.stat()
    if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (
        told.st_size,
        told.st_mtime_ns,
    ):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{_UNFINISHED}-{target.name}")
    shutil.copy2(file, new)
    new.replace(target)


def keys(place: Place) -> Keys:
    """Return how a node's S3 server is used.

    Args:
        place: the node's; it has been up.
    """
    return Keys(**json.loads(_file(place).read_text(encoding="utf-8")))


def credentials(place: Place) -> Mapping[str, str]:
    """Return what the local stack's owners would have to set, for a node.

    Args:
        place: the node's; it has been up.

    Returns:
        The name below `fixia:secrets` -> its value.
    """
    known = keys(place)
    return {
        "backup-key": known.key,
        "backup-secret": known.secret,
        "objects-authority": known.authority,
        # Of Alertmanager's own making, and read on this machine alone: no certificate would add to it.
        "alerts-webhook": f"http://{ALERTS}:{PORT}/",
    }


def _file(place: Place) -> Path:
    return place.pki / "objects.json"
