"""pgbench against a database and its pool: what it gets through, and whose processor time that takes."""

import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.measure import say
from simulator.images.container import Bind, run_in
from tests.artifact.plain_postgres import PROGRAMS, Postgres
from tests.artifact.pod import system
from tests.artifact.pool_world import PASSWORDS

CLIENTS = 200
SECONDS = 6
ROUNDS = 3
REQUESTS_PER_MINUTE = 5000
ROWS = 500_000


@dataclass(frozen=True, kw_only=True)
class Way:
    """How pgbench gets to the database.

    Attributes:
        ports: whom it asks; each connection goes to one of them by chance, as through a Service.
        tls: whether both sides are encrypted.
        pools: PgBouncer's processes, if it is between.
    """

    ports: Sequence[int]
    tls: bool
    pools: Sequence[psutil.Process] = ()


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What one run got through.

    Attributes:
        per_second: transactions.
        spent_ms: processor time of each transaction, by who spent it. Other programs of the machine slow a
            run down, but hardly change this.
        others: which part of the machine's processor time other programs had.
    """

    per_second: float
    spent_ms: Mapping[str, float]
    others: float


class Pgbench:
    """One database and what measures it.

    Args:
        folder: for files; made.
        server: the database.
    """

    def __init__(self, folder: Path, server: Postgres) -> None:
        self.folder, self.server = folder, server
        self.folder.mkdir()
        self.folder.chmod(0o777)
        (self.folder / "read.sql").write_text(
            f"\\set key random(1, {ROWS})\nSELECT balance FROM accounts WHERE key = :key;\n"
        )

    def fill(self) -> None:
        """Make what is read."""
        self.server.sql(
            "CREATE TABLE accounts (key int PRIMARY KEY, balance int, filler char(84))",
            f"INSERT INTO accounts SELECT n, 0, '' FROM generate_series(1, {ROWS}) n",  # noqa: S608
            "ANALYZE accounts",
            "GRANT SELECT ON accounts TO app, readonly",
        )

    def run(self, way: Way, login: str, *options: str) -> str:
        """Run pgbench, reading one row by its key in each transaction; give what it printed."""
        output = self.folder / "output"
        output.unlink(missing_ok=True)
        env = {
            "PGPASSWORD": PASSWORDS[login],
            "PGSSLMODE": "verify-full" if way.tls else "disable",
            "PGSSLROOTCERT": "/run/secrets/tls/ca.crt",
            # Debian's libpq looks for a Kerberos ticket first; the product's drivers know of none.
            "PGGSSENCMODE": "disable",
            "PGLOADBALANCEHOSTS": "random",
        }
        binds = [
            Bind(source=self.server.authority / "ca.crt", target="/run/secrets/tls/ca.crt"),
            Bind(source=self.folder, target="/work", writable=True),
        ]
        command = [f"{PROGRAMS}/pgbench", "-n", "-f", "/work/read.sql", *options]
        hosts, ports = ",".join("localhost" for _ in way.ports), ",".join(map(str, way.ports))
        command += ["-h", hosts, "-p", ports, "-U", login, "fixia"]
        with run_in(system("postgres"), command, binds=binds, env=env, output=output) as running:
            code = running.wait(120)
        said = output.read_text()
        if code:
            raise SystemExit(f"pgbench failed, so nothing was measured\n{said}")
        return said

    def rate(self, way: Way, login: str, *options: str) -> Rate:
        """What so many clients get through."""
        before, all_before = self._spent(way), _machine()
        said = self.run(way, login, "-c", str(CLIENTS), "-T", str(SECONDS), *options)
        after, all_after = self._spent(way), _machine()
        rate, count = (re.search(what, said) for what in (r"tps = ([0-9.]+)", r"actually processed: (\d+)"))
        if rate is None or count is None:
            raise SystemExit(f"the machine is too busy: not one transaction in {SECONDS} s\n{said}")
        spent = {who: after[who] - before[who] for who in after}
        busy, idle = (now - then for now, then in zip(all_after, all_before, strict=True))
        return Rate(
            per_second=float(rate[1]),
            spent_ms={who: 1000 * seconds / int(count[1]) for who, seconds in spent.items()},
            others=max(0.0, busy - sum(spent.values())) / (busy + idle),
        )

    def _spent(self, way: Way) -> dict[str, float]:
        """Seconds of processor time so far."""
        mine = os.times()
        spent = {
            # With its backends, those that have ended included.
            "postgresql": _seconds(postmaster(self.server))
            + sum(_seconds(child) for child in postmaster(self.server).children()),
            "pgbench": mine.children_user + mine.children_system,
        }
        return {**spent, "pgbouncer": sum(map(_seconds, way.pools))} if way.pools else spent

    def p95_ms(self, way: Way, login: str) -> float:
        """Milliseconds, at so many requests a minute from 20 clients."""
        for old in self.folder.glob("log*"):
            old.unlink()
        rate = ("-R", str(REQUESTS_PER_MINUTE / 60), "-c", "20", "-T", "10", "-j", "2")
        self.run(way, login, *rate, "--log", "--log-prefix=/work/log")
        lines = [line for log in self.folder.glob("log*") for line in log.read_text().splitlines()]
        return statistics.quantiles([int(line.split()[2]) / 1000 for line in lines], n=100)[94]


def postmaster(server: Postgres) -> psutil.Process:
    """The server's first process."""
    (found,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[:1] == [f"{PROGRAMS}/postgres"]
        and str(server.port) in process.info["cmdline"]
    ]
    return found


def _machine() -> tuple[float, float]:
    """Seconds of processor time so far, of everybody together: busy and idle."""
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    # The guests' is in the users' already. Source: proc_stat(5)
    return sum(times) - idle - times.guest - times.guest_nice, idle


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def in_turns(
    bench: Pgbench, name: str, ways: Mapping[str, Way], login: str, *options: str
) -> dict[str, list[Rate]]:
    """Some rounds of each way in turns, so that a busy minute of the machine slows all alike."""
    rates: dict[str, list[Rate]] = {way: [] for way in ways}
    for turn in range(ROUNDS):
        for way, how in ways.items():
            rates[way].append(bench.rate(how, login, *options))
            say(f"{name}, {way}, turn {turn + 1} of {ROUNDS}: {rates[way][-1].per_second:.0f} a second")
    return rates


def compared(pooled: list[Rate], direct: list[Rate], *, goal: float) -> dict[str, object]:
    """Two sides of one measurement: medians, their ratio beside the goal, and how much the turns differed."""
    rate = [statistics.median(each.per_second for each in side) for side in (pooled, direct)]
    spent = [_medians(side) for side in (pooled, direct)]
    turns = [one.per_second / other.per_second for one, other in zip(pooled, direct, strict=True)]
    return {
        "pooled": rate[0],
        "direct": rate[1],
        "ratio": rate[0] / rate[1],
        "ratio_of_each_turn": turns,
        "goal": goal,
        "reached": rate[0] / rate[1] >= goal,
        "pooled_cpu_ms": spent[0],
        "direct_cpu_ms": spent[1],
        "others_had": statistics.median(rate.others for rate in (*pooled, *direct)),
        "ratio_of_cpu": sum(spent[1].values()) / sum(spent[0].values()),
        "ratio_of_cpu_without_pgbench": _served(spent[1]) / _served(spent[0]),
    }


def _medians(side: list[Rate]) -> dict[str, float]:
    return {who: statistics.median(rate.spent_ms[who] for rate in side) for who in side[0].spent_ms}


def _served(spent: Mapping[str, float]) -> float:
    return sum(value for who, value in spent.items() if who != "pgbench")
