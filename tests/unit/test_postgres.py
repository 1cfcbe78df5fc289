"""What a database promises, read off the objects that it makes."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.backup.repository import Place, Repository, StaticKeys, WebIdentity
from components.base import Identity
from components.data import postgres_config
from components.data.postgres import GRACE_SECONDS, Database, DatabaseArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from tests.recorder import Recording, is_pulumi_secret, record

ROLES = (*postgres_config.GROUPS, *postgres_config.SINGLE_ROLES)
IMAGES = Path(__file__).parents[2] / "images"


def credential(role: str) -> Credential:
    def value(suffix: str) -> pulumi.Output[str]:
        return pulumi.Output.secret(f"{role}{suffix}-made-up-password")

    return Credential(current=value(""), accepted={s: value(f"-{s}") for s in ("previous", "next")}, epoch=4)


def args(**changes: Any) -> DatabaseArgs:
    identity = Identity(product="my-product", environment="test", owner="platform-team", cost_centre="core")
    given: dict[str, Any] = {
        "identity": identity,
        "namespace": "fixia-data",
        "image": "registry.example/postgres:17.5",
        "exporter_image": "registry.example/postgres-exporter:0.17.1",
        "resources": Resources(cpu="2", memory="4Gi", memory_limit="4Gi"),
        "storage": "100Gi",
        "credentials": {role: credential(role) for role in ROLES},
        "authority": Authority("authority", AuthorityArgs(identity=identity)),
        "priority_class": "data",
    }
    return DatabaseArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Database("database", args(**changes)) and None)


def made(**changes: Any) -> Database:
    kept: list[Database] = []
    record(lambda: kept.append(Database("database", args(**changes))))
    return kept[0]


@pytest.fixture(scope="module")
def alone() -> Recording:
    return recorded()


@pytest.fixture(scope="module")
def followed() -> Recording:
    return recorded(standbys=2)


def stateful_set(recording: Recording, name: str = "database-stateful-set") -> dict[str, Any]:
    return recording.one("kubernetes:apps/v1:StatefulSet", name).inputs


def pod(recording: Recording, name: str = "database-stateful-set") -> dict[str, Any]:
    found: dict[str, Any] = stateful_set(recording, name)["spec"]["template"]["spec"]
    return found


def containers(recording: Recording, name: str = "database-stateful-set") -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod(recording, name)["containers"]}


def env(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def services(recording: Recording) -> dict[str, dict[str, Any]]:
    return {
        each.inputs["metadata"]["name"]: each.inputs["spec"]
        for each in recording.of_type("kubernetes:core/v1:Service")
    }


def secret_files(recording: Recording) -> dict[str, str]:
    found: dict[str, str] = recording.one("kubernetes:core/v1:Secret", "database-secrets").inputs[
        "stringData"
    ]["value"]
    return found


def test_the_component_registers_what_it_annotates(alone: Recording) -> None:
    (component,) = alone.of_type(Database.TYPE)
    assert Database.TYPE == "fixia:data:Database"
    assert component.outputs == {
        "claim": "database-data-made-up",
        "database": "my_product",
        "host": "database.fixia-data.svc",
        "service": "database",
        "stateful_set": "database",
    }
    assert {child.name for child in alone.children(component.urn)} == {
        "database-account",
        "database-certificate",
        "database-config",
        "database-data",
        "database-headless-service",
        "database-secrets",
        "database-service",
        "database-stateful-set",
    }


@pytest.mark.parametrize("protect", [True, False])
def test_the_volume_is_no_part_of_the_stateful_set_and_protected(protect: bool) -> None:
    recording = recorded(protect=protect, storage_class="fast")
    claim = recording.one("kubernetes:core/v1:PersistentVolumeClaim", "database-data")
    assert claim.options["protect"] is protect
    assert claim.inputs["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "100Gi"}},
    }
    assert "volumeClaimTemplates" not in stateful_set(recording)["spec"]


def test_after_a_promotion_the_primary_uses_the_standbys_claim() -> None:
    recording = recorded(claim="data-database-standby-0", standbys=1, first_standby=1)
    volumes = {volume["name"]: volume for volume in pod(recording)["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "data-database-standby-0"
    assert stateful_set(recording, "database-standby-stateful-set")["spec"]["ordinals"] == {"start": 1}
    # The old volume stays until somebody deletes it.
    assert recording.one("kubernetes:core/v1:PersistentVolumeClaim", "database-data").options["protect"]


def test_there_is_one_primary_which_a_broken_release_never_blocks(alone: Recording) -> None:
    spec = stateful_set(alone)["spec"]
    assert spec["replicas"] == 1
    assert spec["podManagementPolicy"] == "Parallel"
    assert alone.of_type("kubernetes:policy/v1:PodDisruptionBudget") == []
    assert pod(alone)["terminationGracePeriodSeconds"] == GRACE_SECONDS == 300
    assert pod(alone)["priorityClassName"] == "data"
    assert pod(alone)["automountServiceAccountToken"] is False


def test_the_services_find_their_own_pods_and_no_others(followed: Recording) -> None:
    found = services(followed)
    assert set(found) == {"database", "database-headless", "database-read", "database-standby"}
    for name, kind in (
        ("database", "database"),
        ("database-headless", "database"),
        ("database-read", "database-standby"),
        ("database-standby", "database-standby"),
    ):
        labels = stateful_set(followed, f"{kind}-stateful-set")["spec"]["template"]["metadata"]["labels"]
        assert found[name]["selector"].items() <= labels.items()
        assert found[name]["selector"]["app.kubernetes.io/name"] == kind
        assert found[name]["ports"][0] == {
            "name": "postgresql", "port": 5432, "targetPort": "postgresql", "protocol": "TCP",
        }  # fmt: skip
    for name, kind in (("database-headless", "database"), ("database-standby", "database-standby")):
        assert found[name]["clusterIP"] == "None"
        assert stateful_set(followed, f"{kind}-stateful-set")["spec"]["serviceName"] == name


def test_without_standbys_there_is_nothing_to_read_from(alone: Recording) -> None:
    assert set(services(alone)) == {"database", "database-headless"}
    assert made().read_endpoint is None
    assert alone.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy") == []


def test_standbys_are_spread_have_volumes_of_their_own_and_reach_the_primary(followed: Recording) -> None:
    spec = stateful_set(followed, "database-standby-stateful-set")["spec"]
    assert spec["replicas"] == 2
    (template,) = spec["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "data"
    assert "ordinals" not in spec
    assert pod(followed, "database-standby-stateful-set")["topologySpreadConstraints"]
    policies = {each.name for each in followed.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")}
    assert {"database-standby-to-database", "database-to-database-standby"} <= policies
    told = env(containers(followed, "database-standby-stateful-set")["postgresql"])
    assert told["DATABASE_ROLE"] == "standby"
    assert told["DATABASE_PRIMARY"] == "database.fixia-data.svc"
    assert env(containers(followed)["postgresql"])["DATABASE_STANDBYS"] == "database-standby.fixia-data.svc"


def test_more_standbys_do_not_restart_the_primary(followed: Recording) -> None:
    assert stateful_set(followed)["spec"] == stateful_set(recorded(standbys=3))["spec"]
    assert stateful_set(followed)["spec"] == stateful_set(recorded())["spec"]


def test_direct_callers_are_told_where_it_is_and_who_they_are() -> None:
    database = made(standbys=1)
    config = database.endpoint.config
    assert set(config) == {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLROOTCERT"}
    assert (config["PGDATABASE"], config["PGUSER"], config["PGPORT"]) == ("my_product", "owner_1", "5432")
    assert config["PGSSLROOTCERT"] == "/run/secrets/tls/ca.crt"
    assert set(database.endpoint.credentials) == {"pgpassword"}
    assert database.endpoint.encrypted
    assert (database.metrics.port, database.metrics.credentials, database.metrics.encrypted) == (
        9187,
        {},
        False,
    )
    assert database.called_as("maintenance").config["PGUSER"] == "maintenance"
    assert database.read_endpoint is not None
    assert database.read_endpoint.config["PGUSER"] == "readonly_1"
    assert database.read_endpoint.pods["app.kubernetes.io/name"] == "database-standby"


def test_passwords_are_in_the_secret_alone_and_secret_all_the_way(alone: Recording) -> None:
    secret = alone.one("kubernetes:core/v1:Secret", "database-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    # It is changed in the running pod; an immutable one would restart it.
    assert "immutable" not in secret
    holders = {each.name for each in alone.all.values() if "made-up-password" in json.dumps(each.inputs)}
    assert holders == {"database-secrets"}


def test_groups_have_three_passwords_and_single_roles_one(alone: Recording) -> None:
    expected = {f"{role}-password" for role in ROLES}
    for group in postgres_config.GROUPS:
        expected |= {f"{group}-password-previous", f"{group}-password-next", f"{group}-epoch"}
    assert set(secret_files(alone)) == expected
    assert secret_files(alone)["app-epoch"] == "4"


def test_a_rotation_changes_the_secret_and_no_pod(alone: Recording) -> None:
    turned = {
        role: Credential(current=pulumi.Output.secret("another-made-up-password"), epoch=5) for role in ROLES
    }
    rotated = recorded(credentials=turned)
    assert secret_files(rotated) != secret_files(alone)
    assert stateful_set(rotated) == stateful_set(alone)


def test_a_password_that_is_missing_or_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a password for: backup, pooler"):
        recorded(credentials={role: credential(role) for role in ROLES if role not in ("pooler", "backup")})


def test_the_exporter_is_no_superuser_and_sees_no_other_password(alone: Recording) -> None:
    exporter = containers(alone)["exporter"]
    mounted = {mount["name"] for mount in exporter["volumeMounts"]}
    assert mounted == {"tmp", "exporter-secrets", "tls"}
    volumes = {volume["name"]: volume for volume in pod(alone)["volumes"]}
    assert [item["key"] for item in volumes["exporter-secrets"]["secret"]["items"]] == ["exporter-password"]
    assert "sslmode=verify-full" in env(exporter)["DATA_SOURCE_NAME"]
    for collector in ("database_wraparound", "long_running_transactions", "stat_statements"):
        assert f"--collector.{collector}" in exporter["command"]


def test_volumes_are_mounted_whole_and_read_only_but_for_the_data(alone: Recording) -> None:
    volumes = {volume["name"]: volume for volume in pod(alone)["volumes"]}
    for name in ("secrets", "exporter-secrets", "tls"):
        assert volumes[name]["secret"]["defaultMode"] == 0o440
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "512Mi"}
    for container in containers(alone).values():
        for mount in container["volumeMounts"]:
            assert mount.get("readOnly", False) is (mount["name"] not in ("tmp", "data", "shm", "socket"))
            assert "subPath" not in mount
    assert {c for c in containers(alone) if "data" in
            {mount["name"] for mount in containers(alone)[c]["volumeMounts"]}} == {"postgresql"}  # fmt: skip


def test_probes_ask_for_less_to_live_than_to_be_ready(alone: Recording) -> None:
    server = containers(alone)["postgresql"]
    asked = {
        kind: server[f"{kind}Probe"]["exec"]["command"][-1] for kind in ("startup", "readiness", "liveness")
    }
    assert asked == {"startup": "alive", "readiness": "ready", "liveness": "alive"}
    for kind in asked:
        assert server[f"{kind}Probe"]["timeoutSeconds"] > 4  # what the script itself gives PostgreSQL


def test_the_certificate_is_for_every_name_that_callers_use(followed: Recording) -> None:
    (certificate,) = [
        each.inputs["spec"]
        for each in followed.of_type("kubernetes:cert-manager.io/v1:Certificate")
        if each.name == "database-certificate"
    ]
    hosts = ("database", "database-read", "database-standby")
    expected = {f"{host}{rest}" for host in hosts for rest in ("", ".fixia-data", ".fixia-data.svc")}
    assert set(certificate["dnsNames"]) == expected | {"localhost"}


def test_ports_are_changed_in_every_place_at_once() -> None:
    recording = recorded(port=7000, metrics_port=7001, standbys=1)
    written = json.dumps([resource.inputs for resource in recording.all.values()])
    assert "5432" not in written
    assert "9187" not in written


def test_the_image_has_what_the_pods_run(alone: Recording) -> None:
    folders = {"postgresql": "postgres", "reconciler": "postgres", "exporter": "postgres-exporter"}
    for name, image in folders.items():
        script = IMAGES / image / "rootfs" / containers(alone)[name]["command"][0].lstrip("/")
        assert script.stat().st_mode & 0o111, script
        assert script.read_text().startswith("#!")
    passwd = (IMAGES / "postgres/rootfs/etc/passwd").read_text()
    assert re.search(r"^postgres:x:10001:10001:", passwd, re.MULTILINE)


def repository(*, web: bool = True) -> Repository:
    place = Place(bucket="fixia-backups", region="eu-central-1", endpoint="s3.eu-central-1.amazonaws.com")
    keys = StaticKeys(key=credential("key"), secret=credential("secret"))
    access = WebIdentity(role="arn:aws:iam::123456789012:role/database") if web else keys
    return Repository(place=place, cipher=credential("cipher"), access={"database": access})


@pytest.fixture(scope="module")
def archiving() -> Recording:
    return recorded(repository=repository(), standbys=1)


def containers_of(recording: Recording, name: str = "database-stateful-set") -> dict[str, Any]:
    spec = recording.one("kubernetes:apps/v1:StatefulSet", name).inputs["spec"]["template"]["spec"]
    return {container["name"]: container for container in spec["containers"]}


def test_with_a_repository_every_segment_is_archived_within_a_minute(archiving: Recording) -> None:
    conf = archiving.one("kubernetes:core/v1:ConfigMap", "database-config").inputs["data"]["postgresql.conf"]
    assert "\narchive_mode = on\n" in conf
    assert "\narchive_command = 'pgbackrest --stanza=main archive-push %p'\n" in conf
    assert "\narchive_timeout = 60s\n" in conf


def test_the_server_of_the_backups_can_read_the_volume_and_not_write(archiving: Recording) -> None:
    server = containers_of(archiving)["backup-server"]
    mounts = {mount["name"]: mount for mount in server["volumeMounts"]}
    assert mounts["data"]["readOnly"] is True
    assert mounts["data"]["mountPath"] == "/var/lib/postgresql/data"
    assert "secrets" not in mounts
    # A database that nobody can back up serves its clients all the same.
    assert "readinessProbe" not in server
    spec = archiving.one("kubernetes:apps/v1:StatefulSet", "database-stateful-set").inputs["spec"][
        "template"
    ]["spec"]
    (role,) = [volume["secret"] for volume in spec["volumes"] if volume["name"] == "backup-role"]
    assert [item["key"] for item in role["items"]] == ["backup-password"]


def test_backups_are_taken_from_the_primary_and_every_server_could_archive(archiving: Recording) -> None:
    standby = containers_of(archiving, "database-standby-stateful-set")
    assert "backup-server" not in standby
    for containers in (standby, containers_of(archiving)):
        env = {each["name"]: each.get("value") for each in containers["postgresql"]["env"]}
        assert env["PGBACKREST_CONFIG_INCLUDE_PATH"] == "/run/secrets/repository"
        assert env["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/database"
    service = archiving.one("kubernetes:core/v1:Service", "database-service").inputs["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == {"postgresql": 5432, "backup": 8432}


def test_only_with_a_repository_is_the_storage_called(alone: Recording, archiving: Recording) -> None:
    def egress(recording: Recording) -> set[str]:
        policies = recording.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        return {each.name for each in policies if each.name.endswith("-archive-egress")}

    assert egress(alone) == set()
    assert egress(archiving) == {"database-archive-egress", "database-standby-archive-egress"}
    assert "backup-server" not in containers_of(alone)


@pytest.mark.parametrize(("web", "name"), [(True, "backup-database"), (False, None)])
def test_the_account_has_the_name_that_its_role_trusts(web: bool, name: str | None) -> None:
    recording = recorded(repository=repository(web=web))
    account = recording.one("kubernetes:core/v1:ServiceAccount", "database-account").inputs
    assert account["metadata"].get("name") == name
