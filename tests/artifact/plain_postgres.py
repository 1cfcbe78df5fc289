"""A PostgreSQL 17 with nothing of the platform's but what a test of its neighbours needs: TLS, SCRAM, roles."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.images.container import USER, Bind, Container, run_in
from tests.artifact.pod import eventually, free_port, readable_by_the_pod, sign, system

PROGRAMS = "/usr/lib/postgresql/17/bin"
DATA = "/var/lib/postgresql/data"
TLS = "/run/secrets/database-tls"
SOCKETS = "/tmp"
PASSWORD = 'it\'s a "quoted" $word\\ \N{SNOWMAN} 100%'

CONFIGURATION = f"""\
listen_addresses = 'localhost'
unix_socket_directories = '{SOCKETS}'
ssl = on
ssl_cert_file = '{TLS}/tls.crt'
ssl_key_file = '{TLS}/tls.key'
shared_buffers = 64MB
autovacuum = off
fsync = off
shared_preload_libraries = 'pg_stat_statements'
"""
ACCESS = """\
local all all trust
hostssl all all all scram-sha-256
"""


class Postgres:
    """One server with the databases `postgres` and `fixia`.

    Args:
        folder: for its volume, certificate and log.
        configuration: what its configuration file says beside what `initdb` writes.
    """

    def __init__(self, folder: Path, configuration: str = CONFIGURATION) -> None:
        self.folder = folder
        self._configuration = configuration
        self.port = free_port()
        self.authority = folder / "database-authority"
        self.tls = folder / "database-tls"
        self.tls.mkdir()
        readable_by_the_pod(self.tls)
        sign(self.tls, self.authority)
        self.data = folder / "database-data"
        self.data.mkdir()
        self.data.chmod(0o700)
        # `initdb` asks for its user's name, which not every image tells.
        names = folder / "passwd"
        names.write_text(f"root:x:0:0::/root:/bin/sh\npostgres:x:{USER}:{USER}::/tmp:/bin/sh\n")
        os.chown(self.data, USER, USER)
        self._binds = [
            Bind(source=names, target="/etc/passwd"),
            Bind(source=self.tls, target=TLS),
            Bind(source=self.data, target=DATA, writable=True),
        ]
        self._running: Container | None = None

    @contextmanager
    def serving(self) -> Iterator["Postgres"]:
        """Run it, with a new cluster at the first time."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        server = [f"{PROGRAMS}/postgres", "-D", DATA, "-p", str(self.port)]
        with run_in(system("postgres"), server, binds=self._binds, output=self._log, grace=20) as running:
            self._running = running
            eventually(lambda: self._answers(running), "PostgreSQL answers")
            try:
                yield self
            finally:
                # Asked by SIGTERM, it would wait for its clients.
                self.psql(f"COPY (SELECT 1) TO PROGRAM '{PROGRAMS}/pg_ctl stop -D {DATA} -m fast --no-wait'")
                running.wait(20)
                self._running = None

    def sql(self, *statements: str, user: str = "postgres", database: str = "fixia") -> list[str]:
        """Run statements, each in a transaction of its own; give the rows, columns by `|`.

        Raises:
            AssertionError: one of them failed.
        """
        code, lines = self.psql(*statements, user=user, database=database)
        assert code == 0, "\n".join(lines)
        return lines

    def psql(
        self, *statements: str, user: str = "postgres", database: str = "fixia"
    ) -> tuple[int, list[str]]:
        """The same without a judgement: the exit code, and all that was said."""
        where = ["--host", SOCKETS, "--port", str(self.port), "--username", user, "--dbname", database]
        ended = self.running.execute(
            ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]
            + where
            + [f"--command={statement}" for statement in statements],
            timeout=300,
        )
        return ended.code, list(ended.lines)

    @property
    def running(self) -> Container:
        """Its container."""
        assert self._running is not None
        return self._running

    @contextmanager
    def held(self, *statements: str) -> Iterator[None]:
        """A session that has run these, and stays: with its locks, and its transaction if it began one."""
        waits = "SELECT pg_sleep(300)"
        there = f"FROM pg_stat_activity WHERE query = '{waits}'"
        with self.background(*statements, waits):
            eventually(lambda: self.sql(f"SELECT pid {there}"), "the session has what it holds")
            yield
            self.sql(f"SELECT pg_terminate_backend(pid) {there}")

    @contextmanager
    def background(self, *statements: str) -> Iterator[None]:
        """A session that runs statements meanwhile; it is over when the body is, however that ends."""
        running = threading.Thread(target=self.psql, args=statements)
        running.start()
        try:
            yield
        except BaseException:
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            raise
        finally:
            running.join(30)
            assert not running.is_alive()

    def log(self) -> str:
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return self.folder / "database.log"

    def _initialise(self) -> None:
        initdb = [
            f"{PROGRAMS}/initdb",
            "-D",
            DATA,
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        with run_in(system("postgres"), initdb, binds=self._binds, output=self._log) as running:
            assert running.wait(120) == 0, self.log()
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(self._configuration)
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def _answers(self, running: Container) -> bool:
        assert running.poll() is None, self.log()
        if self.psql("SELECT 1", database="postgres")[0]:
            return False
        if not self.psql("SELECT FROM pg_database WHERE datname = 'fixia'", database="postgres")[1]:
            self.psql("CREATE DATABASE fixia", database="postgres")
        return True


def literal(text: str) -> str:
    """A string in SQL."""
    return "'" + text.replace("'", "''") + "'"
