"""Backups and the archive when something is wrong: nothing is lost, it is told, and the next run succeeds."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.backup.restore import Restore
from simulator.images.container import Container
from tests.artifact.backup_world import BUCKET, BackupWorld, Ended, backup_world
from tests.artifact.pod import eventually
from tests.artifact.s3_proxy import Rule

pytestmark = pytest.mark.heavy

FILES = "/(bundle|pg_data)/"
"""Small files of a backup together, large ones by themselves."""
IMPATIENT = "3"
"""Seconds for which a storage that is gone is waited for, else a minute."""
DATA = """
    CREATE TABLE IF NOT EXISTS noise AS
    SELECT i AS id, string_agg(md5(i::text || j), '') AS note
    FROM generate_series(1, 60000) AS i, generate_series(1, 16) AS j GROUP BY i
"""
"""35 MB that hardly compress."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupWorld]:
    with backup_world(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module")
def server(world: BackupWorld) -> Iterator[Container]:
    with world.database.serving() as serving:
        world.database.root(serving, DATA, "CREATE TABLE payment (id bigserial PRIMARY KEY, note text)")
        world.archiving(serving)
        good(world.job("backup"))
        yield serving


def good(ended: Ended) -> Ended:
    assert ended.code == 0, ended.text
    return ended


def next_one_succeeds(world: BackupWorld) -> None:
    """The next backup is made and whole, and the metric that the alert reads says so."""
    good(world.job("backup"))
    found = world.metrics()
    assert found["backup_repository_up"] == 1
    assert found['backup_job_success{job="backup"}'] == 1
    assert found["backup_verified"] == 1


Break = Callable[[BackupWorld], dict[str, Any]]

SETTINGS: dict[str, tuple[Break, int, str]] = {
    "wrong bucket": (lambda w: {"repository": w.repository_with(bucket="nothing")}, 78, "wrong bucket"),
    "wrong secret": (lambda w: {"repository": w.repository_with(backup="wrong")}, 78, "no permission"),
    "wrong passphrase": (lambda w: {"repository": w.repository_with(cipher="wrong")}, 78, "wrong key"),
    "no such database": (lambda _: {"PGPORT": "1"}, 75, "docs/runbooks/database-down.md"),
    "no backup server": (
        lambda _: {"PGBACKREST_PG1_HOST_PORT": "1", "PGBACKREST_IO_TIMEOUT": IMPATIENT},
        75,
        "docs/runbooks/database-down.md",
    ),
}


@pytest.mark.parametrize("mistake", SETTINGS)
def test_a_wrong_setting_is_told_with_what_to_do(world: BackupWorld, server: Container, mistake: str) -> None:
    broken, code, todo = SETTINGS[mistake]
    ended = world.job("backup", **broken(world))
    assert ended.code == code, ended.text
    (told,) = [line for line in ended.lines if line["level"] == "error" and line["event"] == "failed"]
    assert todo in told["message"]
    next_one_succeeds(world)


STORAGE: dict[str, tuple[Rule, int, str]] = {
    "403": (Rule(status=403, code="AccessDenied"), 78, "no permission"),
    "expired": (Rule(status=403, code="ExpiredToken"), 78, "the credentials have expired"),
    "500": (Rule(status=500, code="InternalError"), 75, "storage gone"),
    "503": (Rule(status=503, code="SlowDown"), 75, "storage gone"),
    "cut": (Rule(cut=True), 75, "storage gone"),
    "refused in the middle": (Rule(action="s3:PutObject", key="/bundle/", status=403), 78, "no permission"),
    "gone in the middle": (Rule(action="s3:PutObject", key="/bundle/", cut=True), 75, "storage gone"),
}


@pytest.mark.parametrize("fault", STORAGE)
def test_a_storage_that_fails_is_told_with_what_to_do(
    world: BackupWorld, server: Container, fault: str
) -> None:
    rule, code, todo = STORAGE[fault]
    rule.user = world.store.user("backup")[0]
    with world.store.fault(rule):
        ended = world.job("backup", TYPE="full", PGBACKREST_IO_TIMEOUT=IMPATIENT)
    assert rule.struck
    assert ended.code == code, ended.text
    (told,) = [line for line in ended.lines if line["level"] == "error" and line["event"] == "failed"]
    assert todo in told["message"], told
    if "middle" in fault:
        assert world.metrics()['backup_job_success{job="backup"}'] == 0
    else:
        # Nobody could write the result: the monitor has the old one, and its age is what the alert reads.
        assert ended.of("unwritten")
    next_one_succeeds(world)


def test_a_few_failures_of_the_storage_are_ridden_out(world: BackupWorld, server: Container) -> None:
    user = world.store.user("backup")[0]
    with (
        world.store.fault(Rule(user=user, key="/bundle/", status=503, times=2)) as unavailable,
        world.store.fault(Rule(user=user, key="/bundle/", cut=True, times=1)) as cut,
    ):
        good(world.job("backup", TYPE="full"))
    assert (unavailable.struck, cut.struck) == (2, 1)


def test_a_slow_storage_makes_a_slow_backup_and_no_worse(world: BackupWorld, server: Container) -> None:
    user = world.store.user("backup")[0]
    with world.store.fault(Rule(user=user, action="s3:PutObject", delay=0.3, rate=5_000_000)) as slow:
        good(world.job("backup", TYPE="full"))
    assert slow.struck > 5


@pytest.fixture(scope="module")
def puts(world: BackupWorld, server: Container) -> int:
    """How many objects, or parts of them, a full backup writes before its manifest."""
    before = len(world.store.calls)
    good(world.job("backup", TYPE="full"))
    user = world.store.user("backup")[0]
    return sum(
        call.user == user and call.action == "s3:PutObject" and bool(re.search(FILES, call.key))
        for call in world.store.calls[before:]
    )


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_backup_that_is_killed_is_taken_up_by_the_next(
    world: BackupWorld, server: Container, puts: int, percent: int
) -> None:
    assert puts >= 4, "there is nothing to be in the middle of"
    rule = Rule(
        user=world.store.user("backup")[0],
        action="s3:PutObject",
        key=FILES,
        skip=round((puts - 1) * percent / 100),
    )
    before = world.result("backup")
    with world.store.held(rule), world.started("backup", TYPE="full") as (running, log):
        eventually(lambda: rule.struck, f"it is at {percent} %", 120)
        running.send_signal(signal.SIGKILL)
        assert running.wait(30) != 0, log.read_text()
    # Killed without a word, it has written nothing, and nobody takes it for a success.
    assert world.result("backup") == before
    labels = world.tool("backup", "pgbackrest", "--stanza=main", "--output=json", "info").json[0]["backup"]
    good(world.job("backup", TYPE="full"))
    after = world.tool("backup", "pgbackrest", "--stanza=main", "--output=json", "info").json[0]["backup"]
    assert len(after) == len(labels) + 1
    next_one_succeeds(world)


def test_two_backups_at_once_come_one_after_the_other(world: BackupWorld, server: Container) -> None:
    with world.started("backup") as (first, one), world.started("backup") as (second, two):
        assert first.wait(120) == 0, one.read_text()
        assert second.wait(120) == 0, two.read_text()


def test_a_snapshot_waits_for_the_backup_that_is_under_way(world: BackupWorld, server: Container) -> None:
    rule = Rule(user=world.store.user("backup")[0], action="s3:PutObject", key="/bundle/")
    with world.store.held(rule), world.started("backup", TYPE="full") as (backup, log):
        eventually(lambda: rule.struck, "the backup is under way", 60)
        with world.started("snapshot") as (snapshot, told):
            eventually(lambda: '"event":"waiting"' in told.read_text(), "the snapshot waits", 60)
            assert rule.gate
            rule.gate.set()
            assert backup.wait(120) == 0, log.read_text()
            assert snapshot.wait(120) == 0, told.read_text()


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """One byte of a file is another one."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)


def test_a_flipped_byte_of_a_backup_is_found_and_the_next_run_is_whole(
    world: BackupWorld, server: Container
) -> None:
    label = world.result("backup")["label"][:16]
    bundle = next(
        path for key, path in world.store.objects(BUCKET).items() if f"backup/main/{label}/bundle/" in key
    )
    with damaged(bundle):
        ended = world.job("backup", TODAY="3")
        assert ended.code == 65, ended.text
        (told,) = ended.of("damaged")
        assert "docs/runbooks/repository-damaged.md" in told["message"]
        assert label in told["message"]
        found = world.metrics()
        assert found["backup_verified"] == 0
        assert found['backup_job_success{job="backup"}'] == 0
        # Not built upon the damage, though it is no Sunday.
        again = good(world.job("backup", TODAY="3"))
        assert again.of("made")[0]["type"] == "full"
        assert world.metrics()["backup_verified"] == 1
    good(world.job("backup", TODAY="3"))


def test_a_missing_segment_of_wal_is_found_and_the_next_backup_is_past_it(
    world: BackupWorld, server: Container
) -> None:
    good(world.job("backup", TYPE="full"))
    for _ in range(3):
        world.database.root(server, "INSERT INTO payment (note) VALUES ('x')")
        world.archiving(server)
    segments = [key for key in world.store.objects(BUCKET) if "/archive/main/17-1/0" in key]
    gone = world.store.objects(BUCKET)[[key for key in segments if ".backup" not in key][-2]]
    name = gone.name[:24]
    gone.unlink()
    ended = world.job("freshness")
    assert ended.code == 65, ended.text
    (told,) = ended.of("gap")
    assert name in told["message"]
    assert "docs/runbooks/repository-damaged.md" in told["message"]
    found = world.metrics()
    assert found['backup_job_success{job="freshness"}'] == 0
    assert found['backup_archive_gaps{job="freshness"}'] == 1
    again = good(world.job("backup", TODAY="3"))
    assert again.of("made")[0]["type"] == "full"
    # Still told, for moments of before; and no failure any more.
    assert good(world.job("freshness")).of("gap")[0]["level"] == "warning"


def test_an_emptied_repository_gets_its_stanza_again(tmp_path: Path) -> None:
    with backup_world(tmp_path) as world, world.database.serving() as server:
        world.archiving(server)
        # With its folders, for a real S3 has none.
        shutil.rmtree(world.store.path(BUCKET) / "pgbackrest")
        ended = world.job("backup")
        assert ended.code == 75, ended.text
        assert "the stanza is missing" in ended.text
        assert "docs/runbooks/archive-behind.md" in ended.text
        # The next segment finds none, and with that it is made anew.
        world.archiving(server)
        next_one_succeeds(world)


def test_a_restart_of_the_database_during_a_backup_costs_that_backup_alone(tmp_path: Path) -> None:
    with backup_world(tmp_path) as world:
        rule = Rule(user=world.store.user("backup")[0], action="s3:PutObject", key="/bundle/")
        with world.database.serving() as server:
            world.database.root(server, DATA)
            world.archiving(server)
            held = world.store.held(rule)
            with (
                held,
                world.started("backup", TYPE="full", PGBACKREST_ARCHIVE_TIMEOUT="20") as (running, log),
            ):
                eventually(lambda: rule.struck, "it is under way", 60)
                server.send_signal(signal.SIGTERM)
                assert server.wait(60) == 0
                assert rule.gate
                rule.gate.set()
                assert running.wait(120) == 75, log.read_text()
            assert "docs/runbooks/database-down.md" in log.read_text()
            assert world.metrics()['backup_job_success{job="backup"}'] == 0
        with world.database.serving() as server:
            world.archiving(server)
            next_one_succeeds(world)


def test_while_the_storage_is_gone_nothing_is_lost(tmp_path: Path) -> None:
    with backup_world(tmp_path) as world:
        pod = world.database
        pod.set_env("postgresql", PGBACKREST_IO_TIMEOUT="1")
        with pod.serving() as server:
            pod.root(server, "CREATE TABLE payment (id bigserial PRIMARY KEY)")
            world.archiving(server)
            good(world.job("backup"))
            acknowledged = 0
            with world.store.gone():
                until = time.monotonic() + 8
                while time.monotonic() < until or not failures(world, server):
                    pod.root(server, "INSERT INTO payment DEFAULT VALUES", "SELECT pg_switch_wal()")
                    acknowledged += 1
                    assert time.monotonic() < until + 60
                # The database itself does not mind, and the exporter's metric tells the truth.
                assert pod.root(server, "SELECT count(*) FROM payment") == [str(acknowledged)]
            world.archiving(server)
            assert pod.root(server, "SELECT last_archived_time > last_failed_time FROM pg_stat_archiver") == [
                "t"
            ]
            good(world.job("freshness"))
        # Somewhere else, from the bucket alone.
        other = world.pod("other", restore=Restore(id=1, to="latest"))
        with other.serving() as server:
            assert other.root(server, "SELECT count(*) FROM payment") == [str(acknowledged)]


def failures(world: BackupWorld, server: Container) -> int:
    (count,) = world.database.root(server, "SELECT failed_count FROM pg_stat_archiver")
    return int(count)


def test_a_new_database_never_writes_into_anothers_repository(tmp_path: Path) -> None:
    with backup_world(tmp_path) as world:
        with world.database.serving() as server:
            world.archiving(server)
        before = {key: path.read_bytes() for key, path in world.store.objects(BUCKET).items()}
        stranger = world.pod("stranger")
        with stranger.serving():
            eventually(
                lambda: "holds the backups of another database" in stranger.log("backup-server"),
                "it says so",
                60,
            )
        assert {key: path.read_bytes() for key, path in world.store.objects(BUCKET).items()} == before


def test_a_monitor_lives_before_its_first_look_is_over_and_not_when_it_hangs(
    world: BackupWorld, server: Container
) -> None:
    rule = Rule(user=world.store.user("monitor")[0])
    with world.store.held(rule), world.monitor() as monitor:
        eventually(lambda: rule.struck, "the first look is under way", 60)
        assert monitor.pod.probe("monitor", monitor.container, "liveness") == (0, "")
        begun = monitor.pod.volumes["metrics"] / "begun"
        long_ago = time.time() - 1000
        os.utime(begun, (long_ago, long_ago))
        code, told = monitor.pod.probe("monitor", monitor.container, "liveness")
        assert (code, "the last look was" in told) == (1, True), told
