"""Cases of the policies about permissions and labels."""

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import (
    ABSENT,
    POD,
    Block,
    Case,
    Kind,
    cases,
    labelled,
    resource,
)
from tests.policy.cases.network import service
from tests.policy.cases.workloads import SERVICE

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"


def role(type_token: str = ROLE, **rule: Value) -> tuple[Resource, ...]:
    """A role with one rule, that is right but for what is given."""
    right: Block = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    return (resource(type_token, {"rules": [{**right, **rule}]}),)


def binding(name: Value, subject: Value = "web", type_token: str = BINDING) -> tuple[Resource, ...]:
    """A binding of a role to an account."""
    return (
        resource(
            type_token, {"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"name": subject}]}
        ),
    )


CLUSTER_ROLE = f"{ROLE.removesuffix('Role')}ClusterRole"
WILDCARDS = cases(
    "rbac-no-wildcards",
    (PASS, "names", role(), {}),
    (FAIL, "verbs", role(verbs=["*"]), {"rules[0].verbs[0]": "*"}),
    (
        FAIL,
        "groups, of the cluster",
        role(CLUSTER_ROLE, apiGroups=["apps", "*"]),
        {"rules[0].apiGroups[1]": "*"},
    ),
    (FAIL, "part of a name", role(resources=["*/scale"]), {"rules[0].resources[0]": "*/scale"}),
    (MISSING, "no rules", (resource(ROLE, {}),), {}),
    (UNKNOWN_VALUE, "a verb", role(verbs=["get", UNKNOWN]), {"rules[0].verbs[1]": UNKNOWN}),
    (
        UNKNOWN_VALUE,
        "the rules",
        (resource(ROLE, {"rules": UNKNOWN}),),
        {f"rules[*].{key}[*]": UNKNOWN for key in ("apiGroups", "resources", "verbs", "nonResourceURLs")},
    ),
)

ADMIN = cases(
    "rbac-no-cluster-admin",
    (PASS, "another role", binding("reader"), {}),
    (FAIL, "cluster-admin", binding("cluster-admin"), {"roleRef.name": "cluster-admin"}),
    (
        FAIL,
        "everybody",
        binding("reader", "system:unauthenticated"),
        {"subjects[0].name": "system:unauthenticated"},
    ),
    (
        FAIL,
        "the group without limits",
        binding("reader", "system:masters", BINDING.replace("Role", "ClusterRole")),
        {"subjects[0].name": "system:masters"},
    ),
    (MISSING, "nobody is bound", (resource(BINDING, {"roleRef": {"name": "reader"}}),), {}),
    (UNKNOWN_VALUE, "the role", binding(UNKNOWN), {"roleRef.name": UNKNOWN}),
)

WHERE = "rules[0].resources"
READS = cases(
    "rbac-no-secret-reads",
    (PASS, "other things", role(), {}),
    (PASS, "one by name", role(resources=["secrets"], resourceNames=["tls"]), {}),
    (PASS, "of another group", role(apiGroups=["bitnami.com"], resources=["secrets"]), {}),
    (PASS, "only made", role(resources=["secrets"], verbs=["create"]), {}),
    (FAIL, "get", role(resources=["secrets"]), {WHERE: ["secrets"]}),
    (
        FAIL,
        "watch, among others",
        role(CLUSTER_ROLE, resources=["services", "secrets"], verbs=["list", "watch"]),
        {WHERE: ["services", "secrets"]},
    ),
    (FAIL, "by asterisks", role(apiGroups=["*"], resources=["*"], verbs=["*"]), {WHERE: ["*"]}),
    (MISSING, "no rules", (resource(ROLE, {}),), {}),
    (UNKNOWN_VALUE, "the resources", role(resources=UNKNOWN), {WHERE: UNKNOWN}),
)

VERBS = "rules[0].verbs"
ESCALATION = cases(
    "rbac-no-escalation",
    (PASS, "reads", role(), {}),
    (FAIL, "into pods", role(resources=["pods/exec"], verbs=["create"]), {VERBS: ["create"]}),
    (FAIL, "as somebody else", role(resources=["users"], verbs=["impersonate"]), {VERBS: ["impersonate"]}),
    (FAIL, "more roles", role(resources=["clusterroles"], verbs=["escalate"]), {VERBS: ["escalate"]}),
    (
        FAIL,
        "webhooks",
        role(resources=["mutatingwebhookconfigurations"], verbs=["update"]),
        {VERBS: ["update"]},
    ),
    (FAIL, "tokens", role(resources=["serviceaccounts/token"], verbs=["create"]), {VERBS: ["create"]}),
    (MISSING, "no rules", (resource(ROLE, {}),), {}),
    (UNKNOWN_VALUE, "the verbs", role(resources=["users"], verbs=[UNKNOWN]), {VERBS: UNKNOWN}),
)

BUCKET = "aws:s3/bucket:Bucket"
TAGS: Block = {"Owner": "team", "Environment": "dev", "CostCentre": "shop"}
OWNERS = cases(
    "required-labels-tags",
    (PASS, "labels", (service(),), {}),
    (PASS, "tags, in another spelling", (resource(BUCKET, {"tags": TAGS}),), {}),
    (PASS, "tags of the provider", (resource(BUCKET, {"tagsAll": TAGS}),), {}),
    (
        PASS,
        "somebody else's definition",
        (resource("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {}),),
        {},
    ),
    (
        FAIL,
        "a label",
        (labelled(SERVICE, {}, labels={"owner": "a", "environment": "b"}),),
        {'metadata.labels["cost-centre"]': ABSENT},
    ),
    (
        FAIL,
        "an empty one",
        (labelled(SERVICE, {}, labels={"owner": "", "environment": "b", "cost-centre": "c"}),),
        {"metadata.labels.owner": ""},
    ),
    (
        FAIL,
        "a tag",
        (resource(BUCKET, {"tags": {"Owner": "a", "Environment": "b"}}),),
        {'tags["cost-centre"]': ABSENT},
    ),
    (
        MISSING,
        "all labels",
        (resource(POD, {}),),
        {
            "metadata.labels.owner": ABSENT,
            "metadata.labels.environment": ABSENT,
            'metadata.labels["cost-centre"]': ABSENT,
        },
    ),
    (
        UNKNOWN_VALUE,
        "a label",
        (labelled(SERVICE, {}, labels={"owner": UNKNOWN, "environment": "b", "cost-centre": "c"}),),
        {"metadata.labels.owner": UNKNOWN},
    ),
    (UNKNOWN_VALUE, "the tags", (resource(BUCKET, {"tags": UNKNOWN}),), {"tags": UNKNOWN}),
)

RELEASE = "kubernetes:helm.sh/v3:Release"
HELM = cases(
    "no-opaque-helm-release",
    (PASS, "a chart, rendered", (resource("kubernetes:helm.sh/v4:Chart", {"chart": "redis"}),), {}),
    (FAIL, "a release", (resource(RELEASE, {"chart": "redis"}),), {"chart": "redis"}),
    (MISSING, "even without a chart", (resource(RELEASE, {}),), {"chart": ABSENT}),
    (UNKNOWN_VALUE, "the chart", (resource(RELEASE, {"chart": UNKNOWN}),), {"chart": UNKNOWN}),
)

CASES: tuple[Case, ...] = (*WILDCARDS, *ADMIN, *READS, *ESCALATION, *OWNERS, *HELM)
