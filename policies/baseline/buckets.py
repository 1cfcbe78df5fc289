"""Buckets, each with what belongs to it: AWS keeps nearly every setting in a resource of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from baseline.model import UNKNOWN, Resource
from baseline.tree import Node, Truth

_TOKEN: Final = re.compile(
    r"aws:s3/(bucket\w*|accountPublicAccessBlock):(Bucket\w*|AccountPublicAccessBlock)"
)


def s3_kind(type_token: str) -> str | None:
    """Name what a resource is to a bucket; the names of version 6, which end in V2, are aliases.

    Args:
        type_token: The type token.

    Returns:
        Such as ``Bucket`` or ``BucketVersioning``; None for what is none of these.
    """
    match = _TOKEN.fullmatch(type_token)
    return match[2].removesuffix("V2") if match else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and what belongs to it.

    Attributes:
        resource: The bucket.
        parts: Its settings by kind, each with whether it is surely of this bucket.
        takes_logs: Whether it is where others' access logs go.
    """

    resource: Resource
    parts: dict[str, list[tuple[Resource, Truth]]] = field(default_factory=dict)
    takes_logs: Truth = False

    @property
    def root(self) -> Node:
        """The bucket's own properties."""
        return Node(self.resource.properties)

    def find(self, kind: str, *keys: str, inline: tuple[str, ...] = ()) -> tuple[Resource, Node]:
        """Find a setting.

        Args:
            kind: The kind of the resource that holds it.
            keys: Where it is there.
            inline: Where it is in the bucket itself, as versions before 4 had it.

        Returns:
            The resource to blame, and the setting: absent if there is no such resource.
        """
        found = self.parts.get(kind, [])
        sure = next((one for one, fact in found if fact is True), None)
        if sure is not None:
            return sure, Node(sure.properties).at(*keys)
        if inline and (own := self.root.at(*inline)).value is not None:
            return self.resource, own
        return self.resource, Node(UNKNOWN if found else None, ".".join([kind, *keys]))

    @property
    def keeps_backups(self) -> bool:
        """Whether it says that it keeps backups: in a name, in a tag, or by an Object Lock.

        One that surely takes others' access logs does not, whatever its name.
        """
        if self.takes_logs is True:
            return False
        tags = self.resource.properties.get("tags")
        said = [self.resource.name, self.resource.properties.get("bucket")]
        said += list(tags.values()) if isinstance(tags, dict) else []
        locked = self.resource.properties.get("objectLockEnabled") is True
        return locked or any(isinstance(one, str) and "backup" in one.lower() for one in said)


def buckets(resources: Sequence[Resource]) -> list[Bucket]:
    """Join buckets with what belongs to them.

    Args:
        resources: Resources of a stack.

    Returns:
        The buckets.
    """
    parts = [one for one in resources if s3_kind(one.type) not in (None, "Bucket")]
    found = []
    for resource in resources:
        if s3_kind(resource.type) != "Bucket":
            continue
        bucket = Bucket(resource)
        logs: Truth = False
        for part in parts:
            kind = str(s3_kind(part.type))
            fact = True if kind.startswith("Account") else _is_of(part, "bucket", resource)
            if fact is not False:
                bucket.parts.setdefault(kind, []).append((part, fact))
            if kind == "BucketLogging" and (target := _is_of(part, "targetBucket", resource)) is not False:
                logs = target
        found.append(Bucket(resource, bucket.parts, logs))
    return found


def _is_of(part: Resource, key: str, bucket: Resource) -> Truth:
    links = part.links.get(key, ())
    if bucket.urn in links:
        return True
    name = part.properties.get(key)
    if name is UNKNOWN:
        return False if any("s3/bucket" in link for link in links) else UNKNOWN
    names = [value for own in ("bucket", "id", "arn") if (value := bucket.properties.get(own)) is not None]
    if name is not None and name in names:
        return True
    return UNKNOWN if UNKNOWN in names and not links else False
