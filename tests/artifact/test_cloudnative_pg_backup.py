"""The operator's backups: what is written is what its definitions know, and nothing secret is in it."""

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.backup import grants
from components.backup.grants import GRANTS, Location, allowed, policy_document
from components.backup.repository import Place, Repository, StaticKeys, WebIdentity
from components.backup.restore import Restore
from components.data import cloudnative_pg_backup as backup
from components.data import postgres_config
from components.data.cloudnative_pg import CloudNativeDatabase
from components.platform.credentials import Credential
from tests.artifact.test_cloudnative_pg import POLICY, args, custom, problems, recorded, schemas
from tests.recorder import Recording, is_pulumi_secret, record

assert schemas  # a fixture of the neighbour's

ROLE = "arn:aws:iam::123456789012:role/backups-access-cloudnative-pg"
BY_ROLE = WebIdentity(role=ROLE)


def secret(value: str) -> Credential:
    return Credential(current=pulumi.Output.secret(value), epoch=1)


def by_keys() -> StaticKeys:
    return StaticKeys(key=secret("the-id"), secret=secret("the-secret-of-the-id"))


def repository(access: WebIdentity | StaticKeys = BY_ROLE, **place: Any) -> Repository:
    given = {"bucket": "fixia-backups", "region": "eu-central-1", "endpoint": "s3.eu-central-1.amazonaws.com"}
    return Repository(
        place=Place(**{**given, **place}),
        cipher=secret("the-cipher"),
        access={backup.JOB: access},
        retention_days=30,
    )


def emulated() -> Repository:
    return repository(by_keys(), endpoint="objects.fixia.app:9000", region="here", authority="THE AUTHORITY")


def made(by: Callable[[], Repository] = repository, **changes: Any) -> Recording:
    # Credentials are outputs, which can be made while a program is recorded and not before.
    return record(lambda: CloudNativeDatabase("database", args(repository=by(), **changes)) and None)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return made()


def store(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = custom(recording, "Cluster")["spec"]["backup"]["barmanObjectStore"]
    return found


def egress(recording: Recording, caller: str) -> dict[str, Any]:
    (policy,) = [each for each in recording.of_type(POLICY) if each.name == f"{caller}-egress"]
    spec: dict[str, Any] = policy.inputs["spec"]
    return spec


@pytest.mark.parametrize("by", [repository, emulated])
@pytest.mark.parametrize("to", [None, "latest", "2026-11-20 14:03:00+00"])
def test_the_operators_definitions_know_all_that_is_written(
    schemas: dict[str, dict[str, Any]],
    by: Callable[[], Repository],
    to: str | None,
) -> None:
    found = made(by, restore=Restore(id=1, to=to) if to else None)
    cluster, nightly = custom(found, "Cluster"), custom(found, "ScheduledBackup")
    assert problems(schemas["Cluster"], cluster) == []
    assert problems(schemas["ScheduledBackup"], nightly) == []
    cluster["spec"]["backup"]["barmanObjectStore"]["wal"]["compresion"] = "gzip"
    cluster["spec"]["backup"]["retentionPolicy"] = "30 days"
    assert len(problems(schemas["Cluster"], cluster)) == 2


def test_everything_goes_below_a_prefix_of_its_own_and_stays_for_a_month(recording: Recording) -> None:
    spec = custom(recording, "Cluster")["spec"]
    assert spec["backup"] == {
        "barmanObjectStore": {
            "destinationPath": "s3://fixia-backups/cloudnative-pg",
            "endpointURL": "https://s3.eu-central-1.amazonaws.com",
            "s3Credentials": {"inheritFromIAMRole": True},
            "wal": {"compression": "gzip", "maxParallel": 4},
            "data": {"compression": "gzip", "jobs": 2},
        },
        "retentionPolicy": "30d",
        "target": "prefer-standby",
    }
    assert spec["env"] == [{"name": "AWS_DEFAULT_REGION", "value": "eu-central-1"}]


def test_a_segment_leaves_within_a_minute_as_our_own_does(recording: Recording) -> None:
    told = custom(recording, "Cluster")["spec"]["postgresql"]["parameters"]
    assert told["archive_timeout"] == "60s"
    own = postgres_config.postgresql_conf(
        postgres_config.Server(memory="4Gi", cpu="1", storage="64Gi", database="fixia", archive_command="x")
    )
    assert f"archive_timeout = {told['archive_timeout']}" in own
    without = custom(recorded(), "Cluster")["spec"]
    assert "archive_timeout" not in without["postgresql"]["parameters"]
    assert without.keys().isdisjoint({"backup", "env", "serviceAccountTemplate", "externalClusters"})


def test_it_is_backed_up_at_two_by_a_cron_that_begins_with_seconds(recording: Recording) -> None:
    nightly = custom(recording, "ScheduledBackup")
    assert nightly["spec"]["cluster"] == {"name": custom(recording, "Cluster")["metadata"]["name"]}
    seconds, minutes, hours, *days = nightly["spec"]["schedule"].split()
    assert (seconds, minutes, hours, days) == ("0", "0", "2", ["*", "*", "*"])
    assert nightly["spec"]["immediate"] is True
    assert not recorded().of_type("kubernetes:postgresql.cnpg.io/v1:ScheduledBackup")


def test_a_role_is_taken_by_the_clusters_own_account(recording: Recording) -> None:
    spec = custom(recording, "Cluster")["spec"]
    assert spec["serviceAccountTemplate"] == {
        "metadata": {"annotations": {"eks.amazonaws.com/role-arn": ROLE}}
    }
    secrets = [each.name for each in recording.of_type("kubernetes:core/v1:Secret")]
    assert "database-object-store" not in secrets


def test_keys_and_an_authority_come_from_a_secret_and_are_nowhere_else() -> None:
    found = made(emulated)
    told = store(found)
    (held,) = [
        each for each in found.of_type("kubernetes:core/v1:Secret") if each.name == "database-object-store"
    ]
    name = held.inputs["metadata"].get("name") or told["endpointCA"]["name"]
    assert name
    assert told["endpointURL"] == "https://objects.fixia.app:9000"
    assert told["endpointCA"] == {"name": name, "key": "ca.crt"}
    assert told["s3Credentials"] == {
        "accessKeyId": {"name": name, "key": "access-key-id"},
        "secretAccessKey": {"name": name, "key": "secret-access-key"},
    }
    assert is_pulumi_secret(held.inputs["stringData"])
    assert held.inputs["stringData"]["value"] == {
        "access-key-id": "the-id",
        "secret-access-key": "the-secret-of-the-id",
        "ca.crt": "THE AUTHORITY",
    }
    assert held.inputs["metadata"]["labels"]["cnpg.io/reload"] == "true"
    told_by = [each.name for each in found.all.values() if "the-secret-of-the-id" in json.dumps(each.inputs)]
    assert told_by == ["database-object-store"]
    assert "serviceAccountTemplate" not in custom(found, "Cluster")["spec"]


def test_instances_get_through_to_the_store_and_the_pool_does_not() -> None:
    found = made(emulated)
    instances = egress(found, "database")["egress"]
    assert [port for rule in instances for port in rule["ports"] if port["port"] == 9000]
    pool = egress(found, "pool")["egress"]
    assert not [port for rule in pool for port in rule["ports"] if port["port"] == 9000]
    without = egress(recorded(), "database")["egress"]
    assert len(without) == len(instances) - 1


def test_a_new_cluster_is_recovered_from_the_same_folder_and_goes_on_there() -> None:
    found = made(emulated, restore=Restore(id=3, to="2026-11-20 14:03:00+02"))
    cluster = custom(found, "Cluster")
    assert cluster["spec"]["bootstrap"] == {
        "recovery": {
            "source": "origin",
            "database": "fixia",
            "owner": "owner",
            "recoveryTarget": {"targetTime": "2026-11-20T12:03:00+00:00"},
        }
    }
    (origin,) = cluster["spec"]["externalClusters"]
    assert origin["name"] == "origin"
    written = store(found)
    read = origin["barmanObjectStore"]
    assert read["serverName"] == cluster["metadata"]["name"]
    for field in ("destinationPath", "endpointURL", "endpointCA", "s3Credentials", "wal"):
        assert read[field] == written[field]
    assert cluster["metadata"]["annotations"]["cnpg.io/skipEmptyWalArchiveCheck"] == "enabled"
    job = egress(found, "database-full-recovery")
    assert job["podSelector"]["matchLabels"] == {
        "cnpg.io/cluster": "database",
        "cnpg.io/jobRole": "full-recovery",
    }
    assert {port["port"] for rule in job["egress"] for port in rule["ports"]} == {443, 9000}


def test_nobody_writes_where_another_has_unless_a_restore_is_told(recording: Recording) -> None:
    cluster = custom(recording, "Cluster")
    assert "cnpg.io/skipEmptyWalArchiveCheck" not in cluster["metadata"]["annotations"]
    assert set(cluster["spec"]["bootstrap"]) == {"initdb"}
    assert not [each for each in recording.of_type(POLICY) if "full-recovery" in each.name]


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("latest", {}),
        ("2026-11-20 14:03+01", {"targetTime": "2026-11-20T13:03:00+00:00"}),
        ("2026-11-20T14:03:00.5Z", {"targetTime": "2026-11-20T14:03:00.500000+00:00"}),
        ("2026-11-20 14:03:00 UTC", {"targetTime": "2026-11-20T14:03:00+00:00"}),
        ("2026-11-20 14:03:00 -0330", {"targetTime": "2026-11-20T17:33:00+00:00"}),
    ],
)
def test_every_time_that_the_settings_take_is_told_as_the_operator_reads_it(
    to: str, target: dict[str, str]
) -> None:
    assert backup.recovery_target(Restore(id=1, to=to)) == target


def test_what_the_operator_can_not_recover_is_refused() -> None:
    with pytest.raises(ValueError, match="takes `latest`, or a time"):
        backup.recovery_target(Restore(id=1, to="backup"))
    with pytest.raises(ValueError, match="finds the backup itself"):
        backup.recovery_target(Restore(id=1, to="latest", set="20261120-020000F"))
    with pytest.raises(ValueError, match="there is nothing to recover from"):
        recorded(restore=Restore(id=1, to="latest"))


def test_its_role_reaches_its_own_prefix_and_no_version() -> None:
    key = "cloudnative-pg/database/wals/0000000100000000/000000010000000000000001.gz"
    for action in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListBucket"):
        assert allowed(backup.JOB, f"s3:{action}", key)
        for other in ("pgbackrest/archive/main/archive.info", "results/backup.json", "dump/x"):
            assert not allowed(backup.JOB, f"s3:{action}", other)
    assert not [job for job in GRANTS if job != backup.JOB and allowed(job, "s3:GetObject", key)]
    assert not [one for one in GRANTS[backup.JOB] if "Version" in one.action or one.place == "replica"]
    document = policy_document(backup.JOB, Location(bucket="here", region="eu-central-1", key="arn:key"))
    resources = {
        resource
        for statement in document["Statement"]
        for resource in (
            [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        )
    }
    assert resources == {"arn:aws:s3:::here", "arn:aws:s3:::here/cloudnative-pg/*", "arn:key"}
    assert grants.CLOUDNATIVE_PG.rstrip("/*") in store(made())["destinationPath"]
