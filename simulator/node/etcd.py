"""The store of a control plane: one etcd that only its own user can reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.faults import Fault
from simulator.node.daemon import running

_CLIENTS: Final = "clients:1"
"""A socket's file name; it must look like a host and a port, or etcd won't have it."""

_PEERS: Final = "peers:1"
_LONGEST: Final = 100
"""Bytes of a socket's path; some kernels take 104, others 108."""


@contextmanager
def etcd(program: Path, folder: Path) -> Iterator[str]:
    """Run an empty etcd. It listens on sockets in a folder, on no port at all.

    Args:
        program: the `etcd` program.
        folder: for its data, sockets and log; only we may enter it.

    Yields:
        Its endpoint, for `--etcd-servers`.

    Raises:
        Fault: it does not begin.
    """
    socket = folder / _CLIENTS
    if len(str(socket).encode()) > _LONGEST:
        raise Fault(
            where=str(folder),
            found="its path is too long for a socket in it",
            valid=f"a temporary folder of at most {_LONGEST - 40} bytes",
            do="name a shorter one: TMPDIR=/tmp",
        )
    command: list[str | Path] = [
        program,
        f"--data-dir={folder / 'data'}",
        f"--listen-client-urls=unix://{_CLIENTS}",
        f"--advertise-client-urls=unix://{_CLIENTS}",
        f"--listen-peer-urls=unix://{_PEERS}",
        f"--initial-advertise-peer-urls=unix://{_PEERS}",
        f"--initial-cluster=default=unix://{_PEERS}",
        "--unsafe-no-fsync",  # the data are thrown away; a laptop's disk need not hear of each write
        "--log-format=console",
        "--log-level=warn",
    ]
    with running("etcd", command, folder) as daemon:
        daemon.await_ready(socket.is_socket)  # who connects is served as soon as it can
        yield f"unix://{socket}"
