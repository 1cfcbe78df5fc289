"""Who is who on a node, and the keys that outlive a start of it.

Each start issues its certificates anew. What must be the same after a restart is kept, for root alone: the
keys of the authorities, since pods that run know only these; the key that signs the pods' tokens; and the one
that Secrets are encrypted with.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from simulator.node import outside
from simulator.node.pki import Authority, Identity, KeyPair
from simulator.node.place import NAME, Place

LIFETIME: Final = timedelta(days=365)
"""Of certificates; each start of the node makes new ones."""

RENEWED: Final = timedelta(days=30)
"""So long before the first of them ends, `up` starts a node anew that runs."""

ADMIN: Final = "admin"
PROXY: Final = "front-proxy-client"
"""How the API server shows itself to the servers of other APIs."""

METRICS: Final = "metrics-server"
METRICS_HOST: Final = "metrics-server.kube-system.svc"

_CLIENTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    ADMIN: ("admin", ("system:masters",)),
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    "kubelet": (f"system:node:{NAME}", ("system:nodes",)),
    # The API server as the kubelet's client; the manifests of `node-rights` give it the right.
    "kubelet-client": ("kube-apiserver-kubelet-client", ()),
}
"""File name -> the user and its groups, as Kubernetes' own roles name them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
"""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The files of one start.

    Attributes:
        authority: verifies every server, and every client but the API server as a proxy.
        proxy_authority: verifies the API server where it speaks for others.
        clients: file name -> identity.
        servers: name of the part -> identity.
        tokens: signs the pods' tokens.
        encryption: how Secrets are stored, for the API server.
        kubeconfigs: name of the part -> its file.
    """

    authority: Path
    proxy_authority: Path
    clients: Mapping[str, Identity]
    servers: Mapping[str, Identity]
    tokens: KeyPair
    encryption: Path
    kubeconfigs: Mapping[str, Path]


def issue(place: Place) -> Credentials:
    """Issue everything for one start, and keep or make what outlives it.

    Args:
        place: the node's; its folder exists.
    """
    proxy_folder = place.pki / "front-proxy"
    for folder in (place.pki, proxy_folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    authority = Authority(place.pki, lifetime=LIFETIME, kept=True)
    proxies = Authority(proxy_folder, lifetime=LIFETIME, kept=True)
    clients = {file: _as_file(authority, file, *who) for file, who in _CLIENTS.items()}
    clients[PROXY] = proxies.client(PROXY)
    api = ("localhost", "127.0.0.1", str(place.node), str(place.services[1]), *_names("kubernetes.default"))
    servers = {
        "kube-apiserver": authority.server("kube-apiserver", api),
        "kubelet": authority.server("kubelet-server", (NAME, str(place.node))),
        "kube-controller-manager": authority.server("controller-manager-server", ("localhost", "127.0.0.1")),
        "kube-scheduler": authority.server("scheduler-server", ("localhost", "127.0.0.1")),
        "objects": authority.server("objects", (outside.OBJECTS, outside.ADDRESSES[outside.OBJECTS])),
        METRICS: authority.server(METRICS, _names(METRICS_HOST.removesuffix(".svc"))),
    }
    with_kubeconfig = {name: identity for name, identity in clients.items() if name not in (ADMIN, PROXY)}
    kubeconfigs = {
        name: _write(place.pki / f"{name}.kubeconfig", _kubeconfig(place, authority.certificate, identity))
        for name, identity in with_kubeconfig.items()
    }
    _write(place.kubeconfig, _kubeconfig(place, authority.certificate, clients[ADMIN], user=ADMIN))
    return Credentials(
        authority=authority.certificate,
        proxy_authority=proxies.certificate,
        clients=clients,
        servers=servers,
        tokens=_tokens(place.pki, authority),
        encryption=_encryption(place.pki / "encryption.json"),
        kubeconfigs=kubeconfigs,
    )


def end_soon(place: Place) -> str:
    """Say which certificate of a node ends too soon to go on with; empty if none does.

    Args:
        place: the node's.
    """
    limit = datetime.now(UTC) + RENEWED
    for file in sorted(place.pki.rglob("*.crt")):
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        if ends < limit:
            return f"{file.stem} ends {ends:%Y-%m-%d}"
    return ""


def administrator(place: Place) -> tuple[Path, Identity]:
    """Return the authority's and the administrator's files of a node that runs.

    Args:
        place: the node's.
    """
    identity = Identity(certificate=place.pki / f"{ADMIN}.crt", key=place.pki / f"{ADMIN}.key")
    return place.pki / "ca.crt", identity


def metrics_identity(place: Place) -> Identity:
    """Return what the server of the resource metrics shows, of a node that runs.

    Args:
        place: the node's.
    """
    return Identity(certificate=place.pki / f"{METRICS}.crt", key=place.pki / f"{METRICS}.key")


def _names(service: str) -> tuple[str, ...]:
    """The names of a Service, given as `name.namespace`."""
    return (service.partition(".")[0], service, f"{service}.svc", f"{service}.svc.cluster.local")


def _as_file(authority: Authority, file: str, user: str, groups: tuple[str, ...]) -> Identity:
    """Issue a client's certificate under a file name that is not the user's: that has colons."""
    made = authority.client(user, groups)
    certificate, key = (path.with_name(file + path.suffix) for path in (made.certificate, made.key))
    return Identity(certificate=made.certificate.rename(certificate), key=made.key.rename(key))


def _tokens(folder: Path, authority: Authority) -> KeyPair:
    """The key of the pods' tokens: another one would make those of all running pods worthless."""
    kept = KeyPair(private=folder / "service-accounts.key", public=folder / "service-accounts.pub")
    return kept if kept.private.exists() else authority.key_pair("service-accounts")


def _encryption(file: Path) -> Path:
    """The key that Secrets are stored under: without it, those in the store can't be read again.

    Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
    """
    if not file.exists():
        key = {"name": "first", "secret": base64.b64encode(os.urandom(32)).decode()}
        providers = [{"secretbox": {"keys": [key]}}, {"identity": {}}]
        _write(
            file,
            {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "EncryptionConfiguration",
                "resources": [{"resources": ["secrets"], "providers": providers}],
            },
        )
    return file


def _kubeconfig(place: Place, authority: Path, identity: Identity, user: str = NAME) -> dict[str, Any]:
    """A kubeconfig that holds its keys, so that a copy of the file is enough."""

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"server": place.url, "certificate-authority-data": data(authority)}
    keys = {
        "client-certificate-data": data(identity.certificate),
        "client-key-data": data(identity.key),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": user, "user": keys}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": user}}],
        "current-context": NAME,
    }


def _write(file: Path, content: dict[str, Any]) -> Path:
    """Write a file of YAML, of which JSON is a part, for its owner alone."""
    new = file.with_name(f".{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return new.replace(file)
