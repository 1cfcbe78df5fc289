"""The pool beside PostgreSQL alone: what connections cost, and what clients see of a roll."""

import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.measure import say
from simulator.images.container import Bind, Container, run_in
from simulator.session import Session
from tests.artifact import pool_world
from tests.artifact.plain_postgres import PROGRAMS, Postgres
from tests.artifact.pod import eventually, system
from tests.artifact.pool_world import PASSWORDS, PoolPod
from tests.artifact.postgres_client import Client, Refused

CLIENTS, CROWD, MOST_CONNECTIONS = 200, 1000, 300
SECONDS = 6
ROUNDS = 3
REQUESTS_PER_MINUTE = 5000
LOGIN = "app_1"
ROWS = 500_000


@dataclass(frozen=True, kw_only=True)
class Way:
    """How pgbench gets to the database.

    Attributes:
        port: whom it asks.
        tls: whether both sides are encrypted.
    """

    port: int
    tls: bool


class Bench:
    """One database and what measures it.

    Args:
        folder: for files.
        server: the database.
    """

    def __init__(self, folder: Path, server: Postgres) -> None:
        self.folder, self.server = folder / "pgbench", server
        self.folder.mkdir()
        self.folder.chmod(0o777)
        (self.folder / "read.sql").write_text(
            f"\\set key random(1, {ROWS})\nSELECT balance FROM accounts WHERE key = :key;\n"
        )

    def run(self, way: Way, *options: str) -> str:
        """Run pgbench, reading one row by its key in each transaction; give what it printed."""
        output = self.folder / "output"
        output.unlink(missing_ok=True)
        env = {
            "PGPASSWORD": PASSWORDS[LOGIN],
            "PGSSLMODE": "verify-full" if way.tls else "disable",
            "PGSSLROOTCERT": "/run/secrets/tls/ca.crt",
        }
        binds = [
            Bind(source=self.server.authority / "ca.crt", target="/run/secrets/tls/ca.crt"),
            Bind(source=self.folder, target="/work", writable=True),
        ]
        command = [f"{PROGRAMS}/pgbench", "-n", "-f", "/work/read.sql", "-j", "2", *options]
        command += ["-h", "localhost", "-p", str(way.port), "-U", LOGIN, "fixia"]
        with run_in(system("postgres"), command, binds=binds, env=env, output=output) as running:
            code = running.wait(60)
        said = output.read_text()
        if code:
            raise SystemExit(f"pgbench failed, so nothing was measured\n{said}")
        return said

    def rate(self, way: Way, *options: str) -> float:
        """Transactions a second."""
        said = self.run(way, "-c", str(CLIENTS), "-T", str(SECONDS), *options)
        (rate,) = re.findall(r"tps = ([0-9.]+)", said)
        return float(rate)

    def p95_ms(self, way: Way) -> float:
        """Milliseconds, at so many requests a minute from 20 clients."""
        for old in self.folder.glob("log*"):
            old.unlink()
        rate = ("-R", str(REQUESTS_PER_MINUTE / 60), "-c", "20", "-T", "10")
        self.run(way, *rate, "--log", "--log-prefix=/work/log")
        lines = [line for log in self.folder.glob("log*") for line in log.read_text().splitlines()]
        return statistics.quantiles([int(line.split()[2]) / 1000 for line in lines], n=100)[94]


def pool(folder: Path, _: Session) -> dict[str, Any]:
    """PostgreSQL through the pool and alone, with the pool's own files; everything shares this machine.

    Args:
        folder: for files; made.

    Returns:
        `connect_per_transaction` and `persistent`: transactions a second of 200 clients that read one row
        each, with and without TLS on all sides, and pooled to direct. `crowd`: how many of a thousand clients
        are refused. `backends`: how many processes PostgreSQL has for 200 clients, and their memory, what
        they share divided. `calm`: the 95th percentile under 5,000 requests a minute. `roll`: what failed
        while one pod took over from another.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    server = Postgres(folder)
    pool_world.certify(server)
    with server.serving():
        pool_world.prepare(server)
        server.sql(f"ALTER SYSTEM SET max_connections = {MOST_CONNECTIONS}")
    with (server.data / "pg_hba.conf").open("a") as file:
        file.write("host all all all scram-sha-256\n")
    with server.serving(), ExitStack() as stack:
        _fill(server)
        bench = Bench(folder, server)
        pod, plain = PoolPod(folder / "pod", server), PoolPod(folder / "plain", server)
        _unencrypted(plain)
        stack.enter_context(pod.serving())
        ways = {
            "pooled": Way(port=pod.port, tls=True),
            "direct": Way(port=server.port, tls=True),
            "pooled_without_tls": Way(port=plain.port, tls=False),
            "direct_without_tls": Way(port=server.port, tls=False),
        }
        measured: dict[str, Any] = {}
        with _plain(plain):
            for name, options in {"connect_per_transaction": ["-C"], "persistent": []}.items():
                rates = {}
                for way, how in ways.items():
                    rates[way] = bench.rate(how, *options)
                    say(f"{name}, {way}: {rates[way]:.0f} transactions a second")
                measured[name] = {
                    **rates,
                    "ratio": rates["pooled"] / rates["direct"],
                    "ratio_without_tls": rates["pooled_without_tls"] / rates["direct_without_tls"],
                }
        measured["calm"] = _calm(bench, {way: ways[way] for way in ("pooled", "direct")})
        ports = {"pooled": pod.port, "direct": server.port}
        measured["backends"] = {way: _backends(server, port) for way, port in ports.items()}
        measured["crowd"] = {f"{way}_refused": _refused(server, port) for way, port in ports.items()}
        measured["roll"] = _roll(folder, server)
    return {
        **measured,
        "clients": CLIENTS,
        "pool": f"{pod.connections.transactions} connections, one pod",
        "generator": "pgbench, one row by its key in each transaction",
    }


def _calm(bench: Bench, ways: Mapping[str, Way]) -> dict[str, float]:
    """The median of some rounds in turns: one busy second of the machine must not decide it."""
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(ROUNDS):
        for way, how in ways.items():
            rounds[way].append(bench.p95_ms(how))
            say(f"calm, {way}, turn {turn + 1} of {ROUNDS}: 95 % within {rounds[way][-1]:.1f} ms")
    return {f"{way}_p95_ms": statistics.median(taken) for way, taken in rounds.items()}


def _fill(server: Postgres) -> None:
    server.sql(
        "CREATE TABLE accounts (key int PRIMARY KEY, balance int, filler char(84))",
        f"INSERT INTO accounts SELECT n, 0, '' FROM generate_series(1, {ROWS}) n",  # noqa: S608
        "ANALYZE accounts",
        "GRANT SELECT ON accounts TO app",
    )


def _unencrypted(pod: PoolPod) -> None:
    text = (pod.volumes["config"] / "pgbouncer.ini").read_text()
    pod.configure(re.sub(r"(client|server)_tls_sslmode = .*", r"\1_tls_sslmode = disable", text))
    rules = pod.volumes["config"] / "hba.conf"
    rules.write_text(rules.read_text().replace("hostssl", "host"))


@contextmanager
def _plain(pod: PoolPod) -> Iterator[Container]:
    """It runs; its readiness asks for TLS, so only whether it is up."""
    with pod.run("pgbouncer") as running:
        eventually(lambda: pod.probe("pgbouncer", running, "startup")[0] == 0, "PgBouncer is up")
        yield running


def _connect(server: Postgres, port: int) -> Client:
    return Client(port, LOGIN, PASSWORDS[LOGIN], server.authority)


def _backends(server: Postgres, port: int) -> dict[str, float]:
    """PostgreSQL's processes for clients that are connected and have each read a row."""
    with ExitStack() as stack:
        clients = [stack.enter_context(_connect(server, port)) for _ in range(CLIENTS)]
        for client in clients:
            client("SELECT balance FROM accounts WHERE key = 7")
        held = [process.memory_full_info().pss for process in _processes(server) if _serves(process)]
    return {"processes": len(held), "mib": sum(held) / 2**20}


def _processes(server: Postgres) -> list[psutil.Process]:
    """What the server has started."""
    (postmaster,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[:1] == [f"{PROGRAMS}/postgres"]
        and str(server.port) in process.info["cmdline"]
    ]
    return postmaster.children()


def _serves(process: psutil.Process) -> bool:
    """Whether it is there for a client over the network: its title says so."""
    return bool(re.match(r"postgres: \w+ fixia \S+\(\d+\)", " ".join(process.cmdline())))


def _refused(server: Postgres, port: int) -> int:
    refused = 0
    with ExitStack() as stack:
        for _ in range(CROWD):
            try:
                stack.enter_context(_connect(server, port))
            except Refused:
                refused += 1
    return refused


def _roll(folder: Path, server: Postgres) -> dict[str, dict[str, int]]:
    """A new pod takes over from an old one under 8 clients: those that renew connections, and others."""
    return {
        name: _rolled(folder / name, server, renew=renew)
        for name, renew in {"renewed_in_time": True, "kept_for_good": False}.items()
    }


def _rolled(folder: Path, server: Postgres, *, renew: bool) -> dict[str, int]:
    folder.mkdir()
    server.sql("TRUNCATE orders")
    old, new = PoolPod(folder / "old", server), PoolPod(folder / "new", server)
    old.drain_for(2)
    serving = [old]
    connect: Callable[[], Client] = lambda: serving[0].client(LOGIN)  # noqa: E731
    with old.serving() as leaving, new.serving(), pool_world.ordering(connect, 8) as clients:
        serving[0] = new
        for client in clients if renew else ():
            client.renew()
        pool_world.more(clients)
        leaving.end(20)
        pool_world.more(clients)
    return {
        "confirmed": sum(len(client.confirmed) for client in clients),
        "failed": sum(len(client.failed) for client in clients),
        "confirmed_and_lost": pool_world.lost(server, clients),
    }
