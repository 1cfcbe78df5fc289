"""What the simulated API server refuses, one broken object after the other."""

from typing import Any

import pytest

from simulator.providers.kubernetes import Kubernetes
from simulator.providers.values import UNKNOWN
from tests.unit import provider_objects
from tests.unit.provider_objects import CONTAINER, OBJECTS, REMOVED, changed, check


@pytest.fixture(scope="module")
def cluster() -> Kubernetes:
    return provider_objects.cluster()


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_a_good_object_is_accepted(cluster: Kubernetes, kind: str) -> None:
    assert check(cluster, kind, OBJECTS[kind]) == []


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_what_is_not_known_yet_is_accepted(cluster: Kubernetes, kind: str) -> None:
    """Every single value of a good object in turn is made unknown."""

    def holes(value: Any) -> list[Any]:
        found: list[Any] = [UNKNOWN]
        if isinstance(value, dict):
            found += [{**value, key: hole} for key, item in value.items() for hole in holes(item)]
        elif isinstance(value, list):
            for index, item in enumerate(value):
                found += [[*value[:index], hole, *value[index + 1 :]] for hole in holes(item)]
        return found

    for manifest in holes(OBJECTS[kind])[1:]:
        assert check(cluster, kind, manifest) == [], manifest


BROKEN: list[tuple[str, str, Any, str]] = [
    (
        "apps/v1:StatefulSet",
        "spec/volumeClaimTemplates/0/metadata/name",
        "d",
        f"{CONTAINER}.volumeMounts[0].name",
    ),
    ("batch/v1:CronJob", "spec/schedule", "* * * *", "spec.schedule: expected a cron schedule"),
    ("batch/v1:CronJob", "spec/schedule", "61 * * * *", "spec.schedule: expected a cron schedule"),
    ("batch/v1:CronJob", "spec/schedule", "*/0 * * * *", "spec.schedule: expected a cron schedule"),
    ("batch/v1:CronJob", "spec/schedule", "* * * mon *", "spec.schedule: expected a cron schedule"),
    ("batch/v1:CronJob", "spec/schedule", "5-1 * * * *", "spec.schedule: expected a cron schedule"),
    ("batch/v1:CronJob", "spec/schedule", "@often", "spec.schedule: expected a cron schedule"),
    (
        "batch/v1:CronJob",
        "spec/concurrencyPolicy",
        "forbid",
        "spec.concurrencyPolicy: expected one of Allow",
    ),
    ("batch/v1:CronJob", "metadata/name", "b" * 53, "metadata.name: expected at most 52 characters"),
    (
        "batch/v1:CronJob",
        "spec/jobTemplate/spec/template/spec/restartPolicy",
        REMOVED,
        "spec.jobTemplate.spec.template.spec.restartPolicy: expected Never or OnFailure in a CronJob",
    ),
    ("core/v1:ConfigMap", "data/a b", "c", 'data["a b"]: expected a key'),
    ("core/v1:ConfigMap", "data/big", "x" * 2**20, "data: expected at most 1048576 bytes"),
    ("core/v1:ConfigMap", "binaryData", {"a.b-c_d": "eA=="}, 'binaryData["a.b-c_d"]: duplicate key'),
    ("core/v1:Secret", "data/key", "not base64!", "data.key: expected base64 text"),
    ("core/v1:Service", "metadata/name", "1web", "metadata.name: expected a DNS-1035 label"),
    ("core/v1:Service", "spec/ports", [], "spec.ports: missing required property"),
    ("core/v1:Service", "spec/ports/0/port", 0, "spec.ports[0].port: expected a port from 1"),
    ("core/v1:Service", "spec/ports/1", {"port": 81}, "spec.ports[1].name: missing required property"),
    ("core/v1:Service", "spec/type", "Loadbalancer", "spec.type: expected one of ClusterIP"),
    ("core/v1:Namespace", "metadata/name", "a.b", "metadata.name: expected a DNS label"),
    ("core/v1:PersistentVolumeClaim", "spec/accessModes", ["RWO"], "spec.accessModes: expected one of"),
    ("core/v1:PersistentVolumeClaim", "spec/accessModes", REMOVED, "spec.accessModes: missing required"),
    ("core/v1:PersistentVolumeClaim", "spec/resources", {}, "spec.resources.requests.storage: missing"),
    ("core/v1:ResourceQuota", "spec/hard/pods", "many", "spec.hard.pods: expected a quantity"),
    ("core/v1:LimitRange", "spec/limits/0/min/cpu", "3", "spec.limits[0].min.cpu: min 3 is above max 2"),
    (
        "autoscaling/v2:HorizontalPodAutoscaler",
        "spec/minReplicas",
        5,
        "spec.minReplicas: expected at most",
    ),
    (
        "policy/v1:PodDisruptionBudget",
        "spec/minAvailable",
        1,
        "spec: expected minAvailable or maxUnavailable",
    ),
    ("networking.k8s.io/v1:Ingress", "spec/rules", [], "spec: expected rules or defaultBackend"),
    (
        "networking.k8s.io/v1:Ingress",
        "spec/rules/0/http/paths/0/path",
        "api",
        "spec.rules[0].http.paths[0].path: expected an absolute path",
    ),
    (
        "networking.k8s.io/v1:Ingress",
        "spec/rules/0/http/paths/0/pathType",
        "prefix",
        "spec.rules[0].http.paths[0].pathType: expected one of Exact",
    ),
    (
        "networking.k8s.io/v1:Ingress",
        "spec/rules/0/host",
        "a_b.c",
        "spec.rules[0].host: expected a DNS name",
    ),
    (
        "networking.k8s.io/v1:NetworkPolicy",
        "spec/egress/0/to/0/ipBlock/cidr",
        "10.0.0.0",
        "spec.egress[0].to[0].ipBlock.cidr: expected a network",
    ),
    (
        "networking.k8s.io/v1:NetworkPolicy",
        "spec/egress/0/to/0/podSelector",
        {},
        "spec.egress[0].to[0]: ipBlock stands alone",
    ),
    (
        "rbac.authorization.k8s.io/v1:RoleBinding",
        "metadata/name",
        "a/b",
        "metadata.name: expected a name",
    ),
    ("rbac.authorization.k8s.io/v1:RoleBinding", "roleRef/kind", "Rule", "roleRef.kind: expected"),
    (
        "rbac.authorization.k8s.io/v1:ClusterRoleBinding",
        "subjects/0/namespace",
        REMOVED,
        "subjects[0].namespace: missing required property",
    ),
    ("apps/v1:Deployment", "spec/replicas", -1, "spec.replicas: expected at least 0"),
    (
        "apps/v1:Deployment",
        "spec/strategy/rollingUpdate",
        {"maxSurge": "a quarter"},
        "spec.strategy.rollingUpdate.maxSurge: expected a number or a percentage",
    ),
    ("apps/v1:Deployment", "spec/template/spec", REMOVED, "spec.template.spec.containers: missing"),
    ("batch/v1:CronJob", "spec/timeZone", "Mars/Olympus", "spec.timeZone: expected a time zone"),
    ("batch/v1:CronJob", "spec/jobTemplate/spec", REMOVED, "spec.jobTemplate.spec.template: missing"),
    (
        "batch/v1:CronJob",
        "spec/jobTemplate/spec/podFailurePolicy",
        {"rules": [{"action": "Ignore"}]},
        "spec.jobTemplate.spec.podFailurePolicy.rules[0]: expected one of",
    ),
    ("core/v1:Service", "spec/clusterIP", "none", "spec.clusterIP: expected an IP address"),
    (
        "core/v1:Service",
        "spec/loadBalancerSourceRanges",
        ["10.0.0.0/8"],
        "spec.loadBalancerSourceRanges: goes with type LoadBalancer alone",
    ),
    ("core/v1:Service", "spec", REMOVED, "spec.ports: missing required property"),
    (
        "core/v1:LimitRange",
        "spec/limits/1",
        {"type": "Container"},
        "spec.limits[1].type: duplicate type 'Container'",
    ),
    (
        "autoscaling/v2:HorizontalPodAutoscaler",
        "spec/scaleTargetRef/apiVersion",
        REMOVED,
        "spec.scaleTargetRef.apiVersion: missing required property",
    ),
    (
        "autoscaling/v2:HorizontalPodAutoscaler",
        "spec/metrics",
        [{"type": "Resource"}],
        "spec.metrics[0].resource: missing required property",
    ),
    (
        "autoscaling/v2:HorizontalPodAutoscaler",
        "spec/behavior",
        {"scaleUp": {"policies": []}},
        "spec.behavior.scaleUp.policies: expected at least one policy",
    ),
    (
        "networking.k8s.io/v1:Ingress",
        "spec/rules/0/http/paths/0/backend/service/port",
        {},
        "spec.rules[0].http.paths[0].backend.service.port: expected name or number",
    ),
    (
        "networking.k8s.io/v1:NetworkPolicy",
        "spec/policyTypes",
        ["Egress", "Egress", "Ingress"],
        "spec.policyTypes: expected at most two",
    ),
    (
        "rbac.authorization.k8s.io/v1:Role",
        "rules/0/apiGroups",
        [],
        "rules[0].apiGroups: missing required property",
    ),
    (
        "rbac.authorization.k8s.io/v1:RoleBinding",
        "roleRef/apiGroup",
        "rbac",
        "roleRef.apiGroup: expected rbac.authorization.k8s.io",
    ),
]
"""Of the good object of a kind: a path, what is put there, and how the refusal begins."""


@pytest.mark.parametrize(("kind", "path", "value", "expected"), BROKEN)
def test_a_broken_object_is_refused(
    cluster: Kubernetes, kind: str, path: str, value: Any, expected: str
) -> None:
    [found] = check(cluster, kind, changed(kind, path, value))
    assert found.startswith(expected)


def test_a_namesake_of_another_group_has_no_rules(cluster: Kubernetes) -> None:
    assert check(cluster, "serving.knative.dev/v1:Service", {"metadata": {"name": "web"}, "spec": {}}) == []
