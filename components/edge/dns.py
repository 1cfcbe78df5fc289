"""The zone's records: every host of ours behind the edge, and beside it what can't be."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

AUTOMATIC: Final = 1
"""The time to live of a proxied record: Cloudflare's to say. Source: the API's description of `ttl`."""

HOUR_SECONDS: Final = 3600

RecordType = Literal["A", "AAAA", "CNAME", "MX", "TXT"]


@dataclass(frozen=True, kw_only=True)
class Unproxied:
    """A record that the edge does not stand in front of: what it says, everybody reads.

    Attributes:
        name: the whole name.
        type: the record's type.
        content: an address, a name, a text.
        priority: of an MX record.
        reason: why; it becomes the record's comment.
    """

    name: str
    type: RecordType
    content: str
    priority: int | None = None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record as Cloudflare has it.

    Attributes:
        role: its name in the program.
        name: the whole name.
        type: its type.
        content: what it says.
        proxied: whether the edge stands in front of it.
        ttl: seconds, or 1 for Cloudflare's choice.
        priority: of an MX record.
        comment: why it is there.
    """

    role: str
    name: str
    type: RecordType
    content: str
    proxied: bool
    ttl: int
    comment: str
    priority: int | None = None


def records(
    zone: str, hosts: Sequence[str], origin: Sequence[str], unproxied: Sequence[Unproxied]
) -> list[Record]:
    """The records of a zone.

    Args:
        zone: its name.
        hosts: the entrance's hosts.
        origin: where the entrance is: addresses, or one name.
        unproxied: what else there is.
    """
    return [*_proxied(zone, hosts, origin), *_others(zone, unproxied)]


def _proxied(zone: str, hosts: Sequence[str], origin: Sequence[str]) -> Iterator[Record]:
    for host in hosts:
        for number, content in enumerate(origin):
            kind = _kind(content)
            yield Record(
                # By its place: another origin is a change of the record, which then is never gone.
                role="-".join([_label(host, zone), kind.lower(), *([str(number)] if number else [])]),
                name=host,
                type=kind,
                content=content,
                proxied=True,
                ttl=AUTOMATIC,
                comment="the entrance, behind the edge",
            )


def _others(zone: str, unproxied: Sequence[Unproxied]) -> Iterator[Record]:
    for each in unproxied:
        role = f"{_label(each.name, zone)}-{each.type.lower()}"
        yield Record(
            # By what it says, where a name may have several: moved in the list, it stays the same record.
            role=role if each.type == "CNAME" else f"{role}-{_short(each.content)}",
            name=each.name,
            type=each.type,
            # Cloudflare keeps texts in quotes, and would show a change for ever without.
            content=f'"{each.content}"' if each.type == "TXT" else each.content,
            proxied=False,
            ttl=HOUR_SECONDS,
            comment=each.reason[:100],
            priority=each.priority,
        )


def _label(name: str, zone: str) -> str:
    return "zone" if name == zone else name.removesuffix(f".{zone}")


def _kind(content: str) -> Literal["A", "AAAA", "CNAME"]:
    try:
        return "A" if ip_address(content).version == 4 else "AAAA"
    except ValueError:
        return "CNAME"


def _short(content: str) -> str:
    """What tells two contents apart in a resource's name."""
    return hashlib.sha256(content.encode()).hexdigest()[:8]
