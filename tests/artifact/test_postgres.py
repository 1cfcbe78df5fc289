"""The real PostgreSQL and exporter, with the files and commands that the database's objects carry."""

import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from components.data import postgres_config
from simulator.images.container import USER, Container
from tests.artifact.database_pod import (
    AWKWARD,
    EPOCH,
    DatabasePod,
    Refused,
    numbers,
    password,
)
from tests.artifact.pod import eventually, sign

Ask = Callable[..., list[str]]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DatabasePod, Container]]:
    """One server for the tests that leave it as it was."""
    pod = DatabasePod(tmp_path_factory.mktemp("database"))
    with pod.serving() as server:
        yield pod, server


def test_a_new_volume_becomes_a_database(serving: tuple[DatabasePod, Container]) -> None:
    pod, server = serving
    shown = dict(
        line.split("|") for line in pod.root(server, "SELECT name, setting FROM pg_settings WHERE setting <> ''")
        if line.count("|") == 1
    )  # fmt: skip
    assert shown["data_checksums"] == "on"
    assert shown["server_version_num"].startswith("17")
    assert shown["shared_buffers"] == str(128 * 2**20 // 8192)
    assert shown["jit"] == shown["archive_mode"] == shown["allow_alter_system"] == "off"
    assert pod.root(
        server,
        "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
        " WHERE datname = current_database()",
    ) == ["b|C.UTF-8|UTF8"]
    assert "pg_stat_statements" in pod.root(server, "SELECT extname FROM pg_extension")


def test_the_server_finds_no_fault_in_its_files(serving: tuple[DatabasePod, Container]) -> None:
    pod, server = serving
    assert pod.root(server, "SELECT * FROM pg_file_settings WHERE error IS NOT NULL OR NOT applied") == []
    assert pod.root(server, "SELECT * FROM pg_hba_file_rules WHERE error IS NOT NULL") == []
    assert "WARNING" not in pod.log("postgresql")


@pytest.mark.parametrize("memory", ["256Mi", "2Gi"])
def test_what_the_settings_may_change_the_server_knows(tmp_path: Path, made: Path, memory: str) -> None:
    values = {"jit": True, "work_mem": "7MB", "random_page_cost": 1.5, "pg_stat_statements.max": 200}
    pod = DatabasePod(tmp_path, parameters=values)
    pod.fill(made)
    with pod.serving(reconciled=False) as server:
        assert [pod.root(server, f"SHOW {name}") for name in values] == [["on"], ["7MB"], ["1.5"], ["200"]]
        known = pod.root(server, "SELECT name FROM pg_settings")
        assert set(known) >= postgres_config.ALLOWED


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"sslmode": "disable"}, "pg_hba.conf rejects connection"),
        ({"user": "postgres"}, "pg_hba.conf rejects connection"),
        ({"user": "replicator", "password": password("replicator")}, "pg_hba.conf rejects connection"),
        ({"dbname": "postgres"}, "pg_hba.conf rejects connection"),
        ({"host": "127.0.0.1"}, "does not match host name"),
        ({"password": AWKWARD}, "password authentication failed"),
        ({"password": password("app").lower()}, "password authentication failed"),
        ({"user": "owner", "password": password("owner")}, "password authentication failed"),
        ({"host": "/run/postgresql"}, "pg_hba.conf rejects connection"),
    ],
)
def test_who_is_refused(serving: tuple[DatabasePod, Container], parts: dict[str, str], said: str) -> None:
    pod, server = serving
    with pytest.raises(Refused, match=said):
        pod.sql(server, "SELECT 1", **parts)


def test_another_authority_is_not_trusted(serving: tuple[DatabasePod, Container], tmp_path: Path) -> None:
    pod, _ = serving
    (tmp_path / "tls").mkdir()
    sign(tmp_path / "tls", tmp_path / "another authority")
    with pod.client("SELECT 1;", tls=tmp_path / "tls") as client:
        assert client.wait(10) != 0
    assert "certificate verify failed" in pod.log("client")


@pytest.mark.parametrize("role", postgres_config.GROUPS)
def test_the_passwords_of_three_epochs_are_good_at_once(
    serving: tuple[DatabasePod, Container], role: str
) -> None:
    pod, server = serving
    for step, suffix in ((-1, "-previous"), (0, ""), (1, "-next")):
        user = postgres_config.login(role, EPOCH + step)
        answer = pod.sql(
            server, "SELECT session_user, current_user", secret=password(role, suffix), user=user
        )
        assert answer == [f"{user}|{role}"]


@pytest.fixture(scope="module")
def as_role(serving: tuple[DatabasePod, Container]) -> Ask:
    """Asks as a role, where a migration has made a table with one row, and a schema of its own with another."""
    pod, server = serving
    pod.sql(server, "CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY, name text)", role="owner")
    pod.sql(server, "CREATE SCHEMA more CREATE TABLE kept (id serial, name text)", role="owner")
    pod.sql(server, "INSERT INTO item (name) VALUES ('x')", "INSERT INTO more.kept (name) VALUES ('x')")
    return lambda role, statements: pod.sql(server, *statements.split("; "), role=role)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("owner", "ALTER TABLE item ADD COLUMN more text; ALTER TABLE item DROP COLUMN more"),
        ("owner", "CREATE EXTENSION citext; DROP EXTENSION citext"),
        ("owner", "SELECT beats FROM platform.heartbeat"),
        ("app", "INSERT INTO item (name) VALUES ('y'); UPDATE item SET name = 'z' WHERE name = 'y'"),
        ("app", "DELETE FROM item WHERE name = 'z'; CREATE TEMPORARY TABLE t (); SELECT * FROM more.kept"),
        ("readonly", "SELECT count(*) FROM item; SELECT count(*) FROM more.kept"),
        ("exporter", "SELECT count(*) FROM pg_stat_statements; SELECT query FROM pg_stat_activity"),
        ("exporter", "SELECT * FROM pg_ls_waldir(); SELECT pg_database_size('fixia')"),
        ("pooler", "SELECT 1 / count(*) FROM pooler.user_lookup('app_1')"),
        ("maintenance", "VACUUM (ANALYZE) item"),
        ("maintenance", "REINDEX TABLE CONCURRENTLY more.kept"),
        (
            "backup",
            "SELECT pg_backup_start('x', true); SELECT pg_backup_stop(wait_for_archive => false); SELECT pg_switch_wal()",
        ),
    ],
)
def test_each_role_can_do_its_work(as_role: Ask, role: str, statement: str) -> None:
    as_role(role, statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("owner", "DROP DATABASE fixia"),
        ("owner", "CREATE ROLE another SUPERUSER"),
        ("owner", "DELETE FROM platform.heartbeat"),
        ("owner", "SELECT platform.beat()"),
        ("owner", "COPY (SELECT 1) TO PROGRAM 'id'"),
        ("app", "CREATE TABLE another ()"),
        ("app", "ALTER TABLE item ADD COLUMN more text"),
        ("app", "DROP TABLE item"),
        ("app", "TRUNCATE item"),
        ("app", "RESET role; SET role = owner"),
        ("readonly", "SET default_transaction_read_only = off; INSERT INTO item (name) VALUES ('y')"),
        ("readonly", "SET default_transaction_read_only = off; CREATE TEMPORARY TABLE t ()"),
        ("pooler", "SELECT * FROM public.item"),
        ("pooler", "SELECT * FROM pg_authid"),
        ("exporter", "SELECT * FROM public.item"),
        ("exporter", "SELECT * FROM pg_authid"),
        # It reads everything, for the dumps, and changes nothing.
        ("backup", "DELETE FROM public.item"),
        ("backup", "CREATE TABLE public.mine (id int)"),
        ("maintenance", "SELECT * FROM item"),
        ("maintenance", "DROP TABLE item"),
        ("maintenance", "ALTER SYSTEM SET jit = on"),
    ],
)
def test_no_role_can_do_more(as_role: Ask, role: str, statement: str) -> None:
    with pytest.raises(Refused, match=r"permission denied|must be owner|must be superuser|not allowed"):
        as_role(role, statement)


def test_the_superuser_keeps_its_settings_in_the_repository(serving: tuple[DatabasePod, Container]) -> None:
    with pytest.raises(Refused, match="ALTER SYSTEM is not allowed"):
        serving[0].root(serving[1], "ALTER SYSTEM SET jit = on")


@pytest.mark.parametrize(
    ("role", "times"),
    [
        ("app", ["30s", "10s", "1min"]),
        ("readonly", ["5min", "10s", "1min"]),
        ("owner", ["0", "0", "0"]),
        ("exporter", ["10s", "0", "5min"]),
        ("pooler", ["5s", "0", "5min"]),
    ],
)
def test_nobody_is_in_the_way_for_long(
    serving: tuple[DatabasePod, Container], role: str, times: list[str]
) -> None:
    pod, server = serving
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    assert pod.sql(server, *(f"SHOW {name}" for name in names), role=role) == times


def test_a_slow_query_is_logged_and_stopped(serving: tuple[DatabasePod, Container]) -> None:
    pod, server = serving
    pod.sql(server, "SELECT pg_sleep(0.6), 'slow one'")
    with pytest.raises(Refused, match="statement timeout"):
        pod.sql(server, "SET statement_timeout = 100", "SELECT pg_sleep(60)")
    assert re.search(
        r"user=app_1 database=fixia .* duration: 6\d\d\.\d+ ms .*'slow one'", pod.log("postgresql")
    )


def test_passwords_are_nowhere_to_be_read(serving: tuple[DatabasePod, Container]) -> None:
    pod, server = serving
    told = [
        *pod.root(server, "SELECT query FROM platform.pg_stat_statements"),
        *pod.root(server, "SELECT query FROM pg_stat_activity"),
        *pod.root(server, "SELECT setting FROM pg_settings"),
        *psutil.Process(server.pid).environ().values(),
        pod.log("postgresql"),
        pod.log("reconciler"),
    ]
    assert not any("ünï" in text or "SCRAM-SHA-256$" in text for text in told)
    assert all(
        line.startswith("SCRAM-SHA-256$")
        for line in pod.root(server, "SELECT rolpassword FROM pg_authid")
        if line
    )


def test_the_heart_beats(serving: tuple[DatabasePod, Container]) -> None:
    pod, server = serving
    ask = "SELECT beats FROM platform.heartbeat WHERE beaten_at > now() - interval '1 minute'"
    before = max(numbers(pod.sql(server, ask, role="readonly")))
    eventually(lambda: max(numbers(pod.sql(server, ask, role="readonly"))) > before, "another beat")


def test_a_rotation_locks_nobody_out_and_restarts_nothing(database: DatabasePod) -> None:
    verifiers = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '_[0-9]$' ORDER BY 1"
    with database.serving() as server, database.client("SELECT 1; SELECT pg_sleep(60);") as connected:
        before = dict(line.split("|") for line in database.root(server, verifiers))
        started = database.root(server, "SELECT pg_postmaster_start_time()")
        # As the Secret is renewed for epoch 5: what was current is the previous one now.
        for suffix, content in (
            ("password-previous", password("app")),
            ("password", password("app", "-next")),
            ("password-next", "another"),
            ("epoch", str(EPOCH + 1)),
        ):
            database.write_secret(f"app-{suffix}", content)
        eventually(lambda: "changed app_0\n" in database.log("reconciler"), "the change")
        for step, secret in ((0, password("app")), (1, password("app", "-next")), (2, "another")):
            user = postgres_config.login("app", EPOCH + step)
            assert database.sql(server, "SELECT 1", secret=secret, user=user) == ["1"]
        with pytest.raises(Refused, match="authentication failed"):
            database.sql(server, "SELECT 1", secret=password("app", "-previous"), user="app_0")
        after = dict(line.split("|") for line in database.root(server, verifiers))
        # Set anew it would have another salt, and the pooler's logins would no longer fit.
        assert {name for name in before if before[name] != after[name]} == {"app_0"}
        assert database.root(server, "SELECT pg_postmaster_start_time()") == started
        assert connected.poll() is None


ONCE = {"SCRAM_ITERATIONS": "1"}


@pytest.mark.parametrize(
    ("role", "given", "told", "iterations"),
    [
        ("app", "x7Kq" * 12, {}, "4096"),
        ("app", "x7Kq" * 12, ONCE, "1"),
        ("app", "thought of by somebody, 1 And Long Enough, too", ONCE, "4096"),
        ("app", "x7Kq" * 9, ONCE, "4096"),
        ("app", "nodigitsatallbutverylongandwithUPPERCASE" * 2, ONCE, "4096"),
        ("exporter", "x7Kq" * 12, ONCE, "4096"),
    ],
)
def test_only_what_was_generated_for_the_product_is_hashed_less(
    database: DatabasePod, role: str, given: str, told: dict[str, str], iterations: str
) -> None:
    database.set_env("reconciler", **told)
    database.write_secret(f"{role}-password", given)
    login = postgres_config.login(role, EPOCH) if role in postgres_config.GROUPS else role
    with database.serving() as server:
        eventually(lambda: f"changed {login}\n" in database.log("reconciler"), "the change")
        ask = "SELECT rolname, split_part(split_part(rolpassword, '$', 2), ':', 1) FROM pg_authid"
        assert f"{login}|{iterations}" in database.root(server, ask)
        assert database.sql(server, "SELECT 1", role=role, secret=given) == ["1"]


def test_a_password_that_is_withdrawn_is_good_for_nobody(database: DatabasePod) -> None:
    with database.serving() as server:
        database.sql(server, "SELECT 1", secret=password("app", "-next"), user="app_2")
        (database.volumes["secrets"] / "app-password-next").unlink()
        database.write_secret("pooler-password", "x" * 200)
        eventually(lambda: "changed pooler\n" in database.log("reconciler"), "the change")
        database.sql(server, "SELECT 1", role="pooler", secret="x" * 200)
        with pytest.raises(Refused, match="authentication failed"):
            database.sql(server, "SELECT 1", secret=password("app", "-next"), user="app_2")


def test_what_is_as_told_is_left_alone(database: DatabasePod) -> None:
    with database.serving() as server:
        eventually(lambda: "as told" in database.log("reconciler"), "the first look")
        assert "changed" not in database.log("reconciler")
        database.root(server, "ALTER ROLE app_1 PASSWORD 'by hand'")
        database.write_secret("another", "file")
        eventually(lambda: "changed app_1\n" in database.log("reconciler"), "it is set right")


def test_a_renewed_certificate_is_served_without_a_restart(database: DatabasePod, tmp_path: Path) -> None:
    with database.serving(), database.client("SELECT 1; SELECT pg_sleep(60);", name="old") as connected:
        eventually(lambda: database.said("old"), "a client is connected")
        sign(database.volumes["tls"], tmp_path / "next authority")

        def served() -> bool:
            with database.client("SELECT 1;") as client:
                return client.wait(10) == 0

        eventually(served, "the new certificate is served")
        assert connected.poll() is None


def test_a_pair_that_does_not_match_changes_nothing(database: DatabasePod, tmp_path: Path) -> None:
    with database.serving() as server:
        (tmp_path / "new").mkdir()
        sign(tmp_path / "new", database.authority)
        eventually(lambda: "certificate was read" in database.log("reconciler"), "the first look")
        (tmp_path / "new" / "tls.crt").replace(database.volumes["tls"] / "tls.crt")
        eventually(lambda: "SSL configuration was not reloaded" in database.log("postgresql"), "the refusal")
        assert database.sql(server, "SELECT 1") == ["1"]


def metrics(pod: DatabasePod) -> str:
    try:
        with urllib.request.urlopen(f"http://localhost:{pod.metrics_port}/metrics", timeout=20) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def test_the_exporter_sees_the_database(database: DatabasePod) -> None:
    with database.serving() as server, database.run("exporter"):
        eventually(lambda: "\npg_up 1\n" in metrics(database), "metrics")
        seen = metrics(database)
        for metric in (
            "pg_database_wraparound_age_datfrozenxid_seconds{",
            "pg_long_running_transactions ",
            "pg_stat_statements_seconds_total{",
            "pg_stat_checkpointer_num_timed_total",
            "pg_stat_archiver_failed_count",
            "pg_replication_lag_seconds",
            "pg_wal_size_bytes ",
            "pg_settings_max_connections",
            "pg_stat_database_xact_commit{datid",
        ):
            assert f"\n{metric}" in seen, metric
        assert "\npg_exporter_last_scrape_error 0\n" in seen
        assert not re.search(r"pg_scrape_collector_success\{.*\} 0", seen)
        database.write_secret("exporter-password", "changed")
        database.write_secret("exporter-password", "changed", volume="exporter-secrets")
        eventually(lambda: "changed exporter\n" in database.log("reconciler"), "the change")
        eventually(lambda: database.log("exporter").count("password was read") == 2, "the exporter's turn")
        database.root(
            server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'exporter'"
        )
        eventually(lambda: "\npg_up 1\n" in metrics(database), "metrics again")
        assert "ünï" not in database.log("exporter")


def test_the_exporter_trusts_no_other_authority(database: DatabasePod, tmp_path: Path) -> None:
    with database.serving():
        (tmp_path / "new").mkdir()
        sign(tmp_path / "new", tmp_path / "another authority")
        (tmp_path / "new" / "ca.crt").replace(database.volumes["tls"] / "ca.crt")
        with database.run("exporter"):
            eventually(lambda: "\npg_up 0\n" in metrics(database), "metrics")


def test_the_image_has_the_pods_user(serving: tuple[DatabasePod, Container]) -> None:
    assert serving[1].execute(["id", "-un"]).lines == ("postgres",)
    assert psutil.Process(serving[1].pid).uids().real == USER


def test_the_scripts_are_clean() -> None:
    images = Path(__file__).parents[2] / "images"
    scripts = [
        *images.glob("postgres/rootfs/usr/lib/database/*.sh"),
        *images.glob("postgres-exporter/**/*.sh"),
    ]
    for script in scripts:
        checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
