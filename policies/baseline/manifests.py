"""Where Kubernetes keeps things: objects, pods and containers in every kind that holds them.

Property names are the camelCase ones that the engine hands to policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from baseline.model import Resource
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
}

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


def is_kind(type_token: str, group: str, name: str) -> bool:
    """Tell whether a type token is of a kind, or its Patch or List.

    Args:
        type_token: The token.
        group: The API group, in any version.
        name: The kind.

    Returns:
        Whether it is.
    """
    kind = kind_of(type_token)
    return kind is not None and (kind.group, kind.name) == (group, name)


def has_pods(type_token: str) -> bool:
    """Tell whether resources of a type hold pods or pod templates.

    Args:
        type_token: The token.

    Returns:
        Whether they do.
    """
    kind = kind_of(type_token)
    return kind is not None and (kind.group, kind.name) in _POD_TEMPLATES


def is_namespaced(type_token: str) -> bool:
    """Tell whether objects of a type live in a namespace. An unheard-of kind is taken to.

    Args:
        type_token: The token.

    Returns:
        Whether they do.
    """
    kind = kind_of(type_token)
    return kind is not None and kind.name not in _CLUSTER_SCOPED.get(kind.group, ())


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

    def containers(self) -> list[Node]:
        """List every container: init, ordinary and ephemeral."""
        return [container for name in _CONTAINER_LISTS for container in self.spec.at(name).items()]


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
    root = Node(dict(resource.properties))
    # A custom resource may be called "...List" without being one, so the items decide.
    if kind.many and "items" in resource.properties:
        yield from (Manifest(kind, item) for item in root.at("items").items())
    else:
        yield Manifest(kind, root)


def pods(resource: Resource) -> Iterator[Pod]:
    """Find the pods and pod templates of a resource.

    Args:
        resource: The resource.

    Yields:
        The pods; none for a kind that holds none.
    """
    for manifest in manifests(resource):
        keys = _POD_TEMPLATES.get((manifest.kind.group, manifest.kind.name))
        if keys is not None:
            yield Pod(manifest, manifest.root.at(*keys))
