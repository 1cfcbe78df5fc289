"""What the simulated API server refuses, one broken object after the other."""

import copy
from typing import Any

import pytest

from simulator.providers.core import Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.naming import Naming
from simulator.providers.quantities import quantity
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN

CONTAINER = "spec.template.spec.containers[0]"
CONTAINERS = "spec.template.spec.containers"
LABELS = {"app": "web"}
OBJECTS: dict[str, dict[str, Any]] = {
    "apps/v1:Deployment": {
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
        "spec": {
            "selector": {"matchLabels": dict(LABELS)},
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "env": [{"name": "A", "value": "b"}],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "resources": {
                                "requests": {"cpu": "100m"},
                                "limits": {"cpu": "1", "memory": "1Gi"},
                            },
                            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    },
    "apps/v1:StatefulSet": {
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": dict(LABELS)},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {
                    "containers": [
                        {"name": "db", "image": "db:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
                    ]
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        },
    },
    "batch/v1:CronJob": {
        "metadata": {"name": "backup"},
        "spec": {
            "schedule": "*/15 2-4 1,15 jan-mar mon",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b:1"}]}
                    }
                }
            },
        },
    },
    "core/v1:ConfigMap": {"metadata": {"name": "settings"}, "data": {"a.b-c_d": "text"}},
    "core/v1:Secret": {"metadata": {"name": "secret"}, "data": {"key": "dGV4dA=="}},
    "core/v1:Service": {
        "metadata": {"name": "web"},
        "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    },
    "core/v1:PersistentVolumeClaim": {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    },
    "core/v1:Namespace": {"metadata": {"name": "shop"}},
    "core/v1:ResourceQuota": {"metadata": {"name": "quota"}, "spec": {"hard": {"requests.cpu": "4"}}},
    "core/v1:LimitRange": {
        "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "10m"}, "max": {"cpu": "2"}}]},
    },
    "autoscaling/v2:HorizontalPodAutoscaler": {
        "metadata": {"name": "web"},
        "spec": {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
    },
    "policy/v1:PodDisruptionBudget": {
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(LABELS)}},
    },
    "networking.k8s.io/v1:Ingress": {
        "metadata": {"name": "web"},
        "spec": {
            "rules": [
                {
                    "host": "*.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    },
    "networking.k8s.io/v1:NetworkPolicy": {
        "metadata": {"name": "web"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}],
        },
    },
    "rbac.authorization.k8s.io/v1:RoleBinding": {
        "metadata": {"name": "system:reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    },
}
DEPLOYMENT = "apps/v1:Deployment"
REMOVED = object()


@pytest.fixture(scope="module")
def cluster() -> Kubernetes:
    provider = Kubernetes(Store())
    provider.configure({})
    return provider


def check(cluster: Kubernetes, kind: str, manifest: dict[str, Any]) -> list[str]:
    resource = Resource("urn", f"kubernetes:{kind}", "name")
    return [str(failure) for failure in cluster.check(resource, {}, manifest, Naming(seed=b"x")).failures]


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The good object of a kind with one value set, or removed, at a path such as `spec.ports.0.name`."""
    manifest = copy.deepcopy(OBJECTS[kind])
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    target: Any = manifest
    for step in steps:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    if value is REMOVED:
        del target[last]
    elif isinstance(last, int) and last == len(target):
        target.append(value)
    else:
        target[last] = value
    return manifest


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


PROBE = f"{CONTAINER}.livenessProbe"
POD = "spec/template/spec"
FIRST = f"{POD}/containers/0"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata/name", "Web", "metadata.name: expected a DNS name"),
        ("metadata/labels/a b", "c", 'metadata.labels["a b"]: expected a label\'s key'),
        ("metadata/labels/a", "-c-", "metadata.labels.a: expected a label's value"),
        ("metadata/labels/a", "c" * 64, "metadata.labels.a: expected a label's value"),
        ("metadata/annotations", {"a b": "c"}, 'metadata.annotations["a b"]: expected an annotation\'s key'),
        ("spec/selector/matchLabels/app", "api", "spec.selector: does not match the labels"),
        ("spec/selector", {}, "spec.selector: an empty selector"),
        ("spec/strategy/type", "Rolling", "spec.strategy.type: expected one of Recreate, RollingUpdate"),
        (
            f"{POD}/restartPolicy",
            "Never",
            "spec.template.spec.restartPolicy: expected Always in a Deployment",
        ),
        (f"{POD}/containers", [], "spec.template.spec.containers: expected at least one container"),
        (
            f"{POD}/volumes/1",
            {"name": "x"},
            "spec.template.spec.volumes[1]: expected exactly one volume source",
        ),
        (
            f"{POD}/volumes/0/secret",
            {"secretName": "a"},
            "spec.template.spec.volumes[0]: expected exactly one volume source, found emptyDir, secret",
        ),
        (
            f"{POD}/volumes/1",
            {"name": "tmp", "emptyDir": {}},
            "spec.template.spec.volumes[1].name: duplicate volume name 'tmp'",
        ),
        (f"{POD}/volumes", [], f"{CONTAINER}.volumeMounts[0].name: no volume is named 'tmp'; declared: none"),
        (f"{FIRST}/name", "Web_1", f"{CONTAINER}.name: expected a DNS label"),
        (f"{FIRST}/image", REMOVED, f"{CONTAINER}.image: missing required property"),
        (f"{FIRST}/imagePullPolicy", "always", f"{CONTAINER}.imagePullPolicy: expected one of Always"),
        (
            f"{POD}/containers/1",
            {"name": "web", "image": "a"},
            f"{CONTAINERS}[1].name: duplicate container name",
        ),
        (
            f"{POD}/initContainers",
            [{"name": "web", "image": "a"}],
            "spec.template.spec.initContainers[0].name: duplicate container name",
        ),
        (
            f"{FIRST}/ports/0/containerPort",
            70000,
            f"{CONTAINER}.ports[0].containerPort: expected a port from 1",
        ),
        (
            f"{FIRST}/ports/0/name",
            "a-name-that-is-long",
            f"{CONTAINER}.ports[0].name: expected a port's name",
        ),
        (f"{FIRST}/ports/1", {"containerPort": 8080}, f"{CONTAINER}.ports[1]: duplicate port '8080/TCP'"),
        (
            f"{FIRST}/ports/1",
            {"containerPort": 8081, "name": "http"},
            f"{CONTAINER}.ports[1].name: duplicate port name 'http'",
        ),
        (f"{FIRST}/env/1", {"name": "A"}, f"{CONTAINER}.env[1].name: duplicate environment variable 'A'"),
        (
            f"{FIRST}/env/0/valueFrom",
            {"fieldRef": {"fieldPath": "a"}},
            f"{CONTAINER}.env[0]: expected value or valueFrom, found both",
        ),
        (
            f"{FIRST}/volumeMounts/0/name",
            "tpm",
            f"{CONTAINER}.volumeMounts[0].name: no volume is named 'tpm'",
        ),
        (
            f"{FIRST}/volumeMounts/1",
            {"name": "tmp", "mountPath": "/tmp"},
            f"{CONTAINER}.volumeMounts[1].mountPath: duplicate mount path '/tmp'",
        ),
        (
            f"{FIRST}/resources/requests/cpu",
            "2",
            f"{CONTAINER}.resources.requests.cpu: request 2 is above limit 1",
        ),
        (f"{FIRST}/resources/limits/cpu", "1 core", f"{CONTAINER}.resources.limits.cpu: expected a quantity"),
        (f"{FIRST}/resources/limits/memory", "-1", f"{CONTAINER}.resources.limits.memory: expected a quantity"),
        (f"{FIRST}/resources/limits/cores", "1", f"{CONTAINER}.resources.limits.cores: expected cpu, memory"),
        (f"{FIRST}/livenessProbe", {"periodSeconds": 5}, f"{PROBE}: expected exactly one of exec"),
        (
            f"{FIRST}/livenessProbe",
            {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}},
            f"{PROBE}: expected exactly one of exec, grpc, httpGet, tcpSocket, found exec, tcpSocket",
        ),
        (
            f"{FIRST}/livenessProbe",
            {"tcpSocket": {"port": 1}, "successThreshold": 2},
            f"{PROBE}.successThreshold: expected 1",
        ),
        (
            f"{FIRST}/livenessProbe",
            {"tcpSocket": {"port": 0}},
            f"{PROBE}.tcpSocket.port: expected a port from 1",
        ),
        (
            f"{FIRST}/securityContext",
            {"privileged": True, "allowPrivilegeEscalation": False},
            f"{CONTAINER}.securityContext.allowPrivilegeEscalation: a privileged container needs it",
        ),
    ],
)
def test_a_broken_deployment_is_refused(cluster: Kubernetes, path: str, value: Any, expected: str) -> None:
    [found] = check(cluster, DEPLOYMENT, changed(DEPLOYMENT, path, value))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("kind", "path", "value", "expected"),
    [
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
            "10.0.0.1/8",
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
            "rbac.authorization.k8s.io/v1:RoleBinding",
            "subjects/0/namespace",
            REMOVED,
            "subjects[0].namespace: missing required property",
        ),
    ],
)
def test_a_broken_object_is_refused(
    cluster: Kubernetes, kind: str, path: str, value: Any, expected: str
) -> None:
    [found] = check(cluster, kind, changed(kind, path, value))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("500m", 0.5), ("1Ki", 1024), ("1k", 1000), ("1e3", 1000), (".5", 0.5), ("1E", 1e18)],
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1gb", "1.2.3", "1mi", "one"])
def test_no_quantities(text: str) -> None:
    assert quantity(text) is None


def test_one_fault_is_said_once(cluster: Kubernetes) -> None:
    """The SDK's types and the API's schema both refuse it; only the first says so."""
    assert check(cluster, DEPLOYMENT, changed(DEPLOYMENT, f"{FIRST}/imagePullPolcy", "Always")) == [
        f"{CONTAINER}.imagePullPolcy: unknown property; did you mean imagePullPolicy?"
    ]


def test_a_namesake_of_another_group_has_no_rules(cluster: Kubernetes) -> None:
    assert check(cluster, "serving.knative.dev/v1:Service", {"metadata": {"name": "web"}, "spec": {}}) == []
