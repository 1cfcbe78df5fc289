"""What PostgreSQL takes as the value of a parameter, so that a wrong one is told before anything is deployed.

PostgreSQL itself would say so only when it starts with it, which it then does not.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

Value = str | int | float | bool
"""What a stack's file may say."""

_SIZES: Final = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_TIMES: Final = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_BLOCK: Final = 2**13
_MOST: Final = 2**31 - 1
_SEGMENTS: Final = 2 * 2**24
"""PostgreSQL does not start with fewer than two segments of its log."""


class Number(NamedTuple):
    """A number, maybe of a unit.

    Attributes:
        lowest: the least that it may be, in the units of a value that names none.
        highest: the most.
        unit: of a value that names none: bytes for a size, seconds for a time.
        units: what a value may name; none unless told.
    """

    lowest: int
    highest: int
    unit: Decimal = Decimal(1)
    units: Mapping[str, Decimal | int] = MappingProxyType({})


def _size(lowest: int, highest: int, unit: int) -> Number:
    return Number(lowest, highest, Decimal(unit), _SIZES)


def _time(lowest: int, highest: int, unit: str = "ms") -> Number:
    return Number(lowest, highest, _TIMES[unit], _TIMES)


NUMBERS: Final[Mapping[str, Number]] = {
    "autovacuum_analyze_scale_factor": Number(0, 100),
    "autovacuum_max_workers": Number(1, 2**18 - 1),
    "autovacuum_naptime": _time(1, 2147483, "s"),
    "autovacuum_vacuum_cost_delay": _time(-1, 100),
    "autovacuum_vacuum_cost_limit": Number(-1, 10000),
    "autovacuum_vacuum_insert_scale_factor": Number(0, 100),
    "autovacuum_vacuum_scale_factor": Number(0, 100),
    "checkpoint_timeout": _time(30, 86400, "s"),
    "client_connection_check_interval": _time(0, _MOST),
    "deadlock_timeout": _time(1, _MOST),
    "default_statistics_target": Number(1, 10000),
    "effective_cache_size": _size(1, _MOST, _BLOCK),
    "effective_io_concurrency": Number(0, 1000),
    "from_collapse_limit": Number(1, _MOST),
    "hash_mem_multiplier": Number(1, 1000),
    "idle_in_transaction_session_timeout": _time(0, _MOST),
    "join_collapse_limit": Number(1, _MOST),
    "log_autovacuum_min_duration": _time(-1, _MOST),
    "log_min_duration_statement": _time(-1, _MOST),
    "log_temp_files": _size(-1, _MOST, 2**10),
    "maintenance_work_mem": _size(64, _MOST, 2**10),
    "max_parallel_maintenance_workers": Number(0, 1024),
    "max_parallel_workers": Number(0, 1024),
    "max_parallel_workers_per_gather": Number(0, 1024),
    "max_slot_wal_keep_size": _size(-1, _MOST, 2**20),
    "max_standby_streaming_delay": _time(-1, _MOST),
    "max_wal_size": _size(_SEGMENTS // 2**20, _MOST, 2**20),
    "max_worker_processes": Number(0, 2**18 - 1),
    "min_wal_size": _size(_SEGMENTS // 2**20, _MOST, 2**20),
    "pg_stat_statements.max": Number(100, 2**30 - 1),
    "random_page_cost": Number(0, _MOST),
    "shared_buffers": _size(16, 2**30 - 1, _BLOCK),
    "temp_file_limit": _size(-1, _MOST, 2**10),
    "work_mem": _size(64, _MOST, 2**10),
}
"""Source: `pg_settings` of PostgreSQL 17, which a test asks again."""

FRACTIONS: Final = frozenset({
    "autovacuum_analyze_scale_factor", "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_insert_scale_factor", "autovacuum_vacuum_scale_factor", "hash_mem_multiplier",
    "random_page_cost",
})  # fmt: skip
"""Those that need not be whole."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "hot_standby_feedback": ("on", "off"),
    "jit": ("on", "off"),
    "log_lock_waits": ("on", "off"),
    "plan_cache_mode": ("auto", "force_generic_plan", "force_custom_plan"),
    "track_functions": ("none", "pl", "all"),
    "track_io_timing": ("on", "off"),
    "wal_compression": ("pglz", "lz4", "zstd", "on", "off"),
}
"""Source: as `NUMBERS`."""


def valid_instead(name: str, value: Value) -> str | None:
    """What PostgreSQL would take in place of a value; None if it takes this one.

    Args:
        name: one of `NUMBERS` or `CHOICES`.
        value: as the stack's file says it.
    """
    if name in CHOICES:
        given = ("on" if value else "off") if isinstance(value, bool) else value
        return None if given in CHOICES[name] else f"one of {', '.join(CHOICES[name])}"
    number = NUMBERS[name]
    amount = in_its_unit(name, value)
    whole = name in FRACTIONS or bool(number.units) or (amount is not None and amount == int(amount))
    if amount is not None and number.lowest <= amount <= number.highest and whole:
        return None
    what = "a number" if name in FRACTIONS or number.units else "a whole number"
    units = list(number.units)
    told = f", or one with {', '.join(units[:-1])} or {units[-1]}" if units else ""
    unit = f" times {_named(number)}" if units else ""
    return f"{what} from {number.lowest} to {number.highest}{unit}{told}"


def in_its_unit(name: str, value: Value) -> Decimal | None:
    """A value as the parameter's own unit counts it; None if it is no number, or of a unit of something else.

    Args:
        name: one of `NUMBERS`.
        value: as the stack's file says it.
    """
    number = NUMBERS[name]
    found = re.fullmatch(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", str(value), re.ASCII)
    if isinstance(value, bool) or found is None or (found[2] and found[2] not in number.units):
        return None
    return Decimal(found[1]) * (number.units[found[2]] / number.unit if found[2] else 1)


def _named(number: Number) -> str:
    """The unit that counts where a value names none."""
    for name, unit in reversed(list(number.units.items())):
        if number.unit % unit == 0:
            return f"{int(number.unit / unit)}{name}"
    raise AssertionError(f"{number.unit} is no multiple of any unit")
