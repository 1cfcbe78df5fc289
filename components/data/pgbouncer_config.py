"""What PgBouncer is told, as text, and how few connections it may make: pure functions."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

PORT: Final = 6432
METRICS_PORT: Final = 9127
CLIENTS: Final = 1000
"""Clients of one pod at a time."""

USER: Final = "pooler"
"""PgBouncer's own login at PostgreSQL; it may do nothing but ask for verifiers."""
STATS_USER: Final = "stats"
LOOKUP: Final = "lookup"
"""Under which name PgBouncer itself uses the database."""
CONSOLE: Final = "pgbouncer"
"""Under which name PgBouncer answers about itself."""

CONFIG_FOLDER: Final = "/etc/pool"
STATE_FOLDER: Final = "/run/pool"
TLS_FOLDER: Final = "/run/secrets/pool-tls"

_FOLDER: Final = Path(__file__).parent
_LOOKUPS: Final = 1
_LEAST: Final = 3
"""One for the users, one in reserve, one to look verifiers up."""


@dataclass(frozen=True, kw_only=True)
class ServerConnections:
    """How many connections to PostgreSQL one pod may have open.

    Attributes:
        pool: for each user's transactions.
        reserve: more, for when clients wait.
        lookup: to look verifiers up; used by nobody else.
    """

    pool: int
    reserve: int
    lookup: int = _LOOKUPS

    @property
    def transactions(self) -> int:
        """How many there are for all users together."""
        return self.pool + self.reserve

    @property
    def total(self) -> int:
        """How many there are altogether."""
        return self.transactions + self.lookup


def pods_at_once(replicas: int) -> int:
    """How many pods can have connections at the same time.

    A release adds one pod before it stops one, and does not wait for the end of those that it stopped: they
    drain for up to two minutes, longer than a release takes. So at worst every old pod is still there beside
    every new one.

    Args:
        replicas: how many there are otherwise.
    """
    return 2 * replicas


def server_connections(budget: int, pods: int) -> ServerConnections:
    """Share a budget of connections to PostgreSQL out over the pods.

    PgBouncer's limits are each process's own, so that nothing else keeps the sum within what PostgreSQL has.

    Args:
        budget: connections of all pods together, at any time.
        pods: how many there can be at once; see `pods_at_once`.

    Raises:
        ValueError: a pod would have too few to work.
    """
    if pods < 1:
        raise ValueError(f"{pods} pods share no connections: at least 1")
    each = budget // pods
    if each < _LEAST:
        raise ValueError(
            f"{budget} server connections over {pods} pods at once are {max(each, 0)} for each, which needs "
            f"{_LEAST} or more: a budget of at least {_LEAST * pods}, or fewer pods"
        )
    transactions = each - _LOOKUPS
    reserve = max(1, transactions // 5)
    return ServerConnections(pool=transactions - reserve, reserve=reserve)


def config_files(
    connections: ServerConnections,
    *,
    host: str,
    port: int,
    database: str,
    listen_port: int = PORT,
    clients: int = CLIENTS,
) -> dict[str, str]:
    """The configuration files by name; none holds a secret.

    Args:
        connections: how many connections a pod may open.
        host: PostgreSQL's DNS name; its certificate must be for it.
        port: its port.
        database: the database's name, there and for clients.
        listen_port: where to listen for clients.
        clients: how many may be connected at a time.

    Raises:
        ValueError: a name that can't be one, or that means something else here.
    """
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        raise ValueError(f"{host!r} is not a DNS name")
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", database) or database in (LOOKUP, CONSOLE):
        raise ValueError(
            f"{database!r} can't be the database's name: a word of a-z, 0-9 and _, and neither {LOOKUP!r} "
            f"nor {CONSOLE!r}, which PgBouncer has for itself"
        )
    values = {
        "host": host,
        "port": port,
        "database": database,
        "listen_port": listen_port,
        "clients": clients,
        "connections": connections.transactions,
        "pool": connections.pool,
        "reserve": connections.reserve,
        "lookups": connections.lookup,
        "lookup": LOOKUP,
        "user": USER,
        "stats_user": STATS_USER,
        "tls": TLS_FOLDER,
        "config": CONFIG_FOLDER,
        "state": STATE_FOLDER,
    }
    return {
        name: Template((_FOLDER / source).read_text(encoding="utf-8")).substitute(values)
        for name, source in (("pgbouncer.ini", "pgbouncer.ini"), ("hba.conf", "pgbouncer_hba.conf"))
    }


def password_file(password: str) -> str:
    """PgBouncer's own password, as its file's content.

    Raises:
        ValueError: it is empty or more than a line.
    """
    if not (password and password.isprintable()):
        raise ValueError(f"the password of {USER} must be one line, and not empty")
    return password


def exporter_address(port: int = PORT) -> str:
    """Where the exporter, in the same pod, finds the console: by the socket, with no password."""
    return f"postgres:///{CONSOLE}?host=/run/pgbouncer&port={port}&user={STATS_USER}&sslmode=disable"


def scripts() -> dict[str, str]:
    """The shell scripts that run PgBouncer and beside it, by file name."""
    folder = _FOLDER / "scripts" / "pgbouncer"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sh"))}
