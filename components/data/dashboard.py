"""What the database, its pool and the cache look like over time: two dashboards for Grafana, as data."""

from collections.abc import Mapping
from typing import Any, Final

from components import board
from components.board import HERE, Board, Panel, Variable, drawn


def _now(metric: str, *matching: str, by: str = "pod", how: str = "sum") -> str:
    return board.now(metric, HERE, *matching, by=by, how=how)


def _rate(counter: str, by: str = "pod") -> str:
    return board.rate(counter, HERE, by=by)


def _memory(container: str) -> Mapping[str, str]:
    named = f'container="{container}"'
    return {
        "{{pod}}": _now("container_memory_working_set_bytes", named),
        "limit of {{pod}}": _now("kube_pod_container_resource_limits", 'resource="memory"', named),
    }


_DATABASE: Final = (
    Panel(
        title="Up",
        description="1 when PostgreSQL answers its exporter. Anything else is an outage of the product.",
        unit="bool_yes_no",
        queries={"{{pod}}": _now("pg_up", how="min")},
    ),
    Panel(
        title="Transactions",
        description="Committed and rolled back. Many rollbacks are errors of the application.",
        unit="ops",
        queries={
            "{{pod}} committed": _rate("pg_stat_database_xact_commit"),
            "{{pod}} rolled back": _rate("pg_stat_database_xact_rollback"),
        },
    ),
    Panel(
        title="Connections",
        description="Taken, and the most that are allowed. The pool keeps the number low and steady.",
        unit="short",
        queries={
            "{{pod}}": _now("pg_stat_database_numbackends"),
            "limit of {{pod}}": _now("pg_settings_max_connections", how="max"),
        },
    ),
    Panel(
        title="Slow statements",
        description="Seconds of work in each second, by the five most expensive statements. "
        "pg_stat_statements tells what a number stands for.",
        unit="short",
        queries={
            "{{queryid}} {{user}}": "topk(5, "
            + _rate("pg_stat_statements_seconds_total", by="queryid, user")
            + ")"
        },
    ),
    Panel(
        title="Read from memory",
        description="Of the blocks that were read, those that were in shared buffers. "
        "Under 95 % for long, memory is too small for the data in use.",
        unit="percentunit",
        queries={
            "{{pod}}": f"{_rate('pg_stat_database_blks_hit')} / ({_rate('pg_stat_database_blks_hit')} "
            f"+ {_rate('pg_stat_database_blks_read')} > 0)"
        },
    ),
    Panel(
        title="Oldest transaction",
        description="How long the oldest open transaction has been open. It keeps VACUUM from its work.",
        unit="s",
        queries={"{{pod}}": _now("pg_long_running_transactions_oldest_timestamp_seconds", how="max")},
    ),
    Panel(
        title="Waiting for locks",
        description="Sessions that wait for somebody else's lock. Usually none.",
        unit="short",
        queries={"{{pod}}": _now("pg_stat_activity_count", 'wait_event_type="Lock"')},
    ),
    Panel(
        title="Size",
        description="Of each database on disk. A step is a migration or a REINDEX; a slope is growth.",
        unit="bytes",
        queries={"{{datname}}": _now("pg_database_size_bytes", by="datname", how="max")},
    ),
    Panel(
        title="Free on the volume",
        description="Of the volume. At 10 % somebody is woken; it grows in place.",
        unit="percentunit",
        queries={
            "{{persistentvolumeclaim}}": f"kubelet_volume_stats_available_bytes{{{HERE}}} "
            f"/ on (namespace, persistentvolumeclaim) kubelet_volume_stats_capacity_bytes{{{HERE}}}"
        },
    ),
    Panel(
        title="Write-ahead log",
        description="pg_wal on disk. Beyond max_wal_size a slot, a standby or the archive holds it.",
        unit="bytes",
        queries={
            "{{pod}}": _now("pg_wal_size_bytes", how="max"),
            "max_wal_size of {{pod}}": _now("pg_settings_max_wal_size_bytes", how="max"),
        },
    ),
    Panel(
        title="Behind the primary",
        description="How long ago what a standby shows was true. An idle primary writes once a minute.",
        unit="s",
        queries={"{{pod}}": _now("pg_replication_lag_seconds", how="max")},
    ),
    Panel(
        title="Unfrozen transactions",
        description="Rises to 200 million and falls when autovacuum freezes. At 2.1 billion writes end.",
        unit="short",
        queries={
            "{{datname}}": _now("pg_database_wraparound_age_datfrozenxid_seconds", by="datname", how="max")
        },
    ),
    Panel(
        title="Dead rows",
        description="Of the five tables with the most. The nightly vacuum takes them back.",
        unit="short",
        queries={"{{relname}}": f"topk(5, {_now('pg_stat_user_tables_n_dead_tup', by='relname')})"},
    ),
    Panel(
        title="Memory",
        description="In use, with the page cache that is active, and where the kernel ends the container.",
        unit="bytes",
        queries=_memory("postgresql"),
    ),
    Panel(
        title="Since the last success",
        description="Of the nightly jobs: a day for the vacuum, a week for the others.",
        unit="s",
        queries={
            "{{cronjob}}": "time() - "
            + _now(
                "kube_cronjob_status_last_successful_time",
                'cronjob=~"maintenance-.*"',
                by="cronjob",
                how="max",
            )
        },
    ),
)

_POOL: Final = (
    Panel(
        title="Queries",
        description="Through each pod. The pods share the load evenly.",
        unit="ops",
        queries={"{{pod}}": _rate("pgbouncer_stats_queries_pooled_total")},
    ),
    Panel(
        title="Clients",
        description="With a server connection, and without one. Waiting is normal for moments only.",
        unit="short",
        queries={
            "{{pod}} active": _now("pgbouncer_pools_client_active_connections"),
            "{{pod}} waiting": _now("pgbouncer_pools_client_waiting_connections"),
        },
    ),
    Panel(
        title="Longest wait",
        description="Of the client that has waited longest for a connection. At 15 seconds it gets an error.",
        unit="s",
        queries={"{{pod}}": _now("pgbouncer_pools_client_maxwait_seconds", how="max")},
    ),
    Panel(
        title="Server connections",
        description="To PostgreSQL. All active and clients waiting: slow queries, or too small a budget.",
        unit="short",
        queries={
            "{{pod}} active": _now("pgbouncer_pools_server_active_connections"),
            "{{pod}} idle": _now("pgbouncer_pools_server_idle_connections"),
        },
    ),
    Panel(
        title="Query time",
        description="On average, at PostgreSQL, without the wait for a connection.",
        unit="s",
        queries={
            "{{pod}}": f"{_rate('pgbouncer_stats_queries_duration_seconds_total')} "
            f"/ ({_rate('pgbouncer_stats_queries_pooled_total')} > 0)"
        },
    ),
)

_CACHE: Final = (
    Panel(
        title="Up",
        description="1 when the cache answers its exporter.",
        unit="bool_yes_no",
        queries={"{{pod}}": _now("redis_up", how="min")},
    ),
    Panel(
        title="Commands",
        description="Of all clients.",
        unit="ops",
        queries={"{{pod}}": _rate("redis_commands_processed_total")},
    ),
    Panel(
        title="Time per command",
        description="On average, by the five commands that take most. Long ones hold up all others.",
        unit="s",
        queries={
            "{{cmd}}": f"topk(5, {_rate('redis_commands_duration_seconds_total', by='cmd')} "
            f"/ ({_rate('redis_commands_total', by='cmd')} > 0))"
        },
    ),
    Panel(
        title="Memory for data",
        description="Used, and where writes are refused. Nothing is evicted.",
        unit="bytes",
        queries={
            "{{pod}}": _now("redis_memory_used_bytes", how="max"),
            "limit of {{pod}}": _now("redis_memory_max_bytes", how="max"),
        },
    ),
    Panel(
        title="Memory",
        description="Of the container, with the copy that a rewrite of the log makes.",
        unit="bytes",
        queries=_memory("valkey"),
    ),
    Panel(
        title="Clients",
        description="Connected, and blocked: workers that wait for the next job.",
        unit="short",
        queries={
            "{{pod}} connected": _now("redis_connected_clients"),
            "{{pod}} blocked": _now("redis_blocked_clients"),
        },
    ),
    Panel(
        title="Keys",
        description="Jobs and cached values. A slope without end is something that never expires.",
        unit="short",
        queries={"{{db}}": f"{_now('redis_db_keys', by='db')} > 0"},
    ),
    Panel(
        title="Found in the cache",
        description="Of the reads, those that found something.",
        unit="percentunit",
        queries={
            "{{pod}}": f"{_rate('redis_keyspace_hits_total')} / ({_rate('redis_keyspace_hits_total')} "
            f"+ {_rate('redis_keyspace_misses_total')} > 0)"
        },
    ),
    Panel(
        title="Log of changes",
        description="Its size; a rewrite begins when it has doubled.",
        unit="bytes",
        queries={"{{pod}}": _now("redis_aof_current_size_bytes", how="max")},
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-database",
        title="Database and pool",
        variables=[Variable(name="namespace", metric="pg_up")],
        tags=["data"],
        legend=False,
        rows={"PostgreSQL": _DATABASE, "PgBouncer": _POOL},
    ),
    Board(
        uid="fixia-cache",
        title="Cache",
        variables=[Variable(name="namespace", metric="redis_up")],
        tags=["data"],
        legend=False,
        rows={"Valkey": _CACHE},
    ),
)


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard as Grafana reads it from a file, by its uid."""
    return {board.uid: drawn(board) for board in BOARDS}
