"""What a change of a living object leads to: a replacement, an update, or the API server's refusal."""

from typing import Any

import pytest

from simulator.providers.core import NotReadyError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.kubernetes_immutable import FORCES_NEW
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN, Secret

CONTAINER = (
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources "
    "securityContext stdin stdinOnce terminationMessagePath terminationMessagePolicy tty "
    "volumeDevices volumeMounts workingDir"
)
POD = (
    "affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases "
    "hostIPC hostNetwork hostPID hostname imagePullSecrets nodeName nodeSelector overhead "
    "preemptionPolicy priority priorityClassName readinessGates restartPolicy runtimeClassName "
    "schedulerName securityContext serviceAccount serviceAccountName shareProcessNamespace subdomain "
    "terminationGracePeriodSeconds volumes"
)
VOLUMES = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker "
    "gcePersistentDisk glusterfs hostPath iscsi local nfs photonPersistentDisk portworxVolume "
    "quobyte rbd scaleIO storageos vsphereVolume"
)
STATEFUL_SET = {
    "podManagementPolicy",
    "revisionHistoryLimit",
    "selector",
    "serviceName",
    "volumeClaimTemplates",
}
JOB = {"completions", "parallelism", "selector", "template"}
LISTED: dict[str, set[str]] = {
    "apps/v1beta1:StatefulSet": STATEFUL_SET,
    "apps/v1beta2:DaemonSet": {"selector"},
    "apps/v1beta2:Deployment": {"selector"},
    "apps/v1beta2:StatefulSet": STATEFUL_SET,
    "apps/v1:DaemonSet": {"selector"},
    "apps/v1:Deployment": {"selector"},
    "apps/v1:StatefulSet": STATEFUL_SET,
    "batch/v1:Job": JOB,
    "batch/v1beta1:Job": JOB,
    "batch/v2alpha1:Job": JOB,
    "core/v1:PersistentVolume": set(VOLUMES.split()),
    "core/v1:PersistentVolumeClaim": {"accessModes", "selector", "storageClassName", "volumeName"},
    "core/v1:Pod": {
        *POD.split(),
        *(f"{one}.{key}" for one in ("containers", "initContainers") for key in CONTAINER.split()),
    },
    "core/v1:ResourceQuota": {"scopes"},
    "core/v1:Service": {"clusterIP"},
}
"""`forceNew` of provider/pkg/provider/diff.go in pulumi-kubernetes v4: properties of `spec`."""
ELSEWHERE = {
    "core/v1:Secret": {"type"},
    "policy/v1beta1:PodDisruptionBudget": {"spec"},
    "storage.k8s.io/v1:StorageClass": {"parameters", "provisioner"},
    **{
        f"rbac.authorization.k8s.io/{version}:{kind}": {"roleRef"}
        for version in ("v1", "v1alpha1", "v1beta1")
        for kind in ("ClusterRoleBinding", "RoleBinding")
    },
}
NAMED = {"metadata": {"name": "web", "namespace": "shop"}}


def resource(kind: str) -> Resource:
    token = f"kubernetes:{kind}"
    return Resource(f"urn:pulumi:test::shop::{token}::web", token, "web")


@pytest.fixture
def cluster() -> Kubernetes:
    provider = Kubernetes(Store())
    provider.configure({})
    return provider


def changed(cluster: Kubernetes, kind: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, bool]:
    """What differs, and whether that forces a replacement."""
    found = cluster.diff(resource(kind), NAMED | old, NAMED | new)
    return {change.path: change in found.replaces for change in found.changes}


def test_the_list_is_the_providers() -> None:
    ours = {kind: set(paths) for kind, paths in FORCES_NEW.items()}
    listed = {kind: {f"spec.{key}" for key in keys} for kind, keys in LISTED.items()}
    assert ours == listed | ELSEWHERE


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        ("batch/v1:Job", {"spec": {"parallelism": 1}}, {"spec": {"parallelism": 2}}, {"spec.parallelism": True}),
        ("batch/v1:Job", {"spec": {"backoffLimit": 1}}, {"spec": {"backoffLimit": 2}}, {"spec.backoffLimit": False}),
        ("apps/v1:StatefulSet", {"spec": {}}, {"spec": {"revisionHistoryLimit": 2}}, {"spec.revisionHistoryLimit": True}),
        ("apps/v1:ReplicaSet", {"spec": {"selector": {"a": "b"}}}, {"spec": {"selector": {"a": "c"}}}, {"spec.selector.a": False}),
        ("core/v1:PersistentVolumeClaim", {"spec": {"accessModes": ["A"]}}, {"spec": {"accessModes": ["B"]}}, {"spec.accessModes[0]": True}),
        ("core/v1:PersistentVolumeClaim", {"spec": {"volumeMode": "Block"}}, {"spec": {"volumeMode": "Filesystem"}}, {"spec.volumeMode": False}),
        ("core/v1:Pod", {"spec": {"containers": [{"image": "a"}]}}, {"spec": {"containers": [{"image": "b"}]}}, {"spec.containers[0].image": True}),
        ("core/v1:Pod", {"spec": {"containers": [{"name": "a"}]}}, {"spec": {"containers": [{"name": "b"}]}}, {"spec.containers[0].name": False}),
        ("core/v1:Pod", {"spec": {"tolerations": []}}, {"spec": {"tolerations": [{"key": "a"}]}}, {"spec.tolerations[0]": False}),
        ("core/v1:Service", {"spec": {}}, {"spec": {"clusterIPs": ["None"]}}, {"spec.clusterIPs": False}),
        ("core/v1:ServicePatch", {"spec": {}}, {"spec": {"clusterIP": "None"}}, {"spec.clusterIP": False}),
        ("core/v1:ConfigMap", {"immutable": True}, {}, {"immutable": False}),
        ("core/v1:ConfigMap", {}, {"data": {"a": "b"}}, {"data": True}),
        ("core/v1:Secret", {"data": {"a": "b"}}, {}, {"data": True}),
        ("scheduling.k8s.io/v1:PriorityClass", {"value": 1}, {"value": 2}, {"value": False}),
        ("networking.k8s.io/v1:IngressClass", {"spec": {"controller": "a"}}, {"spec": {"controller": "b"}}, {"spec.controller": False}),
        ("storage.k8s.io/v1:StorageClass", {}, {"reclaimPolicy": "Retain"}, {"reclaimPolicy": False}),
        # What comes along with something above it counts; what goes with it does not.
        ("apps/v1:Deployment", {}, {"spec": {"selector": {"a": "b"}}}, {"spec": True}),
        ("apps/v1:Deployment", {}, {"spec": {"replicas": 1}}, {"spec": False}),
        ("apps/v1:Deployment", {"spec": {"selector": {"a": "b"}}}, {}, {"spec": False}),
        ("core/v1:Pod", {"spec": {}}, {"spec": {"containers": [{"image": "b"}]}}, {"spec.containers": True}),
    ],
)  # fmt: skip
def test_what_forces_a_replacement(
    cluster: Kubernetes, kind: str, old: dict[str, Any], new: dict[str, Any], expected: dict[str, bool]
) -> None:
    assert changed(cluster, kind, old, new) == expected


@pytest.mark.parametrize("kind", sorted({**LISTED, **ELSEWHERE, "example.com/v1:Any": set()}))
def test_another_name_or_place_is_another_object(cluster: Kubernetes, kind: str) -> None:
    moved = {"metadata": {"name": "other", "namespace": "other"}}
    assert changed(cluster, kind, {}, moved) == {"metadata.name": True, "metadata.namespace": True}


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("scheduling.k8s.io/v1:PriorityClass", {"value": 1}, {"value": 2}, "value: may not be changed"),
    (
        "scheduling.k8s.io/v1:PriorityClass",
        {"value": 1},
        {"value": 1, "preemptionPolicy": "Never"},
        "preemptionPolicy: field is immutable",
    ),
    (
        "networking.k8s.io/v1:IngressClass",
        {"spec": {"controller": "a"}},
        {"spec": {"controller": "b"}},
        'IngressClass.networking.k8s.io \'web\' is invalid: spec.controller: field is immutable',
    ),
    (
        "apps/v1:ReplicaSet",
        {"spec": {"selector": {"a": "b"}}},
        {"spec": {"selector": {"a": "c"}}},
        "ReplicaSet.apps 'web' is invalid: spec.selector: field is immutable",
    ),
    ("storage.k8s.io/v1:StorageClass", {}, {"reclaimPolicy": "Retain"}, "updates to reclaimPolicy are forbidden"),
    ("node.k8s.io/v1:RuntimeClass", {"handler": "a"}, {"handler": "b"}, "handler: field is immutable"),
    ("batch/v1:Job", {"spec": {}}, {"spec": {"completionMode": "Indexed"}}, "spec.completionMode: field is"),
    (
        "core/v1:PersistentVolumeClaim",
        {"spec": {}},
        {"spec": {"volumeMode": "Block"}},
        "spec.volumeMode: spec is immutable after creation",
    ),
    (
        "core/v1:ConfigMap",
        {"immutable": True, "data": {"a": "b"}},
        {"data": {"a": "c"}},
        "immutable: field is immutable when `immutable` is set; data: field is immutable when `immutable` is set",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new", "expected"), REFUSED)
def test_what_the_server_refuses_is_refused_by_preview_and_update(
    cluster: Kubernetes, kind: str, old: dict[str, Any], new: dict[str, Any], expected: str
) -> None:
    one = resource(kind)
    before, after = NAMED | old, NAMED | new
    object_id, outputs = cluster.create(one, before)
    with pytest.raises(NotReadyError) as tried:
        cluster.preview_update(one, (before, outputs), after)
    with pytest.raises(NotReadyError) as done:
        cluster.update(one, object_id, outputs, after)
    assert expected in str(done.value)
    assert str(tried.value) == str(done.value)
    assert done.value.outputs == outputs, "the engine keeps what is there"
    assert cluster.read(one, object_id, before, outputs)[1] == before
    assert cluster.update(one, object_id, outputs, before), "taken back, it is accepted"


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("scheduling.k8s.io/v1:PriorityClass", {"value": 1}, {"value": 1, "description": "a"}),
        ("scheduling.k8s.io/v1:PriorityClass", {}, {"preemptionPolicy": "PreemptLowerPriority"}),
        ("storage.k8s.io/v1:StorageClass", {"reclaimPolicy": "Delete"}, {}),
        ("core/v1:ConfigMap", {"data": {"a": "b"}}, {"data": {"a": "b"}, "immutable": True}),
        ("core/v1:Secret", {"data": Secret({"a": "b"}), "immutable": True}, {"data": Secret({"a": "b"}), "immutable": True}),
        ("core/v1:PersistentVolumeClaim", {"spec": {}}, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}),
    ],
)  # fmt: skip
def test_what_the_server_accepts(
    cluster: Kubernetes, kind: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    object_id, outputs = cluster.create(resource(kind), NAMED | old)
    assert cluster.update(resource(kind), object_id, outputs, NAMED | new)


def test_what_is_not_known_yet_is_not_refused(cluster: Kubernetes) -> None:
    one, before = resource("scheduling.k8s.io/v1:PriorityClass"), NAMED | {"value": 1}
    _, outputs = cluster.create(one, before)
    assert cluster.preview_update(one, (before, outputs), NAMED | {"value": UNKNOWN})["value"] is UNKNOWN


def test_a_refusal_names_no_value(cluster: Kubernetes) -> None:
    one = resource("core/v1:Secret")
    before = NAMED | {"immutable": True, "stringData": Secret({"token": "hunter22"})}
    object_id, outputs = cluster.create(one, before)
    with pytest.raises(NotReadyError) as refusal:
        cluster.update(one, object_id, outputs, before | {"stringData": Secret({"token": "hunter33"})})
    assert "stringData: field is immutable" in str(refusal.value)
    assert "hunter" not in "".join(refusal.value.reasons)
