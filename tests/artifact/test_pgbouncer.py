"""The real PgBouncer before a real PostgreSQL, with the files and commands that the pool's objects carry."""

import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.images.container import Container
from tests.artifact import pool_world
from tests.artifact.plain_postgres import Postgres
from tests.artifact.pod import eventually, sign
from tests.artifact.pool_world import CONNECTIONS, PASSWORDS, PoolPod, several
from tests.artifact.postgres_client import Refused

WHO = "SELECT session_user, current_user"
METRICS = (
    "databases_current_connections",
    "databases_max_connections",
    "config_max_client_connections",
    "used_clients",
    "pools_client_waiting_connections",
    "pools_client_maxwait_seconds",
    "pools_server_active_connections",
    "stats_sql_transactions_pooled_total",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with pool_world.world(tmp_path_factory.mktemp("database")) as (server, _):
        yield server


@pytest.fixture
def pod(tmp_path: Path, server: Postgres) -> PoolPod:
    return PoolPod(tmp_path / "pod", server)


@contextmanager
def unready(pod: PoolPod) -> Iterator[Container]:
    """Run it, up; killed at the end, for it would wait for those who wait for the database."""
    with pod.run("pgbouncer") as running:
        eventually(lambda: pod.probe("pgbouncer", running, "startup")[0] == 0, "it is up")
        yield running
        pod.kill(running)


def test_both_sides_are_encrypted_and_plain_clients_sent_away(pod: PoolPod, server: Postgres) -> None:
    with pod.serving(), pod.client() as client:
        assert client("SELECT 1") == [("1",)]
        sides = (
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_port <> -1"
        )
        assert server.sql(sides) == ["t"]
        with pytest.raises(Refused, match=r"SSL required|no authentication method"):
            pod.client(authority=None)


def test_clients_know_it_by_the_authority(pod: PoolPod, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    sign(tmp_path / "elsewhere", tmp_path / "another authority")
    with pod.serving(), pytest.raises(ssl.SSLCertVerificationError):
        pod.client(authority=tmp_path / "another authority")


def test_it_knows_the_database_by_the_authority(pod: PoolPod, tmp_path: Path) -> None:
    pod.certify(tmp_path / "another authority")
    with unready(pod) as running:
        assert pod.probe("pgbouncer", running, "readiness")[0] == 1
        assert pod.probe("pgbouncer", running, "liveness") == (0, "")
        assert "certificate verify failed" in pod.log("pgbouncer")


def test_it_knows_the_database_by_its_name(pod: PoolPod, server: Postgres) -> None:
    pool_world.certify(server, "database.elsewhere")
    server.sql("SELECT pg_reload_conf()")
    try:
        with unready(pod) as running:
            assert pod.probe("pgbouncer", running, "readiness")[0] == 1
            assert "not present in server certificate" in pod.log("pgbouncer")
    finally:
        pool_world.certify(server)
        server.sql("SELECT pg_reload_conf()")


def test_whoever_logs_in_is_whom_the_database_sees(pod: PoolPod, server: Postgres) -> None:
    with pod.serving():
        for user, group in (("app_0", "app"), ("app_1", "app"), ("readonly_0", "readonly")):
            with pod.client(user) as client:
                assert client(WHO) == [(user, group)]
        server.sql("CREATE ROLE latecomer LOGIN PASSWORD 'late'")
        with pod.client("latecomer", "late") as client:
            assert client(WHO) == [("latecomer", "latecomer")]
    users = (pod.volumes["state"] / "users.txt").read_text().splitlines()
    assert [line.split()[0] for line in users] == ['"pooler"', '"stats"']


def test_a_wrong_password_is_refused(pod: PoolPod) -> None:
    with pod.serving():
        for user, password in (
            ("app_0", "wrong"),
            ("app_0", PASSWORDS["app_1"]),
            ("app_1", ""),
            ("nobody", "x"),
        ):
            with pytest.raises(Refused, match=r"authentication failed|no such user"):
                pod.client(user, password)


@pytest.mark.parametrize(
    "rights", ["SUPERUSER", "REPLICATION", "BYPASSRLS", "CREATEROLE", "VALID UNTIL '2020-01-01'", "NOLOGIN"]
)
def test_logins_with_more_rights_do_not_come_through(pod: PoolPod, server: Postgres, rights: str) -> None:
    server.sql("CREATE ROLE mighty LOGIN PASSWORD 'known'")
    try:
        with pod.serving():
            pod.client("mighty", "known").close()
            server.sql(f"ALTER ROLE mighty {rights}")
            with pytest.raises(Refused, match="authentication failed"):
                pod.client("mighty", "known")
    finally:
        server.sql("DROP ROLE mighty")


def test_its_own_logins_and_its_console_are_not_for_the_network(pod: PoolPod) -> None:
    with pod.serving():
        for user, database in (
            ("pooler", "fixia"),
            ("stats", "fixia"),
            ("app_0", "lookup"),
            ("app_0", "postgres"),
        ):
            with pytest.raises(Refused):
                pod.client(user, PASSWORDS.get(user, ""), database=database)
        for user in ("stats", "pgbouncer", "app_0", "pooler"):
            with pytest.raises(Refused):
                pod.client(user, PASSWORDS.get(user, ""), database="pgbouncer")


def test_only_the_pooler_may_ask_for_verifiers_and_nobody_can_trick_it(server: Postgres) -> None:
    ask = "SELECT usename, passwd FROM pooler.user_lookup('app_0')"
    (answer,) = server.sql(ask, user="pooler")
    assert answer.startswith("app_0|SCRAM-SHA-256$")
    assert server.sql("SELECT * FROM pooler.user_lookup('postgres')", user="pooler") == []
    fake = "CREATE TEMP TABLE pg_authid AS SELECT 'fake' AS rolpassword"
    assert server.sql(fake, "SET search_path = pg_temp, pg_catalog", ask, user="pooler") == [answer]
    for user in ("app_0", "readonly_0"):
        code, said = server.psql(ask, user=user)
        assert code
        assert "permission denied" in said[0]
    code, said = server.psql("SELECT rolpassword FROM pg_authid", user="pooler")
    assert code
    assert "permission denied" in said[0]


def test_a_prepared_statement_outlives_its_server_connection(pod: PoolPod) -> None:
    with pod.serving(), several(pod, 2) as (client, other):
        client.prepare("add", "SELECT $1::int + 1, pg_backend_pid()")
        other.prepare("add", "SELECT $1::int + 2, pg_backend_pid()")
        ((one, first),) = client.execute("add", "1")
        other("BEGIN")
        ((two, same),) = other.execute("add", "1")
        ((three, second),) = client.execute("add", "2")
        other("COMMIT")
        assert (one, two, three) == ("2", "3", "3")
        assert same == first != second


def test_a_thousand_clients_are_served_within_the_budget(pod: PoolPod, server: Postgres) -> None:
    with pod.serving() as running, several(pod, 1000, ("app_0", "app_1")) as clients:
        most = 0
        for client in clients:
            client.send("BEGIN; SELECT pg_sleep(0.005); COMMIT")
        for number, client in enumerate(clients):
            if number % 50 == 0:
                most = max(most, int(server.sql(CONNECTIONS)[0]))
            client.receive()
        assert pod.connections.transactions <= most <= pod.connections.total
        # One more is one too many, and no reason for a restart.
        with pytest.raises(Refused, match="max_client_conn"):
            pod.client()
        assert pod.probe("pgbouncer", running, "liveness") == (0, "")
        assert pod.probe("pgbouncer", running, "readiness") == (0, "")
        assert pod.process(running).memory_full_info().pss < 128 * 2**20


def test_a_new_password_is_good_at_once_and_the_old_one_is_not(pod: PoolPod, server: Postgres) -> None:
    with pod.serving(), pod.client("app_1") as connected:
        server.sql("ALTER ROLE app_1 PASSWORD 'renewed'")
        try:
            with pod.client("app_1", "renewed") as client:
                assert client("SELECT 1") == connected("SELECT 1") == [("1",)]
            with pytest.raises(Refused, match="authentication failed"):
                pod.client("app_1")
        finally:
            server.sql(f"ALTER ROLE app_1 PASSWORD '{PASSWORDS['app_1']}'")


@pytest.mark.parametrize("iterations", [1, 4096])
def test_a_login_is_passed_on_however_often_its_password_is_hashed(
    pod: PoolPod, server: Postgres, iterations: int
) -> None:
    server.sql(f"SET scram_iterations = {iterations}; CREATE ROLE hashed LOGIN PASSWORD 'known'")
    try:
        with pod.serving():
            with pod.client("hashed", "known") as client:
                assert client(WHO) == [("hashed", "hashed")]
            with pytest.raises(Refused, match="authentication failed"):
                pod.client("hashed", "unknown")
    finally:
        server.sql("DROP ROLE hashed")


def test_no_password_is_in_an_argument_environment_configuration_or_log(pod: PoolPod) -> None:
    with pod.serving() as running, pod.client() as client:
        client("SELECT 1")
        process = pod.process(running)
        assert process.uids().real == 10001
        told = [*process.cmdline(), *process.environ().values(), pod.log("pgbouncer")]
        told += [path.read_text() for path in pod.volumes["config"].iterdir()]
        assert not any(password in text for password in PASSWORDS.values() for text in told)
        assert (pod.volumes["state"] / "users.txt").stat().st_mode & 0o777 == 0o600


def test_the_probes_ask_for_the_database_once(pod: PoolPod, server: Postgres) -> None:
    with pod.serving() as running:
        for kind in ("startup", "readiness", "liveness"):
            assert pod.probe("pgbouncer", running, kind) == (0, "")
    server.sql("ALTER ROLE pooler NOLOGIN")  # the database is there, but not for the pool
    try:
        with unready(pod) as running:
            code, said = pod.probe("pgbouncer", running, "readiness")
            assert (code, said.partition(":")[0]) == (1, "no way through")
            assert pod.probe("pgbouncer", running, "liveness") == (0, "")
            server.sql("ALTER ROLE pooler LOGIN")
            eventually(lambda: pod.probe("pgbouncer", running, "readiness")[0] == 0, "it is ready")
            server.sql("ALTER ROLE pooler NOLOGIN")
            assert pod.probe("pgbouncer", running, "readiness") == (0, "")
    finally:
        server.sql("ALTER ROLE pooler LOGIN")


def test_a_frozen_one_is_not_alive(pod: PoolPod) -> None:
    with pod.serving() as running:
        process = pod.process(running)
        process.suspend()
        try:
            assert pod.probe("pgbouncer", running, "liveness")[0] == 1
        finally:
            process.resume()


def metrics(pod: PoolPod) -> str | None:
    try:
        with urllib.request.urlopen(f"http://localhost:{pod.metrics_port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return None


def test_the_exporter_sees_it_come_and_go(pod: PoolPod) -> None:
    with pod.run("exporter"):
        with pod.serving() as running, pod.client() as client:
            client("SELECT 1")
            seen = eventually(lambda: metrics(pod), "metrics")
            assert "\npgbouncer_up 1\n" in seen
            for metric in METRICS:
                assert f"\npgbouncer_{metric}" in seen
            total = f'current_connections{{database="fixia",force_user="",host="{pool_world.ADDRESS}",name="fixia"'
            assert total in seen
            pod.kill(running)  # asked, it would wait for the exporter
        assert "\npgbouncer_up 0\n" in (metrics(pod) or "")


def test_its_folder_for_the_console_shows_the_exporter_no_password(pod: PoolPod) -> None:
    with pod.serving():
        assert {path.name for path in pod.volumes["console"].iterdir()} == {f".s.PGSQL.{pod.port}"}
    assert {mount["name"] for mount in pod.containers["exporter"]["volumeMounts"]} == {
        "tmp",
        "scripts",
        "console",
    }


def test_the_shell_scripts_are_clean() -> None:
    folder = Path(__file__).parents[2] / "components" / "data" / "scripts" / "pgbouncer"
    scripts = sorted(folder.glob("*.sh"))
    assert len(scripts) == 6
    for script in scripts:
        checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert os.access(script, os.R_OK)
