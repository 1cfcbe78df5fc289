"""When what keeps data needs somebody: the database, the pool, the cache, and their nightly work.

Every series is expected to carry `namespace` and `pod` of what was scraped; those of kube-state-metrics and
the kubelet their own (`honor_labels`). Metrics are named as Debian trixie's exporters name them: PostgreSQL's
0.17, PgBouncer's 0.10, the cache's 1.69. What needs backups is not here.
"""

from typing import Final

from components.watch import Alert

DAY: Final = 86400
"""Seconds."""

_STANDBY: Final = ".*-standby-[0-9]+"
_CLAIMS: Final = ".*(database|cache)-.*"
_CONTAINERS: Final = "postgresql|postgres|pgbouncer|valkey"
"""Our own PostgreSQL's, the operator's, and the others'."""
_JOBS: Final = "maintenance-.*"

_RUNBOOKS: Final = "docs/runbooks"
DATABASE_DOWN: Final = f"{_RUNBOOKS}/database-down.md"
CONNECTIONS: Final = f"{_RUNBOOKS}/database-connections.md"
TRANSACTIONS: Final = f"{_RUNBOOKS}/database-transactions.md"
WRAPAROUND: Final = f"{_RUNBOOKS}/database-wraparound.md"
REPLICATION: Final = f"{_RUNBOOKS}/database-replication.md"
VOLUME: Final = f"{_RUNBOOKS}/data-volume-full.md"
RESTARTS: Final = f"{_RUNBOOKS}/data-container-restarts.md"
POOL: Final = f"{_RUNBOOKS}/pool-down.md"
CACHE_DOWN: Final = f"{_RUNBOOKS}/cache-down.md"
CACHE_FULL: Final = f"{_RUNBOOKS}/cache-full.md"
MAINTENANCE: Final = f"{_RUNBOOKS}/database-maintenance.md"


def _per_pod(metric: str, how: str = "max") -> str:
    """One number for each server: metrics of different collectors carry different labels beside."""
    return f"{how} by (namespace, pod) ({metric})"


def _overdue(job: str, seconds: int) -> str:
    """A job that never succeeded counts from when it was made."""
    named = f'{{cronjob="maintenance-{job}"}}'
    last = f"max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{named})"
    made = f"max by (namespace, cronjob) (kube_cronjob_created{named})"
    return f"time() - ({last} or {made}) > {seconds}"


_ALLOWED: Final = _per_pod(
    "pg_settings_max_connections - pg_settings_superuser_reserved_connections "
    "- pg_settings_reserved_connections"
)
"""What is kept for superusers and for the exporter is nobody else's."""

_USED: Final = f'container_memory_working_set_bytes{{container=~"{_CONTAINERS}"}}'
_LIMIT: Final = f'kube_pod_container_resource_limits{{resource="memory",container=~"{_CONTAINERS}"}}'

_FREE: Final = (
    f'kubelet_volume_stats_available_bytes{{persistentvolumeclaim=~"{_CLAIMS}"}} '
    f"/ on (namespace, persistentvolumeclaim) kubelet_volume_stats_capacity_bytes"
)

DATABASE: Final = (
    Alert(
        name="DatabaseDown",
        expression=f'pg_up{{pod!~"{_STANDBY}"}} == 0',
        minutes=1,
        severity="P1",
        summary="{{ $labels.pod }}: PostgreSQL answers nobody, so nothing of the product works",
        runbook=DATABASE_DOWN,
    ),
    Alert(
        name="DatabaseStandbyDown",
        expression=f'pg_up{{pod=~"{_STANDBY}"}} == 0',
        minutes=10,
        severity="P3",
        summary="{{ $labels.pod }}: the standby answers nobody; the primary is not concerned",
        runbook=DATABASE_DOWN,
    ),
    Alert(
        name="DatabaseUnwatched",
        expression="absent(pg_up)",
        minutes=5,
        severity="P2",
        summary="No exporter of the database is scraped: nobody would know that it is down",
        runbook=DATABASE_DOWN,
    ),
    Alert(
        name="DatabaseExporterFails",
        expression="pg_exporter_last_scrape_error == 1 or pg_scrape_collector_success == 0",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }}: the exporter cannot read statistics, and other alerts are blind",
        runbook=DATABASE_DOWN,
    ),
    Alert(
        name="DatabaseConnectionsNearLimit",
        expression=f"{_per_pod('pg_stat_database_numbackends', 'sum')} / {_ALLOWED} > 0.8",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the connections are taken",
        runbook=CONNECTIONS,
    ),
    Alert(
        name="DatabaseTransactionTooLong",
        expression="pg_long_running_transactions_oldest_timestamp_seconds > 300",
        minutes=10,
        severity="P3",
        summary="{{ $labels.pod }}: a transaction has been open for {{ $value | humanizeDuration }}",
        runbook=TRANSACTIONS,
    ),
    Alert(
        name="DatabaseSessionsWait",
        expression=_per_pod('pg_stat_activity_count{wait_event_type="Lock"}', "sum") + " > 5",
        minutes=3,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value }} sessions wait for somebody else's lock",
        runbook=TRANSACTIONS,
    ),
    Alert(
        name="DatabaseDeadlocks",
        expression='increase(pg_stat_database_deadlocks{datname!=""}[1h]) > 5',
        minutes=5,
        severity="P4",
        summary="{{ $labels.datname }}: {{ $value | humanize }} deadlocks within an hour",
        runbook=TRANSACTIONS,
    ),
    Alert(
        name="DatabaseTransactionNumbersRunLow",
        # Despite its name the metric counts transactions. Autovacuum begins at 2e8, of multixacts at 4e8.
        expression="pg_database_wraparound_age_datfrozenxid_seconds > 3e8 "
        "or pg_database_wraparound_age_datminmxid_seconds > 6e8",
        minutes=60,
        severity="P3",
        summary="{{ $labels.datname }}: {{ $value | humanize }} transactions are not frozen, "
        "autovacuum does not keep up",
        runbook=WRAPAROUND,
    ),
    Alert(
        name="DatabaseTransactionNumbersNearEnd",
        expression="pg_database_wraparound_age_datfrozenxid_seconds > 1e9 "
        "or pg_database_wraparound_age_datminmxid_seconds > 1e9",
        minutes=5,
        severity="P1",
        summary="{{ $labels.datname }}: {{ $value | humanize }} transactions are not frozen; "
        "at 2.1 billion PostgreSQL refuses to write",
        runbook=WRAPAROUND,
    ),
    Alert(
        name="DatabaseReplicationLags",
        expression="pg_replication_lag_seconds > 300 and pg_replication_is_replica == 1",
        minutes=5,
        severity="P3",
        summary="{{ $labels.pod }}: the standby is {{ $value | humanizeDuration }} behind",
        runbook=REPLICATION,
    ),
    Alert(
        name="DatabaseSlotInactive",
        expression="pg_replication_slots_active == 0",
        minutes=15,
        severity="P2",
        summary="{{ $labels.pod }}: nobody reads slot {{ $labels.slot_name }}, and WAL is kept for it",
        runbook=REPLICATION,
    ),
    Alert(
        name="DatabaseSlotNearLimit",
        expression="max by (namespace, pod, slot_name) (pg_replication_slots_pg_wal_lsn_diff) "
        "> on (namespace, pod) group_left 0.5 * "
        f"({_per_pod('pg_settings_max_slot_wal_keep_size_bytes')} > 0)",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanize1024 }}B of WAL are kept for slot "
        "{{ $labels.slot_name }}, which loses its standby at twice that",
        runbook=REPLICATION,
    ),
    Alert(
        name="DatabaseWalPilesUp",
        expression=f"{_per_pod('pg_wal_size_bytes')} > 2 * {_per_pod('pg_settings_max_wal_size_bytes')}",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }}: pg_wal has {{ $value | humanize1024 }}B, twice what checkpoints leave",
        runbook=REPLICATION,
    ),
)
"""For PostgreSQL, primary and standbys."""

POOLED: Final = (
    Alert(
        name="PoolDown",
        expression="max by (namespace) (pgbouncer_up) == 0",
        minutes=1,
        severity="P1",
        summary="No PgBouncer answers, so nothing of the product reaches the database",
        runbook=POOL,
    ),
    Alert(
        name="PoolPodDown",
        expression="pgbouncer_up == 0",
        minutes=5,
        severity="P3",
        summary="{{ $labels.pod }}: PgBouncer does not answer; the others carry on",
        runbook=POOL,
    ),
    Alert(
        name="PoolUnwatched",
        expression="absent(pgbouncer_up)",
        minutes=5,
        severity="P2",
        summary="No exporter of the pool is scraped: nobody would know that it is down",
        runbook=POOL,
    ),
    Alert(
        name="PoolPaused",
        expression='pgbouncer_databases_paused{name!="pgbouncer"} == 1 '
        'or pgbouncer_databases_disabled{name!="pgbouncer"} == 1',
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $labels.name }} was paused or disabled, and clients wait",
        runbook=POOL,
    ),
    Alert(
        name="PoolClientsWait",
        expression="pgbouncer_pools_client_maxwait_seconds > 5",
        minutes=2,
        severity="P2",
        summary="{{ $labels.pod }}: a client has waited {{ $value | humanizeDuration }} for a connection",
        runbook=CONNECTIONS,
    ),
    Alert(
        name="PoolClientsNearLimit",
        expression=f"({_per_pod('pgbouncer_pools_client_active_connections', 'sum')} "
        f"+ {_per_pod('pgbouncer_pools_client_waiting_connections', 'sum')}) "
        f"/ {_per_pod('pgbouncer_config_max_client_connections')} > 0.8",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the clients that it takes",
        runbook=CONNECTIONS,
    ),
)
"""For PgBouncer."""

CACHED: Final = (
    Alert(
        name="CacheDown",
        expression="redis_up == 0",
        minutes=1,
        severity="P1",
        summary="{{ $labels.pod }}: the cache answers nobody; no job is queued or done",
        runbook=CACHE_DOWN,
    ),
    Alert(
        name="CacheUnwatched",
        expression="absent(redis_up)",
        minutes=5,
        severity="P2",
        summary="No exporter of the cache is scraped: nobody would know that it is down",
        runbook=CACHE_DOWN,
    ),
    Alert(
        name="CacheNotPersisting",
        expression="redis_aof_last_write_status == 0 or redis_aof_last_bgrewrite_status == 0",
        minutes=5,
        severity="P1",
        summary="{{ $labels.pod }}: the log of changes cannot be written; a restart would lose jobs",
        runbook=CACHE_DOWN,
    ),
    Alert(
        name="CacheMemoryNearLimit",
        expression="redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.8",
        minutes=10,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the memory for data is used",
        runbook=CACHE_FULL,
    ),
    Alert(
        name="CacheRefusesWrites",
        expression="redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.97",
        minutes=1,
        severity="P1",
        summary="{{ $labels.pod }}: memory is full, and new jobs are refused",
        runbook=CACHE_FULL,
    ),
    Alert(
        name="CacheClientsNearLimit",
        expression="redis_connected_clients / redis_config_maxclients > 0.8 "
        "or increase(redis_rejected_connections_total[15m]) > 0",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: clients are refused, or soon will be: too many are connected",
        runbook=CACHE_FULL,
    ),
)
"""For Valkey."""

NIGHTLY: Final = (
    Alert(
        name="MaintenanceFailed",
        # A failed Job stays for weeks, so only the last day's counts.
        expression=f'kube_job_failed{{job_name=~"{_JOBS}",condition="true"}} == 1 '
        f"and on (namespace, job_name) time() - kube_job_status_start_time < {DAY}",
        minutes=1,
        severity="P3",
        summary="{{ $labels.job_name }} failed: its log says why",
        runbook=MAINTENANCE,
    ),
    Alert(
        name="MaintenanceOverdue",
        expression=f"{_overdue('vacuum', 30 * 3600)} "
        f"or {_overdue('reindex', 8 * DAY)} or {_overdue('report', 8 * DAY)}",
        minutes=60,
        severity="P3",
        summary="{{ $labels.cronjob }} has not succeeded for {{ $value | humanizeDuration }}",
        runbook=MAINTENANCE,
    ),
    Alert(
        name="DatabaseTableBloats",
        expression="pg_stat_user_tables_n_dead_tup > 100000 and pg_stat_user_tables_n_dead_tup "
        "> 0.2 * (pg_stat_user_tables_n_live_tup + pg_stat_user_tables_n_dead_tup)",
        minutes=1500,
        severity="P4",
        summary="{{ $labels.relname }}: {{ $value | humanize }} dead rows have outlived a night's vacuum",
        runbook=MAINTENANCE,
    ),
)
"""For what runs at night."""

MACHINES: Final = (
    Alert(
        name="DataVolumeFullSoon",
        expression=f"{_FREE} < 0.4 and predict_linear("
        f'kubelet_volume_stats_available_bytes{{persistentvolumeclaim=~"{_CLAIMS}"}}[6h], {DAY}) < 0',
        minutes=60,
        severity="P2",
        summary="{{ $labels.persistentvolumeclaim }} is full within a day: "
        "{{ $value | humanizePercentage }} free",
        runbook=VOLUME,
    ),
    Alert(
        name="DataVolumeAlmostFull",
        expression=f"{_FREE} < 0.1",
        minutes=5,
        severity="P1",
        summary="{{ $labels.persistentvolumeclaim }}: {{ $value | humanizePercentage }} free; "
        "when full, nothing is written any more",
        runbook=VOLUME,
    ),
    Alert(
        name="DataContainerRestarts",
        expression=f'increase(kube_pod_container_status_restarts_total{{container=~"{_CONTAINERS}"}}[15m])'
        " > 0",
        minutes=1,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $labels.container }} ended by itself and was started again",
        runbook=RESTARTS,
    ),
    Alert(
        name="DataMemoryNearLimit",
        expression=f"{_per_pod(_USED)} / {_per_pod(_LIMIT)} > 0.95",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the memory; beyond, the kernel "
        "ends it",
        runbook=RESTARTS,
    ),
)
"""For the pods and volumes of all three."""
