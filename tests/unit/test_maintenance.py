"""What the nightly maintenance promises, read off the objects that it makes."""

import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.base import Identity
from components.data.maintenance import JOBS, NIGHTS, SCRIPTS, Maintenance, MaintenanceArgs, Night
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from tests.recorder import Recording, is_pulumi_secret, record

PASSWORD = "p" * 32
NAMESPACE = "fixia-data"
IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")


def args(**changes: Any) -> MaintenanceArgs:
    where = {
        "PGHOST": "database.fixia-data.svc",
        "PGPORT": "5432",
        "PGDATABASE": "fixia",
        "PGUSER": "owner_1",
    }
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "namespace": NAMESPACE,
        "image": "registry.example/postgres:17.6",
        "database": replace(endpoint(IDENTITY, "database", NAMESPACE, 5432), config=where),
        "password": Credential(current=pulumi.Output.from_input(PASSWORD)),
        "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
        "priority_class": "background",
    }
    return MaintenanceArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: Maintenance("maintenance", args(**changes)) and None)


@pytest.fixture(scope="module")
def maintenance() -> Recording:
    return recorded()


def cron_job(recording: Recording, job: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:batch/v1:CronJob", f"maintenance-{job}").inputs
    return found


def pod(recording: Recording, job: str) -> dict[str, Any]:
    found: dict[str, Any] = cron_job(recording, job)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def env(recording: Recording, job: str) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod(recording, job)["containers"][0]["env"]}


def minutes_of(schedule: str) -> int:
    """When a schedule of one time a day begins, in minutes after midnight."""
    minute, hour, *_ = schedule.split()
    return int(hour) * 60 + int(minute)


def test_the_component_registers_what_it_annotates(maintenance: Recording) -> None:
    (component,) = maintenance.of_type(Maintenance.TYPE)
    assert Maintenance.TYPE == "fixia:data:Maintenance"
    assert component.outputs == {"cron_jobs": {job: f"maintenance-{job}" for job in JOBS}}
    assert {child.name for child in maintenance.children(component.urn)} == {
        "maintenance",
        "maintenance-account",
        "maintenance-certificate",
        "maintenance-scripts",
        "maintenance-secrets",
        *(f"maintenance-{job}" for job in JOBS),
    }


def test_the_nights_are_what_was_agreed() -> None:
    assert {job: night.schedule for job, night in NIGHTS.items()} == {
        "vacuum": "0 2 * * *",
        "reindex": "0 3 * * 0",
        "report": "30 5 * * 0",
    }


@pytest.mark.parametrize("job", JOBS)
def test_everything_is_over_at_six(job: str) -> None:
    night = NIGHTS[job]
    assert minutes_of(night.schedule) * 60 + night.deadline <= 6 * 3600
    assert night.work < night.deadline
    assert night.patience < night.deadline


def test_the_vacuum_has_time_for_grace_lock_and_work() -> None:
    night = NIGHTS["vacuum"]
    assert args().backup_grace_seconds + night.patience + night.work < night.deadline


def test_the_rebuilds_end_before_the_report() -> None:
    begins, reports = NIGHTS["reindex"], NIGHTS["report"]
    assert minutes_of(begins.schedule) * 60 + begins.deadline <= minutes_of(reports.schedule) * 60


@pytest.mark.parametrize("job", JOBS)
def test_a_job_never_overlaps_and_never_runs_for_ever(maintenance: Recording, job: str) -> None:
    spec = cron_job(maintenance, job)["spec"]
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 1800
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 3)
    of_job = spec["jobTemplate"]["spec"]
    assert of_job["activeDeadlineSeconds"] == NIGHTS[job].deadline
    assert of_job["backoffLimit"] == 2
    assert pod(maintenance, job)["restartPolicy"] == "Never"
    (rule,) = of_job["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }


@pytest.mark.parametrize("job", JOBS)
def test_a_job_checks_whom_it_talks_to_and_has_its_own_role(maintenance: Recording, job: str) -> None:
    told = env(maintenance, job)
    assert (told["PGHOST"], told["PGPORT"], told["PGDATABASE"]) == (
        "database.fixia-data.svc",
        "5432",
        "fixia",
    )
    assert told["PGUSER"] == "maintenance"
    assert told["PGSSLMODE"] == "verify-full"
    assert told["PGREQUIREAUTH"] == "scram-sha-256"
    assert told["JOB"] == job
    assert pod(maintenance, job)["serviceAccountName"] == "maintenance-account-made-up"
    assert pod(maintenance, job)["priorityClassName"] == "background"
    assert pod(maintenance, job)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("job", JOBS)
def test_what_it_runs_and_reads_is_mounted_to_be_read(maintenance: Recording, job: str) -> None:
    (container,) = pod(maintenance, job)["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/etc/maintenance", "/run/secrets/maintenance", "/run/secrets/tls"}
    assert all(mount.get("readOnly", path == "/tmp") for path, mount in mounts.items())
    assert container["command"] == ["sh", f"/etc/maintenance/{job}.sh"]
    scripts = maintenance.one("kubernetes:core/v1:ConfigMap", "maintenance-scripts").inputs
    assert scripts["immutable"] is True
    assert set(scripts["data"]) == {path.name for path in SCRIPTS.iterdir()}
    assert f"{job}.sh" in scripts["data"]
    volumes = {volume["name"]: volume for volume in pod(maintenance, job)["volumes"]}
    # Its own certificate's key has no use, and is not there.
    assert volumes["tls"]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_password_is_in_the_secret_alone(maintenance: Recording) -> None:
    secret = maintenance.one("kubernetes:core/v1:Secret", "maintenance-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    assert secret["immutable"] is True
    holders = [each.name for each in maintenance.all.values() if PASSWORD in json.dumps(each.inputs)]
    assert holders == ["maintenance-secrets"]


def test_it_may_call_the_database_and_nobody_else(maintenance: Recording) -> None:
    policies = maintenance.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert {policy.name for policy in policies} == {"maintenance-egress", "maintenance-to-database"}
    (egress,) = [policy for policy in policies if policy.name == "maintenance-egress"]
    labels = cron_job(maintenance, "vacuum")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert egress.inputs["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert len(egress.inputs["spec"]["egress"]) == 1


def test_another_night_and_no_backup() -> None:
    nights = {**NIGHTS, "vacuum": Night(schedule="5 1 * * *", deadline=100, work=50, patience=20)}
    recording = recorded(nights=nights, backup_grace_seconds=0)
    assert cron_job(recording, "vacuum")["spec"]["schedule"] == "5 1 * * *"
    told = env(recording, "vacuum")
    assert (told["GRACE_SECONDS"], told["PATIENCE_SECONDS"], told["WORK_SECONDS"]) == ("0", "20", "50")
