"""What the exporter of the cluster's objects promises, read off the objects that it makes."""

import re
from typing import Any, get_args

import pytest

from components.base import Identity
from components.monitoring.kube_state_metrics import (
    ALERTS,
    LEFT_OUT,
    RESOURCES,
    KubeStateMetrics,
    KubeStateMetricsArgs,
)
from components.network import Addresses
from components.pods import Resources
from components.watch import Alert, Severity
from tests.recorder import ROOT, Recording, record

ARGS = KubeStateMetricsArgs(
    identity=Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core"),
    namespace="fixia-monitoring",
    image="registry.example/kube-state-metrics:2.20.0",
    resources=Resources(cpu="10m", memory="64Mi", memory_limit="128Mi"),
    api_server=Addresses(name="api-server", cidrs={"10.0.0.1/32": []}, port=6443),
)


@pytest.fixture(scope="module")
def exporter() -> Recording:
    return record(lambda: KubeStateMetrics("kube-state-metrics", ARGS) and None)


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(
        "kubernetes:apps/v1:Deployment", "kube-state-metrics-deployment"
    ).inputs["spec"]["template"]["spec"]
    return found


def container(recording: Recording) -> dict[str, Any]:
    (found,) = pod(recording)["containers"]
    assert isinstance(found, dict)
    return found


def flag(recording: Recording, name: str) -> str:
    (found,) = [word for word in container(recording)["args"] if word.startswith(f"--{name}=")]
    return str(found).partition("=")[2]


def test_the_component_registers_what_it_annotates(exporter: Recording) -> None:
    (component,) = exporter.of_type(KubeStateMetrics.TYPE)
    assert component.outputs == {"deployment": "kube-state-metrics"}
    assert KubeStateMetrics.TYPE == "fixia:monitoring:KubeStateMetrics"


def test_it_may_list_what_it_is_told_to_watch_and_nothing_else(exporter: Recording) -> None:
    role = exporter.one(
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "kube-state-metrics-cluster-role"
    ).inputs
    granted = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert granted == set(flag(exporter, "resources").split(","))
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    assert not granted & {"secrets", "configmaps", "serviceaccounts"}
    assert {rule["apiGroups"][0]: tuple(rule["resources"]) for rule in role["rules"]} == RESOURCES
    (binding,) = exporter.of_type("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding")
    assert binding.inputs["roleRef"]["name"] == "kube-state-metrics-cluster-role-made-up"
    assert [subject["name"] for subject in binding.inputs["subjects"]] == [
        "kube-state-metrics-account-made-up"
    ]


def test_it_holds_a_token_that_expires(exporter: Recording) -> None:
    assert pod(exporter)["automountServiceAccountToken"] is False
    (token,) = [volume for volume in pod(exporter)["volumes"] if volume["name"] == "token"]
    source = token["projected"]["sources"][0]["serviceAccountToken"]
    assert source["expirationSeconds"] == 3600


def test_it_reaches_the_api_server_alone(exporter: Recording) -> None:
    (policy,) = exporter.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    (rule,) = policy.inputs["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6443}]


def test_no_outage_of_the_api_server_restarts_it(exporter: Recording) -> None:
    liveness, readiness = (
        container(exporter)[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")
    )
    assert (liveness["path"], liveness["port"]) == ("/healthz", "metrics")
    assert (readiness["path"], readiness["port"]) == ("/readyz", "telemetry")


def test_what_it_tells_of_others_keeps_its_labels() -> None:
    made: list[KubeStateMetrics] = []
    record(lambda: made.append(KubeStateMetrics("kube-state-metrics", ARGS)))
    told, itself = made[0].watch.targets
    assert (told.job, told.endpoint.port, told.honor_labels) == ("kube-state-metrics", 8080, True)
    assert (itself.job, itself.endpoint.port, itself.honor_labels) == (
        "kube-state-metrics-telemetry",
        8081,
        False,
    )
    assert told.endpoint.name != itself.endpoint.name


def test_nothing_that_an_alert_asks_for_is_left_out(exporter: Recording) -> None:
    patterns = [re.compile(pattern) for pattern in flag(exporter, "metric-denylist").split(",")]
    asked = {
        name
        for path in (ROOT / "components").rglob("*.py")
        if path.name != "kube_state_metrics.py"
        for name in re.findall(r"\bkube_[a-z]+_\w+", path.read_text(encoding="utf-8"))
    }
    assert len(asked) > 10
    assert [name for name in asked if any(pattern.search(name) for pattern in patterns)] == []
    assert [name for name in LEFT_OUT if not any(pattern.search(name) for pattern in patterns)] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_leads_to_a_runbook_that_names_it(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Symptom", "Check", "Act", "Verify"]
    assert alert.severity in get_args(Severity)
