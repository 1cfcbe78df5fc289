"""What the exporter of the machines promises, read off the objects that it makes."""

import json
from typing import Any

import pytest

from components.base import Identity
from components.monitoring.node_exporter import COLLECTORS, NodeExporter, NodeExporterArgs
from components.pods import Resources
from tests.recorder import ROOT, Recording, record

ARGS = NodeExporterArgs(
    identity=Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core"),
    namespace="fixia-monitoring",
    image="registry.example/node-exporter:1.9.0",
    facts="deployed",
    resources=Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
    priority_class="critical",
)


@pytest.fixture(scope="module")
def exporter() -> Recording:
    return record(lambda: NodeExporter("node-exporter", ARGS) and None)


def spec(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:DaemonSet", "node-exporter-daemon-set").inputs[
        "spec"
    ]
    return found


def container(recording: Recording) -> dict[str, Any]:
    (found,) = spec(recording)["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_component_registers_what_it_annotates(exporter: Recording) -> None:
    (component,) = exporter.of_type(NodeExporter.TYPE)
    assert component.outputs == {"daemon_set": "node-exporter"}
    assert NodeExporter.TYPE == "fixia:monitoring:NodeExporter"


def test_it_has_no_door_into_the_machine(exporter: Recording) -> None:
    pod = spec(exporter)["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "facts"]
    assert container(exporter)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(exporter)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert [mount["mountPath"] for mount in container(exporter)["volumeMounts"]] == ["/tmp", "/run/facts"]


def test_it_is_on_every_node(exporter: Recording) -> None:
    pod = spec(exporter)["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "critical"
    assert not {"nodeSelector", "affinity"} & set(pod)


def test_it_calls_nobody_and_holds_no_token(exporter: Recording) -> None:
    assert exporter.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy") == []
    assert spec(exporter)["template"]["spec"]["automountServiceAccountToken"] is False


def test_it_tells_nothing_that_would_be_the_pods_own(exporter: Recording) -> None:
    flags = container(exporter)["args"]
    assert "--collector.disable-defaults" in flags
    told = {flag.removeprefix("--collector.") for flag in flags if flag.startswith("--collector.")}
    assert told == {"disable-defaults", *COLLECTORS, "textfile.directory=/run/facts"}
    assert not told & {"filesystem", "netdev", "netstat", "sockstat", "netclass", "systemd"}


def test_it_is_scraped_as_what_it_is() -> None:
    made: list[NodeExporter] = []
    record(lambda: made.append(NodeExporter("node-exporter", ARGS)))
    (target,) = made[0].watch.targets
    assert (target.job, target.endpoint.port, target.honor_labels) == ("node-exporter", 9100, False)


def test_the_image_has_the_program_as_its_entrypoint(exporter: Recording) -> None:
    dockerfile = (ROOT / "images" / "node-exporter" / "Dockerfile").read_text()
    assert json.loads(dockerfile.rpartition("ENTRYPOINT ")[2]) == ["prometheus-node-exporter"]
    assert "command" not in container(exporter)
