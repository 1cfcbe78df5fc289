"""The database's pods without a cluster, and clients of the database."""

import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pulumi

from components.base import Identity
from components.data import postgres_config
from components.data.postgres import Database, DatabaseArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from simulator.images.container import Bind, Container, run_in
from tests.artifact.pod import RecordedPod, eventually, free_port, sign, system
from tests.recorder import record

AWKWARD = """it's "q" \\ $HOME `id` :colon %s {} ünï-✓ ; -- \\x27 #!"""
"""A password with all that a shell, SQL, a connection string or a file could trip over."""

EPOCH = 4
"""Of the passwords: login 1 has the current one, 0 the previous, 2 the next."""

DATABASE = "fixia"
PRIMARY, STANDBY = "localhost", "127.0.0.2"
"""The addresses of the two; both listen on the same port."""


PSQL = ("psql", "-XAtqw", "-v", "ON_ERROR_STOP=1")


class Refused(Exception):
    """psql, or the server that it asked, said no."""


def password(role: str, suffix: str = "") -> str:
    return f"{role}{suffix} {AWKWARD}"


def credential(role: str) -> Credential:
    values = {suffix: pulumi.Output.secret(password(role, suffix)) for suffix in ("", "-previous", "-next")}
    return Credential(
        current=values[""],
        accepted={"previous": values["-previous"], "next": values["-next"]},
        epoch=EPOCH,
    )


class DatabasePod(RecordedPod):
    """One pod of the database.

    Args:
        folder: for its volumes and logs.
        port: where PostgreSQL listens; a free one unless told.
        authority: whose certificate it has; its own unless told.
        standby: whether it is a standby's.
        changes: of the component's arguments.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        authority: Path | None = None,
        standby: bool = False,
        **changes: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.port, self.metrics_port = port or free_port(), free_port()
        self.authority = authority or folder / "authority"
        recording = record(lambda: Database("database", self._args(**changes)) and None)
        name = "database-standby-stateful-set" if standby else "database-stateful-set"
        stateful_set = recording.one("kubernetes:apps/v1:StatefulSet", name).inputs["spec"]
        spec = stateful_set["template"]["spec"]
        spec["volumes"] += [
            {"name": claim["metadata"]["name"]} for claim in stateful_set.get("volumeClaimTemplates", [])
        ]
        super().__init__(folder, recording, spec)
        sign(self.volumes["tls"], self.authority, names=(PRIMARY, STANDBY))
        # Each look starts a dozen programs, which is dear beside a backup.
        look = "0.5" if "backup-server" in self.containers else "0.1"
        self.set_env("reconciler", CHECK_SECONDS=look, BEAT_SECONDS="1")
        for container in ("postgresql", "reconciler"):
            self.set_env(container, DATABASE_PRIMARY=PRIMARY, DATABASE_STANDBYS=STANDBY)
        self.host = STANDBY if standby else PRIMARY
        if changes.get("standbys"):
            self.containers["postgresql"]["args"] = ["-c", f"listen_addresses={self.host}"]
        self.set_env("exporter", CHECK_SECONDS="0.1")
        self.backup_port = free_port()
        if "backup-server" in self.containers:
            self.set_env(
                "backup-server",
                CHECK_SECONDS=look,
                RETRY_SECONDS="1",
                PGBACKREST_TLS_SERVER_ADDRESS="127.0.0.1",
                PGBACKREST_TLS_SERVER_PORT=str(self.backup_port),
            )

    def _args(self, **changes: Any) -> DatabaseArgs:
        identity = Identity(product="fixia", environment="test", owner="o", cost_centre="c")
        given: dict[str, Any] = {
            "identity": identity,
            "namespace": "fixia-data",
            "image": "postgres",
            "exporter_image": "postgres-exporter",
            "resources": Resources(cpu="2", memory="512Mi", memory_limit="512Mi"),
            "storage": "4Gi",
            "credentials": {
                role: credential(role) for role in (*postgres_config.GROUPS, *postgres_config.SINGLE_ROLES)
            },
            "authority": Authority("authority", AuthorityArgs(identity=identity)),
            "port": self.port,
            "metrics_port": self.metrics_port,
        }
        return DatabaseArgs(**{**given, **changes})

    def set_env(self, container: str, **env: str) -> None:
        """Change environment variables of one container."""
        others = [each for each in self.containers[container]["env"] if each["name"] not in env]
        self.containers[container]["env"] = others + [{"name": k, "value": v} for k, v in env.items()]

    @property
    def data(self) -> Path:
        return self.volumes["data"] / "pgdata"

    def fill(self, volume: Path) -> None:
        """Begin with a copy of another pod's volume."""
        subprocess.run(["cp", "-a", f"{volume}/.", self.volumes["data"]], check=True)

    @contextmanager
    def serving(self, *more: str, reconciled: bool = True) -> Iterator[Container]:
        """Run PostgreSQL, ready, and the container that keeps it in step beside it.

        Args:
            more: further arguments of the server.
            reconciled: whether the second one runs; without it a new server has no roles.
        """
        with ExitStack() as stack:
            server = stack.enter_context(self.run("postgresql", *more))
            if reconciled:
                stack.enter_context(self.run("reconciler"))
            if "backup-server" in self.containers:
                stack.enter_context(self.run("backup-server"))
            self.ready(server)
            yield server

    def ready(self, server: Container) -> None:
        """Wait until the probe calls it ready, and the passwords are set."""

        def is_ready() -> bool:
            assert server.poll() is None, self.log("postgresql")
            return self.probe("postgresql", server, "readiness")[0] == 0

        eventually(is_ready, "PostgreSQL is ready")

    def conninfo(self, role: str, secret: str | None = None, **parts: str) -> str:
        """A connection string as the platform's clients have it.

        Args:
            role: who logs in; a group stands for its current login.
            secret: its password; the right one unless told.
            parts: others, or other values.
        """
        login = f"{role}_{EPOCH % 3}" if role in postgres_config.GROUPS else role
        told = {
            "host": self.host,
            "port": str(self.port),
            "dbname": DATABASE,
            "user": login,
            "password": secret or password(role),
            "sslmode": "verify-full",
            "sslrootcert": "/run/secrets/database-tls/ca.crt",
            "connect_timeout": "10",
            **parts,
        }
        return " ".join(f"{key}='{_escaped(value)}'" for key, value in told.items())

    def sql(
        self, server: Container, *statements: str, role: str = "app", secret: str | None = None, **parts: str
    ) -> list[str]:
        """Ask over TLS, as a client, each statement by itself: the rows, their columns separated by |.

        Raises:
            Refused: with what psql said.
        """
        return self._psql(server, self.conninfo(role, secret, **parts), statements)

    def root(self, server: Container, *statements: str, database: str = DATABASE) -> list[str]:
        """Ask as the superuser, through the socket within the pod."""
        return self._psql(server, f"user=postgres dbname={database} port={self.port}", statements)

    def _psql(self, server: Container, conninfo: str, statements: Sequence[str]) -> list[str]:
        told = [word for statement in statements for word in ("-c", statement)]
        ended = server.execute([*PSQL, conninfo, *told], timeout=60)
        if ended.code:
            raise Refused("\n".join(ended.lines))
        return list(ended.lines)

    @contextmanager
    def client(
        self,
        script: str,
        role: str = "app",
        name: str = "client",
        tls: Path | None = None,
        program: Sequence[str] = PSQL,
        **parts: str,
    ) -> Iterator[Container]:
        """Run a script of statements in a pod of its own; `said` tells what came back so far.

        Args:
            script: SQL, a statement a line.
            role: who logs in.
            name: of the client, for its files.
            tls: the folder with the certificate that it trusts; the right one unless told.
            program: what runs the script.
            parts: as in `conninfo`.
        """
        file = self.folder / f"{name}.sql"
        file.write_text(script)
        (self.folder / f"{name}.log").write_text("")
        binds = [
            Bind(source=tls or self.volumes["tls"], target="/run/secrets/database-tls"),
            Bind(source=file, target="/script.sql"),
        ]
        command = [*program, "-f", "/script.sql", self.conninfo(role, **parts)]
        with run_in(system("postgres"), command, binds=binds, output=self.folder / f"{name}.log") as running:
            try:
                yield running
            finally:
                hang_up(running)

    def said(self, name: str = "client") -> list[str]:
        """The whole lines that a client has got."""
        return [line for line in self.log(name).splitlines(keepends=True) if line.endswith("\n")]


def hang_up(client: Container) -> None:
    """End a client in the middle of what it does; psql, as a pod's first process, would not heed a SIGTERM."""
    client.send_signal(signal.SIGKILL)
    client.wait(10)


def numbers(lines: Iterable[str]) -> set[int]:
    return {int(line) for line in lines if line.strip().isdecimal()}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
