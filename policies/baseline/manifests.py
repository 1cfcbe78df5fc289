"""Where Kubernetes keeps things: objects, pods and containers in every kind that holds them.

Property names are the camelCase ones that the engine hands to policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from baseline.model import UNKNOWN, Resource
from baseline.tree import Node

_PREFIX = "kubernetes:"
_CORE = "core"
_WORKLOAD = ("spec", "template")

_POD_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    # A Pod is its own template. "extensions" is the group that the first releases served workloads from.
    (_CORE, "Pod"): (),
    (_CORE, "PodTemplate"): ("template",),
    (_CORE, "ReplicationController"): _WORKLOAD,
    ("apps", "DaemonSet"): _WORKLOAD,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "ReplicaSet"): _WORKLOAD,
    ("apps", "StatefulSet"): _WORKLOAD,
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "Job"): _WORKLOAD,
    ("extensions", "DaemonSet"): _WORKLOAD,
    ("extensions", "Deployment"): _WORKLOAD,
    ("extensions", "ReplicaSet"): _WORKLOAD,
    # PgBouncer as CloudNativePG runs it: what the template leaves out, the operator hardens.
    ("postgresql.cnpg.io", "Pooler"): _WORKLOAD,
}

DATABASE_CLUSTER: Final = ("postgresql.cnpg.io", "Cluster")
"""CloudNativePG's database. The operator makes its pods, so only its own fields tell of them."""

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")

_CLUSTER_SCOPED: dict[str, frozenset[str]] = {
    # `kubectl api-resources --namespaced=false`, and the cluster-wide kinds of operators in common use:
    # a token does not say whether a custom resource is namespaced.
    _CORE: frozenset({"ComponentStatus", "Namespace", "Node", "PersistentVolume", "Status"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "auditregistration.k8s.io": frozenset({"AuditSink"}),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "extensions": frozenset({"PodSecurityPolicy"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "networking.k8s.io": frozenset({"ClusterCIDR", "IngressClass", "IPAddress", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "policy": frozenset({"PodSecurityPolicy"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset(
        {"DeviceClass", "DeviceTaintRule", "ResourceClass", "ResourcePoolStatusRequest", "ResourceSlice"}
    ),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storage.k8s.io": frozenset(
        {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"}
    ),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
    "cert-manager.io": frozenset({"ClusterIssuer"}),
    "cilium.io": frozenset({"CiliumClusterwideNetworkPolicy"}),
    "external-secrets.io": frozenset({"ClusterExternalSecret", "ClusterSecretStore"}),
    "gateway.networking.k8s.io": frozenset({"GatewayClass"}),
    "postgresql.cnpg.io": frozenset({"ClusterImageCatalog"}),
    "snapshot.storage.k8s.io": frozenset({"VolumeSnapshotClass", "VolumeSnapshotContent"}),
}

_COMPONENTS = frozenset({"Chart", "ConfigFile", "ConfigGroup", "Directory"})
"""Kinds of the provider that only group objects; each of those is registered, and checked, by itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type token of the Kubernetes provider, taken apart.

    Attributes:
        group: The API group; ``core`` for the nameless one.
        name: The kind, without the endings below.
        patch: Whether it is a ``...Patch``, which sets some fields of an object that exists.
        many: Whether it is a ``...List``, which holds whole objects under ``items``.
    """

    group: str
    name: str
    patch: bool = False
    many: bool = False

    def is_any(self, *kinds: tuple[str, str]) -> bool:
        """Tell whether it is one of some kinds, in any version.

        Args:
            kinds: Group and name of each.

        Returns:
            Whether it is; the list that may hold anything is all of them.
        """
        return (self.group, self.name) in kinds or self == ANYTHING


ANYTHING: Final = Kind(_CORE, "", many=True)
"""``v1/List``, as Helm charts and ``kubectl get -o yaml`` write it: every item has a kind of its own."""


@lru_cache(maxsize=1024)
def kind_of(type_token: str) -> Kind | None:
    """Take a type token apart.

    Args:
        type_token: Such as ``kubernetes:apps/v1:Deployment``.

    Returns:
        The kind; None for resources of other providers and for components that only group objects.
    """
    api_version, _, name = type_token.removeprefix(_PREFIX).rpartition(":")
    if not type_token.startswith(_PREFIX) or not api_version or name in _COMPONENTS:
        return None
    head, slash, _ = api_version.partition("/")
    # apiextensions.CustomResource writes the core group's version alone: "kubernetes:v1:Pod".
    group = head if slash else _CORE
    if name.endswith("Patch"):
        return Kind(group, name.removesuffix("Patch"), patch=True)
    if name.endswith("List"):
        return Kind(group, name.removesuffix("List"), many=True)
    return Kind(group, name)


def is_kind(type_token: str, *kinds: tuple[str, str]) -> bool:
    """Tell whether a type token is of some kinds, or their Patch or List, in any version.

    Args:
        type_token: The token.
        kinds: Group and name of each.

    Returns:
        Whether it is.
    """
    kind = kind_of(type_token)
    return kind is not None and kind.is_any(*kinds)


def has_pods(type_token: str) -> bool:
    """Tell whether resources of a type hold pods or pod templates.

    Args:
        type_token: The token.

    Returns:
        Whether they do.
    """
    return is_kind(type_token, *_POD_TEMPLATES)


def has_pods_of(kind: Kind) -> bool:
    """Tell whether objects of a kind hold pods or pod templates.

    Args:
        kind: The kind.

    Returns:
        Whether they do.
    """
    return kind.is_any(*_POD_TEMPLATES)


def is_namespaced(kind: Kind) -> bool:
    """Tell whether objects of a kind live in a namespace. An unheard-of kind is taken to.

    Args:
        kind: The kind.

    Returns:
        Whether they do.
    """
    return kind.name not in _CLUSTER_SCOPED.get(kind.group, ())


@dataclass(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object.

    Attributes:
        kind: Its kind.
        root: The object.
    """

    kind: Kind
    root: Node

    @property
    def namespace(self) -> Node:
        """The namespace that it asks for."""
        # A Helm release is no Kubernetes object: it has its namespace beside the chart's name.
        keys = ("namespace",) if self.kind.group == "helm.sh" else ("metadata", "namespace")
        return self.root.at(*keys)

    @property
    def name(self) -> Node:
        """Its name."""
        return self.root.at("metadata", "name")

    def pods(self) -> "Iterator[Pod]":
        """Find its pod or pod template.

        Yields:
            The pod; nothing for a kind that holds none.
        """
        keys = () if self.kind == ANYTHING else _POD_TEMPLATES.get((self.kind.group, self.kind.name))
        if keys is not None:
            yield Pod(self, self.root.at(*keys))


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or the template of one.

    Attributes:
        manifest: The object that holds it.
        root: The pod, with its own metadata and spec.
    """

    manifest: Manifest
    root: Node

    @property
    def spec(self) -> Node:
        """The pod's specification."""
        return self.root.at("spec")

    @property
    def labels(self) -> Node:
        """The labels that selectors find it by."""
        return self.root.at("metadata", "labels")

    @property
    def finishes(self) -> bool:
        """Whether it does some work and ends, rather than serves."""
        return self.manifest.kind.name in ("CronJob", "Job")

    def containers(self) -> list[Node]:
        """List every container: init, ordinary and ephemeral."""
        return [container for name in _CONTAINER_LISTS for container in self.spec.at(name).items()]

    def lasting(self) -> list[Node]:
        """List the containers that run as long as the pod: ordinary ones, and init containers that go on."""
        sidecars = [
            one
            for one in self.spec.at("initContainers").items()
            if isinstance(one.value, dict) and one.at("restartPolicy").value == "Always"
        ]
        return [*sidecars, *self.spec.at("containers").items()]


def manifests(resource: Resource) -> Iterator[Manifest]:
    """Find the Kubernetes objects of a resource: itself, or the items of a list.

    Args:
        resource: The resource.

    Yields:
        The objects; none for a resource of another provider.
    """
    kind = kind_of(resource.type)
    if kind is None:
        return
    root = Node(resource.properties)
    # A custom resource may be called "...List" without being one, so the items decide.
    if kind.many and "items" in resource.properties:
        for item in root.at("items").items():
            own = _own_kind(item) if kind == ANYTHING else kind
            if own is not None:
                yield Manifest(own, item)
    elif kind != ANYTHING:
        yield Manifest(kind, root)


def _own_kind(item: Node) -> Kind | None:
    """Read the kind that an item of a list gives itself."""
    if item.value is UNKNOWN:
        return ANYTHING
    version, name = item.at("apiVersion").value, item.at("kind").value
    return kind_of(f"{_PREFIX}{version}:{name}") if isinstance(version, str) else None


def pods(resource: Resource) -> Iterator[Pod]:
    """Find the pods and pod templates of a resource.

    Args:
        resource: The resource.

    Yields:
        The pods; none for a kind that holds none.
    """
    for manifest in manifests(resource):
        yield from manifest.pods()
