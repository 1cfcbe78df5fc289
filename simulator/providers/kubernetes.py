"""The simulated kubernetes provider.

It names, refuses, replaces and answers as pulumi-kubernetes v4 with an API server behind it: objects live in
namespaces, names collide, immutable fields force a replacement or are refused, and everything is ready at
once, unless a test told it to fail.
"""
# ruff: noqa: ARG002 - the core's hooks

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Final

from simulator.providers import kubernetes_ready as ready
from simulator.providers.core import Difference, NotReadyError, Outcome, Provider, Resource
from simulator.providers.differ import Change
from simulator.providers.kubernetes_immutable import forces_new, refused
from simulator.providers.kubernetes_rules import check_rules
from simulator.providers.kubernetes_schema import VERSION, check_schema, has_schema
from simulator.providers.kubernetes_status import cluster_ip, invent, status
from simulator.providers.naming import Naming
from simulator.providers.quantities import quantity
from simulator.providers.store import Record, unseal
from simulator.providers.typecheck import Failure, check_value
from simulator.providers.values import (
    UNKNOWN,
    Properties,
    Secret,
    digest,
    get,
    is_known,
    join,
    merge,
    reveal,
    secret,
    text,
)

AUTONAMED: Final = "pulumi.com/autonamed"
VERSION_VARIABLE: Final = "FIXIA_SIMULATOR_KUBERNETES"
"""The environment variable that names another Kubernetes release for the schemas."""

CLUSTER_KINDS: Final = frozenset(
    {
        "APIService",
        "CertificateSigningRequest",
        "ComponentStatus",
        "CSIDriver",
        "CSINode",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "GatewayClass",
        "IngressClass",
        "IPAddress",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersionMigration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)
"""The kinds that live outside namespaces; a kind that starts with `Cluster` does too."""

CLAIM_SIZE: Final = ("spec", "resources", "requests", "storage")


class Kubernetes(Provider):
    """The provider of the `kubernetes` package."""

    package: ClassVar[str] = "kubernetes"
    refuses_unknown_types: ClassVar[bool] = False  # a token that the SDK lacks is a custom resource
    replacing_config: ClassVar[frozenset[str]] = frozenset({"kubeconfig", "context", "cluster"})

    def account(self) -> str:
        """The cluster: one per context or cluster name."""
        return text(self.config, "context") or text(self.config, "cluster") or "cluster"

    def complete(self, resource: Resource, olds: Properties, news: Properties, naming: Naming) -> Properties:
        """Give the object its kind, name and namespace."""
        kind = _kind(resource)
        if not _is_object(resource):
            return news
        inputs: Properties = {"apiVersion": _api_version(resource), "kind": kind} | news
        metadata = inputs.get("metadata") or {}
        if kind.endswith("List") or resource.type.endswith("Patch") or not isinstance(metadata, dict):
            return inputs
        metadata = {**metadata}
        if metadata.get("name") is None and metadata.get("generateName") is None:
            _name_automatically(metadata, olds, naming, resource.name)
        if _is_namespaced(kind):
            if metadata.get("namespace") is None:
                metadata["namespace"] = text(self.config, "namespace") or "default"
        else:
            metadata.pop("namespace", None)
        inputs["metadata"] = metadata
        if kind == "Secret":
            inputs |= {name: secret(inputs[name]) for name in ("data", "stringData") if name in inputs}
        return inputs

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """Refuse what the API server refuses."""
        if not _is_object(resource):
            return
        if resource.type.endswith("Patch"):
            if get(inputs, "metadata", "name") is None:
                yield Failure("metadata.name", "missing required property: a patch names its object")
            return
        manifest = reveal(inputs)
        typed = {failure.path for failure in found}
        faults = list(self._check_shape(resource, manifest))
        for fault in faults:
            # One fault is said once: the SDK's types have said it better, there or just above.
            if not any(fault.path == path or _inside(fault.path, path) for path in typed):
                yield fault
        # The rules read the object as the schema promises it to be.
        if not faults and not typed:
            yield from check_rules(manifest)
            yield from _check_claim_shrink(reveal(olds), manifest)

    def _check_shape(self, resource: Resource, manifest: Properties) -> Iterator[Failure]:
        """The failures against the API's schema; of a custom resource only what every object has."""
        version = os.environ.get(VERSION_VARIABLE, VERSION)
        if self.resource_class(resource) is None:
            metadata = self.sdk.type_of("meta.v1", "ObjectMetaArgs")
            yield from check_value(manifest.get("metadata"), metadata, "metadata")
        elif has_schema(manifest, version):
            yield from check_schema(manifest, version)
        else:
            found = f"{manifest['apiVersion']} {manifest['kind']}"
            yield Failure("apiVersion", f"Kubernetes {version} has no {found}")

    def forces_replacement(
        self, resource: Resource, change: Change, olds: Properties, news: Properties
    ) -> bool:
        """Whether the provider has the change on its list."""
        kind = f"{resource.type.split(':')[1]}:{resource.type.rpartition(':')[2]}"
        return _is_object(resource) and forces_new(kind, change, news, self.config)

    def diff(self, resource: Resource, old_inputs: Properties, news: Properties) -> Difference:
        """What differs, and whether a Job that is not ready asks to be replaced."""
        found = super().diff(resource, old_inputs, news)
        if not ready.replaces_unready(_kind(resource), news):
            return found
        record = self.store.read(self.collection(resource.type), self.identity(resource, news) or "")
        if record is None or not record.unready:
            return found
        first = self.deletes_before_replace(resource, old_inputs, news)
        return replace(found, because=(ready.UNREADY_PATH,), delete_first=first)

    def preview_update(
        self, resource: Resource, old: tuple[Properties, Properties], news: Properties
    ) -> Properties:
        """The outputs after an update, which the API server has tried without keeping it."""
        self._admit_change(resource, self.identity(resource, old[0]) or "", old[1], news, told="")
        return super().preview_update(resource, old, news)

    def update(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties
    ) -> Properties:
        """Change an object, unless the API server refuses that."""
        told = "" if ready.can_fail(_kind(resource)) else self.told_to_fail(resource)
        self._admit_change(resource, resource_id, old_state, news, told=told)
        return super().update(resource, resource_id, old_state, news)

    def _admit_change(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties, *, told: str
    ) -> None:
        """Refuse a change as the provider does: with what is there, which the engine keeps."""
        record = self.store.read(self.collection(resource.type), resource_id)
        if record is None or not _is_object(resource):
            return
        kind, group = _kind(resource), _api_version(resource).rpartition("/")[0]
        reasons = [told] if told else list(refused(kind, unseal(record.inputs, news), news))
        if reasons:
            outputs = self._outputs(
                resource, unseal(record.inputs, old_state), unseal(record.computed, old_state)
            )
            invalid = f"{kind}.{group}".removesuffix(".") + f" {resource_id.rpartition('/')[2]!r} is invalid"
            refusal = f"{ready.REPORTED.format(resource_id)}: {invalid}: {'; '.join(reasons)}"
            raise NotReadyError(resource_id, outputs, [refusal])

    def deletes_before_replace(self, resource: Resource, olds: Properties, news: Properties) -> bool:
        """Whether the new object has the old one's name and place."""
        where = (("metadata", "name"), ("metadata", "namespace"))
        return not _is_autonamed(news) and all(get(olds, *path) == get(news, *path) for path in where)

    def collection(self, type_token: str) -> str:
        """Objects are stored by group and kind: every version of an API shows the same objects."""
        _, group_version, kind = type_token.split(":", 2)
        return f"{group_version.rpartition('/')[0]}.{kind}"

    def identity(self, resource: Resource, inputs: Properties) -> str | None:
        """The namespace and the name."""
        name, namespace = text(inputs, "metadata", "name"), text(inputs, "metadata", "namespace")
        if not name and (stem := text(inputs, "metadata", "generateName")):
            name = stem + digest(resource.urn, length=5)
        return "/".join(filter(None, (namespace, name or resource.name)))

    def already_exists(self, resource: Resource, resource_id: str) -> str:
        """The API server's words."""
        plural = f"{_kind(resource).lower()}s"
        return f"{plural} {resource_id.rpartition('/')[2]!r} already exists (in {resource_id!r})"

    def pending(self, resource: Resource, inputs: Properties) -> Properties:
        """What the API server adds: unknown before the object exists."""
        if not _is_object(resource):
            return super().pending(resource, inputs)
        added: Properties = super().pending(resource, inputs)
        added["metadata"] = dict.fromkeys(
            ("uid", "resourceVersion", "creationTimestamp", "generation"), UNKNOWN
        )
        if get(inputs, "metadata", "name") is None:
            added["metadata"]["name"] = UNKNOWN
        if _kind(resource) == "Service" and get(inputs, "spec", "type") != "ExternalName":
            added["spec"] = {"clusterIP": UNKNOWN, "clusterIPs": UNKNOWN}
        return added

    def computed(
        self, resource: Resource, resource_id: str, inputs: Properties, previous: Properties
    ) -> Properties:
        """What the API server adds, and the status of an object that became ready at once."""
        if not _is_object(resource):
            return previous
        kind, seed = _kind(resource), f"{resource.urn}|{resource_id}"
        old = previous.get("metadata") or {}
        generation = int(old.get("generation") or 0) + 1
        metadata = {
            "name": resource_id.rpartition("/")[2],
            "uid": old.get("uid") or invent("uid", seed),
            "creationTimestamp": old.get("creationTimestamp") or invent("time", seed),
            "generation": generation,
            "resourceVersion": str(1000 + int(digest(seed, length=4), 16) + generation),
        }
        added: dict[str, Any] = {"metadata": metadata}
        if kind == "Service" and get(inputs, "spec", "type") != "ExternalName":
            address = get(inputs, "spec", "clusterIP") or cluster_ip(resource_id)
            added["spec"] = {"clusterIP": address, "clusterIPs": [address]}
        if kind == "Secret":
            added["data"] = _encoded(inputs)
        manifest = reveal(inputs)
        if failure := self._failure(resource, previous):
            current = ready.failed_status(kind, manifest, generation, failure, previous)
        else:
            current = status(kind, manifest, generation)
        if current is not None:
            added["status"] = current
        return added

    def _failure(self, resource: Resource, previous: Properties) -> str:
        kind = _kind(resource)
        told = self.told_to_fail(resource) if ready.can_fail(kind) else ""
        return told or ready.lasting_failure(kind, previous)

    def _fail_if_told(self, resource: Resource) -> None:
        if not ready.can_fail(_kind(resource)):
            super()._fail_if_told(resource)

    def outcome(
        self, resource: Resource, inputs: Properties, computed: Properties, before: Record | None
    ) -> Outcome:
        """Whether the object became ready, and which pods serve."""
        kind, previous = _kind(resource), before.computed if before else {}
        failure = self._failure(resource, previous)
        serving: Properties = {}
        if kind in ready.WORKLOADS and not failure:
            serving = ready.template(inputs)
        elif before and ready.still_serving(kind, reveal(inputs), previous):
            serving = before.serving
        return Outcome(ready.reason(kind, failure) if failure else "", serving)

    def waits(self, resource: Resource, inputs: Properties, verb: str) -> bool:
        """Whether the provider waits for objects of that kind."""
        return ready.is_awaited(_kind(resource), inputs, verb)

    def explain(self, resource_id: str, verb: str) -> list[str]:
        """The provider's words."""
        name = resource_id.rpartition("/")[2]
        failed = f"Resource {name!r} was created but failed to initialize"
        by_verb = {"create": ready.CREATED_ONLY, "update": ready.REPORTED}
        prefix = by_verb[verb].format(resource_id) + ": " if verb in by_verb else ""
        return [prefix + failed]


def _kind(resource: Resource) -> str:
    return resource.type.rpartition(":")[2].removesuffix("Patch")


def _api_version(resource: Resource) -> str:
    return resource.type.split(":")[1].removeprefix("core/")


def _is_object(resource: Resource) -> bool:
    """Whether it is an object of the API: not a Helm release or a bundle of YAML."""
    return not resource.type.startswith(("kubernetes:helm.sh", "kubernetes:yaml", "kubernetes:kustomize"))


def _is_namespaced(kind: str) -> bool:
    return kind not in CLUSTER_KINDS and (kind == "Cluster" or not kind.startswith("Cluster"))


def _is_autonamed(inputs: Properties) -> bool:
    return bool(get(inputs, "metadata", "annotations", AUTONAMED) == "true")


def _name_automatically(metadata: Properties, olds: Properties, naming: Naming, stem: str) -> None:
    """Keep the name that was given automatically before, or give one, and say so in an annotation."""
    kept = get(olds, "metadata", "name") if _is_autonamed(olds) else None
    if kept is None and naming.disabled:
        return
    metadata["name"] = kept or naming.name(stem, 8)
    annotations = metadata.get("annotations")
    if annotations is None or isinstance(annotations, dict):
        metadata["annotations"] = {**(annotations or {}), AUTONAMED: "true"}


def _inside(path: str, container: str) -> bool:
    return path.startswith((f"{container}.", f"{container}["))


def _check_claim_shrink(olds: Properties, news: Properties) -> Iterator[Failure]:
    if news.get("kind") != "PersistentVolumeClaim" or get(olds, "metadata", "name") != get(
        news, "metadata", "name"
    ):
        return
    before, after = get(olds, *CLAIM_SIZE), get(news, *CLAIM_SIZE)
    if isinstance(before, str) and isinstance(after, str):
        old_size, new_size = quantity(before), quantity(after)
        if old_size is not None and new_size is not None and new_size < old_size:
            path = ""
            for key in CLAIM_SIZE:
                path = join(path, key)
            yield Failure(path, f"a claim cannot shrink: found {after}, it has {before}")


def _encoded(inputs: Properties) -> Any:
    """A Secret's data as the API server stores it: `stringData` encoded beside `data`."""
    plain = reveal(inputs)
    written = plain.get("stringData")
    if not isinstance(written, dict) or not is_known(written):
        return Secret(plain.get("data") or {})
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in written.items()}
    return Secret(merge(plain.get("data") or {}, encoded))
