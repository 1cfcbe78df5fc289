"""The snapshot that a release begins with, by its recorded Job: the real programs, an S3 over TLS."""

import re
from collections.abc import Iterator

import pytest

from components.backup.schedule import Backups
from components.backup.snapshot import Snapshot, SnapshotArgs
from components.backup.tasks import FINAL
from simulator.images.container import Container
from tests.artifact.backup_world import IDENTITY, BackupWorld, Ended, backup_world
from tests.artifact.s3_proxy import Rule
from tests.recorder import record

pytestmark = pytest.mark.heavy

IMAGE = "ghcr.io/fixia/api:2.0.0"
TRY_AGAIN = 75


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupWorld]:
    with backup_world(tmp_path_factory.mktemp("snapshot")) as made:
        yield made


@pytest.fixture(scope="module")
def server(world: BackupWorld) -> Iterator[Container]:
    """A new database, of which there is no backup yet."""
    with world.database.serving() as serving:
        world.archiving(serving)
        yield serving


def release(world: BackupWorld, image: str) -> Ended:
    """What the Job of a release runs, to its end."""

    def program() -> None:
        backups = Backups("backups", world.args(world.repository))
        args = SnapshotArgs(
            identity=IDENTITY,
            namespace="fixia-data",
            work=backups.work["snapshot"],
            image=image,
            after=[backups],
        )
        Snapshot("release-snapshot", args)

    recording = record(program)
    job = recording.one("kubernetes:batch/v1:Job", "release-snapshot-job").inputs
    pod = world.recorded("release", recording, job["spec"]["template"]["spec"], {})
    with pod.run("snapshot") as running:
        return Ended(running.wait(300), (pod.folder / "snapshot.log").read_text(errors="replace"))


def annotations(world: BackupWorld) -> list[dict[str, str] | None]:
    """What each backup says that it was for, the oldest first."""
    info = world.tool("monitor", "pgbackrest", "--stanza=main", "--output=json", "info").json
    return [backup.get("annotation") for backup in info[0]["backup"]]


def test_the_first_release_takes_the_first_backup_and_the_next_one_what_has_changed(
    world: BackupWorld, server: Container
) -> None:
    ended = release(world, IMAGE)
    assert ended.code == 0, ended.text
    told = world.result("snapshot")
    assert (told["success"], told["release"]) == (1, IMAGE)
    assert told["snapshot"]["restore_point"] == "before-2.0.0"
    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}F", told["snapshot"]["label"])
    assert annotations(world) == [{"before": IMAGE, "snapshot": "before-2.0.0"}]

    # As production names it: nobody can move a digest.
    pinned = f"ghcr.io/fixia/api:2.1.0@sha256:{'a' * 64}"
    ended = release(world, pinned)
    assert ended.code == 0, ended.text
    assert re.fullmatch(
        r"[0-9]{8}-[0-9]{6}F_[0-9]{8}-[0-9]{6}I", world.result("snapshot")["snapshot"]["label"]
    )
    assert annotations(world)[1:] == [{"before": pinned, "snapshot": "before-2.1.0"}]


def test_one_by_hand_is_for_no_release(world: BackupWorld, server: Container) -> None:
    ended = world.job("snapshot", SNAPSHOT="by-hand")
    assert ended.code == 0, ended.text
    assert world.result("snapshot")["release"] is None
    assert annotations(world)[-1] == {"snapshot": "by-hand"}


def test_a_storage_that_is_gone_fails_it_for_another_try_and_a_refusal_for_good(
    world: BackupWorld, server: Container
) -> None:
    user = world.store.user("snapshot")[0]
    with world.store.fault(Rule(user=user, status=503)):
        ended = release(world, IMAGE)
    assert ended.code == TRY_AGAIN not in FINAL, ended.text
    assert "docs/runbooks/backup-late.md" in ended.of("failed")[0]["message"]
    with world.store.fault(Rule(user=user, status=403)):
        assert release(world, IMAGE).code in FINAL
    assert release(world, IMAGE).code == 0
