"""A release begins with a snapshot, once for each version, unless somebody wrote why not."""

import json
from typing import Any

import pytest

from components.backup.snapshot import RETRIES
from components.backup.tasks import FINAL
from settings.load import SettingsError, parse
from tests.operated import operated
from tests.recorder import Recording, record_program, stack_config

CRON_JOB, JOB = "kubernetes:batch/v1:CronJob", "kubernetes:batch/v1:Job"
NAME = "release-snapshot-job"
REASON = "The bucket's region is down, and this release mends the login."


def edited(stack: str, **changes: Any) -> dict[str, str]:
    """A stack's configuration with other values at `section__key`."""
    config = {key: json.loads(value) for key, value in stack_config(stack).items() if value[:1] in "{["}
    for path, value in changes.items():
        section, *between, last = path.split("__")
        found = config[f"fixia:{section}"]
        for key in between:
            found = found[key]
        found[last] = value
    return {key: json.dumps(value) for key, value in config.items()}


def template(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(JOB, NAME).inputs["spec"]["template"]
    return found


def env(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in container["env"]}


def test_it_is_the_job_that_anybody_could_start_and_told_of_the_release(recording: Recording) -> None:
    by_hand = recording.one(CRON_JOB, "backups-snapshot").inputs["spec"]["jobTemplate"]["spec"]["template"]
    taken = template(recording)
    # The same labels, for which the ways to the database and to the repository are open.
    assert taken["metadata"] == by_hand["metadata"]
    (ours,), (theirs,) = taken["spec"]["containers"], by_hand["spec"]["containers"]
    assert taken["spec"] | {"containers": []} == by_hand["spec"] | {"containers": []}
    api = recording.one("kubernetes:apps/v1:Deployment", "api-deployment").inputs["spec"]["template"]["spec"]
    assert env(ours) == env(theirs) | {"RELEASE": api["containers"][0]["image"]}
    assert ours | {"env": []} == theirs | {"env": []}


def test_it_is_tried_again_unless_another_try_would_end_the_same_way(recording: Recording) -> None:
    job = recording.one(JOB, NAME).inputs
    assert job["spec"]["backoffLimit"] == RETRIES
    (final,) = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert final["onExitCodes"]["values"] == sorted(FINAL)
    assert job["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"


def test_the_migration_waits_for_it_and_it_for_the_database_and_all_that_it_needs(
    recording: Recording,
) -> None:
    def before(resource: str) -> set[str]:
        return {urn.split("::")[-1] for urn in recording.one(JOB, resource).options["depends_on"]}

    assert NAME in before("release-migrate-job")
    assert {
        *("database-stateful-set", "backups-snapshot-egress", "backups-snapshot-to-database"),
        *("backups-snapshot-to-database-backup", "backups-snapshot-account", "backups-certificate"),
    } <= before(NAME)


@pytest.mark.parametrize(("workload", "is_new"), [("api", True), ("web", False)])
def test_another_version_of_what_migrates_makes_another_one_and_nothing_else_does(
    recordings: dict[str, Recording], workload: str, is_new: bool
) -> None:
    config = edited("staging", **{f"workloads__{workload}__image": "ghcr.io/fixia/other:9.9.9"})
    changed = record_program(config, "staging").one(JOB, NAME).inputs
    assert (changed != recordings["staging"].one(JOB, NAME).inputs) is is_new


def test_who_writes_down_why_releases_without_one(recordings: dict[str, Recording]) -> None:
    told = record_program(edited("staging", release__withoutSnapshot=REASON), "staging")
    assert [each.name for each in told.of_type(JOB)] == ["release-migrate-job", "release-smoke-job"]
    # By hand it is there all the same.
    assert told.one(CRON_JOB, "backups-snapshot")


def faults(config: dict[str, Any]) -> dict[str, tuple[str, str]]:
    raw = {
        key.removeprefix("fixia:"): value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
        if key.startswith("fixia:")
    }
    with pytest.raises(SettingsError) as caught:
        parse(raw, file="Pulumi.staging.yaml", project="fixia", encrypted=frozenset({"secrets"}))
    return {fault.path: (fault.found, fault.valid) for fault in caught.value.faults}


@pytest.mark.parametrize("reason", ["", "   \t    \n   ", "no"])
def test_a_reason_that_says_nothing_is_none(reason: str) -> None:
    assert list(faults(edited("staging", release__withoutSnapshot=reason))) == [
        "fixia:release.withoutSnapshot"
    ]


def test_a_reason_where_no_backups_are_is_refused_before_it_is_forgotten() -> None:
    config = edited("staging", release__withoutSnapshot=REASON)
    del config["fixia:backup"]
    assert faults(config)["fixia:release.withoutSnapshot"] == (
        "a reason without backups",
        "nothing, for none is taken; or a section `backup`",
    )


def test_where_an_operator_makes_the_backups_somebody_must_say_so() -> None:
    config = operated({key: json.loads(value) for key, value in edited("staging").items()})
    del config["fixia:release"]["withoutSnapshot"]
    found, valid = faults(config)["fixia:release.withoutSnapshot"]
    assert (found, "no release starts one" in valid) == ("nothing", True)
