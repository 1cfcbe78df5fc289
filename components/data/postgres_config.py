"""What PostgreSQL is told, as text: pure functions from a pod's size and the settings to files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final

PORT: Final = 5432
METRICS_PORT: Final = 9187

GROUPS: Final = ("owner", "app", "readonly")
"""Roles that three logins each belong to, one to an epoch of the password."""
SINGLE_ROLES: Final = ("pooler", "exporter", "backup", "replicator", "maintenance")
"""Roles that log in by themselves."""

EPOCHS: Final = 3
"""The previous, the current and the next: as many logins a group has."""

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30
MINIMUM_MEMORY: Final = 256 * MIB
MINIMUM_STORAGE: Final = GIB

ALLOWED: Final = frozenset({
    "autovacuum_analyze_scale_factor", "autovacuum_max_workers", "autovacuum_naptime",
    "autovacuum_vacuum_cost_delay", "autovacuum_vacuum_cost_limit", "autovacuum_vacuum_insert_scale_factor",
    "autovacuum_vacuum_scale_factor", "checkpoint_timeout", "client_connection_check_interval",
    "deadlock_timeout", "default_statistics_target", "effective_cache_size", "effective_io_concurrency",
    "from_collapse_limit", "hash_mem_multiplier", "hot_standby_feedback",
    "idle_in_transaction_session_timeout", "jit", "join_collapse_limit", "log_autovacuum_min_duration",
    "log_lock_waits", "log_min_duration_statement", "log_temp_files", "maintenance_work_mem",
    "max_parallel_maintenance_workers", "max_parallel_workers", "max_parallel_workers_per_gather",
    "max_slot_wal_keep_size", "max_standby_streaming_delay", "max_wal_size", "max_worker_processes",
    "min_wal_size", "pg_stat_statements.max", "plan_cache_mode", "random_page_cost", "shared_buffers",
    "temp_file_limit", "track_functions", "track_io_timing", "wal_compression", "work_mem",
})  # fmt: skip
"""What the settings may change: how fast and how much, never what is safe, where it is or who may enter."""

_FOLDER: Final = Path(__file__).parent
_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_ARCHIVE_TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Server:
    """What PostgreSQL's configuration depends on.

    Attributes:
        memory: the container's memory limit, as a binary Kubernetes quantity such as `4Gi`.
        cpu: the CPUs that it asks for, as a Kubernetes quantity such as `2` or `500m`.
        storage: the volume's size, as a binary Kubernetes quantity.
        database: the product's database.
        port: where it listens.
        max_connections: how many may be connected at a time, all together.
        parameters: what the settings change, by PostgreSQL's names.
        archive_command: what takes each full WAL file away; there is no archive unless told.
    """

    memory: str
    cpu: str
    storage: str
    database: str
    port: int = PORT
    max_connections: int = 100
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    archive_command: str | None = None


def postgresql_conf(server: Server) -> str:
    """The main configuration file; every value with its reason, and no secret.

    Raises:
        ValueError: a quantity is none, or too small; a parameter is unknown, or not for
            the settings to change.
    """
    memory, storage, cores = binary(server.memory), binary(server.storage), cpus(server.cpu)
    if memory < MINIMUM_MEMORY:
        raise ValueError(
            f"a memory limit of {server.memory} is too small for PostgreSQL: give it 256Mi or more"
        )
    if storage < MINIMUM_STORAGE:
        raise ValueError(f"a volume of {server.storage} is too small for PostgreSQL: give it 1Gi or more")
    template = Template((_FOLDER / "postgresql.conf").read_text(encoding="utf-8"))
    text = template.substitute(
        port=server.port,
        max_connections=server.max_connections,
        memory=f"the limit is {server.memory}",
        shared_buffers=_mb(memory // 4),
        effective_cache_size=_mb(memory * 7 // 10),
        work_mem=_kb(max(MIB, memory // 4 // (2 * server.max_connections))),
        maintenance_work_mem=_mb(min(GIB, memory // 16)),
        cpu=f"{server.cpu} requested",
        cores=cores,
        half=max(1, cores // 2),
        workers=max(8, 2 * cores),
        storage=f"the volume has {server.storage}",
        max_wal_size=_mb(min(16 * GIB, storage // 8)),
        min_wal_size=_mb(min(4 * GIB, max(80 * MIB, storage // 32))),
        max_slot_wal_keep_size=_mb(min(10 * GIB, storage // 4)),
        archive=_archive(server.archive_command),
    )
    return text + _overrides(server.parameters, text)


def pg_hba_conf(database: str) -> str:
    """Who may connect, and how.

    Args:
        database: the product's database.
    """
    return Template((_FOLDER / "pg_hba.conf").read_text(encoding="utf-8")).substitute(database=database)


def database_name(product: str) -> str:
    """The product's database: its name, as SQL takes it without quotes."""
    return product.replace("-", "_")


def login(group: str, epoch: int) -> str:
    """The role of a group that has the password of that epoch.

    Args:
        group: `owner`, `app` or `readonly`.
        epoch: of the password.
    """
    return f"{group}_{epoch % EPOCHS}"


def password(value: str) -> str:
    """Give back a password as it is.

    Raises:
        ValueError: it is empty or more than a line, which a file of it would change.
    """
    if not value or not value.isprintable():
        raise ValueError("a password of the database must be one line, and not empty")
    return value


def binary(quantity: str) -> int:
    """Bytes of a binary Kubernetes quantity.

    Raises:
        ValueError: it is none.
    """
    number, unit = quantity[:-2], quantity[-2:]
    if unit not in _UNITS or not (number.isascii() and number.isdecimal()):
        raise ValueError(f"{quantity!r} is not a quantity such as 4Gi")
    return int(number) * _UNITS[unit]


def cpus(quantity: str) -> int:
    """Whole CPUs of a Kubernetes quantity, one at least.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([0-9]+)(m?)", quantity)
    if not found:
        raise ValueError(f"{quantity!r} is not a quantity of CPUs such as 2 or 500m")
    return max(1, int(found[1]) // (1000 if found[2] else 1))


def _archive(command: str | None) -> str:
    if command is None:
        return (
            "# There is no archive yet, and WAL that is kept for nobody fills the volume.\narchive_mode = off"
        )
    return "\n".join(
        [
            "# Each full WAL file is taken away before it is used again, and once a minute one that is not:",
            "# that much at most is lost with the volume.",
            "archive_mode = on",
            f"archive_command = {_quoted(command)}",
            f"archive_timeout = {_ARCHIVE_TIMEOUT_SECONDS}s",
        ]
    )


def _overrides(parameters: Mapping[str, str | int | float | bool], text: str) -> str:
    owned = set(re.findall(r"^([a-z_.]+) = ", text, re.MULTILINE)) - ALLOWED
    for name in parameters:
        if name in owned:
            raise ValueError(
                f"parameter {name!r} is the platform's own to set, and can't be changed by a setting"
            )
        if name not in ALLOWED:
            raise ValueError(
                f"parameter {name!r} is unknown, or not one that is safe to change; "
                f"these are: {', '.join(sorted(ALLOWED))}"
            )
    if not parameters:
        return ""
    lines = [f"{name} = {_quoted(_written(value))}" for name, value in sorted(parameters.items())]
    return "\n".join(["", "# --- From the stack's settings; the last one of a name counts", *lines, ""])


def _written(value: str | float | bool) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _quoted(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{value!r} is not one line")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _mb(count: int) -> str:
    return f"{count // MIB}MB"


def _kb(count: int) -> str:
    return f"{count // KIB}kB"
