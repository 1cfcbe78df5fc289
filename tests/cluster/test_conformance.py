"""The preview's Kubernetes and a real API server say the same of the same objects.

The preview is the simulated provider, as every stack is previewed with it. The API server answers by dry runs
of server-side apply. What they may say differently is listed here, each with its reason.
"""

import copy
from typing import Any

import pytest

from simulator.node.client import Client, Manifest
from simulator.node.control_plane import ControlPlane
from simulator.providers.core import ProviderError
from simulator.providers.kubernetes_immutable import SERVER
from simulator.providers.values import UNKNOWN, get, reveal
from tests.cluster.court import MANAGER, Court, control, differences, title
from tests.cluster.parity import (
    FORCED,
    REFUSED,
    REPLACE,
    SAME,
    UPDATE,
    Edit,
    Preview,
    agreed,
    edits,
    judged,
)
from tests.unit import test_provider_kubernetes_pods, test_provider_kubernetes_rules
from tests.unit.provider_objects import DEPLOYMENT, OBJECTS, REMOVED

pytestmark = pytest.mark.cluster

NAMESPACE = "conformance"
MUTABLE = {"enableConfigMapMutable": True, "enableSecretMutable": True}
"""The second of the program's two providers; the first one replaces what has data."""

_POD = {"containers": [{"name": "main", "image": "main:1"}]}
_LABELS = {"app": "web"}
_ANEW = {"app": "anew"}
MORE: dict[str, dict[str, Any]] = {
    "apps/v1:DaemonSet": {
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": _POD},
        },
    },
    "apps/v1:ReplicaSet": {
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": _POD},
        },
    },
    "batch/v1:Job": {
        "spec": {"completions": 1, "template": {"spec": {**_POD, "restartPolicy": "Never"}}},
    },
    "core/v1:PersistentVolume": {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/var/lib/one"},
            "storageClassName": "slow",
        },
    },
    "core/v1:Pod": {"spec": {**_POD, "automountServiceAccountToken": False}},
    "core/v1:ServiceAccount": {"automountServiceAccountToken": False},
    "networking.k8s.io/v1:IngressClass": {"spec": {"controller": "example.com/one"}},
    "node.k8s.io/v1:RuntimeClass": {"handler": "one"},
    "rbac.authorization.k8s.io/v1:ClusterRole": {
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    },
    "scheduling.k8s.io/v1:PriorityClass": {"value": 1000},
    "storage.k8s.io/v1:CSIDriver": {"spec": {}},
    "storage.k8s.io/v1:StorageClass": {"provisioner": "example.com/one", "parameters": {"a": "b"}},
}
"""Of more kinds than have rules: the object without its name."""

BASES: dict[str, dict[str, Any]] = {
    **OBJECTS,
    **{kind: {"metadata": {"name": "web"}, **body} for kind, body in MORE.items()},
}

SEEN: set[tuple[str, ...]] = set()
"""The edits that were tried: of two alike in two stacks, the first one is."""

_CLAIM = "core/v1:PersistentVolumeClaim"
_SET = "apps/v1:StatefulSet"
_STORAGE = "storage.k8s.io/v1:StorageClass"
EDITS: list[tuple[str, dict[str, Any], str]] = [
    (DEPLOYMENT, {"spec/replicas": 3}, UPDATE),
    (DEPLOYMENT, {"spec/strategy": {"type": "Recreate"}}, REFUSED),
    (DEPLOYMENT, {"spec/template/spec/containers/0/image": "web:2"}, UPDATE),
    (
        DEPLOYMENT,
        {"spec/selector/matchLabels": _ANEW, "spec/template/metadata/labels": _ANEW},
        REPLACE,
    ),
    ("apps/v1:DaemonSet", {"spec/updateStrategy": {"type": "OnDelete"}}, UPDATE),
    (
        "apps/v1:DaemonSet",
        {"spec/selector/matchLabels": _ANEW, "spec/template/metadata/labels": _ANEW},
        REPLACE,
    ),
    ("apps/v1:ReplicaSet", {"spec/replicas": 2}, UPDATE),
    (
        "apps/v1:ReplicaSet",
        {"spec/selector/matchLabels": _ANEW, "spec/template/metadata/labels": _ANEW},
        REFUSED,
    ),
    (_SET, {"spec/replicas": 2}, UPDATE),
    (_SET, {"spec/updateStrategy": {"type": "OnDelete"}}, REFUSED),
    (_SET, {"spec/minReadySeconds": 5}, UPDATE),
    (_SET, {"spec/template/spec/containers/0/image": "db:2"}, UPDATE),
    (_SET, {"spec/revisionHistoryLimit": 3}, FORCED),
    (_SET, {"spec/serviceName": "other"}, REPLACE),
    (_SET, {"spec/podManagementPolicy": "Parallel"}, REPLACE),
    (_SET, {"spec/podManagementPolicy": "OrderedReady"}, FORCED),
    (_SET, {"spec/volumeClaimTemplates/0/spec/resources/requests/storage": "2Gi"}, REPLACE),
    (_SET, {"spec/selector/matchLabels": _ANEW, "spec/template/metadata/labels": _ANEW}, REPLACE),
    ("batch/v1:CronJob", {"spec/schedule": "0 3 * * *"}, UPDATE),
    ("batch/v1:CronJob", {"spec/jobTemplate/spec/template/spec/containers/0/image": "b:2"}, UPDATE),
    ("batch/v1:CronJob", {"spec/suspend": True}, UPDATE),
    ("batch/v1:Job", {"spec/backoffLimit": 1}, UPDATE),
    ("batch/v1:Job", {"spec/suspend": True}, UPDATE),
    ("batch/v1:Job", {"spec/ttlSecondsAfterFinished": 60}, UPDATE),
    ("batch/v1:Job", {"spec/activeDeadlineSeconds": 60}, UPDATE),
    ("batch/v1:Job", {"spec/parallelism": 2}, FORCED),
    ("batch/v1:Job", {"spec/completions": 2}, REPLACE),
    ("batch/v1:Job", {"spec/template/spec/containers/0/image": "main:2"}, REPLACE),
    ("batch/v1:Job", {"spec/completionMode": "Indexed"}, REFUSED),
    (
        "batch/v1:Job",
        {"spec/podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [
            {"type": "DisruptionTarget", "status": "True"}]}]}},
        REFUSED,
    ),
    ("core/v1:Pod", {"metadata/labels": {"a": "b"}}, UPDATE),
    ("core/v1:Pod", {"spec/activeDeadlineSeconds": 60}, UPDATE),
    ("core/v1:Pod", {"spec/tolerations": [{"key": "a", "operator": "Exists"}]}, UPDATE),
    ("core/v1:Pod", {"spec/containers/0/image": "main:2"}, FORCED),
    ("core/v1:Pod", {"spec/containers/0/env": [{"name": "A", "value": "b"}]}, REPLACE),
    ("core/v1:Pod", {"spec/restartPolicy": "Never"}, REPLACE),
    ("core/v1:Pod", {"spec/volumes": [{"name": "a", "emptyDir": {}}]}, REPLACE),
    ("core/v1:Pod", {"spec/containers/0/name": "other"}, REFUSED),
    ("core/v1:Pod", {"spec/hostUsers": False}, REFUSED),
    ("core/v1:ConfigMap", {"metadata/labels": {"a": "b"}}, UPDATE),
    ("core/v1:ConfigMap", {"data/other": "text"}, FORCED),
    ("core/v1:ConfigMap", {"immutable": True}, UPDATE),
    ("core/v1:Secret", {"data/other": "dGV4dA=="}, FORCED),
    ("core/v1:Secret", {"type": "example.com/odd"}, REPLACE),
    ("core/v1:Secret", {"type": "Opaque"}, FORCED),
    ("core/v1:Service", {"spec/ports/0/port": 81}, UPDATE),
    ("core/v1:Service", {"spec/type": "NodePort"}, UPDATE),
    ("core/v1:Service", {"spec/sessionAffinity": "ClientIP"}, UPDATE),
    ("core/v1:Service", {"spec/clusterIP": "None"}, REPLACE),
    (_CLAIM, {"spec/resources/requests/storage": "2Gi"}, UPDATE),
    (_CLAIM, {"spec/resources/requests/storage": "500Mi"}, REFUSED),
    (_CLAIM, {"spec/accessModes": ["ReadWriteMany"]}, REPLACE),
    (_CLAIM, {"spec/storageClassName": "other"}, REPLACE),
    (_CLAIM, {"spec/volumeMode": "Block"}, REFUSED),
    (_CLAIM, {"metadata/labels": {"a": "b"}}, UPDATE),
    ("core/v1:PersistentVolume", {"spec/persistentVolumeReclaimPolicy": "Delete"}, UPDATE),
    ("core/v1:PersistentVolume", {"spec/capacity/storage": "2Gi"}, UPDATE),
    ("core/v1:PersistentVolume", {"spec/hostPath/path": "/var/lib/other"}, REPLACE),
    ("core/v1:PersistentVolume", {"spec/volumeMode": "Block"}, REFUSED),
    ("core/v1:Namespace", {"metadata/labels": {"a": "b"}}, UPDATE),
    ("core/v1:ResourceQuota", {"spec/hard": {"pods": "3"}}, UPDATE),
    ("core/v1:ResourceQuota", {"spec/scopes": ["NotTerminating"]}, REPLACE),
    ("core/v1:LimitRange", {"spec/limits/0/max/cpu": "3"}, UPDATE),
    ("core/v1:ServiceAccount", {"automountServiceAccountToken": True}, UPDATE),
    ("autoscaling/v2:HorizontalPodAutoscaler", {"spec/maxReplicas": 5}, UPDATE),
    ("policy/v1:PodDisruptionBudget", {"spec/maxUnavailable": "50%"}, UPDATE),
    ("policy/v1:PodDisruptionBudget", {"spec/selector/matchLabels": _ANEW}, UPDATE),
    ("networking.k8s.io/v1:Ingress", {"spec/rules/0/host": "other.example.com"}, UPDATE),
    ("networking.k8s.io/v1:NetworkPolicy", {"spec/podSelector": {"matchLabels": _ANEW}}, UPDATE),
    ("networking.k8s.io/v1:IngressClass", {"spec/controller": "example.com/other"}, REFUSED),
    ("node.k8s.io/v1:RuntimeClass", {"handler": "other"}, REFUSED),
    ("rbac.authorization.k8s.io/v1:ClusterRole", {"rules/0/verbs": ["get", "list"]}, UPDATE),
    ("rbac.authorization.k8s.io/v1:ClusterRoleBinding", {"roleRef/name": "other"}, REPLACE),
    ("rbac.authorization.k8s.io/v1:RoleBinding", {"roleRef/name": "other"}, REPLACE),
    ("rbac.authorization.k8s.io/v1:RoleBinding", {"subjects/0/name": "other"}, UPDATE),
    ("scheduling.k8s.io/v1:PriorityClass", {"description": "other"}, UPDATE),
    ("scheduling.k8s.io/v1:PriorityClass", {"value": 2000}, REFUSED),
    ("scheduling.k8s.io/v1:PriorityClass", {"preemptionPolicy": "Never"}, REFUSED),
    ("storage.k8s.io/v1:CSIDriver", {"spec/attachRequired": False}, REFUSED),
    ("storage.k8s.io/v1:CSIDriver", {"spec/volumeLifecycleModes": ["Ephemeral"]}, REFUSED),
    (_STORAGE, {"allowVolumeExpansion": True}, UPDATE),
    (_STORAGE, {"parameters/a": "c"}, REPLACE),
    (_STORAGE, {"provisioner": "example.com/other"}, REPLACE),
    (_STORAGE, {"reclaimPolicy": "Retain"}, REFUSED),
    (_STORAGE, {"volumeBindingMode": "WaitForFirstConsumer"}, REFUSED),
]  # fmt: skip
"""A kind, what is changed of its object, and what both have to say of it."""


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane) -> Client:
    """An empty cluster with a namespace, and a class of volumes that may grow."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    growing: Manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "growing"},
        "provisioner": "example.com/growing",
        "allowVolumeExpansion": True,
    }
    for manifest in (namespace, growing):
        answer = control_plane.client.apply(manifest, manager=MANAGER)
        assert answer.accepted, answer.message
        control(control_plane.client, answer.body)
    return control_plane.client


def base(kind: str) -> Manifest:
    """The good object of a kind as the engine hands it to the provider."""
    version, _, name = kind.rpartition(":")
    manifest = copy.deepcopy(BASES[kind])
    whole = {"apiVersion": version.removeprefix("core/"), "kind": name, **manifest}
    if kind == _CLAIM:
        whole["spec"] |= {"storageClassName": "growing"}
    inputs: Manifest = reveal(Preview([]).checked(whole))
    if "namespace" in inputs["metadata"]:
        inputs["metadata"] = {**inputs["metadata"], "namespace": NAMESPACE}
    return inputs


def edited(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    after = copy.deepcopy(manifest)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        target: Any = after
        for step in steps:
            target = target[step] if isinstance(step, int) else target.setdefault(step, {})
        if value is REMOVED:
            del target[last]
        elif isinstance(last, int) and last == len(target):
            target.append(value)
        else:
            target[last] = value
    return after


def made(client: Client, manifest: Manifest) -> None:
    """Create an object, and do what a controller does of which the server's answers depend."""
    answer = client.apply(manifest, manager=MANAGER)
    assert answer.accepted, answer.message
    if manifest["kind"] == "PersistentVolumeClaim":  # the unbound ones do not grow
        size = manifest["spec"]["resources"]["requests"]
        client.update_status({**answer.body, "status": {"phase": "Bound", "capacity": size}})


def test_every_edit_of_every_field_has_the_end_that_the_preview_told(court: Court) -> None:
    """Each property of each object, removed, changed and of another type; what is alike counts once."""
    applied = [verdict for verdict in court.applied if verdict.answer.accepted]
    preview = Preview([verdict.manifest for verdict in applied], **MUTABLE)
    wrong: list[str] = []
    for verdict in applied:
        for edit in edits(verdict.manifest):
            alike = (verdict.manifest["apiVersion"], edit.kind, edit.path, edit.how)
            if alike not in SEEN:
                SEEN.add(alike)
                wrong += agreed(court.client, preview, edit)

    assert len(SEEN) > 2000
    assert not wrong, f"{len(wrong)} of {len(SEEN)}:\n" + "\n".join(wrong)


def test_an_object_that_nobody_touches_differs_in_nothing(court: Court) -> None:
    applied = [verdict.manifest for verdict in court.applied]
    preview = Preview(applied, **MUTABLE)
    for manifest in applied:
        edit = Edit(manifest["kind"], "", "", manifest, manifest)
        assert preview.verdict(edit) == (SAME, "")
        assert judged(court.client, edit) == (SAME, "")


def test_what_a_preview_states_is_what_the_server_makes(court: Court) -> None:
    """Each leaf that is known before; of a Secret, the place alone is told."""
    preview = Preview([])
    wrong: list[str] = []
    for verdict in court.tried:
        secret = verdict.manifest["kind"] == "Secret"
        stated = reveal(preview.stated(verdict.manifest))
        if secret:
            stated.pop("stringData", None)  # for writing only
        for path, said, came in differences(stated, verdict.answer.body):
            unknown = said is UNKNOWN and (came is not None or path in LATER)
            if not unknown:
                shown = "" if secret else f": {said!r}, the server {came!r}"
                wrong.append(f"{title(verdict.manifest)}: {path}{shown}")

    assert not wrong, "\n".join(wrong)


LATER = frozenset({"status", "metadata.generation", "metadata.resourceVersion"})
"""What a dry run does not tell: controllers write it, or a kind has none."""


@pytest.mark.parametrize("kind", sorted(BASES))
def test_a_good_object_is_accepted(client: Client, kind: str) -> None:
    answer = client.apply(base(kind), manager=MANAGER, dry_run=True)

    assert answer.accepted, answer.message


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        *((DEPLOYMENT, path, value) for path, value, _ in test_provider_kubernetes_pods.BROKEN),
        *((kind, path, value) for kind, path, value, _ in test_provider_kubernetes_rules.BROKEN),
    ],
)
def test_what_the_preview_refuses_the_server_refuses(
    client: Client, kind: str, path: str, value: Any
) -> None:
    manifest = edited(base(kind), {path: value})

    answer = client.apply(manifest, manager=MANAGER, dry_run=True)

    with pytest.raises(ProviderError):
        Preview([]).checked(manifest)
    assert not answer.accepted


@pytest.mark.parametrize(("kind", "changes", "expected"), EDITS)
def test_a_recorded_edit_has_the_same_end(
    client: Client, kind: str, changes: dict[str, Any], expected: str
) -> None:
    before = base(kind)
    edit = Edit(kind, ", ".join(changes), "changed", before, edited(before, changes))
    made(client, before)

    assert Preview([before]).verdict(edit)[0] == (REPLACE if expected == FORCED else expected)
    assert agreed(client, Preview([before]), edit, forced=expected == FORCED) == []


@pytest.mark.parametrize(
    ("kind", "path", "default"),
    [
        (kind, fixed.path, fixed.default)
        for kind, listed in SERVER.items()
        for fixed in listed
        if fixed.default is not None
    ],
)
def test_the_preview_knows_the_servers_defaults(client: Client, kind: str, path: str, default: Any) -> None:
    (known,) = [name for name in BASES if name.rpartition(":")[2] == kind]
    manifest = base(known)
    assert get(manifest, *path.split(".")) is None

    answer = client.apply(manifest, manager=MANAGER, dry_run=True)

    assert get(answer.body, *path.split(".")) == default
