"""What a pool promises, read off the objects that it makes."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.base import Identity
from components.data import pgbouncer_config as config
from components.data.pgbouncer import FINISH_SECONDS, GRACE_SECONDS, Pool, PoolArgs, PooledDatabase
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import ENDPOINT_REMOVAL_SECONDS, Resources
from tests.recorder import Recording, is_pulumi_secret, record

APP, PREVIOUS, POOLER = "a" * 32, "b" * 32, "p" * 32
NAMESPACE = "fixia-data"
IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")


def args(**changes: Any) -> PoolArgs:
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "namespace": NAMESPACE,
        "image": "registry.example/pgbouncer:1.24.1",
        "exporter_image": "registry.example/pgbouncer-exporter:0.10.2",
        "resources": Resources(cpu="100m", memory="64Mi", memory_limit="128Mi"),
        "replicas": 2,
        "database": PooledDatabase(
            host=pulumi.Output.concat("database.", NAMESPACE, ".svc"),
            port=5432,
            name="fixia",
            endpoint=endpoint(IDENTITY, "database", NAMESPACE, 5432),
        ),
        "app": Credential(
            current=pulumi.Output.secret(APP), accepted={"previous": pulumi.Output.secret(PREVIOUS)}, epoch=5
        ),
        "pooler": Credential(current=pulumi.Output.from_input(POOLER)),
        "budget": 20,
        "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
        "priority_class": "data",
    }
    return PoolArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Pool("pool", args(**changes)) and None)


@pytest.fixture(scope="module")
def pool() -> Recording:
    return recorded()


def spec(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:Deployment", "pool-deployment").inputs["spec"]
    return found


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = spec(recording)["template"]["spec"]
    return found


def container(recording: Recording, name: str) -> dict[str, Any]:
    (found,) = [each for each in pod(recording)["containers"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def environment(recording: Recording, name: str) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(recording, name)["env"]}


def test_the_component_registers_what_it_annotates(pool: Recording) -> None:
    (component,) = pool.of_type(Pool.TYPE)
    assert Pool.TYPE == "fixia:data:Pool"
    assert component.outputs == {"deployment": "pool", "host": "pool.fixia-data.svc", "service": "pool"}
    assert set(component.outputs) == set(Pool.outputs())
    assert {child.name for child in pool.children(component.urn)} == {
        "pool",
        "pool-account",
        "pool-certificate",
        "pool-config",
        "pool-deployment",
        "pool-disruption-budget",
        "pool-scripts",
        "pool-secrets",
        "pool-service",
    }


def test_a_release_never_leaves_fewer_pods_and_gives_each_time_to_drain(pool: Recording) -> None:
    assert spec(pool)["replicas"] == 2
    assert spec(pool)["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert pod(pool)["terminationGracePeriodSeconds"] == GRACE_SECONDS == 120
    assert (
        container(pool, "pgbouncer")["lifecycle"]["preStop"]["sleep"]["seconds"] == ENDPOINT_REMOVAL_SECONDS
    )
    drain = int(environment(pool, "pgbouncer")["DRAIN_SECONDS"])
    assert ENDPOINT_REMOVAL_SECONDS + drain + FINISH_SECONDS == GRACE_SECONDS
    assert "lifecycle" not in container(pool, "exporter")  # its connection would be waited for
    budget = pool.one("kubernetes:policy/v1:PodDisruptionBudget", "pool-disruption-budget").inputs["spec"]
    assert budget["maxUnavailable"] == 1
    assert len(pod(pool)["topologySpreadConstraints"]) == 2
    assert pod(pool)["priorityClassName"] == "data"


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"replicas": 1}, "at least 2"), ({"replicas": 4}, r"20 server connections over 8 pods")],
)
def test_too_few_pods_or_connections_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        recorded(**changes)


def test_it_talks_to_the_database_alone(pool: Recording) -> None:
    policies = {
        each.name: each.inputs for each in pool.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    }
    assert set(policies) == {"pool-egress", "pool-to-database"}
    (rule,) = policies["pool-egress"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 5432}]


def test_callers_get_one_login_by_the_epoch_and_the_way_to_it() -> None:
    made: list[Pool] = []
    record(lambda: made.append(Pool("pool", args())))
    told = made[0].endpoint
    assert (told.name, told.port, told.encrypted) == ("pool", 6432, True)
    assert {key: value for key, value in told.config.items() if key != "PGHOST"} == {
        "PGPORT": "6432",
        "PGDATABASE": "fixia",
        "PGUSER": "app_2",
        "PGSSLROOTCERT": "/run/secrets/tls/ca.crt",
    }
    assert set(told.credentials["pgpassword"].values("pgpassword")) == {"pgpassword"}
    assert (made[0].metrics.name, made[0].metrics.port) == ("pool-metrics", 9127)
    assert not made[0].metrics.credentials
    assert not made[0].metrics.config


def test_the_service_finds_the_pods(pool: Recording) -> None:
    service = pool.one("kubernetes:core/v1:Service", "pool-service").inputs
    assert service["metadata"]["name"] == "pool"
    assert service["spec"]["selector"].items() <= spec(pool)["template"]["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (6432, "pgbouncer")
    assert container(pool, "pgbouncer")["ports"] == [
        {"name": "pgbouncer", "containerPort": 6432, "protocol": "TCP"}
    ]


def test_only_its_own_password_is_told_and_that_in_a_secret(pool: Recording) -> None:
    secret = pool.one("kubernetes:core/v1:Secret", "pool-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    assert secret["stringData"]["value"] == {"pooler-password": POOLER}
    for value, holders in {POOLER: ["pool-secrets"], APP: [], PREVIOUS: []}.items():
        assert [each.name for each in pool.all.values() if value in json.dumps(each.inputs)] == holders


def test_what_is_reloaded_keeps_its_name_and_what_rolls_does_not(pool: Recording) -> None:
    settings = pool.one("kubernetes:core/v1:ConfigMap", "pool-config").inputs
    secret = pool.one("kubernetes:core/v1:Secret", "pool-secrets").inputs
    for each, name in ((settings, "pool-config"), (secret, "pool-secrets")):
        assert each["metadata"]["name"] == name
        assert "immutable" not in each
    scripts = pool.one("kubernetes:core/v1:ConfigMap", "pool-scripts").inputs
    assert scripts["immutable"] is True
    assert "name" not in scripts["metadata"]
    other = recorded(budget=40, pooler=Credential(current=pulumi.Output.secret("q" * 32)))
    assert spec(other) == spec(pool)
    assert other.one("kubernetes:core/v1:ConfigMap", "pool-config").inputs != settings
    volumes = {volume["name"]: volume for volume in pod(pool)["volumes"]}
    assert volumes["config"]["configMap"] == {"name": "pool-config"}
    assert volumes["secrets"]["secret"] == {"secretName": "pool-secrets", "defaultMode": 0o440}


def test_the_password_that_it_reads_is_in_memory_and_out_of_the_exporters_sight(pool: Recording) -> None:
    volumes = {volume["name"]: volume for volume in pod(pool)["volumes"]}
    assert volumes["state"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}
    assert {mount["name"] for mount in container(pool, "exporter")["volumeMounts"]} == {
        "tmp",
        "scripts",
        "console",
    }
    for name in ("pgbouncer", "keep"):
        mounts = {mount["name"]: mount for mount in container(pool, name)["volumeMounts"]}
        writable = {each for each, mount in mounts.items() if not mount.get("readOnly")}
        assert writable == {"tmp", "state", "console"}
        assert not any("subPath" in mount for mount in mounts.values())  # it would never see a change


def test_only_readiness_asks_for_the_database(pool: Recording) -> None:
    pgbouncer = container(pool, "pgbouncer")
    kinds = ("startup", "readiness", "liveness")
    asked = {kind: pgbouncer[f"{kind}Probe"]["exec"]["command"][-1] for kind in kinds}
    assert asked == {"startup": "alive", "readiness": "ready", "liveness": "alive"}
    assert [pgbouncer[f"{kind}Probe"]["timeoutSeconds"] for kind in kinds] == [5, 9, 5]


def test_the_certificate_is_for_every_name_that_callers_use(pool: Recording) -> None:
    (certificate,) = [
        each.inputs["spec"]
        for each in pool.of_type("kubernetes:cert-manager.io/v1:Certificate")
        if each.name == "pool-certificate"
    ]
    assert certificate["dnsNames"] == ["pool", "pool.fixia-data", "pool.fixia-data.svc", "localhost"]


def test_ports_are_changed_in_every_place_at_once() -> None:
    written = json.dumps(
        [resource.inputs for resource in recorded(port=7000, metrics_port=7001).all.values()]
    )
    assert "6432" not in written
    assert "9127" not in written


def test_the_images_run_what_the_pod_runs(pool: Recording) -> None:
    images = Path(__file__).parents[2] / "images"
    dockerfile = (images / "pgbouncer" / "Dockerfile").read_text()
    assert json.loads(dockerfile.rpartition("CMD ")[2]) == container(pool, "pgbouncer")["command"]
    dockerfile = (images / "pgbouncer-exporter" / "Dockerfile").read_text()
    program = json.loads(dockerfile.rpartition("ENTRYPOINT ")[2])
    assert f"exec {program[0]} " in config.scripts()["exporter.sh"]
