"""How what runs on a node is reached from this machine."""

import base64
from dataclasses import dataclass
from typing import Final

from simulator.node import certificates
from simulator.node.client import Client, Manifest, Refused
from simulator.node.place import Place

_ENTRANCE: Final = "app.kubernetes.io/name=entrance"
_INGRESSES: Final = "/apis/networking.k8s.io/v1/ingresses"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A public host of the platform.

    Attributes:
        url: its address.
        command: what shows it, on this machine.
    """

    url: str
    command: str


def hosts(client: Client, place: Place) -> list[Host]:
    """Return the public hosts that something on the node serves.

    Args:
        client: an administrator of the cluster.
        place: the node's; whom to trust is written there.

    Raises:
        Refused: the API server does not let us.
        OSError: it can't be reached.
    """
    entrances = _items(client, "/api/v1/services", {"labelSelector": _ENTRANCE})
    addresses = [each["spec"].get("clusterIP", "") for each in entrances]
    rules = [rule for each in _items(client, _INGRESSES) for rule in each["spec"].get("rules") or []]
    names = sorted({rule["host"] for rule in rules if rule.get("host")})
    if not names or not addresses:
        return []
    _write_authority(client, place)
    at = f"--cacert {place.public_authority} --resolve"
    return [
        Host(url=f"https://{name}", command=f"curl {at} {name}:443:{addresses[0]} https://{name}/")
        for name in names
    ]


def _write_authority(client: Client, place: Place) -> None:
    """Write down who signed for the public hosts, whom nobody trusts."""
    path = f"/api/v1/namespaces/{certificates.NAMESPACE}/secrets/{certificates.ACME}"
    answer = client.request("GET", path)
    if answer.accepted:
        place.public_authority.write_bytes(base64.b64decode(answer.body["data"]["tls.crt"]))


def _items(client: Client, path: str, query: dict[str, str] | None = None) -> list[Manifest]:
    answer = client.request("GET", path, query=query)
    if not answer.accepted:
        raise Refused(f"list {path}", answer)
    found: list[Manifest] = answer.body.get("items") or []
    return found
