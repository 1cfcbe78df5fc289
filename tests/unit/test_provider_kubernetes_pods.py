"""What the simulated API server refuses in a workload, one broken Deployment after the other."""

from typing import Any

import pytest

from simulator.providers.kubernetes import Kubernetes
from simulator.providers.quantities import quantity
from tests.unit import provider_objects
from tests.unit.provider_objects import CONTAINER, CONTAINERS, DEPLOYMENT, REMOVED, changed, check

PROBE = f"{CONTAINER}.livenessProbe"
POD = "spec/template/spec"
FIRST = f"{POD}/containers/0"


@pytest.fixture(scope="module")
def cluster() -> Kubernetes:
    return provider_objects.cluster()


BROKEN: list[tuple[str, Any, str]] = [
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
        {"name": "x", "secret": {}},
        "spec.template.spec.volumes[1].secret.secretName: missing required property",
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
    (
        f"{FIRST}/resources/limits/memory",
        "-1",
        f"{CONTAINER}.resources.limits.memory: expected a quantity",
    ),
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
    (
        f"{FIRST}/envFrom",
        [{"prefix": "A_"}],
        f"{CONTAINER}.envFrom[0]: expected exactly one of configMapRef and secretRef",
    ),
    (
        f"{FIRST}/envFrom",
        [{"configMapRef": {}}],
        f"{CONTAINER}.envFrom[0].configMapRef.name: missing required property",
    ),
    (f"{FIRST}/livenessProbe", {"exec": {}}, f"{PROBE}.exec.command: missing required property"),
    (
        f"{FIRST}/livenessProbe",
        {"tcpSocket": {"port": 1}, "periodSeconds": -1},
        f"{PROBE}.periodSeconds: expected at least 0",
    ),
    (
        f"{FIRST}/lifecycle",
        {"preStop": {"sleep": {"seconds": 31}}},
        f"{CONTAINER}.lifecycle.preStop.sleep.seconds: expected from 0 to 30, found 31",
    ),
    (
        f"{POD}/initContainers",
        [{"name": "first", "image": "a", "readinessProbe": {"tcpSocket": {"port": 1}}}],
        "spec.template.spec.initContainers[0].readinessProbe: expected restartPolicy Always",
    ),
    (
        f"{POD}/tolerations",
        [{"effect": "NoSchedule"}],
        "spec.template.spec.tolerations[0].operator: expected Exists",
    ),
    (
        f"{POD}/topologySpreadConstraints",
        [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "spec.template.spec.topologySpreadConstraints[0].maxSkew: expected at least 1",
    ),
    (
        f"{POD}/volumes/1",
        {"name": "x", "hostPath": {"path": "/", "type": "Folder"}},
        "spec.template.spec.volumes[1].hostPath.type: expected one of",
    ),
    (
        f"{POD}/volumes/0/emptyDir/sizeLimit",
        "1 GB",
        "spec.template.spec.volumes[0].emptyDir.sizeLimit: expected a quantity",
    ),
    (
        f"{POD}/volumes/1",
        {
            "name": "x",
            "projected": {
                "sources": [{"secret": {"name": name, "items": [{"key": "k", "path": "p"}]}} for name in "ab"]
            },
        },
        "spec.template.spec.volumes[1].projected.sources[1].secret.items[0].path: duplicate path 'p'",
    ),
    (
        f"{POD}/volumes/1",
        {"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
        "spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec.resources.requests.storage: missing",
    ),
    (
        f"{POD}/securityContext",
        {"fsGroup": -1},
        "spec.template.spec.securityContext.fsGroup: expected at least 0",
    ),
]
"""Of the good Deployment: a path, what is put there, and how the refusal begins."""


@pytest.mark.parametrize(("path", "value", "expected"), BROKEN)
def test_a_broken_deployment_is_refused(cluster: Kubernetes, path: str, value: Any, expected: str) -> None:
    [found] = check(cluster, DEPLOYMENT, changed(DEPLOYMENT, path, value))
    assert found.startswith(expected)


def test_one_fault_is_said_once(cluster: Kubernetes) -> None:
    """The SDK's types and the API's schema both refuse it; only the first says so."""
    assert check(cluster, DEPLOYMENT, changed(DEPLOYMENT, f"{FIRST}/imagePullPolcy", "Always")) == [
        f"{CONTAINER}.imagePullPolcy: unknown property; did you mean imagePullPolicy?"
    ]


@pytest.mark.parametrize(
    ("operator", "values", "accepted"),
    [
        ("In", ["web", "api"], True),
        ("In", ["api"], False),
        ("NotIn", ["api"], True),
        ("NotIn", ["web"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
def test_expressions_of_a_selector(
    cluster: Kubernetes, operator: str, values: list[str] | None, accepted: bool
) -> None:
    expression = {"key": "app", "operator": operator, **({"values": values} if values else {})}
    manifest = changed(DEPLOYMENT, "spec/selector", {"matchExpressions": [expression]})
    assert (check(cluster, DEPLOYMENT, manifest) == []) is accepted


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("500m", 0.5), ("1Ki", 1024), ("1k", 1000), ("1e3", 1000), (".5", 0.5), ("1E", 1e18)],
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1gb", "1.2.3", "1mi", "one"])
def test_no_quantities(text: str) -> None:
    assert quantity(text) is None
