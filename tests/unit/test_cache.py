"""What a cache promises, read off the objects that it makes."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.base import Identity
from components.data import valkey_config
from components.data.cache import GRACE_SECONDS, Cache, CacheArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from tests.recorder import Recording, is_pulumi_secret, record

PASSWORD, PREVIOUS = "p" * 32, "q" * 32
NAMESPACE = "fixia-data"


def credential(current: pulumi.Output[str]) -> Credential:
    return Credential(current=current, accepted={"previous": pulumi.Output.secret(PREVIOUS)})


def args(**changes: Any) -> CacheArgs:
    identity = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
    given: dict[str, Any] = {
        "identity": identity,
        "namespace": NAMESPACE,
        "image": "registry.example/valkey:8.1.1",
        "exporter_image": "registry.example/redis-exporter:1.69.0",
        "resources": Resources(cpu="250m", memory="512Mi", memory_limit="1Gi"),
        "storage": "4Gi",
        "password": credential(pulumi.Output.secret(PASSWORD)),
        "authority": Authority("authority", AuthorityArgs(identity=identity)),
        "priority_class": "data",
    }
    return CacheArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Cache("cache", args(**changes)) and None)


@pytest.fixture(scope="module")
def cache() -> Recording:
    return recorded()


def spec(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:StatefulSet", "cache-stateful-set").inputs[
        "spec"
    ]
    return found


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = spec(recording)["template"]["spec"]
    return found


def container(recording: Recording, name: str) -> dict[str, Any]:
    (found,) = [each for each in pod(recording)["containers"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def mounts(recording: Recording, name: str) -> dict[str, dict[str, Any]]:
    return {mount["mountPath"]: mount for mount in container(recording, name)["volumeMounts"]}


def test_the_component_registers_what_it_annotates(cache: Recording) -> None:
    (component,) = cache.of_type(Cache.TYPE)
    assert Cache.TYPE == "fixia:data:Cache"
    assert component.outputs == {
        "claim": "cache-data-made-up",
        "host": "cache.fixia-data.svc",
        "service": "cache",
        "stateful_set": "cache",
    }
    assert set(component.outputs) == set(Cache.outputs())
    assert {child.name for child in cache.children(component.urn)} == {
        "cache-account",
        "cache-certificate",
        "cache-config",
        "cache-data",
        "cache-headless-service",
        "cache-secrets",
        "cache-service",
        "cache-stateful-set",
    }


@pytest.mark.parametrize("protect", [True, False])
def test_the_volume_is_no_part_of_the_stateful_set_and_protected(protect: bool) -> None:
    cache = recorded(protect=protect, storage_class="fast")
    claim = cache.one("kubernetes:core/v1:PersistentVolumeClaim", "cache-data")
    assert claim.options["protect"] is protect
    assert claim.inputs["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "4Gi"}},
    }
    assert "volumeClaimTemplates" not in spec(cache)
    volumes = {volume["name"]: volume for volume in pod(cache)["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "cache-data-made-up"
    others = [
        resource for resource in cache.all.values() if resource is not claim and resource.options["protect"]
    ]
    assert others == []


def test_the_cluster_chooses_the_storage_class_unless_told(cache: Recording) -> None:
    claim = cache.one("kubernetes:core/v1:PersistentVolumeClaim", "cache-data")
    assert "storageClassName" not in claim.inputs["spec"]


def test_there_is_one_pod_which_a_broken_release_never_blocks(cache: Recording) -> None:
    assert spec(cache)["replicas"] == 1
    assert spec(cache)["podManagementPolicy"] == "Parallel"
    assert spec(cache)["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
    assert cache.of_type("kubernetes:policy/v1:PodDisruptionBudget") == []


def test_the_pod_has_time_to_save_and_its_own_priority_and_account(cache: Recording) -> None:
    assert pod(cache)["terminationGracePeriodSeconds"] == GRACE_SECONDS == 60
    assert pod(cache)["priorityClassName"] == "data"
    assert pod(cache)["serviceAccountName"] == "cache-account-made-up"
    assert pod(cache)["automountServiceAccountToken"] is False
    assert pod(cache)["securityContext"]["fsGroup"] == 10001


def test_the_services_find_the_pod(cache: Recording) -> None:
    labels = spec(cache)["template"]["metadata"]["labels"]
    named = {port["name"] for each in pod(cache)["containers"] for port in each.get("ports", [])}
    service = cache.one("kubernetes:core/v1:Service", "cache-service").inputs
    headless = cache.one("kubernetes:core/v1:Service", "cache-headless-service").inputs
    for each in (service, headless):
        assert each["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= named
    assert service["metadata"]["name"] == "cache"
    assert "clusterIP" not in service["spec"]
    assert headless["spec"]["clusterIP"] == "None"
    assert spec(cache)["serviceName"] == headless["metadata"]["name"]


def test_callers_and_scrapers_are_told_where_it_is() -> None:
    made: list[Cache] = []
    record(lambda: made.append(Cache("cache", args())))
    assert (made[0].endpoint.name, made[0].endpoint.port) == ("cache", 6379)
    assert (made[0].metrics.name, made[0].metrics.port) == ("cache-metrics", 9121)
    assert made[0].endpoint.pods == made[0].metrics.pods
    assert set(made[0].endpoint.config) == {"REDIS_HOST", "REDIS_PORT", "REDIS_CA_FILE"}
    assert set(made[0].endpoint.credentials) == {"redis-password"}
    assert made[0].endpoint.encrypted
    assert not made[0].metrics.credentials


def test_the_passwords_hashes_are_in_the_secret_alone_and_secret_all_the_way(cache: Recording) -> None:
    secret = cache.one("kubernetes:core/v1:Secret", "cache-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    assert secret["immutable"] is True
    assert "name" not in secret["metadata"]
    for password in (PASSWORD, PREVIOUS):
        digest = hashlib.sha256(password.encode()).hexdigest()
        assert [each.name for each in cache.all.values() if digest in json.dumps(each.inputs)] == [
            "cache-secrets"
        ]
        holders = [each.name for each in cache.all.values() if password in json.dumps(each.inputs)]
        assert holders == (["cache-secrets"] if password == PASSWORD else [])  # of the other only its hash


def test_a_password_that_is_not_marked_secret_becomes_so() -> None:
    cache = recorded(password=Credential(current=pulumi.Output.from_input(PASSWORD)))
    assert is_pulumi_secret(cache.one("kubernetes:core/v1:Secret", "cache-secrets").inputs["stringData"])


def test_the_configuration_names_only_files_that_are_mounted(cache: Recording) -> None:
    config = cache.one("kubernetes:core/v1:ConfigMap", "cache-config").inputs
    assert config["immutable"] is True
    assert set(config["data"]) == {"valkey.conf", "probe.sh", "certificate.sh", "users.sh"}
    secret = cache.one("kubernetes:core/v1:Secret", "cache-secrets").inputs["stringData"]["value"]
    files = {f"/run/secrets/cache/{name}" for name in secret}
    files |= {f"/run/secrets/cache-tls/{name}" for name in ("tls.crt", "tls.key", "ca.crt")}
    files |= {"/run/cache/operator/users.conf", "/run/cache/operator/password"}  # which users.sh makes
    folders = {"/run/secrets/cache-tls", "/run/cache/operator", "/run/cache/exporter"}
    words = re.split(r'[\s"=]+', " ".join(config["data"].values()))
    assert {word.rstrip(");") for word in words if word.startswith("/run/")} <= files | folders
    assert set(mounts(cache, "valkey")) == {
        "/tmp",
        "/data",
        "/etc/cache",
        "/run/cache/operator",
        "/run/secrets/cache",
        "/run/secrets/cache-tls",
    }
    for path, mount in mounts(cache, "valkey").items():
        assert mount.get("readOnly", False) is (path not in ("/tmp", "/data"))
        assert "subPath" not in mount  # it would never see a renewal


def test_the_certificate_is_for_every_name_that_callers_use(cache: Recording) -> None:
    (certificate,) = [
        each.inputs["spec"]
        for each in cache.of_type("kubernetes:cert-manager.io/v1:Certificate")
        if each.name == "cache-certificate"
    ]
    assert certificate["dnsNames"] == ["cache", "cache.fixia-data", "cache.fixia-data.svc", "localhost"]
    volumes = {volume["name"]: volume for volume in pod(cache)["volumes"]}
    assert volumes["tls"]["secret"] == {"secretName": certificate["secretName"], "defaultMode": 0o440}


def test_liveness_and_startup_ask_for_less_than_readiness(cache: Recording) -> None:
    valkey = container(cache, "valkey")
    asked = {
        kind: valkey[f"{kind}Probe"]["exec"]["command"][-1] for kind in ("startup", "readiness", "liveness")
    }
    assert asked == {"startup": "alive", "readiness": "ready", "liveness": "alive"}
    for kind in asked:
        assert valkey[f"{kind}Probe"]["timeoutSeconds"] > 4  # what the script itself gives Valkey


def test_the_exporter_checks_the_certificate_and_reads_the_password_from_a_file(cache: Recording) -> None:
    env = {variable["name"]: variable["value"] for variable in container(cache, "exporter")["env"]}
    assert env["REDIS_ADDR"] == "rediss://localhost:6379"
    assert env["REDIS_USER"] == "exporter"
    assert env["REDIS_PASSWORD_FILE"] == "/run/cache/exporter/exporter.json"
    assert env["REDIS_EXPORTER_TLS_CA_CERT_FILE"] == "/run/secrets/cache-tls/ca.crt"
    assert "REDIS_EXPORTER_SKIP_TLS_VERIFICATION" not in env
    assert set(mounts(cache, "exporter")) == {"/tmp", "/run/cache/exporter", "/run/secrets/cache-tls"}


def test_the_pod_makes_its_own_passwords_in_memory_before_all_else(cache: Recording) -> None:
    (users,) = pod(cache)["initContainers"]
    assert users["image"] == container(cache, "valkey")["image"]
    written = {mount["name"] for mount in users["volumeMounts"] if not mount.get("readOnly")} - {"tmp"}
    assert written == {"operator", "exporter"}
    volumes = {volume["name"]: volume for volume in pod(cache)["volumes"]}
    for name in written:
        assert volumes[name]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}
    for each in pod(cache)["containers"]:
        seen = {mount["name"]: mount for mount in each["volumeMounts"]}
        assert (each["name"] == "exporter") is ("exporter" in seen) is not ("operator" in seen)
        assert all(seen[name]["readOnly"] for name in written & set(seen))
    assert "/run/secrets/cache" not in {*mounts(cache, "certificate"), *mounts(cache, "exporter")}


def test_ports_are_changed_in_every_place_at_once() -> None:
    cache = recorded(port=7000, metrics_port=7001)
    written = json.dumps([resource.inputs for resource in cache.all.values()])
    assert "6379" not in written
    assert "9121" not in written


@pytest.mark.parametrize(
    ("limit", "data"), [("64Mi", 16 * 2**20), ("1Gi", 496 * 2**20), ("98304Ki", 32 * 2**20)]
)
def test_the_data_fit_twice_into_the_memory_limit(limit: str, data: int) -> None:
    assert valkey_config.maxmemory(limit) == data
    assert f"\nmaxmemory {data}\n" in valkey_config.valkey_conf(limit)


@pytest.mark.parametrize("limit", ["", "1G", "1.5Gi", "-1Gi", "Gi", "1024", "32Mi"])
def test_a_limit_that_says_nothing_or_too_little_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=r"64Mi|512Mi"):
        valkey_config.maxmemory(limit)


def test_settings_that_keep_the_queue_safe() -> None:
    lines = valkey_config.valkey_conf("1Gi").splitlines()
    for setting in (
        "maxmemory-policy noeviction",
        "appendonly yes",
        "appendfsync everysec",
        "port 0",
        "tls-port 6379",
    ):
        assert setting in lines
    assert all(line.isascii() and "$" not in line for line in lines)


@pytest.mark.parametrize("password", ["plain", 'quotes " and \\ and spaces', "ünïcode"])
def test_valkey_knows_only_the_passwords_hash(password: str) -> None:
    files = valkey_config.secret_files(password)
    assert set(files) == {"password", "users.conf"}
    assert files["password"] == password
    assert password not in files["users.conf"].split("~*")[0]
    assert files["users.conf"].count("#") == 1
    assert valkey_config.secret_files(password, ["old", "new"])["users.conf"].count("#") == 3


@pytest.mark.parametrize("rules", ["WORKLOAD_RULES", "OPERATOR_RULES", "EXPORTER_RULES"])
def test_every_user_begins_with_nothing(rules: str) -> None:
    words = getattr(valkey_config, rules).split()
    assert "+@all" not in words
    granted = [word for word in words if word.startswith("+")]
    assert words.index("-@all") < words.index(granted[0])


@pytest.mark.parametrize("password", ["", "two\nlines", "tail\n"])
def test_a_password_that_a_file_would_change_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        valkey_config.secret_files(password)


def test_the_image_runs_what_the_pod_runs(cache: Recording) -> None:
    dockerfile = (Path(__file__).parents[2] / "images" / "valkey" / "Dockerfile").read_text()
    assert json.loads(dockerfile.rpartition("CMD ")[2]) == container(cache, "valkey")["command"]
