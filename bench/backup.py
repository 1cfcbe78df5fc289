"""Backups of realistic data beside what one would do without them: seconds, sizes, an emergency's cost."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import say
from bench.measure import seconds as timed
from components.backup.restore import Restore, environment
from simulator.images.container import Container
from simulator.session import Session
from tests.artifact.backup_world import BUCKET, BackupWorld, backup_world
from tests.artifact.database_pod import DatabasePod
from tests.artifact.pod import eventually

GB = float(os.environ.get("FIXIA_BENCH_GB", "1"))
"""How much data; `FIXIA_BENCH_GB=5` for five."""
ROW_BYTES = 420
BATCH = 50_000
LOAD_SECONDS = 20.0
PATIENCE = 3600.0

# Words of a language, numbers, times and documents: what a product keeps. It compresses to about a third.
_FILL = """
INSERT INTO orders (buyer, note, paid, at, document)
SELECT 'buyer ' || (random() * 1e6)::int,
    (SELECT string_agg((ARRAY['the','order','was','sent','late','customer','asked','refund','invoice','paid',
        'address','changed','by','phone','again','warehouse','empty','Tuesday','partial','gift'])
        [1 + (random() * 19)::int], ' ') FROM generate_series(1, 20 + i %% 20)),
    (random() * 1e5)::numeric(12, 2), now() - random() * interval '90 days',
    jsonb_build_object('id', gen_random_uuid(), 'lines', (random() * 9)::int, 'tags', ARRAY[i %% 7, i %% 11],
        'agent', md5((i %% 500)::text), 'total', (random() * 1e4)::numeric(10, 2))
FROM generate_series(1, %d) AS i
"""


def backup(folder: Path, _: Session) -> dict[str, Any]:
    """Back up, restore and prove a database of realistic data, with the program's own images and jobs.

    Args:
        folder: for files; made. It needs ten times the size of the data.

    Returns:
        Seconds and MB/s of a full backup, of a restore of all, and of one to a moment, each into an S3
        emulator on this machine's disk or out of it, beside `cp` (the disk's own limit), `pg_dump -j2` and
        `pg_basebackup` of the same data in the same run. `ratio`: size of the data to that of the backup.
        `commits_per_second`: of one client, without a backup and while one runs. `rto_seconds`: from an empty
        volume to a database that is ready. `rpo_seconds`: what a restore test says that a restore would lose,
        idle and under load.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with ExitStack() as stack:
        world = stack.enter_context(backup_world(folder, storage="32Gi"))
        pod = world.database
        pod.set_env("reconciler", BEAT_SECONDS="60")
        with _serving(pod) as server:
            size = _fill(pod, server)
            world.archiving(server)
            found = _beside(world, server, size)
            moment = _rpo(world, server, found)
        found["restore"], found["rto_seconds"] = _restored(world, "latest", size)
        found["to_a_moment"], _ready = _restored(world, moment, size)
    return {"gigabytes": round(size / 1e9, 2), **found}


def _fill(pod: DatabasePod, server: Container) -> int:
    pod.root(
        server,
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, buyer text, note text, "
        "paid numeric(12, 2), at timestamptz, document jsonb)",
        "CREATE INDEX ON orders (buyer)",
        "CREATE TABLE load (number bigint)",
        "GRANT INSERT ON load TO app",
    )
    rows = int(GB * 1e9 / ROW_BYTES)
    for done in range(0, rows, BATCH):
        say(f"  {done:,} of {rows:,} rows")
        _inside(
            server,
            "psql",
            "-Xqw",
            "-U",
            "postgres",
            "-p",
            str(pod.port),
            "-d",
            "fixia",
            "-c",
            _FILL % min(BATCH, rows - done),
        )
    pod.root(server, "CHECKPOINT")
    (size,) = pod.root(server, "SELECT sum(pg_database_size(oid)) FROM pg_database")
    return int(size)


def _beside(world: BackupWorld, server: Container, size: int) -> dict[str, Any]:
    pod, volume = world.database, world.database.volumes["data"]
    inside = "/var/lib/postgresql/data"
    found: dict[str, Any] = {"commits_per_second": {"alone": _commits(pod)}}
    with ExitStack() as stack:
        committed = stack.enter_context(_counting(pod))
        full = timed(lambda: _pgbackrest(world))
        found["commits_per_second"]["during_a_backup"] = round(committed() / full, 1)
    stored = sum(
        file.stat().st_size for key, file in world.store.objects(BUCKET).items() if "/backup/" in key
    )
    found["backup"] = _rate(full, size)
    found["ratio"] = round(size / stored, 1)

    def cp() -> None:
        subprocess.run(["cp", "-a", str(pod.data), str(volume / "copy")], check=False, capture_output=True)
        os.sync()

    where = ("-U", "postgres", "-p", str(pod.port))
    others: dict[str, Callable[[], None]] = {
        "cp": cp,
        "pg_dump": lambda: _inside(server, "pg_dump", *where, "-Fd", "-j2", "-f", f"{inside}/copy", "fixia"),
        "pg_basebackup": lambda: _inside(
            server, "pg_basebackup", "-D", f"{inside}/copy", "-c", "fast", "-d", pod.conninfo("replicator")
        ),
    }
    for name, run in others.items():
        say(f"  {name}")
        found[name] = _rate(timed(run), size)
        shutil.rmtree(volume / "copy", ignore_errors=True)
    return found


def _inside(server: Container, *command: str) -> None:
    ended = server.execute(command, timeout=PATIENCE)
    if ended.code:
        raise RuntimeError(ended.tail())


def _rpo(world: BackupWorld, server: Container, found: dict[str, Any]) -> str:
    """Note what a restore test measures; give a moment to go back to."""
    pod = world.database
    found["rpo_seconds"] = {"idle": _tested(world)}
    with _counting(pod):
        found["rpo_seconds"]["under_load"] = _tested(world)
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00")
        eventually(lambda: time.time() > datetime.fromisoformat(moment).timestamp() + 3 or None, "later")
    world.archiving(server)
    return moment


def _tested(world: BackupWorld) -> float:
    ended = world.job("restore-test", timeout=PATIENCE)
    if ended.code:
        raise RuntimeError(ended.text)
    measured: float = world.result("restore-test")["rpo_seconds"]
    return measured


def _restored(world: BackupWorld, to: str, size: int) -> tuple[dict[str, float], float]:
    """Restore onto an empty volume: the files and the log, and all until the database is ready."""
    name = f"restored-{len(list(world.folder.glob('restored-*')))}"
    pod = world.pod(name, storage="32Gi")
    number = len(list(world.folder.glob("restored-*")))
    pod.set_env("postgresql", **environment(Restore(id=number, to=to)))
    begun = time.monotonic()
    with _serving(pod):
        ready = time.monotonic() - begun
    shutil.rmtree(pod.data)
    return _rate(ready, size), round(ready, 1)


def _pgbackrest(world: BackupWorld) -> None:
    ended = world.tool("backup", "pgbackrest", "--stanza=main", "--type=full", "backup", timeout=PATIENCE)
    if ended.code:
        raise RuntimeError(ended.text)


def _commits(pod: DatabasePod) -> float:
    with _counting(pod) as count:
        until = time.monotonic() + LOAD_SECONDS
        eventually(lambda: time.monotonic() > until or None, "some commits", LOAD_SECONDS + 10)
        return round(count() / LOAD_SECONDS, 1)


@contextmanager
def _counting(pod: DatabasePod) -> Iterator[Callable[[], int]]:
    """One client that commits as fast as it can; gives how many commits it had since."""
    script = "\\set ON_ERROR_STOP on\n" + "INSERT INTO load VALUES (1) RETURNING 1;\n" * 500_000
    with pod.client(script):
        eventually(lambda: pod.said() or None, "the client commits")
        before = len(pod.said())
        yield lambda: len(pod.said()) - before


@contextmanager
def _serving(pod: DatabasePod) -> Iterator[Container]:
    with ExitStack() as stack:
        server = stack.enter_context(pod.run("postgresql"))
        for beside in ("reconciler", "backup-server"):
            stack.enter_context(pod.run(beside))
        eventually(lambda: pod.probe("postgresql", server, "readiness")[0] == 0, "it is ready", PATIENCE)
        yield server


def _rate(taken: float, size: int) -> dict[str, float]:
    return {"seconds": round(taken, 1), "mb_per_second": round(size / 1e6 / taken, 1)}
