"""The restore test and the drill, as their CronJobs run them: what they prove, and what never passes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.backup.tasks import FINAL
from tests.artifact.backup_world import BUCKET, REPLICA, BackupWorld
from tests.artifact.past import Past, backup, moment, pay, serving
from tests.artifact.pod import eventually

pytestmark = pytest.mark.heavy

DAMAGED, SETTINGS, TRY_AGAIN = 65, 78, 75


@pytest.fixture
def world(tmp_path: Path, payments: Past) -> Iterator[BackupWorld]:
    with payments.world(tmp_path) as made:
        yield made


@pytest.fixture
def then(payments: Past) -> str:
    """A moment after payment 1 and before payment 2."""
    return payments.then


def flip(file: Path) -> None:
    """One bit of a file's middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def objects(world: BackupWorld, part: str, bucket: str = BUCKET) -> list[Path]:
    found = [file for key, file in world.store.objects(bucket).items() if part in key]
    assert found, part
    return found


def test_a_good_backup_passes_and_what_it_costs_is_measured(world: BackupWorld) -> None:
    with serving(world.database) as server:
        # Else it last beat when the world was made, which the tests before have made long ago.
        world.database.root(server, "SELECT platform.beat()")
        world.archiving(server)
    ended = world.job("restore-test", SHARED_BUFFERS="32MB")
    assert ended.code == 0, ended.text
    result = world.result("restore-test")
    assert result["success"] == 1
    assert 0 < result["rto_seconds"] <= result["duration_seconds"] + 1
    assert 0 <= result["rpo_seconds"] < 300
    assert result["rows"] == 3
    assert result["counts"]["paid"] == 2
    served = world.metrics()
    assert served['backup_job_success{job="restore-test"}'] == 1
    assert served['backup_measured_rto_seconds{job="restore-test"}'] == result["rto_seconds"]
    assert served['backup_measured_rpo_seconds{job="restore-test"}'] == result["rpo_seconds"]


def test_a_flipped_bit_in_a_backup_never_passes_and_the_alert_reads_it(world: BackupWorld) -> None:
    assert world.job("restore-test").code == 0
    before = world.result("restore-test")["last_success"]
    for file in objects(world, "/bundle/"):
        flip(file)
    ended = world.job("restore-test")
    assert ended.code == DAMAGED in FINAL, ended.text
    assert "docs/runbooks/repository-damaged.md" in ended.of("damaged")[0]["message"]
    assert world.result("restore-test")["last_success"] == before
    assert world.metrics()['backup_job_success{job="restore-test"}'] == 0


def test_a_missing_segment_of_wal_never_passes(world: BackupWorld) -> None:
    with serving(world.database) as server:
        for amount in (3, 4):
            pay(world.database, server, amount)
            world.archiving(server)
    segments = sorted(
        file for file in objects(world, "archive/main/17-1/0000000100000000/") if "-" in file.name
    )
    segments[-2].unlink()
    ended = world.job("restore-test")
    assert ended.code == DAMAGED, ended.text
    said = ended.of("unreachable")[0]["message"]
    assert f"WAL segment {segments[-2].name[:24]} is missing" in said
    assert "the newest that can be reached is 20" in said


def test_a_flipped_bit_in_the_wal_never_passes(world: BackupWorld) -> None:
    with serving(world.database) as server:
        for amount in (3, 4):
            pay(world.database, server, amount)
            world.archiving(server)
    segments = sorted(
        file for file in objects(world, "archive/main/17-1/0000000100000000/") if "-" in file.name
    )
    flip(segments[-2])
    ended = world.job("restore-test")
    assert ended.code == DAMAGED, ended.text
    assert world.result("restore-test")["success"] == 0


def test_the_wrong_key_is_a_mistake_in_the_settings(world: BackupWorld) -> None:
    ended = world.job("restore-test", repository=world.repository_with(cipher="another one"))
    assert ended.code == SETTINGS, ended.text
    assert "another passphrase" in ended.lines[-1]["message"]


def test_a_kill_leaves_nothing_in_the_way_of_the_next_run(world: BackupWorld) -> None:
    for _ in range(3):  # each time somewhere else
        with world.started("restore-test") as (running, log):
            eventually(lambda text=log: "planned" in text.read_text(), "it restores", 120)  # type: ignore[misc]
            running.send_signal(signal.SIGTERM)
            assert running.wait(120) == 143, log.read_text()
    assert world.result("restore-test")["success"] == 0
    assert world.job("restore-test").code == 0


def test_the_drill_restores_a_copy_of_the_bucket_to_a_moment_that_nobody_chose(
    world: BackupWorld, then: str
) -> None:
    world.replicate()
    original = world.store.path(BUCKET) / "pgbackrest"
    original.rename(world.folder / "gone")
    ended = world.job("drill", TO=then)
    assert ended.code == 0, ended.text
    assert world.result("drill")["counts"]["paid"] == 1
    assert -1 <= world.result("drill")["heartbeat_before_target_seconds"] < 120
    ended = world.job("drill")
    assert ended.code == 0, ended.text
    (world.folder / "gone").rename(original)
    assert world.metrics()['backup_job_success{job="drill"}'] == 1


def test_a_damaged_copy_never_passes_the_drill(world: BackupWorld) -> None:
    world.replicate()
    for file in objects(world, "/bundle/", REPLICA):
        flip(file)
    assert world.job("drill").code == DAMAGED


def test_a_database_beside_the_live_one_is_looked_into(world: BackupWorld, then: str) -> None:
    with world.started("scratch", TO=then, KEEP_SECONDS="600") as (running, log):
        eventually(lambda: '"serving"' in log.read_text(), "it serves", 180)
        asked = [
            "psql",
            "-XAtqw",
            "-h",
            "/scratch",
            "-U",
            "postgres",
            "-d",
            "fixia",
            "-c",
            "SELECT number FROM paid",
        ]
        assert running.execute(asked).lines == ("1",)
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) == 143


def test_a_table_that_lost_most_of_its_rows_is_told(world: BackupWorld) -> None:
    assert world.job("restore-test").code == 0
    with serving(world.database) as server:
        world.database.sql(server, "DELETE FROM paid", role="owner")
        moment(world.database, server)
        world.archiving(server)
        backup(world, "incr")
        world.archiving(server)
    ended = world.job("restore-test")
    assert ended.code == 0, ended.text
    assert ended.of("shrunk")[0]["shrunk"] == ["paid: 2 -> 0"]
    assert world.result("restore-test")["shrunk_tables"] == 1
