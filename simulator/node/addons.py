"""What a cluster has before anything is deployed to it: DNS, metrics, storage and a few rights."""

import base64
import hashlib
import http.client
import string
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.faults import Fault
from simulator.node import credentials, outside
from simulator.node.client import Client, Manifest, Refused
from simulator.node.place import Place

MANAGER: Final = "fixia-node"
PATIENCE_SECONDS: Final = 60.0

_FOLDER: Final = Path(__file__).resolve().with_name("manifests")
_ORDER: Final = ("rights", "storage", "coredns", "metrics-server", "cert-manager")


def apply(client: Client, place: Place, images: Mapping[str, str]) -> None:
    """Apply the addons.

    Args:
        client: an administrator of the cluster.
        place: the node's.
        images: the role of each image -> its name.

    Raises:
        Fault: the API server refuses one of them, or does not serve its kind.
    """
    for manifest in manifests(place, images):
        apply_one(client, manifest)


def manifests(place: Place, images: Mapping[str, str]) -> list[Manifest]:
    """Return the addons' objects in the order of their creation.

    Args:
        place: the node's.
        images: the role of each image -> its name.
    """
    authority, _ = credentials.administrator(place)
    serving = credentials.metrics_identity(place)
    values = {
        **images,
        "dns": str(place.dns),
        "outside_names": " ".join(f"{host}:53" for host in outside.ADDRESSES),
        "outside_addresses": "\n            ".join(f"{at} {host}" for host, at in outside.ADDRESSES.items()),
        "outside_digest": hashlib.sha256(str(outside.ADDRESSES).encode()).hexdigest()[:12],
        "authority": _encoded(authority),
        # Pods that were given a certificate keep it: one of another start's authority is of no use.
        "certificate_digest": hashlib.sha256(serving.certificate.read_bytes()).hexdigest()[:12],
    }
    certificate: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": credentials.METRICS, "namespace": "kube-system"},
        "type": "kubernetes.io/tls",
        "data": {
            "ca.crt": _encoded(authority),
            "tls.crt": _encoded(serving.certificate),
            "tls.key": _encoded(serving.key),
        },
    }
    found = [certificate]
    for name in _ORDER:
        text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        found += yaml.safe_load_all(string.Template(text).substitute(values))
    return found


def apply_one(client: Client, manifest: Manifest) -> None:
    """Apply an object; in the first seconds of a cluster, what it needs may not be there yet.

    Args:
        client: an administrator of the cluster.
        manifest: the object.

    Raises:
        Fault: the API server refuses it for a minute.
    """
    title = f"{manifest['kind']} {manifest['metadata']['name']}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = client.apply(manifest, manager=MANAGER, force=True)
            problem = "" if answer.accepted else answer.message
        except (Refused, OSError, http.client.HTTPException) as error:
            problem = str(error)
        if not problem:
            return
        if time.monotonic() > deadline:
            raise Fault(
                where=title,
                found=f"the node's API server does not take it: {problem}",
                valid="a cluster with DNS, metrics and storage",
                do="look into the node's folder `log`; take it down and up again",
            )
        time.sleep(0.5)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
