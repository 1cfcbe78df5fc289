"""Cases of the policies about containers that are watched and take no more than their share."""

from baseline.model import UNKNOWN, Value
from tests.policy.cases.builders import (
    ABSENT,
    IMAGE,
    Block,
    Case,
    Kind,
    pod_case,
    resource,
    workload,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

APP = "containers[0]"
JOB = "kubernetes:batch/v1:Job"
CLUSTER = "kubernetes:postgresql.cnpg.io/v1:Cluster"
POOLER = "kubernetes:postgresql.cnpg.io/v1:Pooler"
ACCOUNT = "core/v1:ServiceAccount"
TCP: Block = {"tcpSocket": {"port": 80}}
SIDECAR: Block = {
    "name": "sidecar",
    "image": IMAGE,
    "restartPolicy": "Always",
    "ports": [{"containerPort": 9}],
}

READINESS = (
    pod_case("readiness-probe", PASS, "each has one", {}),
    pod_case("readiness-probe", PASS, "a port that is asked", {f"{APP}.readinessProbe": TCP}),
    Case("readiness-probe", PASS, "a Job serves nobody", (workload(JOB, {f"{APP}.readinessProbe": ABSENT}),)),
    pod_case(
        "readiness-probe",
        PASS,
        "a sidecar without ports beside what listens",
        {
            "containers": [
                {"name": "app", "ports": [{"containerPort": 80}], "readinessProbe": TCP},
                {"name": "renew"},
            ]
        },
    ),
    pod_case(
        "readiness-probe",
        FAIL,
        "what listens has none",
        {
            "containers": [
                {"name": "app", "ports": [{"containerPort": 80}]},
                {"name": "b", "readinessProbe": TCP},
            ]
        },
        {f"{APP}.readinessProbe": ABSENT},
    ),
    pod_case(
        "readiness-probe",
        FAIL,
        "a probe that asks nothing",
        {f"{APP}.readinessProbe": {"periodSeconds": 5}},
        {f"{APP}.readinessProbe": {"periodSeconds": 5}},
    ),
    pod_case(
        "readiness-probe",
        MISSING,
        "the probe",
        {f"{APP}.readinessProbe": ABSENT},
        {f"{APP}.readinessProbe": ABSENT},
    ),
    pod_case(
        "readiness-probe",
        UNKNOWN_VALUE,
        "the probe",
        {f"{APP}.readinessProbe": UNKNOWN},
        {f"{APP}.readinessProbe": UNKNOWN},
    ),
    pod_case(
        "readiness-probe",
        INIT,
        "one that goes on",
        {"initContainers[0]": SIDECAR},
        {"initContainers[0].readinessProbe": ABSENT},
    ),
)

LIVENESS = (
    pod_case("liveness-probe", PASS, "another path", {}),
    pod_case(
        "liveness-probe",
        PASS,
        "the same, but more patient",
        {f"{APP}.livenessProbe": {**TCP, "failureThreshold": 9}, f"{APP}.readinessProbe": TCP},
    ),
    pod_case(
        "liveness-probe",
        FAIL,
        "the same",
        {f"{APP}.livenessProbe": TCP, f"{APP}.readinessProbe": TCP},
        {f"{APP}.livenessProbe": TCP},
    ),
    pod_case(
        "liveness-probe",
        MISSING,
        "the probe",
        {f"{APP}.livenessProbe": ABSENT},
        {f"{APP}.livenessProbe": ABSENT},
    ),
    pod_case(
        "liveness-probe",
        UNKNOWN_VALUE,
        "the probe",
        {f"{APP}.livenessProbe": UNKNOWN},
        {f"{APP}.livenessProbe": UNKNOWN},
    ),
    pod_case(
        "liveness-probe",
        INIT,
        "one that goes on",
        {"initContainers[0]": SIDECAR},
        {"initContainers[0].livenessProbe": ABSENT},
    ),
)

REQUEST = f"{APP}.resources.requests"
NO_RESOURCES: dict[str, Value] = {
    f"{APP}.resources.requests.cpu": ABSENT,
    f"{APP}.resources.requests.memory": ABSENT,
    f"{APP}.resources.limits.memory": ABSENT,
}
ASKED: Block = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
RESOURCES = (
    pod_case("resource-requests-limits", PASS, "all three", {}),
    pod_case(
        "resource-requests-limits", PASS, "of the pod", {"resources": ASKED, f"{APP}.resources": ABSENT}
    ),
    Case(
        "resource-requests-limits",
        PASS,
        "of a database",
        (resource(CLUSTER, {"spec": {"resources": ASKED}}),),
    ),
    pod_case(
        "resource-requests-limits", FAIL, "no CPU", {f"{REQUEST}.cpu": ABSENT}, {f"{REQUEST}.cpu": ABSENT}
    ),
    pod_case(
        "resource-requests-limits", FAIL, "nothing", {f"{REQUEST}.memory": "0"}, {f"{REQUEST}.memory": "0"}
    ),
    Case(
        "resource-requests-limits",
        FAIL,
        "of a database",
        (resource(CLUSTER, {"spec": {}}),),
        {f"spec.{path.removeprefix(f'{APP}.')}": ABSENT for path in NO_RESOURCES},
    ),
    pod_case("resource-requests-limits", MISSING, "resources", {f"{APP}.resources": ABSENT}, NO_RESOURCES),
    pod_case(
        "resource-requests-limits",
        UNKNOWN_VALUE,
        "resources",
        {f"{APP}.resources": UNKNOWN},
        dict.fromkeys(NO_RESOURCES, UNKNOWN),
    ),
    pod_case(
        "resource-requests-limits",
        INIT,
        "no limit",
        {"initContainers[0].resources.limits": ABSENT},
        {"initContainers[0].resources.limits.memory": ABSENT},
    ),
    pod_case(
        "resource-requests-limits", NESTED, "no CPU", {f"{REQUEST}.cpu": ABSENT}, {f"{REQUEST}.cpu": ABSENT}
    ),
)

USER = "runAsUser"
HIGH = "high-user-id"
OWNERS = ("containers", "initContainers", "ephemeralContainers")
USERS = (
    pod_case(HIGH, PASS, "of the pod", {}),
    pod_case(
        HIGH,
        PASS,
        "of every container",
        {f"securityContext.{USER}": ABSENT} | {f"{one}[0].securityContext.{USER}": 20000 for one in OWNERS},
    ),
    pod_case(HIGH, FAIL, "of the pod", {f"securityContext.{USER}": 1000}, {f"securityContext.{USER}": 1000}),
    pod_case(
        HIGH,
        FAIL,
        "of a container",
        {f"{APP}.securityContext.{USER}": 999},
        {f"{APP}.securityContext.{USER}": 999},
    ),
    pod_case(
        HIGH,
        MISSING,
        "of the pod",
        {"securityContext": ABSENT},
        {f"{one}[0].securityContext.{USER}": ABSENT for one in OWNERS},
    ),
    pod_case(
        HIGH,
        UNKNOWN_VALUE,
        "of the pod",
        {f"securityContext.{USER}": UNKNOWN},
        {f"securityContext.{USER}": UNKNOWN},
    ),
    *(
        pod_case(
            HIGH,
            kind,
            "a low one",
            {f"{one}[0].securityContext.{USER}": 1},
            {f"{one}[0].securityContext.{USER}": 1},
        )
        for kind, one in (
            (INIT, "initContainers"),
            (EPHEMERAL, "ephemeralContainers"),
            (NESTED, "containers"),
        )
    ),
)

CASES: tuple[Case, ...] = (*READINESS, *LIVENESS, *RESOURCES, *USERS)
