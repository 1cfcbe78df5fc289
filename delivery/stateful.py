"""Which resources keep what nobody can make again, and where it is told how to get it back.

A pull request that deletes or replaces one of them needs a label that somebody puts on it knowingly
(`delivery/gate.py`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.report import DESTRUCTIVE, Change

RUNBOOKS: Final = "docs/runbooks"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a resource keeps.

    Attributes:
        what: what would be lost with it, as the end of a sentence.
        runbook: the path of the page that tells how it is got back.
    """

    what: str
    runbook: str


_CACHE: Final = Kept(what="queued jobs and sessions", runbook=f"{RUNBOOKS}/cache-down.md")
_ROWS: Final = Kept(
    what="the database",
    runbook=f"{RUNBOOKS}/restore-the-database.md",
)
_TIER: Final = Kept(
    what="everything in the namespace, volumes too", runbook=f"{RUNBOOKS}/disaster-cluster-lost.md"
)
_BACKUPS: Final = Kept(
    what="the backups, or the only key that reads them", runbook=f"{RUNBOOKS}/repository-damaged.md"
)
_OPERATED: Final = Kept(
    what="the database",
    runbook=f"{RUNBOOKS}/database-cloudnative-pg.md",
)
_VOLUME: Final = Kept(what="what is on the volume", runbook=f"{RUNBOOKS}/disaster-data-deleted.md")

KEPT: Final[Mapping[str, Kept]] = {
    "kubernetes:apps/v1:StatefulSet": _VOLUME,
    "kubernetes:core/v1:PersistentVolumeClaim": _VOLUME,
    "kubernetes:core/v1:PersistentVolume": _VOLUME,
    "kubernetes:core/v1:Namespace": _TIER,
    "kubernetes:postgresql.cnpg.io/v1:Cluster": _OPERATED,
    "aws:s3/bucket:Bucket": _BACKUPS,
    "aws:s3/bucketV2:BucketV2": _BACKUPS,
    "aws:kms/key:Key": _BACKUPS,
}
"""Type token -> what its resources keep."""

_OF_COMPONENT: Final[Mapping[str, Kept]] = {"fixia:data:Database": _ROWS, "fixia:data:Cache": _CACHE}
"""Component's type token -> what the volumes and servers in it keep, more exactly."""

_CIPHER: Final = re.compile(r"^credentials-.*cipher-\d+$")
"""The passphrase of the backups, where the stack makes it: no backup can be read without."""


def kept_by(change: Change) -> Kept | None:
    """What the resource of a change keeps, or None if it can be made again at any time."""
    if change.type.startswith("random:") and _CIPHER.match(change.name):
        return _BACKUPS
    kept = KEPT.get(change.type)
    return _OF_COMPONENT.get(change.component_type, kept) if kept is _VOLUME else kept


def touched(changes: Sequence[Change]) -> list[tuple[Change, Kept]]:
    """The changes of resources that stand already and keep something, the destructive ones first."""
    found = [
        (change, kept) for change in changes if (kept := kept_by(change)) and change.operation != "create"
    ]
    return sorted(found, key=lambda pair: pair[0].operation not in DESTRUCTIVE)


def lost(changes: Sequence[Change]) -> list[tuple[Change, Kept]]:
    """Those of them that would be deleted or replaced."""
    return [(change, kept) for change, kept in touched(changes) if change.operation in DESTRUCTIVE]
