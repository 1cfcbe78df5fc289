"""The stack whose database the operator runs, through the real engine: preview, up, edits, what it never does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.session import Session
from tests.engine.platform import Config, Platform, broken, config, operations, policies, without
from tests.operated import levels, operated
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

PASSWORDS = ("owner", "app", "readonly", "maintenance")


def smaller() -> Config:
    """Staging without what watches it and stands in front of it."""
    return without(config(), "monitoring", "edge")


@pytest.fixture(scope="module")
def deployed(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The staging stack with the operator's database, up; tests only preview edits of it."""
    with Session(engine) as session:
        made = Platform(session, tmp_path_factory.mktemp("operated"))
        session.init(made.stack, made.program)
        done, _ = made.run("up", operated(smaller()))
        assert done.returncode == 0, made.output
        yield made


def test_it_previews_clean(session: Session, tmp_path: Path) -> None:
    platform = Platform(session, tmp_path)
    session.init(platform.stack, platform.program)
    own = json.loads((ROOT / "policies/levels.staging.json").read_text(encoding="utf-8"))
    told = tmp_path / "levels.json"
    told.write_text(json.dumps(levels(own)))
    done, report = platform.run("preview", operated(config()), *policies(levels=told))
    assert done.returncode == 0, platform.output
    assert set(report.counts) == {"create"}
    assert not broken(report)
    assert not report.diagnostics
    assert "warning" not in platform.output.lower()


def test_everything_else_is_what_it_is_with_our_own(deployed: Platform) -> None:
    """What is made, but for the database and its pool, and that of the same names."""
    made = {resource["urn"].split("::")[-1] for resource in deployed.state()}
    assert {"database-cluster", "database-pooler", "maintenance-vacuum"} <= made
    assert {"database-scheduled-backup", "backups-access-cloudnative-pg-role"} <= made
    assert not made & {"database-stateful-set", "pool-deployment", "credentials-pooler-password-1"}
    objects = {
        each["urn"].split("::")[-1] for each in deployed.state() if each["type"].startswith("kubernetes:")
    }
    assert not [name for name in objects if name.startswith("backups")], "our own jobs know our own database"
    assert [name for name in made if name.startswith("backups-access-")] == [
        *(name for name in made if name.startswith("backups-access-cloudnative-pg-"))
    ], "nor has anybody a role for them"
    done, report = deployed.run("preview", smaller())
    assert done.returncode == 0, deployed.output
    changed = {
        name
        for name, operation in operations(report).items()
        if operation != "update" and not name.startswith(("database", "pool", "credentials-", "backups"))
    }
    # Callers are told another port, and each of them one password: only our own shows all three.
    assert changed <= {
        *("api-config", "worker-config", "release-migrate-config", "release-smoke-config"),
        *("release-migrate-secrets", "release-migrate-job", "release-smoke-job"),
        # Which only our own is asked for: `release.withoutSnapshot` says why.
        *("release-snapshot", "release-snapshot-job"),
    }


def test_after_up_there_is_nothing_to_change(deployed: Platform) -> None:
    done, report = deployed.run("preview", operated(smaller()), "--expect-no-changes")
    assert done.returncode == 0, deployed.output
    assert operations(report) == {}


def test_whoever_calls_it_is_told_the_same_names(deployed: Platform) -> None:
    told = deployed.record("ConfigMap", name_of(deployed, "api-config"))["data"]
    assert told["PGHOST"] == "pool.fixia-data.svc"
    assert (told["PGUSER"], told["PGDATABASE"]) == ("app_1", "fixia")
    migrating = deployed.record("ConfigMap", name_of(deployed, "release-migrate-config"))["data"]
    assert migrating["PGHOST"] == "database.fixia-data.svc"
    assert migrating["PGUSER"] == "owner_1"


def name_of(platform: Platform, resource: str) -> str:
    (found,) = [each for each in platform.state() if each["urn"].endswith(f"::{resource}")]
    return str(found["outputs"]["metadata"]["name"])


def replicas(settings: Config) -> None:
    settings["fixia:database"]["standbys"] = 1


def volume(settings: Config) -> None:
    settings["fixia:database"]["storage"] = "20Gi"


def parameter(settings: Config) -> None:
    settings["fixia:database"]["parameters"] = {"work_mem": "8MB"}


def budget(settings: Config) -> None:
    settings["fixia:database"]["pool"]["budget"] = 16


def rotation(settings: Config) -> None:
    settings["fixia:database"]["passwordEpoch"] = 2


def retention(settings: Config) -> None:
    settings["fixia:backup"]["retentionDays"] = 60


def restore(settings: Config) -> None:
    settings["fixia:database"]["restore"] = {"id": 1, "to": "2026-11-20 14:03:00+00"}


LIFECYCLES = {"backups-repository-lifecycle": "update", "backups-replica-lifecycle": "update"}
RECOVERY = {"database-full-recovery": "create", "database-full-recovery-egress": "create"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (replicas, {"database-cluster": "update"}),
        (volume, {"database-cluster": "update"}),
        (parameter, {"database-cluster": "update"}),
        (budget, {"database-pooler": "update"}),
        (retention, {"database-cluster": "update", **LIFECYCLES}),
        # A Cluster that is there is never made anew by it: the operator looks at it once.
        (restore, {"database-cluster": "update", **RECOVERY}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_an_edit_changes_the_operators_objects_in_place(
    deployed: Platform, edit: Callable[[Config], None], expected: dict[str, str]
) -> None:
    settings = operated(smaller())
    edit(settings)
    done, report = deployed.run("preview", settings)
    assert done.returncode == 0, deployed.output
    assert operations(report) == expected


def test_a_rotation_replaces_nothing_of_the_database(deployed: Platform) -> None:
    settings = operated(smaller())
    rotation(settings)
    done, report = deployed.run("preview", settings)
    assert done.returncode == 0, deployed.output
    ours = {name: how for name, how in operations(report).items() if name.startswith("database")}
    assert ours["database-cluster"] == "update"
    assert "replace" not in ours.values()


def test_the_role_is_for_the_account_that_the_operator_makes(deployed: Platform) -> None:
    (role,) = [
        each for each in deployed.state() if each["urn"].endswith("::backups-access-cloudnative-pg-role")
    ]
    trust = json.loads(role["outputs"]["assumeRolePolicy"])
    (trusted,) = [
        value
        for key, value in trust["Statement"][0]["Condition"]["StringEquals"].items()
        if key.endswith(":sub")
    ]
    cluster = deployed.record("Cluster", "database")
    metadata = cluster["metadata"]
    # Source: CloudNativePG 1.28, internal/controller/cluster_create.go: the account is named as its Cluster.
    assert trusted == f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}"
    account = cluster["spec"]["serviceAccountTemplate"]["metadata"]["annotations"]
    assert account == {"eks.amazonaws.com/role-arn": role["outputs"]["arn"]}


def test_what_the_operator_decides_is_refused_before_anything_is_made(deployed: Platform) -> None:
    settings = operated(smaller())
    settings["fixia:database"] |= {"claim": "data-database-standby-0", "parameters": {"work_mem": "4mb"}}
    done, _ = deployed.run("preview", settings)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Pulumi.staging.yaml: 2 settings are wrong" in said
    assert "fixia:database.claim" in said
    assert "fixia:database.parameters.work_mem" in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def own(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The staging stack with our own database and a standby of it, up."""
    with Session(engine) as session:
        made = Platform(session, tmp_path_factory.mktemp("own"))
        session.init(made.stack, made.program)
        done, _ = made.run("up", with_a_standby())
        assert done.returncode == 0, made.output
        yield made


def with_a_standby() -> Config:
    settings = smaller()
    settings["fixia:database"]["standbys"] = 1
    settings["fixia:platform"]["namespaces"]["data"]["quota"] = {"cpu": "2", "memory": "4Gi", "pods": 25}
    return settings


def test_a_volume_of_our_own_never_shrinks(own: Platform) -> None:
    settings = with_a_standby()
    settings["fixia:database"]["storage"] = "5Gi"
    done, _ = own.run("preview", settings)
    assert done.returncode != 0
    assert "a claim cannot shrink: found 5Gi, it has 10Gi" in done.stdout + done.stderr


def test_a_volume_of_our_own_grows_in_place_and_a_standbys_does_not(own: Platform) -> None:
    """What the runbook has somebody do before: the sizes in a StatefulSet's templates can't be changed."""
    settings = with_a_standby()
    volume(settings)
    done, report = own.run("preview", settings)
    assert done.returncode == 0, own.output
    done_to = operations(report)
    assert done_to["database-data"] == "update"
    assert done_to["database-stateful-set"] == "update"
    assert done_to["database-standby-stateful-set"] == "replace"


def test_no_password_is_in_the_state_in_plain_text(deployed: Platform) -> None:
    made = [r for r in deployed.state("--show-secrets") if r["type"].endswith("RandomPassword")]
    generated = [r["outputs"]["result"]["plaintext"].strip('"') for r in made]
    assert len(generated) >= len(PASSWORDS)
    written = [file for file in (deployed.session.folder / "projects").parent.rglob("*") if file.is_file()]
    assert any("stacks" in str(file) for file in written)
    for secret in generated:
        assert secret not in deployed.output
        assert [str(file) for file in written if secret.encode() in file.read_bytes()] == []
