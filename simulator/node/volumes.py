"""The node's own storage class: a claim gets a folder of this machine.

A `local` volume, not a `hostPath` one, whose owner the kubelet leaves as it is, whatever the pod's `fsGroup`.
A folder has no size of its own, so that growing is a matter of writing down the new one.
"""

import contextlib
import http.client
import shutil
from pathlib import Path
from typing import Any, Final

from simulator.node.client import Answer, Client, Manifest, Refused
from simulator.node.place import NAME
from simulator.providers.quantities import quantity

PROVISIONER: Final = "fixia.app/folder"
"""Of the storage class, in `manifests/storage.yaml`."""

_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_VOLUMES: Final = "/api/v1/persistentvolumes"
_MERGE: Final = "application/merge-patch+json"
_ANNOTATION: Final = "volume.kubernetes.io/storage-provisioner"
_PROVIDED: Final = "pv.kubernetes.io/provisioned-by"


class Volumes:
    """Gives claims their volumes.

    Args:
        client: an administrator of the cluster.
        folder: where the volumes' folders are; it exists.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def serve(self) -> None:
        """Do all that there is to do now: make volumes, let them grow, and remove those that nobody claims.

        Raises:
            Refused: the API server does not let us.
            OSError: it can't be reached, or a folder can't be made.
        """
        claims = {claim["metadata"]["uid"]: claim for claim in self._list(_CLAIMS)}
        volumes = [
            volume
            for volume in self._list(_VOLUMES)
            if volume["metadata"].get("annotations", {}).get(_PROVIDED) == PROVISIONER
        ]
        there = {volume["metadata"]["name"] for volume in volumes}
        for uid, claim in claims.items():
            asked_of_us = claim["metadata"].get("annotations", {}).get(_ANNOTATION) == PROVISIONER
            if asked_of_us and not claim["spec"].get("volumeName") and f"pvc-{uid}" not in there:
                self._make(f"pvc-{uid}", claim)
        for volume in volumes:
            claimed = claims.get(volume["spec"].get("claimRef", {}).get("uid", ""))
            if claimed:
                self._grow(volume, claimed)
            elif volume.get("status", {}).get("phase") == "Released":
                self._remove(volume)

    def _make(self, name: str, claim: Manifest) -> None:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o750)  # who may enter is what the pod's fsGroup says
        metadata = claim["metadata"]
        reference = {key: metadata[key] for key in ("namespace", "name", "uid")}
        self._answered(
            f"create the volume {name}",
            self._client.request(
                "POST",
                _VOLUMES,
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": name, "annotations": {_PROVIDED: PROVISIONER}},
                    "spec": {
                        "capacity": {"storage": _asked(claim)},
                        "accessModes": claim["spec"]["accessModes"],
                        "volumeMode": "Filesystem",
                        "storageClassName": claim["spec"]["storageClassName"],
                        "persistentVolumeReclaimPolicy": "Delete",
                        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
                        "local": {"path": str(folder)},
                        "nodeAffinity": {"required": {"nodeSelectorTerms": [_on_this_node()]}},
                    },
                },
            ),
        )

    def _grow(self, volume: Manifest, claim: Manifest) -> None:
        """Write a claim's new size down, in the volume first: the claim tells what it really has."""
        asked = {"capacity": {"storage": _asked(claim)}}
        if _larger(_asked(claim), volume["spec"]["capacity"]["storage"]):
            path = f"{_VOLUMES}/{volume['metadata']['name']}"
            self._patch(path, {"spec": asked})
        has = claim.get("status", {}).get("capacity", {}).get("storage")
        if has and _larger(_asked(claim), has):
            metadata = claim["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}"
            self._patch(f"{path}/status", {"status": asked})

    def _remove(self, volume: Manifest) -> None:
        if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
            return
        name = volume["metadata"]["name"]
        folder = self._folder / name
        if Path(volume["spec"]["local"]["path"]) != folder:
            return  # somebody else's
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        self._answered(f"delete the volume {name}", self._client.request("DELETE", f"{_VOLUMES}/{name}"))

    def _patch(self, path: str, change: dict[str, Any]) -> None:
        answer = self._client.request("PATCH", path, change, content_type=_MERGE)
        self._answered(f"change {path}", answer)

    def _list(self, path: str) -> list[Manifest]:
        answer = self._client.request("GET", path)
        self._answered(f"list {path}", answer)
        items: list[Manifest] = answer.body.get("items") or []
        return items

    def _answered(self, request: str, answer: Answer) -> None:
        missed = (http.client.NOT_FOUND, http.client.CONFLICT)  # somebody was faster
        if not answer.accepted and answer.status not in missed:
            raise Refused(request, answer)


def _asked(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _larger(one: str, other: str) -> bool:
    first, second = quantity(one), quantity(other)
    return first is not None and second is not None and first > second


def _on_this_node() -> dict[str, Any]:
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}]}
