"""When a database that CloudNativePG runs needs somebody: as `components.data.alerts`, by other names.

The operator's own exporters are asked: PostgreSQL's by its default queries, PgBouncer's as it is. Names and
labels are those of the sources of its release 1.28; a test holds that. No alert was seen with the operator.

Not exported, so not watched: dead rows of each table, and a paused pool. What the cluster itself says of
volumes, containers and memory is `components.data.alerts.MACHINES` for both.

Source: config/manager/default-monitoring.yaml, and in pkg/management postgres/webserver/metricserver/*.go
and pgbouncer/metricsserver/*.go.
"""

from typing import Final

from components.backup.alerts import ARCHIVE_SECONDS, DAY, HOUR
from components.data import alerts
from components.data.pgbouncer_config import CLIENTS
from components.watch import Alert

OPERATOR: Final = "docs/runbooks/database-cloudnative-pg.md"

_UP: Final = "cnpg_collector_up"
_POOL_FAILS: Final = "cnpg_pgbouncer_last_collection_error"
"""Its exporter counts `cnpg_pgbouncer_up` too, and never tells it."""

_PRIMARY: Final = "on (namespace, pod) (cnpg_pg_replication_in_recovery == 0)"
"""Its standbys keep copies of the slots, which nobody reads there."""


def _per_pod(metric: str, how: str = "max") -> str:
    return f"{how} by (namespace, pod) ({metric})"


def _setting(name: str) -> str:
    """In the units of `pg_settings`: of WAL, megabytes."""
    return _per_pod(f'cnpg_pg_settings_setting{{name="{name}"}}')


_ALLOWED: Final = (
    f"({_setting('max_connections')} - {_setting('superuser_reserved_connections')} "
    f"- {_setting('reserved_connections')})"
)

DATABASE: Final = (
    Alert(
        name="OperatedDatabaseDown",
        expression=f"count by (namespace) ({_UP}) unless on (namespace) "
        f"(cnpg_pg_replication_in_recovery == 0 and on (namespace, pod) {_UP} == 1)",
        # The operator replaces a lost primary within a minute.
        minutes=2,
        severity="P1",
        summary="{{ $labels.namespace }}: no instance takes writes, so nothing of the product works",
        runbook=alerts.DATABASE_DOWN,
    ),
    Alert(
        name="OperatedDatabaseInstanceDown",
        expression=f"{_UP} == 0",
        minutes=10,
        severity="P3",
        summary="{{ $labels.pod }}: the instance answers nobody; the operator has not mended it",
        runbook=alerts.DATABASE_DOWN,
    ),
    Alert(
        name="OperatedDatabaseUnwatched",
        expression=f"absent({_UP})",
        minutes=5,
        severity="P2",
        summary="No instance of the database is scraped: nobody would know that it is down",
        runbook=alerts.DATABASE_DOWN,
    ),
    Alert(
        name="OperatedDatabaseExporterFails",
        expression="cnpg_collector_last_collection_error == 1 or cnpg_last_error == 1",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }}: the exporter cannot read statistics, and other alerts are blind",
        runbook=alerts.DATABASE_DOWN,
    ),
    Alert(
        name="OperatedDatabaseFenced",
        expression="cnpg_collector_fencing_on == 1",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: somebody has fenced the instance; it is down until that is undone",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedDatabaseOnOneNode",
        expression="max by (namespace) (cnpg_collector_nodes_used) == 1 "
        f"and on (namespace) count by (namespace) ({_UP}) > 1",
        minutes=60,
        severity="P3",
        summary="{{ $labels.namespace }}: all instances are on one node, and go with it",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedDatabaseConnectionsNearLimit",
        expression=f"{_per_pod('cnpg_backends_total', 'sum')} / {_ALLOWED} > 0.8",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the connections are taken",
        runbook=alerts.CONNECTIONS,
    ),
    Alert(
        name="OperatedDatabaseTransactionTooLong",
        expression=f"{_per_pod('cnpg_backends_max_tx_duration_seconds')} > 300",
        minutes=10,
        severity="P3",
        summary="{{ $labels.pod }}: a transaction has been open for {{ $value | humanizeDuration }}",
        runbook=alerts.TRANSACTIONS,
    ),
    Alert(
        name="OperatedDatabaseSessionsWait",
        # Counts each pair of who waits and who holds.
        expression="cnpg_backends_waiting_total > 5",
        minutes=3,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value }} times a session waits for somebody else's lock",
        runbook=alerts.TRANSACTIONS,
    ),
    Alert(
        name="OperatedDatabaseDeadlocks",
        expression='increase(cnpg_pg_stat_database_deadlocks{datname!=""}[1h]) > 5',
        minutes=5,
        severity="P4",
        summary="{{ $labels.datname }}: {{ $value | humanize }} deadlocks within an hour",
        runbook=alerts.TRANSACTIONS,
    ),
    Alert(
        name="OperatedDatabaseTransactionNumbersRunLow",
        expression="cnpg_pg_database_xid_age > 3e8 or cnpg_pg_database_mxid_age > 6e8",
        minutes=60,
        severity="P3",
        summary="{{ $labels.datname }}: {{ $value | humanize }} transactions are not frozen, "
        "autovacuum does not keep up",
        runbook=alerts.WRAPAROUND,
    ),
    Alert(
        name="OperatedDatabaseTransactionNumbersNearEnd",
        expression="cnpg_pg_database_xid_age > 1e9 or cnpg_pg_database_mxid_age > 1e9",
        minutes=5,
        severity="P1",
        summary="{{ $labels.datname }}: {{ $value | humanize }} transactions are not frozen; "
        "at 2.1 billion PostgreSQL refuses to write",
        runbook=alerts.WRAPAROUND,
    ),
    Alert(
        name="OperatedDatabaseReplicationLags",
        expression="cnpg_pg_replication_lag > 300 and cnpg_pg_replication_in_recovery == 1",
        minutes=5,
        severity="P3",
        summary="{{ $labels.pod }}: the standby is {{ $value | humanizeDuration }} behind",
        runbook=alerts.REPLICATION,
    ),
    Alert(
        name="OperatedDatabaseStandbyReceivesNothing",
        expression="cnpg_pg_replication_in_recovery > cnpg_pg_replication_is_wal_receiver_up",
        minutes=10,
        severity="P2",
        summary="{{ $labels.pod }}: the standby is not connected to the primary",
        runbook=alerts.REPLICATION,
    ),
    Alert(
        name="OperatedDatabaseSlotInactive",
        expression=f"cnpg_pg_replication_slots_active == 0 and {_PRIMARY}",
        minutes=15,
        severity="P2",
        summary="{{ $labels.pod }}: nobody reads slot {{ $labels.slot_name }}, and WAL is kept for it",
        runbook=alerts.REPLICATION,
    ),
    Alert(
        name="OperatedDatabaseSlotNearLimit",
        expression="max by (namespace, pod, slot_name) (cnpg_pg_replication_slots_pg_wal_lsn_diff) "
        f"> on (namespace, pod) group_left {2**19} * ({_setting('max_slot_wal_keep_size')} > 0) "
        f"and {_PRIMARY}",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanize1024 }}B of WAL are kept for slot "
        "{{ $labels.slot_name }}, which loses its standby at twice that",
        runbook=alerts.REPLICATION,
    ),
    Alert(
        name="OperatedDatabaseWalPilesUp",
        expression=f'{_per_pod("""cnpg_collector_pg_wal{value="size"}""")} '
        f"> 2 * {2**20} * {_setting('max_wal_size')}",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }}: pg_wal has {{ $value | humanize1024 }}B, twice what checkpoints leave",
        runbook=alerts.REPLICATION,
    ),
)
"""For PostgreSQL, primary and standbys."""

POOLED: Final = (
    Alert(
        name="OperatedPoolDown",
        expression=f"min by (namespace) ({_POOL_FAILS}) == 1",
        minutes=1,
        severity="P1",
        summary="No PgBouncer answers, so nothing of the product reaches the database",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedPoolPodDown",
        expression=f"{_POOL_FAILS} == 1",
        minutes=5,
        severity="P3",
        summary="{{ $labels.pod }}: PgBouncer does not answer; the others carry on",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedPoolUnwatched",
        expression=f"absent({_POOL_FAILS})",
        minutes=5,
        severity="P2",
        summary="No exporter of the pool is scraped: nobody would know that it is down",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedPoolClientsWait",
        expression="cnpg_pgbouncer_pools_maxwait > 5",
        minutes=2,
        severity="P2",
        summary="{{ $labels.pod }}: a client has waited {{ $value | humanizeDuration }} for a connection",
        runbook=alerts.CONNECTIONS,
    ),
    Alert(
        name="OperatedPoolClientsNearLimit",
        expression=f"({_per_pod('cnpg_pgbouncer_pools_cl_active', 'sum')} "
        f"+ {_per_pod('cnpg_pgbouncer_pools_cl_waiting', 'sum')}) / {CLIENTS} > 0.8",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: {{ $value | humanizePercentage }} of the clients that it takes",
        runbook=alerts.CONNECTIONS,
    ),
)
"""For PgBouncer."""

_BACKUP: Final = "max by (namespace) (cnpg_collector_last_available_backup_timestamp)"
"""Standbys say 0, and so does a primary that was never backed up."""
_FAILED: Final = "max by (namespace) (cnpg_collector_last_failed_backup_timestamp)"
_BACK_TO: Final = "max by (namespace) (cnpg_collector_first_recoverability_point{before}) != 0"

BACKED_UP: Final = (
    Alert(
        name="OperatedArchiveBehind",
        # A database that nobody writes to has nothing to archive, and no segment waits.
        expression=f"time() - cnpg_pg_stat_archiver_last_archived_time > {ARCHIVE_SECONDS} "
        'and on (namespace, pod) cnpg_collector_pg_wal_archive_status{value="ready"} > 0 '
        f"and {_PRIMARY}",
        minutes=1,
        severity="P1",
        summary="{{ $labels.pod }}: WAL waits and none was archived for {{ $value | humanizeDuration }}; "
        "it would be lost with all volumes",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedArchiveFails",
        expression=f"increase(cnpg_pg_stat_archiver_failed_count[10m]) > 3 and {_PRIMARY}",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: WAL was refused {{ $value | humanize }} times in ten minutes",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedBackupTooOld",
        expression=f"time() - ({_BACKUP} != 0) > {26 * HOUR}",
        minutes=5,
        severity="P2",
        summary="The newest backup is {{ $value | humanizeDuration }} old",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedBackupMissing",
        expression=f"{_BACKUP} == 0",
        minutes=26 * 60,
        severity="P1",
        summary="There is no backup at all",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedBackupFailed",
        expression=f"{_FAILED} > {_BACKUP}",
        minutes=1,
        severity="P2",
        summary="The last backup failed",
        runbook=OPERATOR,
    ),
    Alert(
        name="OperatedBackupsShrink",
        # Expiry takes a day of many; this is somebody who deletes.
        expression=f"time() - ({_BACK_TO.format(before='')}) "
        f"< 0.5 * (time() - {DAY} - ({_BACK_TO.format(before=' offset 1d')}))",
        minutes=5,
        severity="P1",
        summary="One can go back only {{ $value | humanizeDuration }}, not half of what it was a day ago",
        runbook=OPERATOR,
    ),
)
"""For its backups, where there are any; not there: what our own monitor measures.

The three `cnpg_collector_..._backup...` are deprecated with `barmanObjectStore`, and go with it.
"""

NIGHTLY: Final = tuple(alert for alert in alerts.NIGHTLY if alert.expression.find("pg_stat_") < 0)
"""For what runs at night: the same jobs, so the same alerts, but for the one that asks our own exporter."""
