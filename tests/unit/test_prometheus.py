"""What a Prometheus promises, read off the objects that it makes."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pulumi
import pytest
import yaml

from components.base import Identity
from components.monitoring import prometheus_config, self_alerts
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.prometheus_config import Probe
from components.network import Addresses, Endpoint, endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from components.watch import Alert, Severity, Target, Watch
from tests.recorder import ROOT, Recording, is_pulumi_secret, record

IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
NAMESPACE = "fixia-monitoring"
ALERT = Alert(name="Down", expression="up == 0", minutes=1, severity="P1", summary="s", runbook="r")


def pods(name: str, port: int, namespace: pulumi.Input[str]) -> Endpoint:
    return endpoint(IDENTITY, name, namespace, port)


def args(**changes: Any) -> PrometheusArgs:
    data = pulumi.Output.from_input("fixia-data")  # one object, as a Namespace's output is
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "namespace": NAMESPACE,
        "image": "registry.example/prometheus:3.5.0",
        "resources": Resources(cpu="100m", memory="512Mi", memory_limit="1Gi"),
        "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
        "watches": [
            Watch(name="cache", targets=[Target(job="cache", endpoint=pods("cache", 9121, data))]),
            Watch(
                name="database", targets=[Target(job="db", endpoint=pods("db", 9187, data))], alerts=[ALERT]
            ),
            Watch(
                name="alertmanager",
                targets=[Target(job="am", endpoint=pods("alertmanager", 9093, NAMESPACE), tls=True)],
            ),
        ],
        "api_server": Addresses(name="api-server", cidrs={"10.0.0.1/32": []}, port=6443),
        "nodes": Addresses(name="nodes", cidrs={"10.0.0.0/16": []}, port=10250),
        "external_labels": {"product": "fixia", "environment": "test"},
        "alertmanagers": pods("alertmanager", 9093, NAMESPACE),
        "alertmanager_password": pulumi.Output.secret("theirs"),
        "blackbox": pods("blackbox", 9115, NAMESPACE),
        "probes": [Probe(name="api", url="https://api.example.org")],
        "priority_class": "data",
    }
    return PrometheusArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Prometheus("prometheus", args(**changes)) and None)


@pytest.fixture(scope="module")
def prometheus() -> Recording:
    return recorded()


def spec(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:StatefulSet", "prometheus-stateful-set").inputs[
        "spec"
    ]
    return found


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = spec(recording)["template"]["spec"]
    return found


def container(recording: Recording) -> dict[str, Any]:
    (found,) = pod(recording)["containers"]
    assert isinstance(found, dict)
    return found


def files(recording: Recording, role: str) -> dict[str, str]:
    found: dict[str, str] = recording.one("kubernetes:core/v1:ConfigMap", f"prometheus-{role}").inputs["data"]
    return found


def test_the_component_registers_what_it_annotates(prometheus: Recording) -> None:
    (component,) = prometheus.of_type(Prometheus.TYPE)
    assert Prometheus.TYPE == "fixia:monitoring:Prometheus"
    assert component.outputs == {
        "claim": "prometheus-data-made-up",
        "host": "prometheus.fixia-monitoring.svc",
        "service": "prometheus",
        "stateful_set": "prometheus",
    }
    assert set(component.outputs) == set(Prometheus.outputs())


@pytest.mark.parametrize("protect", [True, False])
def test_the_volume_is_no_part_of_the_stateful_set_and_protected(protect: bool) -> None:
    prometheus = recorded(protect=protect, storage="20Gi", storage_class="fast")
    claim = prometheus.one("kubernetes:core/v1:PersistentVolumeClaim", "prometheus-data")
    assert claim.options["protect"] is protect
    assert claim.inputs["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    assert "volumeClaimTemplates" not in spec(prometheus)
    volumes = {volume["name"]: volume for volume in pod(prometheus)["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "prometheus-data-made-up"
    others = [each for each in prometheus.all.values() if each is not claim and each.options["protect"]]
    assert others == []


def test_there_is_one_pod_which_a_broken_release_never_blocks(prometheus: Recording) -> None:
    assert spec(prometheus)["replicas"] == 1
    assert spec(prometheus)["podManagementPolicy"] == "Parallel"
    assert prometheus.of_type("kubernetes:policy/v1:PodDisruptionBudget") == []
    assert pod(prometheus)["priorityClassName"] == "data"
    assert pod(prometheus)["automountServiceAccountToken"] is False


def test_both_limits_of_the_past_are_set() -> None:
    prometheus = recorded(retention_days=60, retention_size="30GB")
    flags = container(prometheus)["args"]
    assert "--storage.tsdb.retention.time=60d" in flags
    assert "--storage.tsdb.retention.size=30GB" in flags
    (short,) = [alert for alert in alerts(prometheus) if alert["alert"] == "PrometheusRetentionShort"]
    assert f"< {60 * 86400} " in short["expr"]
    assert "60 days" in short["annotations"]["summary"]


def alerts(recording: Recording) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(files(recording, "rules")["prometheus.yaml"])["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_nobody_can_reload_stop_or_delete_by_http(prometheus: Recording) -> None:
    flags = " ".join(container(prometheus)["args"])
    for door in ("enable-lifecycle", "enable-admin-api", "enable-remote-write-receiver"):
        assert door not in flags
    assert "--web.config.file=/run/secrets/prometheus/web.yml" in flags


def test_a_changed_configuration_rolls_the_pod(prometheus: Recording) -> None:
    for role in ("config", "rules"):
        config_map = prometheus.one("kubernetes:core/v1:ConfigMap", f"prometheus-{role}").inputs
        assert config_map["immutable"] is True
        assert "name" not in config_map["metadata"]
    secret = prometheus.one("kubernetes:core/v1:Secret", "prometheus-secrets").inputs
    assert secret["immutable"] is True


def test_passwords_are_in_the_secret_alone_and_secret_all_the_way(prometheus: Recording) -> None:
    secret = prometheus.one("kubernetes:core/v1:Secret", "prometheus-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    assert set(secret["stringData"]["value"]) == {"web.yml", "password", "alertmanager-password"}
    for password in ("r" * 40, "theirs"):
        holders = [each.name for each in prometheus.all.values() if password in json.dumps(each.inputs)]
        assert holders == ["prometheus-secrets"]


def test_the_configuration_names_only_files_that_are_mounted(prometheus: Recording) -> None:
    secret = prometheus.one("kubernetes:core/v1:Secret", "prometheus-secrets").inputs["stringData"]["value"]
    there = {f"/run/secrets/prometheus/{name}" for name in secret}
    there |= {f"/run/secrets/tls/{name}" for name in ("tls.crt", "tls.key", "ca.crt")}
    there |= {f"/var/run/secrets/kubernetes.io/serviceaccount/{name}" for name in ("token", "ca.crt")}
    there |= {f"/etc/prometheus/{name}" for name in files(prometheus, "config")}
    there |= {"/etc/prometheus-rules/*.yaml"}
    told = [*files(prometheus, "config").values(), *container(prometheus)["args"]]
    for probe in ("startup", "readiness", "liveness"):
        told += container(prometheus)[f"{probe}Probe"]["exec"]["command"]
    named = {
        word
        for text in told
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        for word in re.findall(r"(?:^|[\s=\[\"])(/(?:run|etc|var)/[^\s,\"}\]]+)", line)
    }
    assert named - there == set()
    mounts = {mount["mountPath"]: mount for mount in container(prometheus)["volumeMounts"]}
    for path, mount in mounts.items():
        assert mount.get("readOnly", False) is (path not in ("/tmp", "/data"))
        assert "subPath" not in mount
    folders = {str(Path(path).parent) for path in named}
    assert folders <= set(mounts)


def test_what_is_watched_is_asked_and_judged_with_itself(prometheus: Recording) -> None:
    assert set(files(prometheus, "config")) == {
        "prometheus.yml",
        "client.yml",
        "scrape-alertmanager.yaml",
        "scrape-cache.yaml",
        "scrape-database.yaml",
        "scrape-probes.yaml",
        "scrape-prometheus.yaml",
    }
    assert set(files(prometheus, "rules")) == {"database.yaml", "prometheus.yaml"}
    assert (
        "namespaces:\n      names:\n      - fixia-data\n" in files(prometheus, "config")["scrape-cache.yaml"]
    )
    itself = yaml.safe_load(files(prometheus, "config")["scrape-prometheus.yaml"])["scrape_configs"][0]
    assert itself["basic_auth"]["password_file"] == "/run/secrets/prometheus/password"
    other = yaml.safe_load(files(prometheus, "config")["scrape-alertmanager.yaml"])["scrape_configs"][0]
    assert other["basic_auth"]["password_file"] == "/run/secrets/prometheus/alertmanager-password"


def test_it_may_list_pods_where_targets_are_and_nowhere_else(prometheus: Recording) -> None:
    roles = {
        (each.inputs["metadata"]["namespace"], json.dumps(each.inputs["rules"], sort_keys=True))
        for each in prometheus.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")
    }
    in_pods = json.dumps(
        [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}], sort_keys=True
    )
    assert {place for place, rules in roles if rules == in_pods} == {"fixia-data", NAMESPACE}
    (default,) = [json.loads(rules) for place, rules in roles if place == "default"]
    assert {resource for rule in default for resource in rule["resources"]} == {
        "endpointslices",
        "pods",
        "services",
    }
    assert len(prometheus.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")) == 3


def test_it_writes_nothing_and_reads_no_secret(prometheus: Recording) -> None:
    kinds = [f"kubernetes:rbac.authorization.k8s.io/v1:{kind}" for kind in ("Role", "ClusterRole")]
    rules = [rule for kind in kinds for each in prometheus.of_type(kind) for rule in each.inputs["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    granted = {resource for rule in rules for resource in rule.get("resources", [])}
    assert granted == {"nodes", "nodes/metrics", "pods", "services", "endpointslices"}


def test_every_role_is_bound_to_its_own_account_alone(prometheus: Recording) -> None:
    for kind in ("Role", "ClusterRole"):
        kinds = f"kubernetes:rbac.authorization.k8s.io/v1:{kind}"
        bindings = [each.inputs for each in prometheus.of_type(f"{kinds}Binding")]
        assert len(bindings) == len(prometheus.of_type(kinds))
        for binding in bindings:
            assert binding["roleRef"]["kind"] == kind
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": "prometheus-account-made-up", "namespace": NAMESPACE}
            ]


def test_the_network_lets_it_reach_what_it_watches(prometheus: Recording) -> None:
    policies = {
        each.name: each.inputs["spec"]
        for each in prometheus.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    }
    ports = [rule["ports"][0]["port"] for rule in policies["prometheus-egress"]["egress"]]
    assert sorted(ports) == sorted([9121, 9187, 9093, 9090, 9115, 6443, 10250])
    assert set(policies) == {
        "prometheus-egress",
        *(f"prometheus-to-{name}" for name in ("alertmanager", "blackbox", "cache", "db", "prometheus")),
    }


def test_two_ports_of_one_name_are_both_reached() -> None:
    both = [
        Target(job="a", endpoint=pods("app", 9000, "fixia-app")),
        Target(job="b", endpoint=pods("app", 9001, "fixia-app")),
    ]
    with pytest.raises(ValueError, match="a/app"):
        prometheus_config.scrape_files([Watch(name="w", targets=[both[0], both[0]])], {})
    prometheus = recorded(watches=[Watch(name="w", targets=both)])
    names = {each.name for each in prometheus.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")}
    assert {"prometheus-to-app", "prometheus-to-app-9001"} <= names


def test_the_probes_ask_by_the_name_that_the_certificate_is_for(prometheus: Recording) -> None:
    (certificate,) = [
        each.inputs["spec"]
        for each in prometheus.of_type("kubernetes:cert-manager.io/v1:Certificate")
        if each.name == "prometheus-certificate"
    ]
    assert certificate["dnsNames"] == [
        "prometheus",
        "prometheus.fixia-monitoring",
        "prometheus.fixia-monitoring.svc",
        "localhost",
    ]
    asked = {
        kind: container(prometheus)[f"{kind}Probe"]["exec"]["command"][2]
        for kind in ("startup", "readiness", "liveness")
    }
    assert asked == {"startup": "healthy", "readiness": "ready", "liveness": "healthy"}


def test_ports_are_changed_in_every_place_at_once() -> None:
    prometheus = recorded(port=7000, watches=[], probes=[])
    assert "9090" not in json.dumps([resource.inputs for resource in prometheus.all.values()])


@pytest.mark.parametrize(
    "changes",
    [{"alertmanager_password": None}, {"alertmanagers": None}, {"blackbox": None}],
    ids=lambda changes: "-".join(changes),
)
def test_half_of_what_belongs_together_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"go together|need a blackbox"):
        recorded(**changes)


OWN = [*self_alerts.ALERTS, *self_alerts.storage(30, "prometheus-data.*")]


@pytest.mark.parametrize("alert", OWN, ids=lambda alert: alert.name)
def test_an_alert_leads_to_a_runbook_that_names_it(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Symptom", "Check", "Act", "Verify"]
    assert alert.severity in get_args(Severity)
    assert alert.minutes > 0


def test_the_image_runs_what_the_pod_runs(prometheus: Recording) -> None:
    dockerfile = (ROOT / "images" / "prometheus" / "Dockerfile").read_text()
    assert json.loads(dockerfile.rpartition("ENTRYPOINT ")[2]) == container(prometheus)["command"]
