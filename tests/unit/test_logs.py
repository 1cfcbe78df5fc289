"""What Loki and the collector promise, read off the objects that they make."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.base import Identity
from components.monitoring import collector
from components.monitoring.collector import Collector, CollectorArgs
from components.monitoring.logs import PORT, STATUS_PORT, Logs, LogsArgs, loki_yaml
from components.monitoring.store import go_memory
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from settings.load import SettingsError, parse
from tests.recorder import ROOT, Recording, record, stack_config

IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
RESOURCES = Resources(cpu="10m", memory="128Mi", memory_limit="256Mi")


def made(*, traces: bool = False) -> None:
    authority = Authority("authority", AuthorityArgs(identity=IDENTITY))
    logs = Logs(
        "logs",
        LogsArgs(
            identity=IDENTITY,
            namespace="fixia-monitoring",
            image="registry.example/loki:3.7.6",
            resources=RESOURCES,
            authority=authority,
            retention_days=12,
            storage="3Gi",
        ),
    )
    kept = endpoint(IDENTITY, "traces", "fixia-monitoring", 4318)
    Collector(
        "collector",
        CollectorArgs(
            identity=IDENTITY,
            namespace="fixia-collector",
            image="registry.example/otelcol:0.157.0",
            resources=RESOURCES,
            authority=authority,
            logs=logs.endpoint,
            traces=kept if traces else None,
        ),
    )


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(made)


@pytest.fixture(scope="module")
def tracing() -> Recording:
    return record(lambda: made(traces=True))


def pod(recording: Recording, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(f"kubernetes:apps/v1:{kind}", name).inputs["spec"]["template"][
        "spec"
    ]
    return found


def test_the_components_register_what_they_annotate(recording: Recording) -> None:
    (logs,) = recording.of_type("fixia:monitoring:Logs")
    assert logs.outputs == {
        "service": "logs",
        "host": "logs.fixia-monitoring.svc",
        "stateful_set": "logs",
        "claim": "logs-data-made-up",
    }
    (read,) = recording.of_type("fixia:monitoring:Collector")
    assert read.outputs == {"daemon_set": "collector"}


def test_lokis_volume_outlives_it_and_can_grow(recording: Recording) -> None:
    claim = recording.one("kubernetes:core/v1:PersistentVolumeClaim", "logs-data")
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "3Gi"}
    spec = recording.one("kubernetes:apps/v1:StatefulSet", "logs-stateful-set").inputs["spec"]
    assert "volumeClaimTemplates" not in spec
    assert spec["replicas"] == 1


def test_loki_keeps_as_many_days_as_it_is_told() -> None:
    told = yaml.safe_load(loki_yaml(12))
    limits = told["limits_config"]
    assert limits["retention_period"] == limits["max_query_lookback"] == "288h"
    assert told["compactor"]["retention_enabled"] is True
    # What asks for everything must not be refused.
    assert limits["max_query_length"] == "289h"


def test_what_loki_is_asked_for_is_bounded() -> None:
    limits = yaml.safe_load(loki_yaml(30))["limits_config"]
    for limit in ("max_query_bytes_read", "max_entries_limit_per_query", "max_query_series", "query_timeout"):
        assert limits[limit], limit


def test_loki_answers_only_who_shows_a_certificate() -> None:
    server = yaml.safe_load(loki_yaml(30))["server"]
    assert server["http_tls_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    assert server["http_listen_port"] == PORT
    assert server["grpc_listen_address"] == "127.0.0.1"


def test_loki_is_asked_how_it_is_where_nobody_needs_a_certificate(recording: Recording) -> None:
    (container,) = pod(recording, "StatefulSet", "logs-stateful-set")["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"https": PORT, "status": STATUS_PORT}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "status"
    service = recording.one("kubernetes:core/v1:Service", "logs-service").inputs["spec"]
    assert [port["port"] for port in service["ports"]] == [PORT], "nobody calls the other one by a name"


def test_the_collector_mounts_the_nodes_logs_to_read_and_nothing_else_of_it(recording: Recording) -> None:
    spec = pod(recording, "DaemonSet", "collector-daemon-set")
    paths = [volume["hostPath"] for volume in spec["volumes"] if "hostPath" in volume]
    assert paths == [{"path": "/var/log/pods", "type": "Directory"}]
    (container,) = spec["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "logs"]
    assert mount["readOnly"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)


def test_the_collector_is_no_root_and_asks_no_api_server(recording: Recording) -> None:
    spec = pod(recording, "DaemonSet", "collector-daemon-set")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 10_000
    assert spec["securityContext"]["supplementalGroups"] == [collector.LOGS_GROUP]
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False
    assert not [volume for volume in spec["volumes"] if "projected" in volume]


def test_the_collector_is_on_every_node(recording: Recording) -> None:
    spec = pod(recording, "DaemonSet", "collector-daemon-set")
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_without_a_store_for_traces_it_listens_for_none(recording: Recording, tracing: Recording) -> None:
    assert not recording.of_type("kubernetes:core/v1:Service") or all(
        each.name != "collector-service" for each in recording.of_type("kubernetes:core/v1:Service")
    )
    service = tracing.one("kubernetes:core/v1:Service", "collector-service").inputs["spec"]
    assert [port["port"] for port in service["ports"]] == [collector.OTLP_PORT]


@pytest.mark.parametrize("traces", [False, True])
def test_the_environment_has_all_that_the_files_name_and_no_more(
    recording: Recording, tracing: Recording, traces: bool
) -> None:
    (container,) = pod(tracing if traces else recording, "DaemonSet", "collector-daemon-set")["containers"]
    told = {variable["name"] for variable in container["env"]} - {"GOMEMLIMIT"}
    text = "".join(collector.files(traces=traces).values())
    assert set(re.findall(r"\$\{env:([A-Z_]+)\}", text)) == told


def test_what_is_read_has_its_secrets_removed_before_anything_is_sent() -> None:
    told = yaml.safe_load(collector.files(traces=False)["collector.yaml"])
    (pipeline,) = [each for name, each in told["service"]["pipelines"].items() if name == "logs"]
    assert pipeline["processors"][0] == "memory_limiter"
    assert pipeline["processors"][-1] == "transform/secrets"


def test_its_queues_are_bounded_and_on_disk() -> None:
    for name, content in collector.files(traces=True).items():
        for exporter, told in yaml.safe_load(content)["exporters"].items():
            if exporter != "prometheus":
                queue = told["sending_queue"]
                assert queue["storage"] == "file_storage", name
                assert 0 < queue["queue_size"] <= 64 * 2**20
                assert told["retry_on_failure"]["max_elapsed_time"] == "0s", "it never gives up"


def test_go_frees_memory_before_the_limit_ends_it() -> None:
    assert go_memory(RESOURCES) == {"GOMEMLIMIT": str(int(256 * 2**20 * 0.9))}


def test_their_files_are_the_trees() -> None:
    folder = ROOT / "components" / "monitoring"
    assert collector.files(traces=True) == {
        name: Path(folder / name).read_text(encoding="utf-8")
        for name in ("collector.yaml", "collector_traces.yaml")
    }


def test_only_the_collectors_namespace_lets_pods_read_their_node(recordings: dict[str, Recording]) -> None:
    prefix = "pod-security.kubernetes.io"
    for stack, whole in recordings.items():
        found = {
            each.inputs["metadata"]["name"]: each.inputs["metadata"]["labels"]
            for each in whole.of_type("kubernetes:core/v1:Namespace")
        }
        lax = {name for name, labels in found.items() if labels[f"{prefix}/enforce"] != "restricted"}
        assert lax == {"fixia-collector"}, stack
        assert {labels[f"{prefix}/audit"] for labels in found.values()} == {"restricted"}


def test_nothing_else_may_be_put_beside_the_collector() -> None:
    config = stack_config("staging")
    platform = json.loads(config["fixia:platform"])
    platform["namespaces"]["collector"]["quota"] = {"cpu": "9", "memory": "9Gi", "pods": 99}
    workloads = json.loads(config["fixia:workloads"])
    workloads["web"]["namespace"] = "collector"
    raw = {key.removeprefix("fixia:"): value for key, value in config.items() if key.startswith("fixia:")}
    raw |= {"platform": json.dumps(platform), "workloads": json.dumps(workloads)}
    with pytest.raises(SettingsError) as refused:
        parse(raw, file="Pulumi.staging.yaml", project="fixia", encrypted={"secrets"})
    (fault,) = refused.value.faults
    assert fault.path == "fixia:workloads.web.namespace"
    assert "another namespace than the collector's" in fault.valid
