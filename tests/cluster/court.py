"""A stack's objects before a real API server: what it says of each, and what it makes of it."""

import base64
import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pytest

from simulator.node.client import Answer, Client, Manifest, Refused
from simulator.providers.values import conceal

MANAGER = "judged"
CERT_MANAGER: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}
"""Comes with cert-manager itself, which is there before the program."""

_STORED = "metadata.resourceVersion"


@dataclass(frozen=True)
class Verdict:
    """What the server answered to one object. Neither is ever printed whole: it may be a Secret."""

    manifest: Manifest = field(repr=False)
    answer: Answer = field(repr=False)

    @property
    def complaints(self) -> list[str]:
        """What the server has against the object: a refusal, or warnings."""
        said = list(self.answer.warnings) if self.answer.accepted else [self.answer.message]
        return [f"{title(self.manifest)}: {_without_secrets(words, self.manifest)}" for words in said]

    @property
    def rewritten(self) -> list[str]:
        """Each field that we sent and that came back as something else."""
        secret = self.manifest["kind"] == "Secret"
        return [
            f"{title(self.manifest)}: {path}" + ("" if secret else f": sent {sent!r}, came back {came!r}")
            for path, sent, came in differences(_as_stored(self.manifest), self.answer.body)
        ]


@dataclass(frozen=True)
class Repetition:
    """An object that was there, and the answers when it was applied a second and a third time."""

    before: Manifest = field(repr=False)
    second: Verdict
    third: Verdict

    @property
    def complaints(self) -> list[str]:
        """What the server has against the object, and each field that is another than before.

        Some kinds, such as claims, the server stores once more at their first update, with nothing else in
        them: that a second time counts as a write is its own doing, that a third does is ours.
        """
        changed = [
            *(path for path, *_ in differences(self.before, self.second.answer.body) if path != _STORED),
            *(path for path, *_ in differences(self.second.answer.body, self.third.answer.body)),
        ]
        said = (*self.second.complaints, *self.third.complaints)
        return [*said, *(f"{title(self.before)}: {path} changed" for path in dict.fromkeys(changed))]


class Court:
    """The objects of one stack before a cluster of their own. Each step is taken once, after those before.

    Args:
        client: an administrator of the cluster.
        manifests: the objects, in the order of their creation.
        crds: the custom resource definitions that are there before them.
    """

    def __init__(self, client: Client, manifests: list[Manifest], crds: list[Manifest]) -> None:
        self.client = client
        self.manifests = manifests
        self._crds = crds

    @cached_property
    def ground(self) -> list[Verdict]:
        """The definitions and namespaces, really created."""
        given = [CERT_MANAGER, *self._crds]
        verdicts = [Verdict(manifest, self.client.apply(manifest, manager="cluster")) for manifest in given]
        for crd in self._crds:
            establish(self.client, crd)
        namespaces = [manifest for manifest in self.manifests if manifest["kind"] == "Namespace"]
        return verdicts + [self._create(manifest) for manifest in namespaces]

    @cached_property
    def tried(self) -> list[Verdict]:
        """Each object, applied without effect."""
        _accepted(self.ground)
        return [self._apply(manifest, dry_run=True) for manifest in self.manifests]

    @cached_property
    def applied(self) -> list[Verdict]:
        """Each object, applied."""
        _accepted(self.tried)
        return [self._create(manifest) for manifest in self.manifests]

    @cached_property
    def repeated(self) -> list[Repetition]:
        """Each object, applied twice more after all were."""
        _accepted(self.applied)
        return [
            Repetition(self.client.get(manifest).body, self._apply(manifest), self._apply(manifest))
            for manifest in self.manifests
        ]

    @cached_property
    def pods(self) -> list[Verdict]:
        """A pod of each template, created without effect where the template is."""
        _accepted(self.applied)
        pods = [pod for manifest in self.manifests if (pod := pod_of(manifest))]
        return [Verdict(pod, self.client.create(pod, dry_run=True)) for pod in pods]

    def admit(self, pod: Manifest) -> Verdict:
        """Create a pod. Nothing runs it, but it counts."""
        _accepted(self.applied)
        return Verdict(pod, self.client.create(pod))

    def _create(self, manifest: Manifest) -> Verdict:
        verdict = self._apply(manifest)
        if verdict.answer.accepted:
            control(self.client, verdict.answer.body)
        return verdict

    def _apply(self, manifest: Manifest, *, dry_run: bool = False) -> Verdict:
        try:
            return Verdict(manifest, self.client.apply(manifest, manager=MANAGER, dry_run=dry_run))
        except Refused as error:  # the kind; the others are still to be judged
            return Verdict(manifest, replace(error.answer, status=404, body={"message": str(error)}))
        except (OSError, http.client.HTTPException) as error:
            # A traceback would show the object, which may be a Secret.
            pytest.fail(f"{title(manifest)}: {error!r}", pytrace=False)


def title(manifest: Manifest) -> str:
    """What an object is called in a list of failures."""
    metadata = manifest["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{manifest['kind']} {place}{metadata['name']}"


def control(client: Client, manifest: Manifest) -> None:
    """Do what a controller would, where admission depends on it; no controller runs here.

    A namespace has a service account `default`; a quota counts once it has a status.
    """
    if manifest["kind"] == "Namespace":
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        metadata = {"name": "default", "namespace": manifest["metadata"]["name"]}
        answer = client.apply({**account, "metadata": metadata}, manager="controller")
        assert answer.accepted, answer.message
    elif manifest["kind"] == "ResourceQuota" and not manifest.get("status", {}).get("hard"):
        hard = manifest["spec"]["hard"]
        answer = client.update_status(
            {**manifest, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
        )
        assert answer.accepted, answer.message


def establish(client: Client, crd: Manifest) -> None:
    """Wait until the server serves the kind that a definition defines."""
    for now in client.watch(crd):
        conditions = {c["type"]: c["status"] for c in now.get("status", {}).get("conditions") or []}
        if conditions.get("Established") == "True":
            return
    raise AssertionError(f"{title(crd)} was never established")


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that a controller would make of an object; None if it would make none."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template") if isinstance(spec, dict) else None
    if not isinstance(template, dict) or "containers" not in template.get("spec", {}):
        return None
    claims = [
        {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
        for claim in spec.get("volumeClaimTemplates", [])
    ]
    pod = {**template["spec"]}
    if claims:
        pod["volumes"] = [*pod.get("volumes", []), *claims]
    metadata = {**template.get("metadata", {}), "namespace": manifest["metadata"]["namespace"]}
    metadata["name"] = f"{manifest['kind']}-{manifest['metadata']['name']}".lower()[:60].rstrip("-.")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


def differences(sent: Any, came: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each place where something is another than was sent; what came on top is none."""
    if isinstance(sent, dict) and isinstance(came, dict):
        for key, value in sent.items():
            yield from differences(value, came.get(key), f"{path}.{key}" if path else key)
    elif isinstance(sent, list) and isinstance(came, list) and len(sent) == len(came):
        for index, (one, other) in enumerate(zip(sent, came, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif sent != came:
        yield path, sent, came


def _accepted(verdicts: list[Verdict]) -> None:
    """Go no further after a refusal: what follows would only repeat it."""
    complaints = [line for verdict in verdicts if not verdict.answer.accepted for line in verdict.complaints]
    assert not complaints, "\n".join(complaints)


def _as_stored(manifest: Manifest) -> Manifest:
    """A Secret's `stringData` is for writing only: it is stored in `data`."""
    if manifest["kind"] != "Secret" or "stringData" not in manifest:
        return manifest
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in manifest["stringData"].items()}
    stored = {key: value for key, value in manifest.items() if key != "stringData"}
    return {**stored, "data": {**manifest.get("data", {}), **encoded}}


def _without_secrets(words: str, manifest: Manifest) -> str:
    values = [text for key in ("data", "stringData") for text in (manifest.get(key) or {}).values()]
    return conceal(words, map(str, values)) if manifest["kind"] == "Secret" else words
