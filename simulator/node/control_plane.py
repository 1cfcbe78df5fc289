"""A Kubernetes control plane on this machine: it stores and judges objects, and nothing acts on them."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulator.node.apiserver import apiserver
from simulator.node.client import Client
from simulator.node.etcd import etcd
from simulator.node.pki import Authority, Identity

ADMIN: Final = ("admin", ("system:masters",))


class ControlPlane:
    """An etcd and an API server for as long as a `with` block runs. Needs no root.

    What it keeps is thrown away. It is reached on 127.0.0.1 only, by whoever has a certificate of its own
    authority: see `client` and `client_of`.

    Args:
        etcd: the `etcd` program.
        apiserver: the `kube-apiserver` program.

    Attributes:
        url: the API server's address.
        client: an administrator's client.
    """

    url: str
    client: Client

    def __init__(self, *, etcd: Path, apiserver: Path) -> None:
        self._programs = etcd, apiserver
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            Fault: one of the two does not begin.
        """
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fixia-node-")))
            store, server = self._programs
            self.authority = Authority(self.folder)
            admin = self.authority.client(*ADMIN)
            endpoint = stack.enter_context(etcd(store, self.folder))
            self.url = stack.enter_context(
                apiserver(server, self.folder, etcd=endpoint, authority=self.authority, admin=admin)
            )
            self.client = stack.enter_context(self._client(admin))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def client_of(self, user: str, groups: Sequence[str] = ()) -> Client:
        """Make a client of somebody else, who may do what RBAC lets that user do.

        Args:
            user: the user's name.
            groups: the groups that it is a member of.

        Returns:
            The client; close it, or use it in a `with` block.
        """
        return self._client(self.authority.client(user, groups))

    def _client(self, identity: Identity) -> Client:
        return Client(self.url, self.authority.certificate, identity)
