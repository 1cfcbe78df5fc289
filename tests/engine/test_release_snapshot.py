"""The snapshot that a release begins with, through the real engine: before the migration, or there is none."""

from pathlib import Path
from typing import Any

import pytest

from simulator.session import Session
from tests.engine.platform import Config, Platform, config, operations, without

pytestmark = pytest.mark.engine

SNAPSHOT, MIGRATE = "release-snapshot-job", "release-migrate-job"
OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"


def released(image: str, **release: Any) -> Config:
    """Staging with its database in somebody's bucket: no cloud is waited for."""
    settings = without(config(), "monitoring", "edge", "backup", "cache", "entrance")
    local = config("local")
    settings["fixia:backup"] = local["fixia:backup"]
    settings["fixia:secrets"] |= {
        name: {"value": f"given-{name}"}
        for name in ("backup-key", "backup-secret", "backup-cipher", "objects-authority")
    }
    api = settings["fixia:workloads"]["api"] | {"image": image, "talksTo": ["pool"]}
    del api["public"]
    settings["fixia:workloads"] = {"api": api}
    settings["fixia:release"] |= release
    return settings


@pytest.fixture
def platform(session: Session, tmp_path: Path) -> Platform:
    made = Platform(session, tmp_path)
    session.init(made.stack, made.program)
    done, report = made.run("up", released(OLD))
    assert done.returncode == 0, made.output
    names = [change.name for change in report.changes]
    assert names.index("database-stateful-set") < names.index(SNAPSHOT) < names.index(MIGRATE)
    return made


def test_without_it_nothing_is_migrated_and_the_next_try_takes_it_anew(platform: Platform) -> None:
    before = platform.record("Job", migration(platform))
    done, _ = platform.run("up", released(NEW), failing=SNAPSHOT)
    assert done.returncode != 0
    assert f"simulated failure of kubernetes:batch/v1:Job '{SNAPSHOT}'" in done.stdout + done.stderr
    assert platform.record("Job", migration(platform)) == before
    _, report = platform.run("preview", released(NEW))
    assert operations(report)[SNAPSHOT] == "replace", "a Job that failed stays failed"
    done, report = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    names = [change.name for change in report.changes]
    assert names.index(SNAPSHOT) < names.index(MIGRATE)
    _, report = platform.run("preview", released(NEW))
    assert operations(report) == {}


def test_the_same_image_takes_none_and_a_reason_takes_it_away(platform: Platform) -> None:
    settings = released(OLD)
    settings["fixia:workloads"]["api"]["autoscaling"]["max"] = 2
    _, report = platform.run("preview", settings)
    assert operations(report) == {"api-autoscaler": "update"}
    reason = "The bucket is gone, and this release mends what lost it."
    done, report = platform.run("up", released(NEW, withoutSnapshot=reason))
    assert done.returncode == 0, platform.output
    assert operations(report)[SNAPSHOT] == "delete"
    assert operations(report)[MIGRATE] == "replace"


def migration(platform: Platform) -> str:
    """The migration's name in the cluster."""
    (found,) = [each for each in platform.state() if each["urn"].endswith(f"::{MIGRATE}")]
    return str(found["outputs"]["metadata"]["name"])
