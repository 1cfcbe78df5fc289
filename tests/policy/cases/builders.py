"""What the tables are written in: a case, and resources that are right but for the edits of the case."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from baseline.model import Policy, Resource, ResourcePolicy, StackPolicy, Value
from baseline.pack import POLICIES

Block = dict[str, Value]

IMAGE: Final = f"ghcr.io/shop/app:1.0@sha256:{'0' * 64}"

ABSENT: Final = None
"""As the value of an edit: remove the property."""


class Kind(StrEnum):
    """What a case is an example of; `test_pack.py` says which a policy must have."""

    PASS = "passes"
    FAIL = "fails"
    MISSING = "a block is missing"
    UNKNOWN = "a value is unknown"
    INIT = "an init container"
    EPHEMERAL = "an ephemeral container"
    NESTED = "a template inside a CronJob"


@dataclass(frozen=True)
class Case:
    """Resources and the findings that a policy must have in them, no more and no fewer.

    Attributes:
        policy: The policy's name.
        kind: What the case is an example of.
        title: What is special about it.
        resources: The resources.
        found: Path to the value found there; `UNKNOWN` for what the policy must leave undecided.
    """

    policy: str
    kind: Kind
    title: str
    resources: tuple[Resource, ...]
    found: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.policy}: {self.kind}: {self.title}"


OPTIONS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "backup-contract": {"by_hand": ("backup-by-hand",)},
    "cf-records-proxied": {"unproxied": ("mail.shop.example",)},
    "no-nodeport-loadbalancer": {"entrances": ("shop/entrance",)},
    "pull-secrets-for-private-registries": {"registries": ("registry.internal",)},
}
"""What the cases set for policies that do little without it."""


def policy_named(name: str) -> Policy:
    """Return a policy of the pack, with the options of the cases."""
    policy = next(policy for policy in POLICIES if policy.name == name)
    return replace(policy, options={**policy.options, **OPTIONS.get(name, {})})


def findings(policy: Policy, *resources: Resource) -> dict[str, Value]:
    """Run a policy as the adapter does, and return path to value found."""
    selected = [resource for resource in resources if policy.applies_to(resource.type)]
    match policy:
        case ResourcePolicy():
            violations = [violation for resource in selected for violation in policy.evaluate(resource)]
        case StackPolicy():
            violations = list(policy.evaluate(selected))
        case _:
            raise TypeError(policy.name)
    by_path = {violation.path: violation.found for violation in violations}
    assert len(by_path) == len(violations), f"reported twice: {[violation.path for violation in violations]}"
    return by_path


Row = tuple[Kind, str, tuple[Resource, ...], dict[str, Value]]


def cases(policy: str, *rows: Row) -> tuple[Case, ...]:
    """Turn the rows of a policy into its cases."""
    return tuple(Case(policy, *row) for row in rows)


def resource(
    type_token: str,
    properties: Block,
    name: str = "web",
    *,
    protected: bool | None = False,
    links: Mapping[str, tuple[str, ...]] | None = None,
) -> Resource:
    """Build a resource of a stack."""
    return Resource(type_token, name, urn(type_token, name), properties, protected, links or {})


def urn(type_token: str, name: str) -> str:
    """Return a resource's address in the stack of the tables."""
    return f"urn:pulumi:dev::shop::{type_token}::{name}"


OWNED: Final[Block] = {"owner": "team", "environment": "dev", "cost-centre": "shop"}
"""The labels that every object must have."""


def labelled(kind: str, spec: Value, name: str = "web", **metadata: Value) -> Resource:
    """Build a Kubernetes object with a specification, in the namespace `shop`.

    Args:
        kind: The type token without its provider, such as ``core/v1:Service``.
        spec: The specification; None for none.
        name: The object's name and the resource's.
        **metadata: Metadata beside or instead of name, namespace and labels.
    """
    own: Block = {"name": name, "namespace": "shop", "labels": dict(OWNED), **metadata}
    return resource(f"kubernetes:{kind}", {"metadata": own, **({} if spec is None else {"spec": spec})}, name)


def edited(block: Block, edits: Mapping[str, Value]) -> Block:
    """Copy a block with some properties changed, by path; blocks on the way are made."""
    result = copy.deepcopy(block)
    for path, value in edits.items():
        *parents, last = (int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", path))
        target: object = result
        for key in parents:
            if isinstance(target, list) and isinstance(key, int):
                target = target[key]
            elif isinstance(target, dict):
                target = target.setdefault(key, {})
        if isinstance(target, list) and isinstance(last, int):
            target[last] = value
        elif isinstance(target, dict) and value is ABSENT:
            target.pop(last, None)
        elif isinstance(target, dict):
            target[last] = value
        else:
            raise TypeError(f"{path} leads nowhere")
    return result


def container(name: str) -> Block:
    """Build a container that passes every policy."""
    return {
        "name": name,
        "image": IMAGE,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "livenessProbe": {"httpGet": {"path": "/alive", "port": 8080}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def pod_spec() -> Block:
    """Build a pod's specification that passes every policy, with a container of each sort."""
    return {
        "serviceAccountName": "web",
        "automountServiceAccountToken": False,
        "topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [container("migrate")],
        "containers": [container("app")],
        "ephemeralContainers": [container("debug")],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


POD: Final = "kubernetes:core/v1:Pod"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
CRON_JOB: Final = "kubernetes:batch/v1:CronJob"
NAMESPACE: Final = "kubernetes:core/v1:Namespace"
NETWORK_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"

_WORKLOAD = "spec.template"
TEMPLATES: Final[dict[str, str]] = {
    POD: "",
    DEPLOYMENT: _WORKLOAD,
    CRON_JOB: "spec.jobTemplate.spec.template",
    "kubernetes:core/v1:PodPatch": "",
    "kubernetes:core/v1:PodTemplate": "template",
    "kubernetes:core/v1:PodTemplatePatch": "template",
    "kubernetes:core/v1:ReplicationController": _WORKLOAD,
    "kubernetes:core/v1:ReplicationControllerPatch": _WORKLOAD,
    "kubernetes:apps/v1:DeploymentPatch": _WORKLOAD,
    "kubernetes:apps/v1:StatefulSet": _WORKLOAD,
    "kubernetes:apps/v1:StatefulSetPatch": _WORKLOAD,
    "kubernetes:apps/v1:DaemonSet": _WORKLOAD,
    "kubernetes:apps/v1:DaemonSetPatch": _WORKLOAD,
    "kubernetes:apps/v1:ReplicaSet": _WORKLOAD,
    "kubernetes:apps/v1:ReplicaSetPatch": _WORKLOAD,
    "kubernetes:batch/v1:Job": _WORKLOAD,
    "kubernetes:batch/v1:JobPatch": _WORKLOAD,
    "kubernetes:batch/v1:CronJobPatch": "spec.jobTemplate.spec.template",
    "kubernetes:batch/v1beta1:CronJob": "spec.jobTemplate.spec.template",
    "kubernetes:apps/v1beta2:Deployment": _WORKLOAD,
    "kubernetes:extensions/v1beta1:DaemonSet": _WORKLOAD,
    # What apiextensions.CustomResource makes of apiVersion "v1".
    "kubernetes:v1:Pod": "",
}
"""Where each kind keeps its pod template."""


def spec_path(type_token: str) -> str:
    """Return the path of the pod's specification in a resource of a type."""
    template = TEMPLATES[type_token]
    return f"{template}.spec" if template else "spec"


def pod_object(type_token: str = DEPLOYMENT, edits: Mapping[str, Value] | None = None) -> Block:
    """Build an object with a pod; the edits' paths begin at the pod's specification."""
    properties: Block = {"metadata": {"name": "web", "namespace": "shop", "labels": dict(OWNED)}}
    template = TEMPLATES[type_token]
    labelled_pod: Block = {f"{template}.metadata.labels": {"app": "web"}} if template else {}
    return edited(properties, {**labelled_pod, spec_path(type_token): edited(pod_spec(), edits or {})})


def workload(type_token: str = DEPLOYMENT, edits: Mapping[str, Value] | None = None) -> Resource:
    """Build a resource with a pod; the edits' paths begin at the pod's specification."""
    return resource(type_token, pod_object(type_token, edits))


def pod_case(
    policy: str,
    kind: Kind,
    title: str,
    edits: Mapping[str, Value],
    found: Mapping[str, Value] | None = None,
) -> Case:
    """Build a case of a pod policy. All paths begin at the pod's specification."""
    type_token = CRON_JOB if kind is Kind.NESTED else DEPLOYMENT
    paths = {f"{spec_path(type_token)}.{path}": value for path, value in (found or {}).items()}
    return Case(policy, kind, title, (workload(type_token, edits),), paths)
