"""What Alertmanager promises, read off the objects that it makes."""

import json
import re
from typing import Any

import pytest

from components.base import Identity
from components.monitoring import alertmanager_alerts
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.routes import KINDS, Email, Receivers
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from components.watch import Alert, rules
from tests.recorder import ROOT, Recording, is_pulumi_secret, record
from tests.unit.test_routes import credential, receivers

NAMESPACE = "fixia-monitoring"


def args(**changes: Any) -> AlertmanagerArgs:
    identity = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
    given: dict[str, Any] = {
        "identity": identity,
        "namespace": NAMESPACE,
        "image": "registry.example/alertmanager:0.28.1",
        "resources": Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
        "receivers": receivers(*KINDS, switch=True),
        "authority": Authority("authority", AuthorityArgs(identity=identity)),
        "runbooks": "https://github.com/fixia/platform/blob/main/",
        "priority_class": "platform",
    }
    return AlertmanagerArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Alertmanager("alertmanager", args(**changes)) and None)


@pytest.fixture(scope="module")
def pair() -> Recording:
    return recorded()


@pytest.fixture(scope="module")
def single() -> Recording:
    return recorded(replicas=1, storage="2Gi", storage_class="fast")


def spec(recording: Recording) -> dict[str, Any]:
    found = recording.one("kubernetes:apps/v1:StatefulSet", "alertmanager-stateful-set").inputs["spec"]
    assert isinstance(found, dict)
    return found


def pod(recording: Recording) -> dict[str, Any]:
    found = spec(recording)["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container(recording: Recording) -> dict[str, Any]:
    (found,) = pod(recording)["containers"]
    assert isinstance(found, dict)
    return found


def volumes(recording: Recording) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod(recording)["volumes"]}


def policies(recording: Recording) -> dict[str, dict[str, Any]]:
    return {
        each.name: each.inputs["spec"]
        for each in recording.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    }


def test_the_component_registers_what_it_annotates(pair: Recording) -> None:
    (component,) = pair.of_type(Alertmanager.TYPE)
    assert Alertmanager.TYPE == "fixia:monitoring:Alertmanager"
    assert component.outputs == {
        "host": "alertmanager.fixia-monitoring.svc",
        "service": "alertmanager",
        "stateful_set": "alertmanager",
    }
    assert set(component.outputs) == set(Alertmanager.outputs())
    assert {child.name for child in pair.children(component.urn)} == {
        "alertmanager",  # the connections
        "alertmanager-access",
        "alertmanager-account",
        "alertmanager-amtool",
        "alertmanager-certificate",
        "alertmanager-config",
        "alertmanager-disruption-budget",
        "alertmanager-headless-service",
        "alertmanager-password",
        "alertmanager-receivers",
        "alertmanager-service",
        "alertmanager-stateful-set",
    }


@pytest.mark.parametrize("replicas", [0, 3])
def test_only_one_or_two_replicas_are_taken(replicas: int) -> None:
    with pytest.raises(ValueError, match=f"{replicas} replicas of alertmanager; valid: 1, or 2"):
        recorded(replicas=replicas)


def test_two_are_spread_replaced_one_by_one_and_never_drained_together(pair: Recording) -> None:
    assert spec(pair)["replicas"] == 2
    assert spec(pair)["updateStrategy"] == {"type": "RollingUpdate"}
    assert spec(pair)["minReadySeconds"] >= 30
    assert {each["topologyKey"] for each in pod(pair)["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    (budget,) = pair.of_type("kubernetes:policy/v1:PodDisruptionBudget")
    assert budget.inputs["spec"]["selector"]["matchLabels"] == spec(pair)["selector"]["matchLabels"]


def test_two_keep_what_they_know_in_their_pods(pair: Recording) -> None:
    assert volumes(pair)["data"]["emptyDir"] == {"sizeLimit": "1Gi"}
    assert pair.of_type("kubernetes:core/v1:PersistentVolumeClaim") == []
    assert "volumeClaimTemplates" not in spec(pair)


def test_one_has_a_volume_that_is_no_part_of_the_stateful_set(single: Recording) -> None:
    claim = single.one("kubernetes:core/v1:PersistentVolumeClaim", "alertmanager-data")
    assert claim.options["protect"] is True
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    assert claim.inputs["spec"]["storageClassName"] == "fast"
    assert volumes(single)["data"]["persistentVolumeClaim"]["claimName"] == "alertmanager-data-made-up"
    assert "volumeClaimTemplates" not in spec(single)
    assert single.of_type("kubernetes:policy/v1:PodDisruptionBudget") == []
    assert "topologySpreadConstraints" not in pod(single)


def test_the_volume_of_one_can_be_let_go() -> None:
    claim = recorded(replicas=1, protect=False).one(
        "kubernetes:core/v1:PersistentVolumeClaim", "alertmanager-data"
    )
    assert claim.options["protect"] is False


def test_two_find_each_other_by_names_that_lead_to_pods(pair: Recording) -> None:
    peers = [
        each.removeprefix("--cluster.peer=") for each in container(pair)["args"] if "cluster.peer" in each
    ]
    assert peers == [
        f"alertmanager-{number}.alertmanager-headless.fixia-monitoring.svc:9094" for number in (0, 1)
    ]
    headless = pair.one("kubernetes:core/v1:Service", "alertmanager-headless-service").inputs
    assert headless["metadata"]["name"] == spec(pair)["serviceName"] == "alertmanager-headless"
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert {port["port"] for port in headless["spec"]["ports"]} == {9093, 9094}
    assert "--cluster.tls-config=/etc/alertmanager/cluster-tls.yml" in container(pair)["args"]


def test_one_has_no_cluster_to_be_joined_by_anybody(single: Recording) -> None:
    assert [each for each in container(single)["args"] if "cluster" in each] == ["--cluster.listen-address="]
    assert {port["name"] for port in container(single)["ports"]} == {"https"}


def test_it_calls_the_internet_the_mail_server_and_its_twin(pair: Recording) -> None:
    assert set(policies(pair)) == {"alertmanager-egress", "alertmanager-to-alertmanager-cluster"}
    egress = policies(pair)["alertmanager-egress"]["egress"]
    assert [port["port"] for rule in egress for port in rule["ports"]] == [443, 587, 9094]
    for rule in egress[:2]:
        assert {peer["ipBlock"]["cidr"] for peer in rule["to"]} == {"0.0.0.0/0", "::/0"}
        assert all("10.0.0.0/8" in peer["ipBlock"]["except"] for peer in rule["to"] if "." in str(peer))
    inside = policies(pair)["alertmanager-to-alertmanager-cluster"]
    labels = spec(pair)["template"]["metadata"]["labels"]
    assert inside["podSelector"]["matchLabels"].items() <= labels.items()
    (rule,) = inside["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9094}]


def test_it_calls_no_more_than_its_receivers_need() -> None:
    mail = Email(
        to=["ops@example.org"],
        sender="a@example.org",
        password=credential(),
        smarthost="smtp.example.org:465",
    )
    by_mail = policies(recorded(replicas=1, receivers=Receivers(email=mail)))["alertmanager-egress"]
    assert [port["port"] for rule in by_mail["egress"] for port in rule["ports"]] == [465]
    by_slack = policies(recorded(replicas=1, receivers=receivers("slack")))["alertmanager-egress"]
    assert [port["port"] for rule in by_slack["egress"] for port in rule["ports"]] == [443]


def test_the_secrets_are_in_their_secrets_alone_and_secret_all_the_way(pair: Recording) -> None:
    for name in ("alertmanager-receivers", "alertmanager-access"):
        secret = pair.one("kubernetes:core/v1:Secret", name).inputs
        assert is_pulumi_secret(secret["stringData"])
        assert secret["immutable"] is True
        assert "name" not in secret["metadata"]
    password = "r" * 40
    holders = [each.name for each in pair.all.values() if password in json.dumps(each.inputs)]
    assert holders == ["alertmanager-access"]
    for config_map in pair.of_type("kubernetes:core/v1:ConfigMap"):
        assert config_map.inputs["immutable"] is True
        assert '"secret"' not in json.dumps(config_map.inputs["data"])


def test_the_configuration_names_only_files_that_are_mounted(pair: Recording) -> None:
    mounted: set[str] = set()
    for mount in container(pair)["volumeMounts"]:
        volume = volumes(pair).get(mount["name"], {})
        assert "subPath" not in mount  # it would never see a renewal
        assert mount.get("readOnly", False) is (mount["name"] not in ("tmp", "data"))
        for kind, source in (("ConfigMap", "configMap"), ("Secret", "secret")):
            if source in volume:
                named = volume[source].get("name") or volume[source]["secretName"]
                mounted |= {f"{mount['mountPath']}/{file}" for file in files(pair, kind, named)}
    mounted |= {f"/run/secrets/tls/{file}" for file in ("tls.crt", "tls.key", "ca.crt")}
    texts = [json.dumps(each.inputs["data"]) for each in pair.of_type("kubernetes:core/v1:ConfigMap")]
    texts += container(pair)["args"] + container(pair)["readinessProbe"]["exec"]["command"]
    named_files = set(re.findall(r"(?:/etc/alertmanager|/etc/amtool|/run/secrets)/[\w./-]+", " ".join(texts)))
    assert {each for each in named_files if not each.endswith("/")} <= mounted
    assert len(named_files) > 8


def files(recording: Recording, kind: str, name: str) -> set[str]:
    for each in recording.of_type(f"kubernetes:core/v1:{kind}"):
        if each.inputs["metadata"].get("name", f"{each.name}-made-up") == name:
            data = each.inputs.get("data") or each.inputs["stringData"]
            return set(data.get("value", data))
    return set()


def test_it_listens_for_who_knows_the_password_alone(pair: Recording) -> None:
    assert "--web.config.file=/run/secrets/access/web.yml" in container(pair)["args"]
    for kind in ("startup", "readiness", "liveness"):
        probe = container(pair)[f"{kind}Probe"]
        command = probe["exec"]["command"]
        assert command[0] == "amtool"
        assert "--alertmanager.url=https://localhost:9093" in command
        (within,) = (each for each in command if each.startswith("--timeout="))
        assert int(within.removeprefix("--timeout=").removesuffix("s")) < probe["timeoutSeconds"]


def test_the_certificate_is_for_every_name_that_callers_use_and_for_its_twin(pair: Recording) -> None:
    certificate = pair.one("kubernetes:cert-manager.io/v1:Certificate", "alertmanager-certificate").inputs[
        "spec"
    ]
    assert certificate["dnsNames"] == [
        "alertmanager",
        "alertmanager.fixia-monitoring",
        "alertmanager.fixia-monitoring.svc",
        "localhost",
    ]
    assert "client auth" in certificate["usages"]


def test_callers_and_scrapers_are_told_where_it_is() -> None:
    made: list[Alertmanager] = []
    record(lambda: made.append(Alertmanager("alertmanager", args())))
    (alertmanager,) = made
    assert (alertmanager.endpoint.name, alertmanager.endpoint.port) == ("alertmanager", 9093)
    assert alertmanager.endpoint.encrypted
    (target,) = alertmanager.watch.targets
    assert (target.job, target.tls, target.endpoint) == ("alertmanager", True, alertmanager.endpoint)


@pytest.mark.parametrize(("replicas", "more"), [(2, alertmanager_alerts.PAIR), (1, ())])
def test_two_are_watched_for_being_two(replicas: int, more: tuple[Alert, ...]) -> None:
    made: list[Alertmanager] = []
    record(lambda: made.append(Alertmanager("alertmanager", args(replicas=replicas))))
    assert list(made[0].watch.alerts) == [*alertmanager_alerts.ALERTS, *more]


@pytest.mark.parametrize(
    "alert", [*alertmanager_alerts.ALERTS, *alertmanager_alerts.PAIR], ids=lambda alert: alert.name
)
def test_an_alert_leads_to_a_runbook_that_names_it(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Symptom", "Check", "Act", "Verify"]
    assert rules("alertmanager", [alert])["groups"][0]["rules"][0]["labels"] == {"severity": alert.severity}
