"""Where a node is: its folder, its addresses, and what it is called on this machine.

All that a node has is below one folder, and what it must have outside of it carries the folder's mark:

    link       the machine's end of the one cable that leads to the node
    cgroup     what the node's processes and pods are counted in
"""

import hashlib
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from simulator.faults import USAGE, Fault

FOLDER_SETTING: Final = "FIXIA_NODE"
NETWORK_SETTING: Final = "FIXIA_NODE_NETWORK"

NAME: Final = "fixia-local"
"""Of the node, of the cluster and of the context in its kubeconfig."""

_FOLDER: Final = Path("/var/lib/fixia/node")
_NETWORK: Final = IPv4Network("10.213.0.0/16")
_LARGEST: Final = 20
"""Bits of the smallest network that has room for a node's pods and Services."""

_LONGEST: Final = 60
"""Bytes of the folder's path: sockets lie below it, whose paths have an end at 108."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node's folder and network.

    Attributes:
        folder: all that the node keeps; made by it, and removed by it.
        network: the addresses that are the node's own; nothing else on this machine may use them.
    """

    folder: Path = _FOLDER
    network: IPv4Network = _NETWORK

    def __post_init__(self) -> None:
        path = str(self.folder)
        if not self.folder.is_absolute() or len(path.encode()) > _LONGEST or set(path) & set(":,\\ \n\t"):
            raise Fault(
                where=f"the node's folder ({FOLDER_SETTING})",
                found=repr(path),
                valid=f"an absolute path of at most {_LONGEST} bytes, without spaces, ':', ',' and '\\'",
                do=f"leave it at {_FOLDER}, or name another",
                exit_code=USAGE,
            )

    @property
    def mark(self) -> str:
        """What tells the node's things from another node's; short enough for a link's name."""
        return f"fixia{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @property
    def machine(self) -> IPv4Address:
        """This machine's own address on the cable to the node."""
        return self.network[1]

    @property
    def node(self) -> IPv4Address:
        """The node's address, on which its API server listens."""
        return self.network[2]

    @property
    def pods(self) -> IPv4Network:
        """The pods' addresses."""
        return self._quarters[1]

    @property
    def services(self) -> IPv4Network:
        """The Services' addresses."""
        return self._quarters[2]

    @property
    def dns(self) -> IPv4Address:
        """The address of the cluster's DNS."""
        return self.services[10]

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.node}:6443"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def config(self) -> Path:
        """What the parts are told."""
        return self.folder / "config"

    @property
    def logs(self) -> Path:
        """What the parts say, what the pods say, and what was asked of the API server."""
        return self.folder / "log"

    @property
    def volumes(self) -> Path:
        """The content of claims."""
        return self.folder / "volumes"

    @property
    def objects(self) -> Path:
        """What the S3 server keeps: a folder for each bucket."""
        return self.folder / "objects"

    @property
    def public_authority(self) -> Path:
        """Who signed for the public hosts."""
        return self.folder / "public-ca.crt"

    @property
    def alerts(self) -> Path:
        """The alerts that somebody was told of and that last."""
        return self.folder / "alerts.json"

    @property
    def root(self) -> Path:
        """Where the node's root filesystem is mounted, for the node's own eyes only."""
        return self.folder / "root"

    @property
    def inside(self) -> Path:
        """The number, in the node's namespace, of a process that has the root filesystem as its root."""
        return self.folder / "inside"

    @property
    def kubeconfig(self) -> Path:
        """How an administrator reaches the cluster."""
        return self.folder / "kubeconfig"

    @property
    def record(self) -> Path:
        """Which process the node is; its presence says that the folder is a node's."""
        return self.folder / "node.json"

    @property
    def state(self) -> Path:
        """What the supervisor says of the parts."""
        return self.folder / "parts.json"

    @property
    def _quarters(self) -> list[IPv4Network]:
        return list(self.network.subnets(prefixlen_diff=2))


def chosen() -> Place:
    """Return the place of this user's node.

    Raises:
        Fault: a setting names no folder or no network.
    """
    given = os.environ.get(NETWORK_SETTING) or str(_NETWORK)
    try:
        network = IPv4Network(given)
    except ValueError as error:
        raise _no_network(given, str(error)) from error
    if network.prefixlen > _LARGEST or not network.is_private:
        raise _no_network(given, "it is public, or too small")
    return Place(folder=Path(os.environ.get(FOLDER_SETTING) or _FOLDER), network=network)


def _no_network(given: str, why: str) -> Fault:
    return Fault(
        where=NETWORK_SETTING,
        found=f"{given!r}: {why}",
        valid=f"a private network of at least /{_LARGEST} that nothing else here uses, such as {_NETWORK}",
        do="name another, or leave it out",
        exit_code=USAGE,
    )
