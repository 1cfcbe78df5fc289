"""A restore of the database, as its pod does it: to a second, from the bucket alone, and never twice."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.backup.restore import Restore, environment
from simulator.images.container import Container
from tests.artifact.backup_world import BackupWorld
from tests.artifact.database_pod import DatabasePod, Refused, numbers
from tests.artifact.past import Past, backup, moment, pay, serving
from tests.artifact.pod import eventually

pytestmark = pytest.mark.heavy

CONFIGURATION, DATA_ERROR, TRY_AGAIN = 78, 65, 75


@pytest.fixture
def world(tmp_path: Path, payments: Past) -> Iterator[BackupWorld]:
    with payments.world(tmp_path) as made:
        yield made


@pytest.fixture
def then(payments: Past) -> str:
    """A moment after payment 1 and before payment 2."""
    return payments.then


def tell(pod: DatabasePod, number: int, to: str, label: str | None = None) -> None:
    """Change the setting `database.restore`; 0 takes it away."""
    pod.set_env("postgresql", **environment(Restore(id=number, to=to, set=label) if number else None))


def paid(pod: DatabasePod, server: Container) -> set[int]:
    (line,) = pod.sql(server, "SELECT string_agg(number::text, ' ') FROM paid")
    return numbers(line.split())


def recorded(pod: DatabasePod) -> int | None:
    file = pod.volumes["data"] / "restored"
    return int(file.read_text()) if file.exists() else None


def refused(pod: DatabasePod, code: int = CONFIGURATION) -> str:
    """Start it in vain; its last line."""
    with pod.run("postgresql") as server:
        assert server.wait(60) == code, pod.log("postgresql")
    return pod.log("postgresql").splitlines()[-1]


def test_a_moment_comes_back_to_the_second_with_the_passwords_of_today(world: BackupWorld, then: str) -> None:
    pod = world.database
    with serving(pod):
        pod.write_secret("app-password", "a new one")
        eventually(lambda: "changed app_1" in pod.log("reconciler"), "the password was changed")
    tell(pod, 1, then)
    with serving(pod) as server:
        eventually(lambda: recorded(pod) == 1, "the restore is noted")
        eventually(lambda: pod.log("reconciler").count("changed app_1") == 2, "and so in what was restored")
        assert pod.sql(server, "SELECT number FROM paid", secret="a new one") == ["1"]
        pod.sql(server, "INSERT INTO paid VALUES (3)", secret="a new one")
        world.archiving(server)
    # Neither a restart nor an older setting does it again.
    for number in (1, 1):
        tell(pod, number, then)
        with serving(pod) as server:
            assert pod.root(server, "SELECT number FROM paid") == ["1", "3"]
    assert pod.log("postgresql").count("restore command begin") == 1
    assert not (pod.volumes["data"] / "restoring").exists()


def test_the_bucket_alone_is_enough_and_an_old_setting_does_nothing_to_a_new_volume(
    world: BackupWorld,
    then: str,
) -> None:
    tell(world.database, 1, then)
    with serving(world.database) as server:
        pay(world.database, server, 3)
        eventually(lambda: recorded(world.database) == 1, "the restore is noted")
    # The cluster is gone, and with it the volume. The settings are those of before.
    new = world.database = world.pod("new")
    tell(new, 1, then)
    said = refused(new)
    assert "restore 1 was done before" in said
    assert "`to: latest`" in said
    tell(new, 0, "")
    said = refused(new)
    assert "the volume is empty, and the repository has backups of a database" in said
    assert "make restore TO=latest" in said
    assert not new.data.exists()
    tell(new, 2, "latest")
    with serving(new) as server:
        assert paid(new, server) == {1, 3}
        pay(new, server, 4)
        world.archiving(server, new)
        backup(world, "incr")


def test_a_moment_is_taken_from_the_life_that_clients_saw_then(world: BackupWorld, then: str) -> None:
    pod = world.database
    with serving(pod) as server:
        late = moment(pod, server)
        pay(pod, server, 3)
        world.archiving(server)
    tell(pod, 1, then)
    with serving(pod) as server:
        pay(pod, server, 10)
        second_life = moment(pod, server)
        pay(pod, server, 11)
        world.archiving(server)
        eventually(lambda: recorded(pod) == 1, "the restore is noted")
    # It was too early: what was paid after it in the first life is still there to be had.
    tell(pod, 2, late)
    with serving(pod) as server:
        assert paid(pod, server) == {1, 2}
        eventually(lambda: recorded(pod) == 2, "the restore is noted")
    tell(pod, 3, second_life)
    with serving(pod) as server:
        assert paid(pod, server) == {1, 10}
        eventually(lambda: recorded(pod) == 3, "the restore is noted")


def test_a_named_backup_comes_back_as_it_was(world: BackupWorld) -> None:
    pod = world.database
    with serving(pod):
        second = backup(world, "incr")
        first = second.partition("_")[0]
    for number, (label, expected) in enumerate([(second, {1, 2}), (first, None)], 1):
        tell(pod, number, "backup", label)
        with serving(pod) as server:
            there = pod.root(server, "SELECT to_regclass('paid')")
            assert (paid(pod, server) if there != [""] else None) == expected
            eventually(lambda n=number: recorded(pod) == n, "the restore is noted")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("to", "label", "why"),
    [
        (
            "2021-01-01 00:00:00+00",
            None,
            "before the end of the first backup that is kept; it can be from 20",
        ),
        ("2100-01-01 00:00:00+00", None, "is in the future; it can be from 20"),
        ("latest", "20211120-020000F", "the repository has no backup 20211120-020000F; it has: 20"),
    ],
)
def test_what_can_not_be_reached_is_refused_before_anything_is_touched(
    world: BackupWorld, to: str, label: str | None, why: str
) -> None:
    pod = world.database
    before = sorted((path, path.stat().st_mtime_ns) for path in pod.data.rglob("*"))
    tell(pod, 1, to, label)
    said = refused(pod)
    assert said.startswith("entrypoint: refused: restore 1: ")
    assert why in said
    assert said.endswith("Nothing was changed")
    assert sorted((path, path.stat().st_mtime_ns) for path in pod.data.rglob("*")) == before
    tell(pod, 0, "")
    with serving(pod) as server:
        assert paid(pod, server) == {1, 2}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"database": "another secret"}, "HTTP request failed with 403"),
        ({"cipher": "another passphrase"}, "the repository was not read: "),
        ({"bucket": "another-bucket"}, "NoSuchBucket"),
    ],
)
def test_a_repository_that_can_not_be_read_is_told_in_a_line_and_never_taken_for_empty(
    world: BackupWorld, then: str, wrong: dict[str, str], why: str
) -> None:
    new = world.pod("new", repository=world.repository_with(**wrong))
    for number in (0, 1):
        tell(new, number, then)
        said = refused(new, TRY_AGAIN)
        assert why in said
        assert len(said) < 1000
    # The storage answers with all that was signed, and with every header.
    for part in ("StringToSign", "x-amz-", "authorization"):
        assert part not in new.log("postgresql")
    assert not new.data.exists()


def test_a_moment_after_the_last_commit_is_the_end_of_what_was_archived(world: BackupWorld) -> None:
    pod = world.database
    with pod.serving(reconciled=False) as server:  # no heart beats
        pay(pod, server, 3)
        quiet = moment(pod, server)
        world.archiving(server)
    tell(pod, 1, quiet)
    with serving(pod) as server:
        assert paid(pod, server) == {1, 2, 3}
    assert "has not reached its end" not in pod.log("postgresql")


def test_nobody_is_served_before_the_end_of_recovery(world: BackupWorld, then: str) -> None:
    pod = world.database
    tell(pod, 1, then)
    answers = set()
    with pod.run("postgresql") as server:

        def done() -> bool:
            answers.add(pod.probe("postgresql", server, "readiness")[0])
            said = server.execute(
                ["psql", "-XAtqwU", "postgres", "-d", "fixia", "-c", "SELECT count(*) FROM paid"]
            )
            assert said.code or said.lines == ("1",)
            return recorded(pod) == 1

        eventually(done, "the restore is noted")
    assert 1 in answers


def test_a_restore_that_is_killed_anywhere_begins_again(world: BackupWorld, then: str) -> None:
    pod = world.database
    tell(pod, 1, then)
    points = (
        "restore 1: to time",
        "restore backup set",
        "restore global/pg_control",
        "redo starts",
        "archive recovery complete",
    )
    for point in points:
        with pod.run("postgresql") as server:
            since = len(pod.log("postgresql"))
            eventually(lambda p=point, s=since: p in pod.log("postgresql")[s:] or recorded(pod), point)  # type: ignore[misc]
            server.send_signal(signal.SIGKILL)
            server.wait(30)
    with serving(pod) as server:
        assert paid(pod, server) == {1}
        eventually(lambda: recorded(pod) == 1, "the restore is noted")
        pay(pod, server, 5)
    with serving(pod) as server:
        assert paid(pod, server) == {1, 5}


def test_a_restore_that_was_begun_is_not_forgotten_with_its_setting(world: BackupWorld, then: str) -> None:
    pod = world.database
    tell(pod, 1, then)
    with pod.run("postgresql") as server:
        eventually(lambda: "restore backup set" in pod.log("postgresql"), "the restore runs")
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    tell(pod, 0, "")
    assert "restore 1 has begun here and not ended" in refused(pod)


def test_a_stop_ends_a_restore_at_once(world: BackupWorld, then: str) -> None:
    pod = world.database
    tell(pod, 1, then)
    with pod.run("postgresql") as server:
        eventually(lambda: "restore backup set" in pod.log("postgresql"), "the restore runs")
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        assert time.monotonic() - begun < 30
    with serving(pod) as server:
        assert paid(pod, server) == {1}


def followed(standby: DatabasePod, server: Container) -> list[str]:
    """What a standby has of the payments so far; it may serve before it has their table."""
    try:
        return standby.root(server, "SELECT number FROM paid ORDER BY number")
    except Refused:
        return []


def test_a_standby_follows_a_primary_that_was_brought_back(
    world: BackupWorld, then: str, payments: Past
) -> None:
    primary = world.pod("primary", standbys=1)
    primary.fill(payments.volume)
    world.database = primary
    standby = world.pod("standby", port=primary.port, standbys=1, standby=True)
    standby.set_env("postgresql", HOSTNAME="database-standby-0")
    with serving(primary), serving(standby) as follower:
        assert "taking the data from backup" in standby.log("postgresql")
        eventually(lambda: followed(standby, follower) == ["1", "2"], "it has caught up", 60)
    for pod in (primary, standby):
        tell(pod, 1, then)
    with standby.run("postgresql") as follower:
        eventually(
            lambda: "waiting for the primary to complete restore 1" in standby.log("postgresql"), "it waits"
        )
        with serving(primary) as server:
            pay(primary, server, 3)
            ready = ("postgresql", follower, "readiness")
            eventually(lambda: standby.probe(*ready)[0] == 0, "the standby serves", 240)
            eventually(lambda: followed(standby, follower) == ["1", "3"], "the standby follows", 60)
    assert standby.log("postgresql").count("taking the data from backup") == 2


def test_a_full_disk_ends_a_restore_and_a_larger_one_completes_it(
    world: BackupWorld, then: str, tmp_path: Path
) -> None:
    new = world.pod("new")
    tell(new, 1, then)
    place = new.volumes["data"]
    options = "size=20m,uid=10001,gid=10001,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        assert "there is no space left to look at the WAL" in refused(new, TRY_AGAIN)
        # The backup fits now, and its WAL does not: recovery ends early, which never passes for its end.
        subprocess.run(["mount", "-o", "remount,size=60m", place], check=True)
        assert "restore 1 has not reached its end" in refused(new, 1)
        assert recorded(new) is None
        subprocess.run(["mount", "-o", "remount,size=400m", place], check=True)
        with serving(new) as server:
            assert paid(new, server) == {1}
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_the_data_folder_is_lost_under_load_and_nothing_older_than_a_minute(world: BackupWorld) -> None:
    pod = world.database
    script = "\n".join(
        f"INSERT INTO paid VALUES ({number}) RETURNING number, extract(epoch FROM clock_timestamp());"  # noqa: S608
        for number in range(200_000)
    )
    with serving(pod) as server:
        world.archiving(server)
        pod.sql(server, "TRUNCATE paid", role="owner")
        with pod.client(script):
            eventually(lambda: len(pod.said()) > 2000, "many commits are acknowledged", 60)
            world.archiving(server)
            archived = time.time()
            eventually(lambda: len(pod.said()) > 4000, "and more that are not archived", 60)
            shutil.rmtree(pod.data, ignore_errors=True)
            lost = time.time()
            server.send_signal(signal.SIGKILL)
            server.wait(30)
    acknowledged = {}
    for line in pod.said():
        number, _, at = line.strip().partition("|")
        if at:
            acknowledged[int(number)] = float(at)
    shutil.rmtree(pod.data, ignore_errors=True)
    tell(pod, 1, "latest")
    with serving(pod) as server:
        kept = paid(pod, server)
    missing = {number: at for number, at in acknowledged.items() if number not in kept}
    assert lost - min(missing.values(), default=lost) < 60
    assert all(at > archived - 5 for at in missing.values())
    assert kept == set(range(len(kept)))
