"""Cases of the policies about images."""

from baseline.model import UNKNOWN
from tests.policy.cases.builders import (
    ABSENT,
    Block,
    Case,
    Kind,
    cases,
    labelled,
    pod_case,
    resource,
    workload,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

APP = "containers[0]"
CLUSTER = "kubernetes:postgresql.cnpg.io/v1:Cluster"
POOLER = "kubernetes:postgresql.cnpg.io/v1:Pooler"
ACCOUNT = "core/v1:ServiceAccount"


def image_cases(policy: str, valid: str, invalid: str) -> tuple[Case, ...]:
    """Cases of a policy about images."""
    paths = {kind: f"{kind}[0].image" for kind in ("containers", "initContainers", "ephemeralContainers")}
    return (
        pod_case(policy, PASS, "a good one", {paths["containers"]: valid}),
        Case(policy, PASS, "of a database", (resource(CLUSTER, {"spec": {"imageName": valid}}),)),
        pod_case(policy, FAIL, "a bad one", {paths["containers"]: invalid}, {paths["containers"]: invalid}),
        pod_case(
            policy,
            FAIL,
            "twice, said once",
            {paths["containers"]: invalid, paths["initContainers"]: invalid},
            {paths["initContainers"]: invalid},
        ),
        pod_case(
            policy,
            FAIL,
            "of a volume",
            {"volumes": [{"name": "model", "image": {"reference": invalid}}]},
            {"volumes[0].image.reference": invalid},
        ),
        Case(
            policy,
            FAIL,
            "of a database",
            (resource(CLUSTER, {"spec": {"imageName": invalid}}),),
            {"spec.imageName": invalid},
        ),
        Case(
            policy,
            FAIL,
            "of a pooler",
            (resource(POOLER, {"spec": {"template": {"spec": {"containers": [{"image": invalid}]}}}}),),
            {"spec.template.spec.containers[0].image": invalid},
        ),
        pod_case(policy, MISSING, "the image", {paths["containers"]: ABSENT}, {paths["containers"]: ABSENT}),
        pod_case(
            policy, UNKNOWN_VALUE, "the image", {paths["containers"]: UNKNOWN}, {paths["containers"]: UNKNOWN}
        ),
        pod_case(
            policy, INIT, "a bad one", {paths["initContainers"]: invalid}, {paths["initContainers"]: invalid}
        ),
        pod_case(
            policy,
            EPHEMERAL,
            "a bad one",
            {paths["ephemeralContainers"]: invalid},
            {paths["ephemeralContainers"]: invalid},
        ),
        pod_case(policy, NESTED, "a bad one", {paths["containers"]: invalid}, {paths["containers"]: invalid}),
    )


SECRETS: Block = {"imagePullSecrets": [{"name": "pull"}]}


PRIVATE = "registry.internal/shop/app:1"
IMAGES = (
    *image_cases("image-digest-pinned", f"app@sha256:{'a' * 64}", "app:1.0"),
    pod_case(
        "image-digest-pinned",
        FAIL,
        "a digest that is none",
        {f"{APP}.image": "app@sha256:abc"},
        {f"{APP}.image": "app@sha256:abc"},
    ),
    *image_cases("no-latest-tag", "registry:5000/app:1.0", "ghcr.io/shop/app:latest"),
    pod_case("no-latest-tag", PASS, "a digest needs no tag", {f"{APP}.image": f"app@sha256:{'a' * 64}"}),
    pod_case(
        "no-latest-tag",
        FAIL,
        "no tag",
        {f"{APP}.image": "registry:5000/app"},
        {f"{APP}.image": "registry:5000/app"},
    ),
    *image_cases("allowed-registries", "quay.io/prometheus/prometheus:v3", "registry.evil/app:1"),
    pod_case("allowed-registries", PASS, "the default registry", {f"{APP}.image": "nginx:1"}),
    pod_case("allowed-registries", PASS, "a user of it", {f"{APP}.image": "valkey/valkey:8"}),
    pod_case(
        "allowed-registries",
        FAIL,
        "a name that begins alike",
        {f"{APP}.image": "ghcr.io.evil.example/app:1"},
        {f"{APP}.image": "ghcr.io.evil.example/app:1"},
    ),
)

PULL = "pull-secrets-for-private-registries"
OF_THE_POD = "spec.template.spec.imagePullSecrets"
PULL_SECRETS = cases(
    PULL,
    (PASS, "of a public registry", (workload(),), {}),
    (PASS, "of the pod", (workload(edits={f"{APP}.image": PRIVATE, **SECRETS}),), {}),
    (
        PASS,
        "of its account",
        (
            workload(edits={f"{APP}.image": PRIVATE}),
            resource(f"kubernetes:{ACCOUNT}", {"metadata": {"name": "web", "namespace": "shop"}, **SECRETS}),
        ),
        {},
    ),
    (
        FAIL,
        "of nobody",
        (workload(edits={f"{APP}.image": PRIVATE}), labelled(ACCOUNT, None)),
        {OF_THE_POD: ABSENT},
    ),
    (MISSING, "the account", (workload(edits={f"{APP}.image": PRIVATE}),), {OF_THE_POD: ABSENT}),
    (
        UNKNOWN_VALUE,
        "the pod's",
        (workload(edits={f"{APP}.image": PRIVATE, "imagePullSecrets": UNKNOWN}),),
        {OF_THE_POD: UNKNOWN},
    ),
    (INIT, "of nobody", (workload(edits={"initContainers[0].image": PRIVATE}),), {OF_THE_POD: ABSENT}),
)

CASES: tuple[Case, ...] = (*IMAGES, *PULL_SECRETS)
