"""What the backups' jobs promise, read off the objects that they are made of."""

import json
import re
from dataclasses import replace
from typing import Any, get_args

import pulumi
import pytest

from components.backup.grants import GRANTS
from components.backup.repository import Access, Place, Repository, StaticKeys, WebIdentity
from components.backup.schedule import Backups, BackupsArgs
from components.backup.tasks import SCRIPTS, TASKS
from components.base import Identity
from components.data import postgres_config
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from tests.recorder import Recording, is_pulumi_secret, record

IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
NAMESPACE = "fixia-data"
SECRET = "never-told"
ROLE = "arn:aws:iam::123456789012:role/fixia-{}"


def credential(value: str) -> Credential:
    return Credential(current=pulumi.Output.secret(value))


def repository(
    *, web: bool = True, replica: bool = True, endpoint: str = "s3.eu-central-1.amazonaws.com"
) -> Repository:
    keys = StaticKeys(key=credential(f"{SECRET}-key"), secret=credential(f"{SECRET}-secret"))
    access = {who: WebIdentity(role=ROLE.format(who)) if web else keys for who in get_args(Access)}
    place = Place(bucket="fixia-backups", region="eu-central-1", endpoint=endpoint)
    return Repository(
        place=place,
        replica=replace(place, bucket="fixia-copy", region="eu-west-1") if replica else None,
        cipher=credential(f"{SECRET}-cipher"),
        access=access,
    )


def recorded(**changes: Any) -> Recording:
    pods = endpoint(IDENTITY, "database", NAMESPACE, 5432)
    config = {
        "PGHOST": "database.fixia-data.svc",
        "PGPORT": "5432",
        "PGDATABASE": "fixia",
        "PGUSER": "owner_1",
    }
    roles = (*postgres_config.GROUPS, *postgres_config.SINGLE_ROLES)

    def program() -> None:
        given: dict[str, Any] = {
            "identity": IDENTITY,
            "namespace": NAMESPACE,
            "restore_namespace": "fixia-restore",
            "image": "registry.example/backup:1",
            "database": replace(pods, config=config),
            "server": replace(pods, name="database-backup", port=8432),
            "passwords": {role: credential(f"{SECRET}-{role}") for role in roles},
            "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
            "repository": repository(),
            "storage": "50Gi",
            "priority_class": "background",
        }
        Backups("backups", BackupsArgs(**{**given, **changes}))

    return record(program)


@pytest.fixture(scope="module")
def backups() -> Recording:
    return recorded()


def cron_job(recording: Recording, job: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:batch/v1:CronJob", f"backups-{job}").inputs
    return found


def pod(recording: Recording, job: str) -> dict[str, Any]:
    found: dict[str, Any] = cron_job(recording, job)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def env(recording: Recording, job: str) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod(recording, job)["containers"][0]["env"]}


def volume(recording: Recording, job: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in pod(recording, job)["volumes"] if each["name"] == name]
    return dict(found)


@pytest.mark.parametrize("job", TASKS)
def test_each_job_is_bounded_and_overlaps_with_nothing(backups: Recording, job: str) -> None:
    spec = cron_job(backups, job)["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["successfulJobsHistoryLimit"] >= 1
    assert spec["failedJobsHistoryLimit"] >= 1
    of_job = spec["jobTemplate"]["spec"]
    assert of_job["activeDeadlineSeconds"] == TASKS[job].deadline
    (container,) = pod(backups, job)["containers"]
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"]["cpu"]
    assert pod(backups, job)["restartPolicy"] == "Never"
    assert pod(backups, job)["priorityClassName"] == "background"
    (final,) = [rule for rule in of_job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert final["onExitCodes"]["values"] == [65, 78]


@pytest.mark.parametrize("job", TASKS)
def test_each_job_runs_its_own_script(backups: Recording, job: str) -> None:
    (container,) = pod(backups, job)["containers"]
    assert container["command"] == ["bash", f"/etc/backup/{job}.sh"]
    assert (SCRIPTS / f"{job}.sh").is_file()
    assert env(backups, job)["JOB"] == job


def test_what_is_in_the_cluster_are_the_files_of_the_tree(backups: Recording) -> None:
    data = backups.one("kubernetes:core/v1:ConfigMap", "backups-scripts").inputs["data"]
    assert data == {path.name: path.read_text() for path in SCRIPTS.iterdir()}


def test_the_promised_times(backups: Recording) -> None:
    schedules = {job: cron_job(backups, job)["spec"]["schedule"] for job in TASKS}
    assert schedules["backup"] == "0 2 * * *"
    assert re.fullmatch(r"\d+ \* \* \* \*", schedules["freshness"])
    assert {job for job in TASKS if cron_job(backups, job)["spec"].get("suspend")} == {
        job for job, task in TASKS.items() if task.suspended
    }
    assert "snapshot" in {job for job, task in TASKS.items() if task.suspended}


@pytest.mark.parametrize("job", [*TASKS, "monitor"])
def test_each_has_an_account_and_a_role_of_its_own(backups: Recording, job: str) -> None:
    account = backups.one("kubernetes:core/v1:ServiceAccount", f"backups-{job}-account").inputs
    access = TASKS[job].access if job in TASKS else "monitor"
    assert account["metadata"]["name"] == f"backup-{access}"
    assert account["automountServiceAccountToken"] is False
    spec = (
        backups.one("kubernetes:apps/v1:Deployment", "backups-monitor").inputs["spec"]["template"]["spec"]
        if job == "monitor"
        else pod(backups, job)
    )
    assert spec["serviceAccountName"] == f"backup-{access}"
    told = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    assert told["AWS_ROLE_ARN"] == ROLE.format(access)
    (token,) = [each["projected"] for each in spec["volumes"] if each["name"] == "aws-token"]
    (source,) = token["sources"]
    assert source["serviceAccountToken"]["audience"] == "sts.amazonaws.com"


def test_accounts_are_not_shared_and_each_has_grants(backups: Recording) -> None:
    names = [each.inputs["metadata"]["name"] for each in backups.of_type("kubernetes:core/v1:ServiceAccount")]
    assert len(names) == len(set(names)) == len(TASKS) + 1
    assert set(get_args(Access)) == set(GRANTS)


def test_only_whoever_takes_backups_has_the_key_to_the_files(backups: Recording) -> None:
    for job, task in TASKS.items():
        volumes = {each["name"] for each in pod(backups, job)["volumes"]}
        assert ("tls" in volumes) == (task.server or task.role is not None)
        if "tls" in volumes:
            keys = volume(backups, job, "tls")["secret"].get("items")
            assert (keys is None) == task.server, job
            if keys is not None:
                assert [key["key"] for key in keys] == ["ca.crt"]
    certificate = backups.one("kubernetes:cert-manager.io/v1:Certificate", "backups-certificate").inputs[
        "spec"
    ]
    assert certificate["commonName"] == "backup"
    assert certificate["usages"] == ["digital signature", "client auth"]


def calls(recording: Recording, job: str) -> list[int]:
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", f"backups-{job}-egress").inputs
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected["app.kubernetes.io/name"] == f"backups-{job}"
    return sorted(int(rule["ports"][0]["port"]) for rule in policy["spec"]["egress"])


def test_each_calls_what_it_needs_and_nothing_else(backups: Recording) -> None:
    for job, task in TASKS.items():
        wanted = [443, *([5432] if task.role else []), *([8432] if task.server else [])]
        assert calls(backups, job) == sorted(wanted), job
        labels = cron_job(backups, job)["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == f"backups-{job}"
    assert calls(backups, "monitor") == [443]


def test_copies_are_restored_where_nothing_else_of_ours_is(backups: Recording) -> None:
    for job in TASKS:
        away = job in ("restore-test", "drill", "scratch")
        assert cron_job(backups, job)["metadata"]["namespace"] == f"fixia-{'restore' if away else 'data'}", (
            job
        )
    both = [
        backups.one("kubernetes:core/v1:ConfigMap", f"backups-{role}").inputs["data"]
        for role in ("scripts", "scripts-apart")
    ]
    assert both[0] == both[1]


def test_another_port_of_the_storage_is_opened_instead() -> None:
    assert calls(recorded(repository=repository(endpoint="objects.example:9443")), "monitor") == [9443]


@pytest.mark.parametrize("job", [job for job, task in TASKS.items() if task.scratch])
def test_scratch_space_is_sized_and_goes_with_the_pod(backups: Recording, job: str) -> None:
    space = volume(backups, job, "scratch")
    assert "persistentVolumeClaim" not in space
    if TASKS[job].scratch == "database":
        claim = space["ephemeral"]["volumeClaimTemplate"]
        assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
        assert claim["metadata"]["labels"]["owner"] == "platform-team"
    else:
        assert space["emptyDir"]["sizeLimit"] == TASKS[job].scratch
    assert env(backups, job)["SCRATCH"] == "/scratch"


@pytest.mark.parametrize("web", [True, False])
def test_no_secret_is_anywhere_but_in_secrets(web: bool) -> None:
    recording = recorded(repository=repository(web=web))
    for resource in recording.all.values():
        told = json.dumps(resource.inputs, default=str)
        if resource.type != "kubernetes:core/v1:Secret":
            assert SECRET not in told, resource.urn
        else:
            assert is_pulumi_secret(resource.inputs["stringData"]), resource.urn


def test_static_keys_are_files_and_need_no_token() -> None:
    recording = recorded(repository=repository(web=False))
    secret = recording.one("kubernetes:core/v1:Secret", "backups-backup-repository-secrets").inputs
    files = secret["stringData"]["value"]
    assert set(files) == {"cipher", "credentials", "secrets.conf"}
    assert f"repo1-s3-key={SECRET}-key" in files["secrets.conf"].splitlines()
    assert not [each for each in pod(recording, "backup")["volumes"] if "projected" in each]
    assert "AWS_ROLE_ARN" not in env(recording, "backup")


def test_without_a_replica_nothing_reads_one() -> None:
    recording = recorded(repository=repository(replica=False))
    made = {each.name for each in recording.of_type("kubernetes:batch/v1:CronJob")}
    assert made == {f"backups-{job}" for job, task in TASKS.items() if not task.replica}
    assert "replica" not in json.dumps(
        recording.one("kubernetes:core/v1:ConfigMap", "backups-monitor-repository").inputs
    )


def test_a_missing_password_is_refused() -> None:
    with pytest.raises(ValueError, match="backups need a password for: backup"):
        recorded(passwords={})


def test_what_the_monitor_serves_is_found_by_its_labels(backups: Recording) -> None:
    deployment = backups.one("kubernetes:apps/v1:Deployment", "backups-monitor").inputs["spec"]
    assert deployment["selector"]["matchLabels"]["app.kubernetes.io/name"] == "backups-monitor"
    _, exporter = deployment["template"]["spec"]["containers"]
    assert exporter["ports"] == [{"name": "metrics", "containerPort": 9188, "protocol": "TCP"}]
    assert "--collector.disable-defaults" in exporter["command"]
