"""The pool beside PostgreSQL alone: what connections cost, and what clients see of a roll."""

import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.measure import say
from bench.pgbench import CLIENTS, ROUNDS, Pgbench, Way, compared, in_turns, postmaster
from simulator.images.container import Container
from simulator.session import Session
from tests.artifact import pool_world
from tests.artifact.plain_postgres import Postgres, literal
from tests.artifact.pod import eventually
from tests.artifact.pool_world import PASSWORDS, PoolPod
from tests.artifact.postgres_client import Client, Refused
from tests.recorder import ROOT

PODS = 2
CROWD, MOST_CONNECTIONS = 1000, 300
LOGIN = "app_1"
"""Its password is hashed as often as the product's own, when it is generated."""
DEFAULT_LOGIN = "readonly_0"
"""Its password is hashed as often as PostgreSQL's default says."""
OPEN_LOGIN = "app_0"
"""It needs no password, in one measurement."""

PRODUCTION = ROOT / "Pulumi.production.yaml"

CONNECTING = ("-C", "-j", "20")
"""A thread of pgbench connects for one client at a time: so many log in at once."""
STAYING = ("-j", "2")


def pool(folder: Path, _: Session) -> dict[str, Any]:
    """PostgreSQL through the pool and alone, with the pool's own files; everything shares this machine.

    Args:
        folder: for files; made.

    Returns:
        Transactions a second of 200 clients that read one row each, with TLS on all sides and without, the
        ratio beside its goal, and the processor time of each transaction. `connect_per_transaction`: with the
        product's login; `at_4096_iterations`: with a password hashed as PostgreSQL does by default;
        `without_passwords`: nobody is asked for one, which is what is left of a connection;
        `persistent`: connected once.
        `crowd`: how many of a thousand clients one pod refuses. `backends`: how many processes PostgreSQL has
        for 200 clients, and their memory, what they share divided; apart from the shared memory, which the
        server has for however many, and which few processes have more of each. `calm`: the 95th percentile
        under 5,000 requests a minute. `roll`: what failed while one pod took over from another.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    server = Postgres(folder)
    pool_world.certify(server)
    with server.serving():
        pool_world.prepare(server)
        server.sql(f"ALTER SYSTEM SET max_connections = {MOST_CONNECTIONS}")
    rules = server.data / "pg_hba.conf"
    # The first line that matches counts. Passwords are asked for without TLS too, and of one login never.
    more = f"hostnossl all {OPEN_LOGIN} all trust\nhost all all all scram-sha-256\n"
    rules.write_text(rules.read_text() + more)
    with server.serving(), ExitStack() as stack:
        bench = Pgbench(folder / "pgbench", server)
        bench.fill()
        _hash_as_the_product(server, LOGIN)
        pods = [PoolPod(folder / f"pod-{number}", server) for number in range(PODS)]
        encrypted = {
            "pooled": _through(pods, [stack.enter_context(pod.serving()) for pod in pods], tls=True),
            "direct": Way(ports=[server.port], tls=True),
        }
        with ExitStack() as plainly:
            plain = [PoolPod(folder / f"plain-{number}", server) for number in range(PODS)]
            for pod in plain:
                _unencrypted(pod)
            unencrypted = {
                "pooled": _through(plain, [plainly.enter_context(_plain(pod)) for pod in plain], tls=False),
                "direct": Way(ports=[server.port], tls=False),
            }
            measured = _rates(bench, encrypted, unencrypted)
        measured["calm"] = _calm(bench, encrypted)
        ports = {"pooled": pods[0].port, "direct": server.port}
        held = {way: _backends(server, port) for way, port in ports.items()}
        measured["backends"] = {
            **held,
            "less": 1 - held["pooled"]["mib"] / held["direct"]["mib"],
            "goal": 0.8,
        }
        measured["crowd"] = {f"{way}_refused": _refused(server, port) for way, port in ports.items()}
        measured["roll"] = _roll(folder, server)
    return {
        **measured,
        "clients": CLIENTS,
        "pool": f"{PODS} pods, {pods[0].connections.transactions} connections each",
        "generator": "pgbench, one row by its key in each transaction, on the processors of what it asks",
    }


def _through(pods: Sequence[PoolPod], running: Sequence[Container], *, tls: bool) -> Way:
    processes = [pod.process(each) for pod, each in zip(pods, running, strict=True)]
    return Way(ports=[pod.port for pod in pods], tls=tls, pools=processes)


def _hash_as_the_product(server: Postgres, login: str) -> None:
    """Hash a login's password as often as production does with those that are generated."""
    production = yaml.safe_load(PRODUCTION.read_text(encoding="utf-8"))["config"]
    iterations = production["fixia:database"]["scramIterations"]
    server.sql(
        f"SET scram_iterations = {iterations}; ALTER ROLE {login} PASSWORD {literal(PASSWORDS[login])}"
    )


def _rates(bench: Pgbench, encrypted: Mapping[str, Way], unencrypted: Mapping[str, Way]) -> dict[str, Any]:
    kinds: dict[str, tuple[str, tuple[str, ...], dict[str, float]]] = {
        "connect_per_transaction": (LOGIN, CONNECTING, {"tls": 3, "without_tls": 10}),
        "connect_per_transaction_at_4096_iterations": (
            DEFAULT_LOGIN,
            CONNECTING,
            {"tls": 3, "without_tls": 10},
        ),
        "connect_per_transaction_without_passwords": (OPEN_LOGIN, CONNECTING, {"without_tls": 10}),
        "persistent": (LOGIN, STAYING, {"tls": 0.9, "without_tls": 0.9}),
    }
    measured: dict[str, Any] = {}
    for name, (login, options, goals) in kinds.items():
        measured[name] = {}
        for sockets, goal in goals.items():
            ways = encrypted if sockets == "tls" else unencrypted
            rates = in_turns(bench, f"{name}, {sockets}", ways, login, *options)
            measured[name][sockets] = compared(rates["pooled"], rates["direct"], goal=goal)
    return measured


def _calm(bench: Pgbench, ways: Mapping[str, Way]) -> dict[str, float]:
    """The median of some rounds in turns: one busy second of the machine must not decide it."""
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(ROUNDS):
        for way, how in ways.items():
            rounds[way].append(bench.p95_ms(how, LOGIN))
            say(f"calm, {way}, turn {turn + 1} of {ROUNDS}: 95 % within {rounds[way][-1]:.1f} ms")
    return {f"{way}_p95_ms": statistics.median(taken) for way, taken in rounds.items()}


def _unencrypted(pod: PoolPod) -> None:
    text = (pod.volumes["config"] / "pgbouncer.ini").read_text()
    pod.configure(re.sub(r"(client|server)_tls_sslmode = .*", r"\1_tls_sslmode = disable", text))
    rules = pod.volumes["config"] / "hba.conf"
    lines = rules.read_text().replace("hostssl", "host").splitlines()
    rules.write_text("\n".join([f"host fixia {OPEN_LOGIN} all trust", *lines]) + "\n")


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
        held = [_held(process) for process in postmaster(server).children() if _serves(process)]
    shared = sum(each["Pss_Shmem"] for each in held)
    return {
        "processes": len(held),
        "mib": (sum(each["Pss"] for each in held) - shared) / 1024,
        "of_shared_memory_mib": shared / 1024,
    }


def _held(process: psutil.Process) -> dict[str, int]:
    """A process's share of the memory that it maps, in KiB.

    Source: https://docs.kernel.org/filesystems/proc.html, smaps_rollup
    """
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


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
