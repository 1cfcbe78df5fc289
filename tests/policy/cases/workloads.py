"""Cases of the policies about workloads that outlive a pod."""

from collections.abc import Mapping

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import (
    ABSENT,
    DEPLOYMENT,
    Block,
    Case,
    Kind,
    cases,
    edited,
    labelled,
    pod_object,
    resource,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
BUDGET = "policy/v1:PodDisruptionBudget"
AUTOSCALER = "autoscaling/v2:HorizontalPodAutoscaler"
CLUSTER = "postgresql.cnpg.io/v1:Cluster"
SERVICE = "core/v1:Service"
INGRESS = "networking.k8s.io/v1:Ingress"


def deployment(
    edits: Mapping[str, Value] | None = None, type_token: str = DEPLOYMENT, name: str = "web"
) -> Resource:
    """A workload with two pods, but for the edits of the whole object."""
    whole = edited(pod_object(type_token), {"metadata.name": name, "spec.replicas": 2, **(edits or {})})
    return resource(type_token, whole, name)


def autoscaler(edits: Mapping[str, Value] | None = None) -> Resource:
    """An autoscaler of the deployment."""
    spec: Block = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 5,
    }
    return labelled(AUTOSCALER, edited(spec, edits or {}))


def budget(edits: Mapping[str, Value] | None = None) -> Resource:
    """A disruption budget of the deployment."""
    return labelled(
        BUDGET, edited({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}, edits or {})
    )


SCALED: Block = {"spec.replicas": ABSENT}
MIN = cases(
    "min-replicas",
    (PASS, "two", (deployment(),), {}),
    (PASS, "an autoscaler's two", (deployment(SCALED), autoscaler()), {}),
    (PASS, "a StatefulSet is its program's matter", (deployment({"spec.replicas": 1}, STATEFUL_SET),), {}),
    (PASS, "a database's", (labelled(CLUSTER, {"instances": 3}),), {}),
    (FAIL, "one", (deployment({"spec.replicas": 1}),), {"spec.replicas": 1}),
    (
        FAIL,
        "an autoscaler's one",
        (deployment(SCALED), autoscaler({"minReplicas": 1})),
        {"spec.minReplicas": 1},
    ),
    (
        FAIL,
        "an autoscaler of another",
        (deployment(SCALED), autoscaler({"scaleTargetRef.name": "api"})),
        {"spec.replicas": ABSENT},
    ),
    (FAIL, "a database's one", (labelled(CLUSTER, {"instances": 1}),), {"spec.instances": 1}),
    (MISSING, "replicas", (deployment(SCALED),), {"spec.replicas": ABSENT}),
    (
        MISSING,
        "an autoscaler's minimum",
        (deployment(SCALED), autoscaler({"minReplicas": ABSENT})),
        {"spec.minReplicas": ABSENT},
    ),
    (UNKNOWN_VALUE, "replicas", (deployment({"spec.replicas": UNKNOWN}),), {"spec.replicas": UNKNOWN}),
    (
        UNKNOWN_VALUE,
        "whom it scales",
        (deployment(SCALED), autoscaler({"scaleTargetRef.name": UNKNOWN})),
        {"spec.replicas": UNKNOWN},
    ),
)

LABELS = "spec.template.metadata.labels"
PDB = cases(
    "pdb-per-workload",
    (PASS, "by labels", (deployment(), budget()), {}),
    (
        PASS,
        "by expression",
        (
            deployment(),
            budget({"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}),
        ),
        {},
    ),
    (PASS, "one pod needs none", (deployment({"spec.replicas": 1}),), {}),
    (FAIL, "none", (deployment(),), {LABELS: {"app": "web"}}),
    (
        FAIL,
        "of another",
        (deployment(), budget({"selector.matchLabels": {"app": "api"}})),
        {LABELS: {"app": "web"}},
    ),
    (FAIL, "autoscaled", (deployment(SCALED), autoscaler()), {LABELS: {"app": "web"}}),
    (
        FAIL,
        "that excludes it",
        (
            deployment(),
            budget(
                {"selector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}
            ),
        ),
        {LABELS: {"app": "web"}},
    ),
    (MISSING, "the selector", (deployment(), budget({"selector": ABSENT})), {LABELS: {"app": "web"}}),
    (
        UNKNOWN_VALUE,
        "the selector",
        (deployment(), budget({"selector.matchLabels": UNKNOWN})),
        {LABELS: UNKNOWN},
    ),
    (UNKNOWN_VALUE, "the labels", (deployment({LABELS: UNKNOWN}), budget()), {LABELS: UNKNOWN}),
)

EVICTION = cases(
    "pdb-allows-eviction",
    (PASS, "one may go", (budget(), deployment()), {}),
    (PASS, "all but one", (budget({"maxUnavailable": ABSENT, "minAvailable": 1}), deployment()), {}),
    (PASS, "by percentage", (budget({"maxUnavailable": "50%"}),), {}),
    (FAIL, "none", (budget({"maxUnavailable": 0}),), {"spec.maxUnavailable": 0}),
    (FAIL, "none, by percentage", (budget({"maxUnavailable": "0%"}),), {"spec.maxUnavailable": "0%"}),
    (
        FAIL,
        "all",
        (budget({"maxUnavailable": ABSENT, "minAvailable": "100%"}),),
        {"spec.minAvailable": "100%"},
    ),
    (
        FAIL,
        "as many as there are",
        (budget({"maxUnavailable": ABSENT, "minAvailable": 2}), deployment()),
        {"spec.minAvailable": 2},
    ),
    (
        FAIL,
        "as many as the autoscaler's least",
        (budget({"maxUnavailable": ABSENT, "minAvailable": 2}), deployment(SCALED), autoscaler()),
        {"spec.minAvailable": 2},
    ),
    (MISSING, "both allow all", (budget({"maxUnavailable": ABSENT}),), {}),
    (UNKNOWN_VALUE, "how many", (budget({"maxUnavailable": UNKNOWN}),), {"spec.maxUnavailable": UNKNOWN}),
    (
        UNKNOWN_VALUE,
        "the pods",
        (budget({"maxUnavailable": ABSENT, "minAvailable": 2}), deployment({"spec.replicas": UNKNOWN})),
        {"spec.minAvailable": UNKNOWN},
    ),
)

SPREAD_PATH = "spec.template.spec.topologySpreadConstraints"
SPREAD = cases(
    "topology-spread",
    (PASS, "constraints", (deployment(),), {}),
    (
        PASS,
        "anti-affinity",
        (deployment({SPREAD_PATH: ABSENT, "spec.template.spec.affinity": {"podAntiAffinity": {"a": 1}}}),),
        {},
    ),
    (PASS, "one pod", (deployment({SPREAD_PATH: ABSENT, "spec.replicas": 1}),), {}),
    (FAIL, "an empty list", (deployment({SPREAD_PATH: []}),), {SPREAD_PATH: []}),
    (MISSING, "constraints", (deployment({SPREAD_PATH: ABSENT}),), {SPREAD_PATH: ABSENT}),
    (UNKNOWN_VALUE, "constraints", (deployment({SPREAD_PATH: UNKNOWN}),), {SPREAD_PATH: UNKNOWN}),
)

TARGET = "spec.scaleTargetRef.name"
HPA = cases(
    "hpa-valid",
    (PASS, "of a deployment", (deployment(SCALED), autoscaler()), {}),
    (PASS, "of something of an operator's", (autoscaler({"scaleTargetRef.kind": "Rollout"}),), {}),
    (FAIL, "of nothing", (autoscaler(),), {TARGET: "web"}),
    (
        FAIL,
        "of another namespace",
        (deployment({**SCALED, "metadata.namespace": "other"}), autoscaler()),
        {TARGET: "web"},
    ),
    (FAIL, "of another kind", (deployment(SCALED, STATEFUL_SET), autoscaler()), {TARGET: "web"}),
    (FAIL, "with replicas of its own", (deployment(), autoscaler()), {"spec.replicas": 2}),
    (
        FAIL,
        "less at most than at least",
        (deployment(SCALED), autoscaler({"minReplicas": 9})),
        {"spec.minReplicas": 9},
    ),
    (MISSING, "the target", (autoscaler({"scaleTargetRef": ABSENT}),), {"spec.scaleTargetRef": ABSENT}),
    (
        MISSING,
        "the maximum",
        (deployment(SCALED), autoscaler({"maxReplicas": ABSENT})),
        {"spec.maxReplicas": ABSENT},
    ),
    (
        UNKNOWN_VALUE,
        "the target",
        (deployment(SCALED), autoscaler({"scaleTargetRef.name": UNKNOWN})),
        {TARGET: UNKNOWN},
    ),
    (
        UNKNOWN_VALUE,
        "replicas",
        (deployment({"spec.replicas": UNKNOWN}), autoscaler()),
        {"spec.replicas": UNKNOWN},
    ),
)

CASES: tuple[Case, ...] = (*MIN, *PDB, *EVICTION, *SPREAD, *HPA)
