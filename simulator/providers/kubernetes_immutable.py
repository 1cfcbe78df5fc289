"""What a change of a living Kubernetes object leads to: a replacement, an update, or the server's refusal.

Two lists that do not agree, as in reality. The provider's own (`forceNew` of pulumi-kubernetes v4) says which
changes it announces as a replacement. The API server's says which it refuses; what it refuses and the
provider does not replace ends in an error, at the preview already, which asks the server.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.providers.differ import Change, Kind
from simulator.providers.values import UNKNOWN, Properties, Value, get, is_known

METADATA: Final = ("metadata.name", "metadata.namespace")
"""For every object, and all that there is for the `...Patch` resources."""

_DEPLOYMENT: Final = ("spec.selector",)
_STATEFUL_SET: Final = (
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
)
_JOB: Final = ("spec.completions", "spec.parallelism", "spec.selector", "spec.template")
_ROLE_BINDING: Final = ("roleRef",)
_CONTAINER: Final = (
    *("args", "command", "env", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports"),
    *("readinessProbe", "resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath"),
    *("terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts", "workingDir"),
)
_POD: Final = (
    *("affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks"),
    *("hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName"),
    *("nodeSelector", "overhead", "preemptionPolicy", "priority", "priorityClassName", "readinessGates"),
    *("restartPolicy", "runtimeClassName", "schedulerName", "securityContext", "serviceAccount"),
    *("serviceAccountName", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds"),
    *("volumes", *(f"{list_}.{key}" for list_ in ("containers", "initContainers") for key in _CONTAINER)),
)
_VOLUME_SOURCES: Final = (
    *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume"),
    *("flocker", "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs"),
    *("photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
)

FORCES_NEW: Final[Mapping[str, tuple[str, ...]]] = {
    "apps/v1beta1:StatefulSet": _STATEFUL_SET,
    "apps/v1beta2:DaemonSet": _DEPLOYMENT,
    "apps/v1beta2:Deployment": _DEPLOYMENT,
    "apps/v1beta2:StatefulSet": _STATEFUL_SET,
    "apps/v1:DaemonSet": _DEPLOYMENT,
    "apps/v1:Deployment": _DEPLOYMENT,
    "apps/v1:StatefulSet": _STATEFUL_SET,
    "batch/v1:Job": _JOB,
    "batch/v1beta1:Job": _JOB,
    "batch/v2alpha1:Job": _JOB,
    "core/v1:PersistentVolume": tuple(f"spec.{source}" for source in _VOLUME_SOURCES),
    "core/v1:PersistentVolumeClaim": (
        *("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    ),
    "core/v1:Pod": tuple(f"spec.{key}" for key in _POD),
    "core/v1:ResourceQuota": ("spec.scopes",),
    "core/v1:Secret": ("type",),
    "core/v1:Service": ("spec.clusterIP",),
    "policy/v1beta1:PodDisruptionBudget": ("spec",),
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": _ROLE_BINDING,
    "rbac.authorization.k8s.io/v1:RoleBinding": _ROLE_BINDING,
    "rbac.authorization.k8s.io/v1alpha1:ClusterRoleBinding": _ROLE_BINDING,
    "rbac.authorization.k8s.io/v1alpha1:RoleBinding": _ROLE_BINDING,
    "rbac.authorization.k8s.io/v1beta1:ClusterRoleBinding": _ROLE_BINDING,
    "rbac.authorization.k8s.io/v1beta1:RoleBinding": _ROLE_BINDING,
    "storage.k8s.io/v1:StorageClass": ("parameters", "provisioner"),
}
"""The provider's list, by API version and kind."""

_DATA: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "core/v1:ConfigMap": ("enableConfigMapMutable", ("binaryData", "data")),
    "core/v1:Secret": ("enableSecretMutable", ("data", "stringData")),
}
"""The provider's setting that lets data be changed in place, and the data that is replaced without it."""

_FIXED: Final = "field is immutable"
_FORBIDDEN: Final = "may not be changed in an update"
_CLAIM: Final = "spec is immutable after creation except resources.requests and volumeAttributesClassName"


@dataclass(frozen=True)
class Fixed:
    """A property that the API server lets nobody change.

    Attributes:
        path: where it is.
        reason: the server's words.
        default: what it is where it was not said.
        once: whether it may be said later, or no longer, and only not otherwise.
    """

    path: str
    reason: str = _FIXED
    default: Any = None
    once: bool = False


SERVER: Final[Mapping[str, tuple[Fixed, ...]]] = {
    "ClusterRoleBinding": (Fixed("roleRef", "cannot change roleRef"),),
    "CSIDriver": (Fixed("spec.attachRequired", default=True), Fixed("spec.volumeLifecycleModes")),
    "DaemonSet": (Fixed("spec.selector"),),
    "Deployment": (Fixed("spec.selector"),),
    "IngressClass": (Fixed("spec.controller"),),
    "Job": (
        Fixed("spec.backoffLimitPerIndex"),
        Fixed("spec.completionMode", default="NonIndexed"),
        Fixed("spec.completions", once=True),
        Fixed("spec.managedBy"),
        Fixed("spec.podFailurePolicy"),
        Fixed("spec.selector", once=True),
        Fixed("spec.successPolicy"),
        Fixed("spec.template"),
    ),
    "PersistentVolume": (Fixed("spec.volumeMode", default="Filesystem"),),
    "PersistentVolumeClaim": (
        Fixed("spec.accessModes", _CLAIM),
        Fixed("spec.dataSource", _CLAIM),
        Fixed("spec.dataSourceRef", _CLAIM, once=True),
        Fixed("spec.resources.limits", _CLAIM),
        Fixed("spec.selector", _CLAIM),
        Fixed("spec.storageClassName", _CLAIM, once=True),
        Fixed("spec.volumeMode", _CLAIM, default="Filesystem"),
        Fixed("spec.volumeName", _CLAIM, once=True),
    ),
    "Pod": tuple(
        Fixed(f"spec.{key}", "pod updates may not change it")
        for key in (*("hostUsers", "os", "resourceClaims", "setHostnameAsFQDN", "topologySpreadConstraints"),)
    ),
    "PriorityClass": (
        Fixed("value", _FORBIDDEN),
        Fixed("preemptionPolicy", default="PreemptLowerPriority"),
    ),
    "ReplicaSet": (Fixed("spec.selector"),),
    "ResourceQuota": (Fixed("spec.scopes"),),
    "RoleBinding": (Fixed("roleRef", "cannot change roleRef"),),
    "RuntimeClass": (Fixed("handler"),),
    "Secret": (Fixed("type", default="Opaque"),),
    "Service": (
        Fixed("spec.clusterIP", "may not change once set", once=True),
        Fixed("spec.clusterIPs", "may not change once set", once=True),
    ),
    "StatefulSet": tuple(
        Fixed(
            f"spec.{key}",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
            "'minReadySeconds' are forbidden",
            default,
        )
        for key, default in (
            ("podManagementPolicy", "OrderedReady"),
            ("selector", None),
            ("serviceName", None),
            ("volumeClaimTemplates", None),
        )
    ),
    "StorageClass": (
        Fixed("parameters", "updates to parameters are forbidden"),
        Fixed("provisioner", "updates to provisioner are forbidden"),
        Fixed("reclaimPolicy", "updates to reclaimPolicy are forbidden", default="Delete"),
        Fixed("volumeBindingMode", default="Immediate"),
    ),
}
"""The API server's list, by kind."""

_STRATEGIES: Final[Mapping[str, tuple[str, str]]] = {
    "Deployment": ("strategy", "Recreate"),
    "StatefulSet": ("updateStrategy", "OnDelete"),
}
"""Where a workload says how it is rolled out, and the way that can't be taken later."""

_SEALED: Final = "field is immutable when `immutable` is set"


def forces_new(kind: str, change: Change, news: Properties, config: Properties) -> bool:
    """Whether the provider replaces the object because of one change.

    Args:
        kind: the API version and kind, such as `apps/v1:Deployment`.
        change: what differs.
        news: the new inputs.
        config: the provider's settings.
    """
    paths = METADATA if kind.endswith("Patch") else (*METADATA, *FORCES_NEW.get(kind, ()))
    setting, data = _DATA.get(kind, ("", ()))
    if config.get(setting) is not True or get(news, "immutable") is True:
        paths += data
    return any(_matches(change, path.split("."), news) for path in paths)


def refused(kind: str, olds: Properties, news: Properties) -> Iterator[str]:
    """Why the API server refuses a change of a living object, without any of its values.

    Args:
        kind: the kind, such as `Deployment`.
        olds: what it is.
        news: what it would be; what is not known yet is not refused.
    """
    for fixed in SERVER.get(kind, ()):
        before, after = (get(side, *fixed.path.split(".")) for side in (olds, news))
        if fixed.once and (before is None or after is None):
            continue
        before, after = (fixed.default if value is None else value for value in (before, after))
        if is_known(after) and before != after:
            yield f"{fixed.path}: {fixed.reason}"
    name, other = _STRATEGIES.get(kind, ("", ""))
    before, after = (get(side, "spec", name, "type") for side in (olds, news))
    if name and after == other and before != other:
        # What the server has put there itself stays, and goes with the other strategy alone.
        yield f"spec.{name}.rollingUpdate: may not be specified when strategy `type` is '{other}'"
    if kind == "Pod" and is_known(news) and _containers(olds) != _containers(news):
        yield "spec: pod updates may not add or remove containers"
    if kind in ("ConfigMap", "Secret") and get(olds, "immutable") is True:
        if get(news, "immutable") not in (True, UNKNOWN):
            yield f"immutable: {_SEALED}"
        for key in ("data", "binaryData", "stringData"):
            after = get(news, key)
            if is_known(after) and (get(olds, key) or {}) != (after or {}):
                yield f"{key}: {_SEALED}"


def _containers(pod: Properties) -> list[list[Value]]:
    lists = (get(pod, "spec", name) or [] for name in ("containers", "initContainers"))
    return [[get(one, "name") for one in found] if isinstance(found, list) else [] for found in lists]


def _matches(change: Change, rule: list[str], news: Properties) -> bool:
    """Whether a change is at or below a rule's property, or brings it along with something above it."""
    keys = list(change.keys)
    if len(keys) >= len(rule):
        return keys[: len(rule)] == rule
    if change.kind is Kind.DELETE or rule[: len(keys)] != keys:
        return False
    return _has(get(news, *keys), rule[len(keys) :])


def _has(value: Value, path: list[str]) -> bool:
    if isinstance(value, list):
        return any(_has(item, path) for item in value)
    if not path:
        return True
    return isinstance(value, dict) and path[0] in value and _has(value[path[0]], path[1:])
