"""What the store of traces promises, read off the objects that it makes, and who is told to send any."""

import json
from typing import Any

import pytest
import yaml

from components.base import Identity
from components.monitoring.traces import (
    HEALTH_PORT,
    METRICS_PORT,
    OTLP_PORT,
    QUERY_PORT,
    Traces,
    TracesArgs,
    jaeger_yaml,
)
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from settings.load import SettingsError, parse
from tests.recorder import Recording, record, record_program, stack_config

IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
RESOURCES = Resources(cpu="10m", memory="128Mi", memory_limit="256Mi")
TLS = {"cert_file", "key_file", "client_ca_file"}


def made() -> None:
    authority = Authority("authority", AuthorityArgs(identity=IDENTITY))
    Traces(
        "traces",
        TracesArgs(
            identity=IDENTITY,
            namespace="fixia-monitoring",
            image="registry.example/jaeger:2.13.0",
            resources=RESOURCES,
            authority=authority,
            retention_days=5,
            storage="3Gi",
        ),
    )


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(made)


def container(recording: Recording) -> dict[str, Any]:
    stateful_set = recording.one("kubernetes:apps/v1:StatefulSet", "traces-stateful-set")
    (found,) = stateful_set.inputs["spec"]["template"]["spec"]["containers"]
    return dict(found)


def faults(**changes: Any) -> dict[str, str]:
    config = stack_config("staging")
    monitoring = json.loads(config["fixia:monitoring"])
    config["fixia:monitoring"] = json.dumps({**monitoring, **changes})
    raw = {key.removeprefix("fixia:"): value for key, value in config.items() if key.startswith("fixia:")}
    with pytest.raises(SettingsError) as refused:
        parse(raw, file="Pulumi.staging.yaml", project="fixia", encrypted={"secrets"})
    return {fault.path: fault.valid for fault in refused.value.faults}


def test_the_component_registers_what_it_annotates(recording: Recording) -> None:
    (traces,) = recording.of_type("fixia:monitoring:Traces")
    assert traces.outputs == {
        "service": "traces",
        "host": "traces.fixia-monitoring.svc",
        "stateful_set": "traces",
        "claim": "traces-data-made-up",
    }


def test_its_volume_outlives_it_and_can_grow(recording: Recording) -> None:
    claim = recording.one("kubernetes:core/v1:PersistentVolumeClaim", "traces-data")
    assert claim.inputs["spec"]["resources"]["requests"] == {"storage": "3Gi"}
    spec = recording.one("kubernetes:apps/v1:StatefulSet", "traces-stateful-set").inputs["spec"]
    assert "volumeClaimTemplates" not in spec
    assert spec["replicas"] == 1


def test_it_keeps_as_many_days_as_it_is_told_on_its_volume() -> None:
    kept = yaml.safe_load(jaeger_yaml(5))["extensions"]["jaeger_storage"]["backends"]["badger"]["badger"]
    assert kept["ttl"] == {"spans": "120h"}
    assert kept["ephemeral"] is False
    assert all(folder.startswith("/data/") for folder in kept["directories"].values())


def test_what_is_acknowledged_is_written_through() -> None:
    told = yaml.safe_load(jaeger_yaml(5))
    assert told["extensions"]["jaeger_storage"]["backends"]["badger"]["badger"]["consistency"] is True
    (pipeline,) = told["service"]["pipelines"].values()
    assert pipeline["processors"] == ["memory_limiter"], "a batch would acknowledge what is in memory alone"
    assert told["exporters"]["jaeger_storage_exporter"]["queue"] == {"enabled": False}


def test_both_ways_in_ask_for_a_certificate_of_the_authority() -> None:
    told = yaml.safe_load(jaeger_yaml(5))
    writing = told["receivers"]["otlp"]["protocols"]
    asking = told["extensions"]["jaeger_query"]
    assert set(writing) == {"http"}
    for server in (writing["http"], asking["http"]):
        assert set(server["tls"]) >= TLS
        assert server["tls"]["min_version"] == "1.2"
    assert asking["grpc"]["endpoint"].startswith("127.0.0.1:")


def test_the_ports_without_tls_are_the_kubelets_and_prometheus(recording: Recording) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(recording)["ports"]}
    assert ports == {"otlp": OTLP_PORT, "query": QUERY_PORT, "metrics": METRICS_PORT, "health": HEALTH_PORT}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(recording)[probe]["httpGet"]["port"] == "health"
    service = recording.one("kubernetes:core/v1:Service", "traces-service").inputs["spec"]
    assert [port["port"] for port in service["ports"]] == [OTLP_PORT, QUERY_PORT]


def test_a_store_without_a_collector_is_refused() -> None:
    assert "whose collector takes them" in faults(logs=None)["fixia:monitoring.traces"]


def test_without_a_store_nobody_may_send_traces() -> None:
    found = faults(traces=None)
    assert {"fixia:workloads.api.talksTo[2]", "fixia:workloads.realtime.talksTo[1]"} <= set(found)


def test_who_sends_traces_is_told_where_and_how_many(recording: Recording) -> None:
    config = stack_config("staging")
    workloads = json.loads(config["fixia:workloads"])
    workloads["web"]["talksTo"] = []
    config["fixia:workloads"] = json.dumps(workloads)
    whole = record_program(config, "staging")
    told = {
        name: whole.one("kubernetes:core/v1:ConfigMap", f"{name}-config").inputs["data"]
        for name in ("api", "web")
    }
    api = {key: value for key, value in told["api"].items() if key.startswith("OTEL_")}
    assert api == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.fixia-collector.svc:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/run/secrets/tls/ca.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/run/secrets/tls/tls.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/run/secrets/tls/tls.key",
        "OTEL_SERVICE_NAME": "api",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0,deployment.environment.name=staging",
        # What the caller says of it decides nothing: a stranger could have everything kept.
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    assert not [key for key in told["web"] if key.startswith("OTEL_")]
