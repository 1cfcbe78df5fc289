"""What the exporter that asks from outside promises, read off the objects that it makes."""

import json
from typing import Any

import pytest
import yaml

from components.base import Identity
from components.monitoring.blackbox import MODULES, Blackbox, BlackboxArgs
from components.network import INTERNET, endpoint
from components.pods import Resources
from tests.recorder import ROOT, Recording, record

IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
NAMESPACE = "fixia-monitoring"


def recorded(**changes: Any) -> Recording:
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "namespace": NAMESPACE,
        "image": "registry.example/blackbox-exporter:0.26.0",
        "resources": Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
    }
    return record(lambda: Blackbox("blackbox", BlackboxArgs(**{**given, **changes})) and None)


@pytest.fixture(scope="module")
def blackbox() -> Recording:
    return recorded()


def deployment(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:Deployment", "blackbox-deployment").inputs
    return found


def test_the_component_registers_what_it_annotates(blackbox: Recording) -> None:
    (component,) = blackbox.of_type(Blackbox.TYPE)
    assert component.outputs == {"service": "blackbox", "deployment": "blackbox"}
    assert Blackbox.TYPE == "fixia:monitoring:Blackbox"


def test_it_is_scraped_where_it_is_asked() -> None:
    made: list[Blackbox] = []
    arguments = BlackboxArgs(
        identity=IDENTITY,
        namespace=NAMESPACE,
        image="i:1",
        resources=Resources(cpu="1", memory="1Mi", memory_limit="1Mi"),
        port=7000,
    )
    record(lambda: made.append(Blackbox("blackbox", arguments)))
    (target,) = made[0].watch.targets
    assert target.endpoint == made[0].endpoint == made[0].metrics
    assert target.endpoint.port == 7000


def test_its_service_finds_it_by_the_name_that_prometheus_calls(blackbox: Recording) -> None:
    service = blackbox.one("kubernetes:core/v1:Service", "blackbox-service").inputs
    labels = deployment(blackbox)["spec"]["template"]["metadata"]["labels"]
    assert service["metadata"]["name"] == "blackbox"
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = deployment(blackbox)["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}


def test_it_reaches_the_internet_and_what_it_is_told_besides() -> None:
    entrance = endpoint(IDENTITY, "entrance", "fixia-ingress", 8443)
    blackbox = recorded(talks_to=[INTERNET, entrance])
    (egress,) = [
        each.inputs["spec"]["egress"]
        for each in blackbox.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if each.name == "blackbox-egress"
    ]
    assert [rule["ports"][0]["port"] for rule in egress] == [443, 8443]


def test_the_ways_to_ask_are_files_in_the_pod(blackbox: Recording) -> None:
    config = blackbox.one("kubernetes:core/v1:ConfigMap", "blackbox-config").inputs
    assert config["immutable"] is True
    assert config["data"] == {"blackbox.yml": MODULES.read_text()}
    (container,) = deployment(blackbox)["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "--config.file=/etc/blackbox/blackbox.yml"
    assert "/etc/blackbox" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_page_counts_only_by_https_with_a_certificate_that_is_trusted() -> None:
    modules = yaml.safe_load(MODULES.read_text())["modules"]
    assert set(modules) == {"http_2xx", "tcp", "dns"}
    http = modules["http_2xx"]["http"]
    assert http["fail_if_not_ssl"] is True
    assert http["follow_redirects"] is False
    assert "insecure_skip_verify" not in http["tls_config"]
    for module in modules.values():
        assert module[module["prober"]]["preferred_ip_protocol"] == "ip4"


def test_the_image_has_the_program_as_its_entrypoint(blackbox: Recording) -> None:
    (container,) = deployment(blackbox)["spec"]["template"]["spec"]["containers"]
    dockerfile = (ROOT / "images" / "blackbox-exporter" / "Dockerfile").read_text()
    assert json.loads(dockerfile.rpartition("ENTRYPOINT ")[2]) == ["prometheus-blackbox-exporter"]
    assert "command" not in container
