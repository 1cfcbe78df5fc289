"""Cases of the policies about namespaces."""

from collections.abc import Mapping

from baseline.model import UNKNOWN, Resource, Value
from baseline.namespaces import ENFORCE_LABEL
from tests.policy.cases.builders import (
    ABSENT,
    CRON_JOB,
    DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    Block,
    Case,
    Kind,
    cases,
    edited,
    pod_object,
    resource,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, _, _, NESTED = Kind

LABEL_PATH = f'metadata.labels["{ENFORCE_LABEL}"]'


def namespace(labels: Value, type_token: str = NAMESPACE) -> tuple[Resource, ...]:
    """A namespace with these labels."""
    return (resource(type_token, {"metadata": {"name": "shop", "labels": labels}}),)


def labelled(level: Value) -> Block:
    """Labels that enforce a level."""
    return {ENFORCE_LABEL: level}


POD_SECURITY = cases(
    "namespace-pss-restricted",
    (PASS, "restricted", namespace(labelled("restricted")), {}),
    (FAIL, "baseline", namespace(labelled("baseline")), {LABEL_PATH: "baseline"}),
    (
        FAIL,
        "only warned about",
        namespace({"pod-security.kubernetes.io/warn": "restricted"}),
        {LABEL_PATH: ABSENT},
    ),
    (MISSING, "the label", namespace({}), {LABEL_PATH: ABSENT}),
    (MISSING, "metadata", (resource(NAMESPACE, {}),), {LABEL_PATH: ABSENT}),
    (UNKNOWN_VALUE, "the label", namespace(labelled(UNKNOWN)), {LABEL_PATH: UNKNOWN}),
    (UNKNOWN_VALUE, "the labels", namespace(UNKNOWN), {LABEL_PATH: UNKNOWN}),
    (PASS, "a patch of something else", namespace({}, f"{NAMESPACE}Patch"), {}),
    (
        FAIL,
        "a patch of the label",
        namespace(labelled("privileged"), f"{NAMESPACE}Patch"),
        {LABEL_PATH: "privileged"},
    ),
    (
        FAIL,
        "in a list",
        (resource(f"{NAMESPACE}List", {"items": [{"metadata": {"labels": labelled("restricted")}}, {}]}),),
        {f"items[1].{LABEL_PATH}": ABSENT},
    ),
)


CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def in_namespace(name: Value, type_token: str = CONFIG_MAP) -> tuple[Resource, ...]:
    """An object of a namespace."""
    return (resource(type_token, {"metadata": {"namespace": name}}),)


RELEASE = "kubernetes:helm.sh/v3:Release"
PATH = "metadata.namespace"
NO_DEFAULT = cases(
    "no-default-namespace",
    (PASS, "named", in_namespace("shop"), {}),
    (
        PASS,
        "a cluster's object",
        (resource(NAMESPACE, {}), resource("kubernetes:cert-manager.io/v1:ClusterIssuer", {})),
        {},
    ),
    (
        PASS,
        "a definition of custom resources",
        (resource("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {}),),
        {},
    ),
    (
        PASS,
        "a cluster's object in an old version",
        (resource("kubernetes:rbac.authorization.k8s.io/v1beta1:ClusterRole", {}),),
        {},
    ),
    (PASS, "a component of the provider", (resource("kubernetes:helm.sh/v4:Chart", {}),), {}),
    (PASS, "another provider's", (resource("aws:s3/bucket:Bucket", {}),), {}),
    (FAIL, "default", in_namespace("default"), {PATH: "default"}),
    (FAIL, "nothing", in_namespace(""), {PATH: ""}),
    (FAIL, "a patch", in_namespace("default", "kubernetes:core/v1:ServicePatch"), {PATH: "default"}),
    (MISSING, "the namespace", in_namespace(ABSENT), {PATH: ABSENT}),
    (MISSING, "metadata", (resource(DEPLOYMENT, {}),), {PATH: ABSENT}),
    (
        MISSING,
        "of a custom resource",
        (resource("kubernetes:cert-manager.io/v1:Certificate", {}),),
        {PATH: ABSENT},
    ),
    (
        MISSING,
        "of a custom resource called a list",
        (resource("kubernetes:example.com/v1:AllowList", {}),),
        {PATH: ABSENT},
    ),
    (MISSING, "of a Helm release", (resource(RELEASE, {"chart": "redis"}),), {"namespace": ABSENT}),
    (PASS, "a Helm release", (resource(RELEASE, {"namespace": "shop"}),), {}),
    (UNKNOWN_VALUE, "the namespace", in_namespace(UNKNOWN), {PATH: UNKNOWN}),
    (NESTED, "the CronJob's own counts", in_namespace(ABSENT, CRON_JOB), {PATH: ABSENT}),
)

CLOSED: Block = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def wall(edits: Mapping[str, Value] | None = None, where: Value = "shop", suffix: str = "") -> Resource:
    """A network policy that denies all, but for the edits of its specification."""
    properties: Block = {
        "metadata": {"name": "deny", "namespace": where},
        "spec": edited(CLOSED, edits or {}),
    }
    return resource(f"{NETWORK_POLICY}{suffix}", properties, name="deny")


def pod(where: Value, type_token: str = POD) -> Resource:
    """A pod in a namespace."""
    return resource(type_token, edited(pod_object(type_token), {"metadata.namespace": where}))


(SHOP,) = namespace({})
UNCOVERED: Block = {"metadata.name": "shop"}
UNDECIDED: Block = {"metadata.name": UNKNOWN}
DEFAULT_DENY = cases(
    "default-deny-per-namespace",
    (PASS, "created", (SHOP, wall()), {}),
    (
        PASS,
        "with empty rules and selectors",
        (wall({"ingress": [], "egress": [], "podSelector.matchLabels": {}}), SHOP),
        {},
    ),
    (PASS, "the selector left out selects all", (SHOP, wall({"podSelector": ABSENT})), {}),
    (PASS, "the first of two policies", (SHOP, wall(), wall({"ingress": [{}]})), {}),
    (PASS, "only used", (pod("shop"), wall()), {}),
    (PASS, "patched, not created", (*namespace({}, f"{NAMESPACE}Patch"),), {}),
    (FAIL, "no policy", (SHOP,), UNCOVERED),
    (FAIL, "in another namespace", (SHOP, wall(where="cache")), UNCOVERED),
    (FAIL, "of some pods", (SHOP, wall({"podSelector.matchLabels": {"app": "web"}})), UNCOVERED),
    (
        FAIL,
        "of some pods, by expression",
        (SHOP, wall({"podSelector.matchExpressions": [{"key": "app"}]})),
        UNCOVERED,
    ),
    (FAIL, "inwards only", (SHOP, wall({"policyTypes": ["Ingress"]})), UNCOVERED),
    (FAIL, "outwards only", (SHOP, wall({"policyTypes": ["Egress"]})), UNCOVERED),
    (FAIL, "lets everything in", (SHOP, wall({"ingress": [{}]})), UNCOVERED),
    (FAIL, "lets everything out", (SHOP, wall({"egress": [{}]})), UNCOVERED),
    (FAIL, "only used", (pod("cache"), wall()), {"metadata.namespace": "cache"}),
    (
        FAIL,
        "used twice, said once",
        (pod("cache"), pod("cache", DEPLOYMENT)),
        {"metadata.namespace": "cache"},
    ),
    (FAIL, "created and used, said of the namespace", (pod("shop"), SHOP), UNCOVERED),
    (FAIL, "pods without a namespace are in default", (pod(ABSENT),), {"metadata.namespace": "default"}),
    (NESTED, "only used", (pod("cache", CRON_JOB), wall()), {"metadata.namespace": "cache"}),
    (MISSING, "policyTypes covers only what has rules", (SHOP, wall({"policyTypes": ABSENT})), UNCOVERED),
    (
        MISSING,
        "the specification",
        (SHOP, resource(NETWORK_POLICY, {"metadata": {"namespace": "shop"}})),
        UNCOVERED,
    ),
    (
        UNKNOWN_VALUE,
        "the created name",
        (resource(NAMESPACE, {"metadata": {"name": UNKNOWN}}), wall()),
        UNDECIDED,
    ),
    (
        UNKNOWN_VALUE,
        "a name to be generated",
        (resource(NAMESPACE, {"metadata": {"generateName": "a-"}}),),
        UNDECIDED,
    ),
    (UNKNOWN_VALUE, "the used name", (pod(UNKNOWN), wall()), {"metadata.namespace": UNKNOWN}),
    (UNKNOWN_VALUE, "the policy's namespace", (SHOP, wall(where=UNKNOWN)), UNDECIDED),
    (UNKNOWN_VALUE, "a rule", (SHOP, wall({"ingress": UNKNOWN})), UNDECIDED),
    (UNKNOWN_VALUE, "a direction", (SHOP, wall({"policyTypes": ["Ingress", UNKNOWN]})), UNDECIDED),
    (UNKNOWN_VALUE, "a patched policy's other half", (SHOP, wall(suffix="Patch")), UNDECIDED),
    (
        FAIL,
        "a known rule decides beside an unknown",
        (SHOP, wall({"ingress": UNKNOWN, "egress": [{}]})),
        UNCOVERED,
    ),
    (
        FAIL,
        "an open policy decides in an unknown namespace",
        (SHOP, wall({"egress": [{}]}, where=UNKNOWN)),
        UNCOVERED,
    ),
)

CASES: tuple[Case, ...] = (*POD_SECURITY, *NO_DEFAULT, *DEFAULT_DENY)
