"""The API server of a control plane, on a port of this machine that nobody else can reach."""

import contextlib
import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.node.client import Client
from simulator.node.daemon import running
from simulator.node.pki import Authority, Identity

HOST: Final = "127.0.0.1"
ISSUER: Final = "https://kubernetes.default.svc"
SERVICES: Final = "10.96.0.0/16"
"""Where Services have their addresses."""

_NAMES: Final = (HOST, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")


@contextmanager
def apiserver(
    program: Path, folder: Path, *, etcd: str, authority: Authority, admin: Identity
) -> Iterator[str]:
    """Run an API server whose every client needs a certificate, and wait until it is ready.

    Args:
        program: the `kube-apiserver` program.
        folder: for its log and keys; only we may enter it.
        etcd: the store's endpoint.
        authority: issues its certificate, and those of its clients.
        admin: who asks whether it is ready.

    Yields:
        Its address.

    Raises:
        Fault: it does not begin.
    """
    with _reserved_port() as port:
        url = f"https://{HOST}:{port}"
        command: list[str | Path] = [program, *_arguments(folder, port, etcd, authority)]
        with (
            running("kube-apiserver", command, folder) as daemon,
            Client(url, authority.certificate, admin) as client,
        ):
            daemon.await_ready(lambda: _ready(client))
            yield url


def _arguments(folder: Path, port: int, etcd: str, authority: Authority) -> list[str]:
    server = authority.server("kube-apiserver", _NAMES)
    tokens = authority.key_pair("service-accounts")
    return [
        f"--etcd-servers={etcd}",
        f"--bind-address={HOST}",
        f"--secure-port={port}",
        "--permit-port-sharing",  # with ourselves, who keep the port: see _reserved_port
        "--endpoint-reconciler-type=none",  # 127.0.0.1 may not stand in an Endpoints object
        f"--service-cluster-ip-range={SERVICES}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        f"--client-ca-file={authority.certificate}",
        "--allow-privileged",  # as every cluster does: the level of pod security is what refuses them
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={tokens.public}",
        f"--service-account-signing-key-file={tokens.private}",
        "--profiling=false",
    ]


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Hold a free port, so that nobody else gets it between our choice and the server's start.

    Only who also asks for it to be shared, and is the same user, can listen on it meanwhile.
    """
    with contextlib.closing(socket.socket()) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def _ready(client: Client) -> bool:
    try:
        return client.request("GET", "/readyz").accepted
    except (OSError, http.client.HTTPException):
        return False
