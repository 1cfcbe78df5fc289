"""The database: what its configuration brings, how soon a standby takes over, what a restart costs."""

import re
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import say
from components.pods import Resources
from simulator.images.container import Container
from simulator.session import Session
from tests.artifact import pool_world
from tests.artifact.database_pod import DatabasePod, Refused
from tests.artifact.plain_postgres import PROGRAMS, SOCKETS, Postgres
from tests.artifact.pod import eventually, sign
from tests.artifact.pool_world import ADDRESS, PASSWORDS, Orders, PoolPod

ROUNDS = 3
SCALE = 50
"""Of pgbench: 15 MB each, so that it fits into no default shared_buffers."""
SECONDS = 60
WRITERS = 16
MEMORY = "2Gi"
LOG = "/tmp/transactions"  # noqa: S108, the container's own

DEFAULT = f"""\
listen_addresses = 'localhost'
unix_socket_directories = '{SOCKETS}'
"""
"""Where it is, and nothing else."""

LOGIN = "app_1"
ORDERS = "CREATE TABLE orders (client int, number int, PRIMARY KEY (client, number))"

RESTARTS: dict[str, dict[str, Any]] = {
    "unannounced": {},
    # As long as a pod may take that is scheduled anew.
    "away_for_5_s": {"away_seconds": 5.0},
    "pool_paused": {"pause": True},
}


def database(folder: Path, _: Session) -> dict[str, Any]:
    """The component's PostgreSQL with its own files and scripts; everything shares this machine.

    Args:
        folder: for files; made.

    Returns:
        `tuned`: read-write transactions a second beside the same PostgreSQL as `initdb` leaves it.
        `promotion`: from the call of promote.sh to the first write that the standby takes, of each round.
        `restart`: what eight clients of the pool see while PostgreSQL restarts: unannounced, the same with
        five more seconds before it is started, and with the pool told to wait.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    made = DatabasePod(folder / "made")
    with made.serving():
        pass
    volume = made.volumes["data"]
    return {
        "tuned": _tuned(_folder(folder / "tuned")),
        "promotion": _promotions(_folder(folder / "promotion"), volume),
        "restart": {name: _restart(_folder(folder / name), volume, **how) for name, how in RESTARTS.items()},
    }


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _tuned(folder: Path) -> dict[str, Any]:
    """Both in turns, each long enough for the checkpoints that so many writes bring."""
    with _ours(_folder(folder / "ours")) as ours, _plain(_folder(folder / "default")) as default:
        sides = {"tuned": ours, "default": default}
        for name, side in sides.items():
            say(f"database, {name}: {SCALE * 15} MB are made")
            side.pgbench("-i", "-q", "-s", str(SCALE))
        runs: dict[str, list[Run]] = {name: [] for name in sides}
        for turn in range(ROUNDS):
            for name, side in sides.items():
                runs[name].append(side.run())
                rate = runs[name][-1].per_second
                say(f"database, {name}, turn {turn + 1} of {ROUNDS}: {rate:.0f} a second")
    rates = {name: statistics.median(run.per_second for run in taken) for name, taken in runs.items()}
    turns = [
        one.per_second / other.per_second for one, other in zip(runs["tuned"], runs["default"], strict=True)
    ]
    return {
        "per_second": rates,
        "ratio": rates["tuned"] / rates["default"],
        "ratio_of_each_turn": turns,
        "p99_ms": {name: statistics.median(run.p99_ms for run in taken) for name, taken in runs.items()},
        "wal_kib_each": {
            name: statistics.median(run.wal_kib for run in taken) for name, taken in runs.items()
        },
        "checkpoints": {name: sum(run.checkpoints for run in taken) for name, taken in runs.items()},
        "generator": f"pgbench, read and write, scale {SCALE}, {WRITERS} clients, by the socket",
        "memory": f"sized for {MEMORY}, which nothing enforces: both have all of the machine's page cache",
        "not_alike": "the component's has checksums, statistics of statements and timed reads; initdb's none",
    }


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one server did under its writers.

    Attributes:
        per_second: transactions.
        p99_ms: how long the slowest hundredth of them took, at least.
        wal_kib: WAL for each of them.
        checkpoints: how many there were.
    """

    per_second: float
    p99_ms: float
    wal_kib: float
    checkpoints: int


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two servers.

    Attributes:
        server: its container.
        socket: the folder of its socket.
        port: its port.
    """

    server: Container
    socket: str
    port: int

    def run(self) -> Run:
        """Let the writers write."""
        before = self._written()
        # Of a tenth, the time of each.
        log = ["--log", "--sampling-rate=0.1", f"--log-prefix={LOG}"]
        said = self.pgbench("-c", str(WRITERS), "-j", "2", "-T", str(SECONDS), *log)
        wal, checkpoints = (now - then for now, then in zip(self._written(), before, strict=True))
        (rate,) = re.findall(r"tps = ([0-9.]+)", said)
        (count,) = re.findall(r"actually processed: (\d+)", said)
        slowest = (
            f"cut -d ' ' -f 3 {LOG}.* | sort -n | awk '{{ t[NR] = $1 }} END {{ print t[int(NR * 0.99)] }}'"
        )
        (p99,) = self._execute("sh", "-c", f"{slowest}; rm {LOG}.*").splitlines()
        return Run(
            per_second=float(rate),
            p99_ms=int(p99) / 1000,
            wal_kib=wal / 1024 / int(count),
            checkpoints=checkpoints,
        )

    def _written(self) -> tuple[int, int]:
        ask = "SELECT wal_bytes, num_timed + num_requested FROM pg_stat_wal, pg_stat_checkpointer"
        wal, checkpoints = self._execute("psql", "-XAtq", "-F ", "-c", ask, *self._where).split()
        return int(wal), int(checkpoints)

    def pgbench(self, *options: str) -> str:
        """Run it beside the server; give what it printed."""
        return self._execute(f"{PROGRAMS}/pgbench", *options, *self._where)

    @property
    def _where(self) -> list[str]:
        return ["-h", self.socket, "-p", str(self.port), "-U", "postgres", "fixia"]

    def _execute(self, *command: str) -> str:
        ended = self.server.execute(command, timeout=600)
        said = "\n".join(ended.lines)
        if ended.code:
            raise SystemExit(f"{command[0]} failed, so nothing was measured\n{said}")
        return said


@contextmanager
def _ours(folder: Path) -> Iterator[Side]:
    size = Resources(cpu="2", memory=MEMORY, memory_limit=MEMORY)
    pod = DatabasePod(folder, resources=size, storage="10Gi")
    with pod.serving() as server:
        yield Side(server=server, socket="/run/postgresql", port=pod.port)


@contextmanager
def _plain(folder: Path) -> Iterator[Side]:
    with Postgres(folder, configuration=DEFAULT).serving() as server:
        yield Side(server=server.running, socket=SOCKETS, port=server.port)


def _promotions(folder: Path, volume: Path) -> dict[str, Any]:
    taken = []
    for turn in range(ROUNDS):
        taken.append(_promotion(_folder(folder / str(turn)), volume))
        say(f"promotion, turn {turn + 1} of {ROUNDS}: {taken[-1]:.2f} s to the first write")
    return {"first_write_s": statistics.median(taken), "of_each_turn_s": taken}


def _promotion(folder: Path, volume: Path) -> float:
    """Seconds; a try to write takes some 50 ms itself."""
    primary = DatabasePod(folder / "primary", standbys=1)
    primary.fill(volume)
    standby = DatabasePod(
        folder / "standby", port=primary.port, authority=primary.authority, standbys=1, standby=True
    )
    standby.set_env("postgresql", HOSTNAME="database-standby-0")
    with ExitStack() as stack:
        with primary.serving() as leaving:
            following = stack.enter_context(standby.run("postgresql"))
            standby.ready(following)
            primary.sql(leaving, ORDERS, role="owner")
            (written,) = primary.root(leaving, "SELECT pg_current_wal_lsn()")
            ask = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
            eventually(lambda: standby.root(following, ask) == ["t"], "the standby has caught up")
        promote = ["/usr/lib/database/promote.sh"]
        began = time.monotonic()
        promotion = threading.Thread(target=following.execute, args=[promote], kwargs={"timeout": 120})
        promotion.start()
        eventually(lambda: _writes(standby, following), "the standby takes writes", patience=120)
        taken = time.monotonic() - began
        promotion.join()
    return taken


def _writes(pod: DatabasePod, server: Container) -> bool:
    try:
        pod.sql(server, "INSERT INTO orders VALUES (0, 0)")
    except Refused:
        return False
    return True


def _restart(
    folder: Path, volume: Path, *, pause: bool = False, away_seconds: float = 0.0
) -> dict[str, float]:
    """Stop PostgreSQL as the kubelet does and start it again, under clients that write through the pool."""
    pod = DatabasePod(folder / "database")
    pod.fill(volume)
    pod.write_secret("app-password", PASSWORDS[LOGIN])
    pod.write_secret("pooler-password", PASSWORDS["pooler"])
    sign(pod.volumes["tls"], pod.authority, names=("localhost", ADDRESS))
    pool = PoolPod(folder / "pool", pod)
    with ExitStack() as stack:
        server = stack.enter_context(pod.serving())
        pod.sql(server, ORDERS, role="owner")
        eventually(lambda: f"changed {LOGIN}" in pod.log("reconciler"), "the password is the pool's")
        before = stack.enter_context(pool.serving())
        clients = stack.enter_context(pool_world.ordering(lambda: pool.client(LOGIN), 8))
        for client in clients:
            client.slowest_seconds = 0.0
        if pause:
            pool.console(before, "PAUSE fixia")
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(pod.grace_seconds)
        time.sleep(away_seconds)
        server = stack.enter_context(pod.run("postgresql"))
        pod.ready(server)
        away = time.monotonic() - began
        if pause:
            pool.console(before, "RESUME fixia")
        pool_world.more(clients)
        for client in clients:
            client.stop()
        # As one row: of many, the end alone would come.
        (kept,) = pod.root(server, "SELECT string_agg(client || ' ' || number, ',') FROM orders")
    seen = {"stopped_to_ready_s": away, **_seen(clients)}
    lost = {f"{n} {order}" for n, one in enumerate(clients) for order in one.confirmed} - set(kept.split(","))
    say(f"restart, {folder.name}: {seen['failed']:.0f} failed")
    return {**seen, "confirmed_and_lost": len(lost)}


def _seen(clients: list[Orders]) -> dict[str, float]:
    failures = [at for client in clients for at in client.failed_at]
    return {
        "confirmed": sum(len(client.confirmed) for client in clients),
        "failed": len(failures),
        "failing_s": max(failures) - min(failures) if failures else 0.0,
        "longest_wait_s": max(client.slowest_seconds for client in clients),
        "tries_again_after_s": pool_world.AGAIN_SECONDS,
    }
