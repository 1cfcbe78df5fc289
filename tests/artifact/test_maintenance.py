"""The nightly jobs, as their CronJobs run them, against a real PostgreSQL."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.base import Identity
from components.data.maintenance import NIGHTS, Maintenance, MaintenanceArgs
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from simulator.images.container import Container
from simulator.images.rootfs import IMAGES
from tests.artifact.plain_postgres import PASSWORD, Postgres, literal
from tests.artifact.pod import RecordedPod, eventually, sign
from tests.recorder import record

OURS = IMAGES / "postgres" / "rootfs" / "usr" / "share" / "database" / "40-maintenance.sql"
LOCKED = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 5432 AND objid = 1"
INDEXES = (
    "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = 'shop.\"Orders\"'::regclass"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres")).serving() as serving:
        serving.sql(
            "CREATE ROLE owner",
            f"CREATE ROLE maintenance LOGIN PASSWORD {literal(PASSWORD)} IN ROLE pg_maintain",
            OURS.read_text(),
            OURS.read_text(),  # it runs at each start
            "GRANT CREATE ON DATABASE fixia TO owner",
        )
        yield serving


@pytest.fixture
def database(server: Postgres) -> Postgres:
    """The server with a schema of the owner's alone, and a table whose names need quoting."""
    server.sql(
        "DROP SCHEMA IF EXISTS shop CASCADE",
        "SET ROLE owner; CREATE SCHEMA shop",
        """SET ROLE owner; CREATE TABLE shop."Orders" (id int PRIMARY KEY, buyer text, note text)""",
        """SET ROLE owner; CREATE INDEX "by buyer's name" ON shop."Orders" (buyer)""",
        """INSERT INTO shop."Orders" SELECT i, 'buyer ' || i % 100, 'x' FROM generate_series(1, 20000) AS i""",
    )
    return server


class Jobs:
    """The recorded jobs of one database."""

    def __init__(self, folder: Path, server: Postgres, *, password: str = PASSWORD, **nights: int) -> None:
        self.folder = folder
        self.server = server
        self.trusted = server.authority / "ca.crt"
        self._password, self._grace = password, nights.pop("grace", 0)
        self._nights = {
            job: replace(
                night,
                work=nights.get("work", night.work),
                patience=nights.get("patience", night.patience),
            )
            for job, night in NIGHTS.items()
        }
        self.recording = record(lambda: Maintenance("maintenance", self._args()) and None)

    def _args(self) -> MaintenanceArgs:
        identity = Identity(product="fixia", environment="test", owner="o", cost_centre="c")
        port = self.server.port
        config = {"PGHOST": "localhost", "PGPORT": str(port), "PGDATABASE": "fixia"}
        return MaintenanceArgs(
            identity=identity,
            namespace="fixia-data",
            image="postgres",
            database=replace(endpoint(identity, "database", "fixia-data", port), config=config),
            password=Credential(current=pulumi.Output.secret(self._password)),
            authority=Authority("authority", AuthorityArgs(identity=identity)),
            backup_grace_seconds=self._grace,
            nights=self._nights,
        )

    @contextmanager
    def started(self, job: str, **env: str) -> Iterator[tuple[Container, "Log"]]:
        """Run a job as the kubelet would."""
        folder = self.folder / f"{job}-{time.monotonic_ns()}"
        folder.mkdir()
        cron_job = self.recording.one("kubernetes:batch/v1:CronJob", f"maintenance-{job}").inputs
        pod = RecordedPod(folder, self.recording, cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"])
        (pod.volumes["tls"] / "ca.crt").write_bytes(self.trusted.read_bytes())
        pod.containers[job]["env"] += [{"name": name, "value": value} for name, value in env.items()]
        with pod.run(job) as running:
            yield running, Log(folder / f"{job}.log")

    def ended(self, job: str, **env: str) -> tuple[int, "Log"]:
        """Run a job to its end."""
        with self.started(job, **env) as (running, log):
            return running.wait(120), log


class Log:
    """What a job has printed: nothing but JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def jobs(tmp_path: Path, database: Postgres) -> Jobs:
    return Jobs(tmp_path, database)


def test_the_vacuum_reclaims_dead_rows_and_renews_the_statistics(jobs: Jobs) -> None:
    jobs.server.sql(
        """DELETE FROM shop."Orders" WHERE id % 2 = 0""",
        "SELECT pg_stat_force_next_flush()",
    )
    code, log = jobs.ended("vacuum")
    assert code == 0, log.lines
    (told,) = log.lines
    assert told["dead_rows_before"] >= 10000 > told["dead_rows_after"]
    assert told["tables"] >= 1
    assert told["left_out"] == []
    assert jobs.server.sql("SELECT reltuples FROM pg_class WHERE relname = 'Orders'") == ["10000"]
    assert jobs.server.sql(
        "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'Orders'"
    ) == ["t"]


def test_a_table_that_is_locked_is_left_out_and_told(jobs: Jobs) -> None:
    with jobs.server.held("BEGIN", 'LOCK TABLE shop."Orders" IN SHARE ROW EXCLUSIVE MODE'):
        code, log = jobs.ended("vacuum")
    assert code == 0
    assert log.of("finished")[0]["left_out"] == ['shop."Orders"']


def test_one_waits_for_the_other_and_holds_nothing_back_meanwhile(jobs: Jobs) -> None:
    with jobs.started("vacuum") as (vacuum, log):
        with jobs.server.held("SELECT pg_advisory_lock(5432, 1)"):
            asks = "FROM pg_stat_activity WHERE application_name = 'maintenance-vacuum'"
            eventually(lambda: jobs.server.sql(f"SELECT pid {asks} AND state = 'idle'"), "it waits")
            assert jobs.server.sql(f"SELECT count(*) {asks} AND backend_xmin IS NOT NULL") == ["0"]
            assert vacuum.poll() is None
            assert log.lines == []
        assert vacuum.wait(30) == 0
    assert log.of("finished")


def test_rebuilds_beside_a_waiting_vacuum_do_not_stop_each_other(jobs: Jobs) -> None:
    with jobs.started("reindex") as (reindex, rebuilt), jobs.started("vacuum") as (vacuum, _):
        assert reindex.wait(60) == 0, rebuilt.lines
        assert vacuum.wait(60) == 0


def test_the_lock_is_not_waited_for_for_ever(tmp_path: Path, database: Postgres) -> None:
    jobs = Jobs(tmp_path, database, patience=2)
    with database.held("SELECT pg_advisory_lock(5432, 1)"):
        code, log = jobs.ended("vacuum")
    assert code != 0
    (line,) = log.lines
    assert (line["level"], line["event"]) == ("error", "failed")
    assert "the maintenance lock was never free" in line["message"]


def test_a_backup_that_is_due_goes_first(tmp_path: Path, database: Postgres) -> None:
    jobs = Jobs(tmp_path, database, grace=60)
    with jobs.started("vacuum") as (vacuum, log):
        asks = "SELECT pid FROM pg_stat_activity WHERE application_name = 'maintenance-vacuum'"
        eventually(lambda: database.sql(asks), "it is there, and lets the backup go first")
        assert database.sql(f"SELECT count(*) {LOCKED}") == ["0"]
        with database.held("SELECT pg_advisory_lock(5432, 1)"):
            eventually(lambda: database.sql(f"{asks} AND query LIKE '%pg_try_%'"), "it wants the lock now")
            assert log.lines == []
        assert vacuum.wait(30) == 0
    assert log.of("finished")


def test_without_a_backup_it_begins_when_the_grace_is_over(tmp_path: Path, database: Postgres) -> None:
    assert Jobs(tmp_path, database, grace=2).ended("vacuum")[0] == 0


def test_every_index_is_rebuilt_and_serves(jobs: Jobs) -> None:
    jobs.server.sql("""UPDATE shop."Orders" SET buyer = 'other ' || id""", 'VACUUM shop."Orders"')
    before = jobs.server.sql(f"SELECT oid {INDEXES} ORDER BY 1")
    code, log = jobs.ended("reindex")
    assert code == 0, log.lines
    rebuilt = {line["index"]: line for line in log.of("rebuilt")}
    assert {'shop."Orders_pkey"', """shop."by buyer's name\""""} <= set(rebuilt)
    assert any(name.startswith("pg_toast.") for name in rebuilt)
    assert all(line["bytes_after"] <= line["bytes_before"] for line in rebuilt.values())
    assert set(jobs.server.sql(f"SELECT oid {INDEXES}")).isdisjoint(before)
    assert jobs.server.sql(f"SELECT count(*) {INDEXES} AND indisvalid") == ["2"]
    assert jobs.server.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == ["0"]
    assert jobs.server.sql(
        "SET enable_seqscan = off", """SELECT id FROM shop."Orders" WHERE buyer = 'other 7'"""
    ) == ["7"]


def test_what_time_has_left_out_comes_first_the_next_time(tmp_path: Path, database: Postgres) -> None:
    first = database.sql(f"SELECT relname {INDEXES} ORDER BY oid LIMIT 1")[0]
    assert Jobs(tmp_path, database).ended("reindex")[0] == 0
    assert database.sql(f"SELECT relname {INDEXES} ORDER BY oid LIMIT 1") == [first]
    database.sql(f'REINDEX INDEX CONCURRENTLY shop."{first}"')
    assert database.sql(f"SELECT relname {INDEXES} ORDER BY oid DESC LIMIT 1") == [first]
    code, log = Jobs(tmp_path, database, work=0).ended("reindex")
    assert code == 0
    assert not log.of("rebuilt")
    assert "0 rebuilt, 0 failed, " in log.of("finished")[0]["message"]


def interrupted(server: Postgres) -> str:
    """Leave half an index, as a rebuild does that is killed; give its name."""
    with server.held("BEGIN", """UPDATE shop."Orders" SET note = 'y' WHERE id = 1"""):
        rebuilding = "FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'"
        with server.background("""REINDEX INDEX CONCURRENTLY shop."by buyer's name\""""):
            eventually(lambda: server.sql(f"SELECT pid {rebuilding}"), "it waits for the transaction's end")
            server.sql(f"SELECT pg_terminate_backend(pid) {rebuilding}")
    (name,) = server.sql("SELECT name FROM maintenance.leftovers")
    return name


def test_what_a_killed_rebuild_has_left_is_dropped(jobs: Jobs) -> None:
    assert interrupted(jobs.server) == """shop."by buyer's name_ccnew\""""
    code, log = jobs.ended("reindex")
    assert code == 0, log.lines
    assert [line["index"] for line in log.of("leftover_dropped")] == ["""shop."by buyer's name_ccnew\""""]
    assert jobs.server.sql("SELECT count(*) FROM maintenance.leftovers") == ["0"]
    assert jobs.server.sql(f"SELECT count(*) {INDEXES} AND indisvalid") == ["2"]


def test_a_leftover_that_is_in_use_is_told_and_users_wait_a_second_at_most(jobs: Jobs) -> None:
    interrupted(jobs.server)
    with jobs.server.held("BEGIN", """SELECT count(*) FROM shop."Orders\""""):
        code, log = jobs.ended("reindex", WORK_SECONDS="1")
    assert code == 1
    assert any("lock timeout" in line["message"] for line in log.of("said"))
    assert "by buyer's name_ccnew" in log.of("failed")[-1]["message"]


def test_the_role_can_drop_nothing_else_and_read_nothing(jobs: Jobs) -> None:
    server = jobs.server
    (valid,) = server.sql("SELECT oid FROM pg_class WHERE relname = 'Orders_pkey'")
    assert server.sql(f"SELECT maintenance.drop_leftover({valid}) IS NULL", user="maintenance") == ["t"]
    server.sql("SELECT maintenance.admit()", user="maintenance")
    for refused in (
        """SELECT * FROM shop."Orders\"""",
        """DROP INDEX shop."Orders_pkey\"""",
        """DELETE FROM shop."Orders\"""",
        "CREATE TABLE maintenance.mine ()",
        "CREATE TABLE shop.mine ()",
    ):
        code, lines = server.psql(refused, user="maintenance")
        assert code, refused
        assert "permission denied" in lines[0] or "must be owner" in lines[0]
    server.sql("CREATE ROLE stranger")
    for call in ("admit()", "drop_leftover(1)"):
        assert server.psql(f"SET ROLE stranger; SELECT maintenance.{call}")[0]
    server.sql("DROP ROLE stranger")


@pytest.mark.parametrize("job", ["vacuum", "reindex"])
def test_asked_to_stop_it_ends_at_once_and_leaves_no_lock(jobs: Jobs, job: str) -> None:
    """In the midst of a statement that waits: a rebuild for an older transaction, the vacuum for the lock."""
    hold = {
        "reindex": ("BEGIN", """UPDATE shop."Orders" SET note = 'y' WHERE id = 1"""),
        "vacuum": ("SELECT pg_advisory_lock(5432, 1)",),
    }[job]
    there = f"FROM pg_stat_activity WHERE application_name = 'maintenance-{job}'"
    busy = "state = 'active' AND wait_event_type = 'Lock'" if job == "reindex" else "state = 'idle'"
    with jobs.server.held(*hold), jobs.started(job) as (running, log):
        eventually(lambda: jobs.server.sql(f"SELECT pid {there} AND {busy}"), "it waits")
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 143
        assert [line["event"] for line in log.lines][-1] == "stopped"
        eventually(lambda: not jobs.server.sql(f"SELECT pid {there}"), "its session ends", 10)
        held = jobs.server.sql(f"SELECT count(*) {LOCKED}")
        assert held == (["0"] if job == "reindex" else ["1"])
    code, log = jobs.ended("reindex")
    assert code == 0, log.lines
    assert bool(log.of("leftover_dropped")) is (job == "reindex")


def test_killed_without_a_word_it_leaves_no_lock_either(jobs: Jobs) -> None:
    there = "FROM pg_stat_activity WHERE application_name = 'maintenance-reindex'"
    held = jobs.server.held("BEGIN", """UPDATE shop."Orders" SET note = 'y' WHERE id = 1""")
    with held, jobs.started("reindex") as (running, _):
        eventually(lambda: jobs.server.sql(f"SELECT pid {there} AND wait_event_type = 'Lock'"), "it waits")
        running.send_signal(signal.SIGKILL)
        eventually(lambda: not jobs.server.sql(f"SELECT pid {there}"), "its session ends", 10)
        assert jobs.server.sql(f"SELECT count(*) {LOCKED}") == ["0"]


def test_an_old_transaction_is_not_waited_for_for_ever(jobs: Jobs) -> None:
    jobs.server.sql("CREATE TABLE shop.aside (id int PRIMARY KEY)")
    with jobs.server.held("BEGIN", """UPDATE shop."Orders" SET note = 'y' WHERE id = 1"""):
        code, log = jobs.ended("reindex", LOCK_TIMEOUT="1s")
    assert code == 1
    assert len(log.of("failed")) >= 3
    assert all("lock timeout" in line["message"] for line in log.of("failed"))
    # Nobody uses this one's table, so what is left of it goes at once.
    assert "shop.aside_pkey_ccnew" in {line["index"] for line in log.of("leftover_dropped")}
    assert jobs.ended("reindex")[0] == 0
    assert jobs.server.sql("SELECT count(*) FROM maintenance.leftovers") == ["0"]


@pytest.mark.parametrize("job", ["vacuum", "reindex", "report"])
def test_a_wrong_password_is_one_clear_line_without_it(tmp_path: Path, database: Postgres, job: str) -> None:
    wrong = "$(touch /tmp/x) `id` 'wrong'"
    code, log = Jobs(tmp_path, database, password=wrong).ended(job, TODAY="7 1")
    assert code == 2
    (line,) = log.lines
    assert line["level"] == "error"
    assert 'password authentication failed for user "maintenance"' in line["message"]
    assert "wrong" not in log.path.read_text()


def test_a_database_that_is_down_is_one_clear_line(tmp_path: Path) -> None:
    code, log = Jobs(tmp_path, Postgres(tmp_path)).ended("vacuum")
    assert code == 2
    (line,) = log.lines
    assert "Connection refused" in line["message"]


def test_another_authority_is_not_trusted(jobs: Jobs, tmp_path: Path) -> None:
    sign(tmp_path, tmp_path / "stranger")
    jobs.trusted = tmp_path / "ca.crt"
    code, log = jobs.ended("vacuum")
    assert code == 2
    assert "certificate verify failed" in log.lines[0]["message"]


def test_the_report_finds_what_was_laid_out_for_it(jobs: Jobs) -> None:
    jobs.server.sql(
        "CREATE TABLE shop.fat (id int, note text)",
        "CREATE INDEX fat_one ON shop.fat (id)",
        "CREATE INDEX fat_two ON shop.fat (id)",
        "INSERT INTO shop.fat SELECT i, repeat('x', 100) FROM generate_series(1, 100000) AS i",
        "DELETE FROM shop.fat WHERE id % 10 > 0",
        "VACUUM ANALYZE shop.fat",
        "SELECT pg_stat_force_next_flush()",
    )
    interrupted(jobs.server)
    code, log = jobs.ended("report", TODAY="7 07")
    assert code == 0, log.lines
    assert {line["database"] for line in log.of("wraparound")} >= {"fixia", "postgres"}
    assert all(line["transactions"] < 1_000_000 for line in log.of("wraparound"))
    assert "shop.fat" in {line["table"] for line in log.of("biggest_table")}
    (bloat,) = log.of("table_bloat")
    assert bloat["table"] == "shop.fat"
    assert bloat["free_percent"] > 80
    assert {"shop.fat_one", "shop.fat_two"} <= {line["index"] for line in log.of("index_bloat")}
    assert {"shop.fat_one", "shop.fat_two"} <= {line["index"] for line in log.of("unused_index")}
    assert [line["indexes"] for line in log.of("duplicate_indexes")] == [["shop.fat_one", "shop.fat_two"]]
    assert [line["index"] for line in log.of("invalid_index")] == ["""shop."by buyer's name_ccnew\""""]


@pytest.mark.parametrize(
    ("today", "made"), [("7 01", True), ("7 08", False), ("7 28", False), ("3 28", True)]
)
def test_the_report_is_monthly_or_by_hand(jobs: Jobs, today: str, made: bool) -> None:
    code, log = jobs.ended("report", TODAY=today)
    assert code == 0
    assert bool(log.of("wraparound")) is made
    assert bool(log.of("skipped")) is not made
