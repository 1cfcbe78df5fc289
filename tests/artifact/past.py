"""What is left of a database that was backed up: its bucket and its volume, made once and copied by each test."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.images.container import Container
from tests.artifact.backup_world import BUCKET, BackupWorld, backup_world
from tests.artifact.database_pod import DatabasePod
from tests.artifact.pod import eventually

PATIENCE_SECONDS = 240.0
"""A start may be a restore first."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """See the module.

    Attributes:
        bucket: the repository, as a folder.
        volume: the data, of a server that was stopped.
        then: what the maker wanted to remember: a moment, the time of a dump.
    """

    bucket: Path
    volume: Path
    then: str

    @contextmanager
    def world(self, folder: Path) -> Iterator[BackupWorld]:
        """Copies of both, in a world of their own; its database does not run yet."""
        with backup_world(folder) as world:
            subprocess.run(["cp", "-a", f"{self.bucket}/.", world.store.path(BUCKET)], check=True)
            world.database.fill(self.volume)
            yield world


@contextmanager
def serving(pod: DatabasePod) -> Iterator[Container]:
    """As `DatabasePod.serving`, with patience for what comes before; its passwords may not be set yet."""
    with ExitStack() as stack:
        server = stack.enter_context(pod.run("postgresql"))
        for beside in ("reconciler", "backup-server"):
            if beside in pod.containers:
                stack.enter_context(pod.run(beside))

        def ready() -> bool:
            assert server.poll() is None, pod.log("postgresql")
            return pod.probe("postgresql", server, "readiness")[0] == 0

        eventually(ready, "PostgreSQL is ready", PATIENCE_SECONDS)
        yield server


def backup(world: BackupWorld, kind: str = "full") -> str:
    """Take one and give its label."""
    ended = world.tool("backup", "pgbackrest", "--stanza=main", f"--type={kind}", "backup")
    assert ended.code == 0, ended.text
    info = world.tool("backup", "pgbackrest", "--stanza=main", "--output=json", "info")
    label: str = info.json[0]["backup"][-1]["label"]
    return label


def pay(pod: DatabasePod, server: Container, *amounts: int) -> None:
    pod.sql(server, "CREATE TABLE IF NOT EXISTS paid (number bigint PRIMARY KEY)", role="owner")
    pod.sql(server, *(f"INSERT INTO paid VALUES ({amount})" for amount in amounts))  # noqa: S608


def moment(pod: DatabasePod, server: Container) -> str:
    """Now, after a second in which nothing was paid and before another one."""
    time.sleep(1.1)
    (now,) = pod.root(server, "SELECT clock_timestamp()")
    time.sleep(1.1)
    return now


def payments(folder: Path) -> Past:
    """A database with a backup, payment 1, a moment, and payment 2, all of it archived."""
    with backup_world(folder) as world:
        pod = world.database
        with pod.serving() as server:
            world.archiving(server)
            backup(world)
            pay(pod, server, 1)
            then = moment(pod, server)
            pay(pod, server, 2)
            world.archiving(server)
        return _left(world, folder, then)


AWKWARD_TABLE = 'shop."Order; items"'


def shop(folder: Path) -> Past:
    """A database with tables of several kinds, one of a role of its own; and a dump of it."""
    with backup_world(folder) as world:
        pod = world.database
        with pod.serving() as server:
            pod.sql(
                server,
                "CREATE TABLE public.orders (id bigint PRIMARY KEY, buyer text, paid numeric(12, 2), at timestamptz)",
                "INSERT INTO public.orders SELECT i, 'buyer ' || i, i / 7.0, now() FROM generate_series(1, 5000) AS i",
                "CREATE SCHEMA shop",
                "CREATE TYPE shop.state AS ENUM ('new', 'sent')",
                f"CREATE TABLE {AWKWARD_TABLE} (id int, state shop.state, data jsonb, raw bytea)",
                f"INSERT INTO {AWKWARD_TABLE} VALUES "  # noqa: S608
                "(1, 'sent', '{\"a\": [1, null]}', '\\x00ff'), (2, NULL, NULL, NULL)",
                "CREATE TABLE public.empty (id int)",
                "CREATE TABLE public.secret (id int)",
                "INSERT INTO public.secret VALUES (1)",
                "ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE public.secret FORCE ROW LEVEL SECURITY",
                role="owner",
            )
            pod.root(
                server,
                "CREATE ROLE departed",
                "CREATE TABLE public.legacy (id int, note text)",
                "INSERT INTO public.legacy VALUES (7, 'left')",
                "ALTER TABLE public.legacy OWNER TO departed",
                "GRANT SELECT ON public.legacy TO departed",
            )
            ended = world.job("dump")
            assert ended.code == 0, ended.text
        return _left(world, folder, world.result("dump")["dump"])


def _left(world: BackupWorld, folder: Path, then: str) -> Past:
    bucket = folder / "bucket"
    shutil.copytree(world.store.path(BUCKET), bucket)
    return Past(bucket=bucket, volume=world.database.volumes["data"], then=then)
