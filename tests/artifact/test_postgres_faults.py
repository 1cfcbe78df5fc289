"""The database's life: starts, stops, kills, full disks. No commit that was acknowledged is ever lost."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from simulator.images.container import USER, Container
from tests.artifact.database_pod import DatabasePod, Refused, hang_up, numbers
from tests.artifact.pod import eventually

WRITES = 200_000
"""More than any test gets through."""

INSERTS = [f"INSERT INTO paid VALUES ({number}) RETURNING number;" for number in range(WRITES)]  # noqa: S608


@contextmanager
def writing(pod: DatabasePod, server: Container, first: int = 0) -> Iterator[Container]:
    """A client that commits number after number, beginning after those that are there; some are acknowledged."""
    pod.sql(server, "CREATE TABLE IF NOT EXISTS paid (number bigint PRIMARY KEY)", role="owner")
    with pod.client("\n".join(INSERTS[first:])) as client:
        eventually(lambda: len(pod.said()) > 300 or client.poll() is not None, "commits are acknowledged")
        assert client.poll() is None, pod.log("client")
        yield client


def check(pod: DatabasePod, server: Container, acknowledged: set[int]) -> int:
    """All that was acknowledged is there, and at most one more, whose answer was lost; how many there are."""
    (line,) = pod.sql(server, "SELECT string_agg(number::text, ' ') FROM paid")
    kept = numbers(line.split())
    assert kept >= acknowledged
    assert len(kept) <= len(acknowledged) + 1
    return len(kept)


def postmaster(server: Container) -> psutil.Process:
    (found,) = [each for each in psutil.Process(server.pid).children() if each.name() == "postgres"]
    return found


def backend(server: Container) -> psutil.Process:
    """The process that serves the writing client."""
    (found,) = [
        each for each in postmaster(server).children() if re.match(r"postgres: app_1 fixia ", title(each))
    ]
    return found


def title(process: psutil.Process) -> str:
    """What PostgreSQL says of one of its processes; nothing of one that has just ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def test_kill_9_of_the_postmaster_loses_no_commit(database: DatabasePod) -> None:
    acknowledged: set[int] = set()
    for _ in range(3):
        with database.serving() as server:
            kept = check(database, server, acknowledged) if acknowledged else 0
            with writing(database, server, first=kept) as client:
                postmaster(server).kill()
                assert server.wait(10) == 128 + signal.SIGKILL
                assert client.wait(10) != 0
            acknowledged = set(range(kept)) | numbers(database.said())
    with database.serving() as server:
        assert check(database, server, acknowledged) > 900
    assert database.log("postgresql").count("automatic recovery in progress") == 3


def test_kill_9_of_everything_leaves_nothing_in_the_way(database: DatabasePod) -> None:
    with database.serving() as server, writing(database, server):
        psutil.Process(server.pid).kill()
        server.wait(10)
        acknowledged = numbers(database.said())
        assert (database.data / "postmaster.pid").exists()
    with database.serving() as server:
        check(database, server, acknowledged)


def test_kill_9_of_a_backend_is_healed_without_a_restart_of_the_pod(database: DatabasePod) -> None:
    with database.serving() as server:
        with writing(database, server) as client:
            backend(server).kill()
            assert client.wait(10) != 0
            acknowledged = numbers(database.said())
        database.ready(server)
        check(database, server, acknowledged)
        assert server.poll() is None


def test_a_restart_amid_writes_is_quick_and_loses_no_commit(database: DatabasePod) -> None:
    with database.serving() as server, writing(database, server) as client:
        with database.client("BEGIN; SELECT 1; SELECT pg_sleep(600);", name="idle"):
            eventually(lambda: database.said("idle"), "a client in a transaction")
            begun = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert server.wait(database.grace_seconds) == 0
            assert time.monotonic() - begun < 10
        assert client.wait(10) != 0
        acknowledged = numbers(database.said())
    assert "received fast shutdown request" in database.log("postgresql")
    with database.serving() as server:
        check(database, server, acknowledged)
    assert "automatic recovery" not in database.log("postgresql")


@pytest.fixture
def small(tmp_path: Path, made: Path) -> Iterator[DatabasePod]:
    """A database whose volume is a disk of 140 MB."""
    pod = DatabasePod(tmp_path / "database")
    place = pod.volumes["data"]
    options = f"size=140m,uid={USER},gid={USER},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        pod.fill(made)
        yield pod
    finally:
        subprocess.run(["umount", place], check=True)


def grow(pod: DatabasePod) -> None:
    subprocess.run(["mount", "-o", "remount,size=600m", pod.volumes["data"]], check=True)


def fill(pod: DatabasePod, server: Container, *statements: str) -> str:
    """Ask again and again as the superuser, until it is refused; why."""
    for _ in range(1000):
        try:
            pod.root(server, *statements)
        except Refused as refusal:
            return str(refusal)
    raise AssertionError("it is never full")


def test_a_full_volume_refuses_writes_and_comes_back_when_it_has_grown(small: DatabasePod) -> None:
    full, row = "No space left on device", "INSERT INTO large VALUES (repeat('x', 4000))"
    with small.serving() as server:
        small.sql(
            server,
            "CREATE TABLE large (text text)",
            "ALTER TABLE large ALTER text SET STORAGE plain",
            role="owner",
        )
        with writing(small, server) as client:
            # Before the disk is full: who goes on writing may want more WAL first, which the next test is about.
            hang_up(client)
        # Unlogged, so that it is the data that fill the disk, and not the WAL.
        small.root(server, "CREATE UNLOGGED TABLE rubbish (text text)")
        rubbish = "INSERT INTO rubbish SELECT repeat('x', 500) FROM generate_series(1, {})"
        assert full in fill(small, server, rubbish.format(8000))
        assert full in fill(small, server, rubbish.format(1))
        with pytest.raises(Refused, match=full):
            small.sql(server, *[row] * 5)
        assert server.poll() is None
        assert small.probe("postgresql", server, "liveness") == (0, "")
        # Who reads is served all the while.
        assert small.sql(server, "SELECT count(*) > 0 FROM paid", role="readonly") == ["t"]
        grow(small)
        small.sql(server, *[row] * 5)
        check(small, server, numbers(small.said()))


def test_a_full_pg_wal_loses_no_commit_and_comes_back_when_it_has_grown(small: DatabasePod) -> None:
    with small.serving() as server:
        with writing(small, server) as client:
            # WAL that nobody takes away.
            small.root(server, "SELECT pg_create_physical_replication_slot('gone', true)")
            small.root(
                server, "CREATE TABLE changed AS SELECT repeat('x', 500) FROM generate_series(1, 8000)"
            )
            fill(small, server, "UPDATE changed SET repeat = repeat", "VACUUM changed")
            assert client.wait(30) != 0
            acknowledged = numbers(small.said())
        # It has no room even to recover: it ends, and is started again, until there is some.
        assert server.wait(30) != 0
    assert "No space left on device" in small.log("postgresql")
    with small.run("postgresql") as server:
        assert server.wait(30) != 0
    grow(small)
    with small.serving() as server:
        check(small, server, acknowledged)


def test_the_probes_tell_starting_recovering_and_broken_apart(database: DatabasePod) -> None:
    # Held in recovery: it waits for an archive that does not answer.
    (database.data / "recovery.signal").touch()
    with database.run("postgresql", "-c", "restore_command=sleep 600") as server:
        eventually(lambda: database.probe("postgresql", server, "liveness")[0] == 0, "it is alive")
        code, said = database.probe("postgresql", server, "readiness")
        assert (code, said) == (1, "starting")
        postmaster(server).send_signal(signal.SIGSTOP)
        try:
            code, said = database.probe("postgresql", server, "liveness")
            assert code == 1
            assert said.startswith("broken: ")
        finally:
            postmaster(server).send_signal(signal.SIGCONT)
    (database.data / "recovery.signal").rename(database.data / "standby.signal")
    with database.run("postgresql") as server:
        told = "recovering: a primary that is still one of the past, or data of a standby"
        eventually(lambda: database.probe("postgresql", server, "readiness") == (1, told), "it recovers")
        assert database.probe("postgresql", server, "liveness") == (0, "")


def test_a_new_database_is_not_ready_before_its_roles_are_there(tmp_path: Path) -> None:
    pod = DatabasePod(tmp_path / "database")
    with pod.run("postgresql") as server:
        eventually(lambda: pod.probe("postgresql", server, "startup")[0] == 0, "it is alive")
        code, said = pod.probe("postgresql", server, "readiness")
        assert (code, said) == (1, "bootstrapping: no roles yet")
        with pod.run("reconciler"):
            pod.ready(server)


def test_a_first_start_that_was_interrupted_begins_again(tmp_path: Path) -> None:
    pod = DatabasePod(tmp_path / "database")
    with pod.run("postgresql") as server:
        eventually(lambda: (pod.data.with_name("pgdata.new") / "PG_VERSION").exists(), "it has begun")
        psutil.Process(server.pid).kill()
        server.wait(10)
    assert not pod.data.exists()
    with pod.serving() as server:
        assert pod.sql(server, "SELECT 1") == ["1"]


def test_a_volume_that_was_opened_to_the_group_is_closed_again(database: DatabasePod) -> None:
    database.data.chmod(0o2770)
    with database.serving() as server:
        assert database.sql(server, "SELECT 1") == ["1"]


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process and all below it have together, what they share counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += each.memory_full_info().pss
    return total


def test_all_connections_at_work_stay_within_the_memory_limit(database: DatabasePod) -> None:
    """Each sorts and hashes more than it has memory for."""
    limit, clients = 512 * 2**20, 90
    rows = "CREATE TABLE item AS SELECT id, md5(id::text) AS text FROM generate_series(1, 300000) AS id"
    work = """SELECT count(*) FROM (SELECT * FROM item ORDER BY text DESC OFFSET 1) AS sorted;
        SELECT count(*) FROM item JOIN item AS other USING (id);"""
    pgbench = ["/usr/lib/postgresql/17/bin/pgbench", "-n", f"-c{clients}", "-T600"]
    with database.serving() as server:
        database.sql(server, rows, role="owner")
        assert database.sql(server, "SHOW max_parallel_workers") == ["2"]
        with database.client(work, role="owner", program=pgbench) as client:
            ask = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'owner_1' AND state = 'active'"
            eventually(lambda: database.root(server, ask) == [str(clients)], "all are at work")
            until, most = time.monotonic() + 10, 0
            while time.monotonic() < until:
                most = max(most, memory_of(postmaster(server)))
            assert client.poll() is None, database.log("client")
        assert limit // 3 < most < 0.95 * limit
        assert database.probe("postgresql", server, "liveness") == (0, "")


def test_when_all_connections_are_taken_who_watches_still_gets_in(tmp_path: Path, made: Path) -> None:
    pod = DatabasePod(tmp_path / "database", max_connections=20)
    pod.fill(made)
    with pod.serving() as server, ExitStack() as clients:
        eventually(lambda: "as told" in pod.log("reconciler"), "it has logged in as everybody")
        for number in range(12):
            clients.enter_context(pod.client("SELECT 1; SELECT pg_sleep(600);", name=f"client-{number}"))
        eventually(lambda: all(pod.said(f"client-{number}") for number in range(12)), "they are connected")
        with pytest.raises(Refused, match="remaining connection slots are reserved"):
            pod.sql(server, "SELECT 1")
        assert pod.sql(server, "SELECT count(*) FROM pg_stat_statements WHERE false", role="exporter") == [
            "0"
        ]
        for kind in ("readiness", "liveness"):
            assert pod.probe("postgresql", server, kind) == (0, "")
        # That a password is wrong can be told even now; of those that are not refused, it is looked at later.
        pod.write_secret("app-password-next", "changed")
        eventually(lambda: "changed app_2\nnot tried: owner_1" in pod.log("reconciler"), "it has tried")
        clients.close()
        told = pod.log("reconciler").count("as told\n")
        eventually(lambda: pod.log("reconciler").count("as told\n") > told, "it has tried again")


def refused(pod: DatabasePod) -> str:
    with pod.run("postgresql") as server:
        assert server.wait(20) == 78
    return pod.log("postgresql")


def test_data_of_another_version_are_refused(database: DatabasePod) -> None:
    (database.data / "PG_VERSION").write_text("16\n")
    assert "the data are of PostgreSQL 16, and this is 17: run pg_upgrade first" in refused(database)


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(database: DatabasePod) -> None:
    (database.data / "PG_VERSION").unlink()
    assert "is no data folder of PostgreSQL, and not empty" in refused(database)
    assert (database.data / "global" / "pg_control").exists()


def test_two_servers_never_share_a_volume(database: DatabasePod) -> None:
    with database.serving() as server:
        other = DatabasePod(database.folder / "other")
        other.volumes["data"] = database.volumes["data"]
        assert "another server is using" in refused(other)
        assert database.sql(server, "SELECT 1") == ["1"]
