"""Each alert of the data tier comes when it should and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.data.dashboard import dashboards
from tests.artifact.alert_trials import Case, accepted, judge, trials
from tests.artifact.promtool import judged
from tests.artifact.test_alert_metrics import ALERTS
from tests.unit.test_dashboard import queries

POD = 'namespace="data",pod="database-0"'
STANDBY = 'namespace="data",pod="database-standby-0"'
POOL = 'namespace="data",pod="pool-1"'
OTHER_POOL = 'namespace="data",pod="pool-2"'
CLAIM = 'namespace="data",persistentvolumeclaim="database-data-1a2b3c"'
JOB = 'namespace="data",job_name="maintenance-vacuum-29"'
CRON = 'namespace="data",cronjob="maintenance-vacuum"'
LAG = f"pg_replication_lag_seconds{{{STANDBY}}}"
REPLICA = f"pg_replication_is_replica{{{STANDBY}}}"
SLOT = f'{{{POD},slot_name="standby_0",server="localhost"}}'
KEEP = f'pg_settings_max_slot_wal_keep_size_bytes{{{POD},server="localhost"}}'
DEAD, LIVE = (f'pg_stat_user_tables_n_{kind}_tup{{{POD},relname="orders"}}' for kind in ("dead", "live"))
AVAILABLE = f"kubelet_volume_stats_available_bytes{{{CLAIM}}}"
CAPACITY = f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}"
LIMITS = {
    f'pg_settings_max_connections{{{POD},server="localhost"}}': 100,
    f'pg_settings_superuser_reserved_connections{{{POD},server="localhost"}}': 3,
    f'pg_settings_reserved_connections{{{POD},server="localhost"}}': 5,
}
USED = f'container_memory_working_set_bytes{{{POD},container="postgresql",id="/kubepods/x"}}'
ALLOWED = f'kube_pod_container_resource_limits{{{POD},container="postgresql",resource="memory"}}'
RESTARTS = f'kube_pod_container_status_restarts_total{{{POD},container="postgresql"}}'
LAST, MADE = (f"kube_cronjob_{what}{{{CRON}}}" for what in ("status_last_successful_time", "created"))


def wait(count: int) -> dict[str, float | str]:
    return {f'pg_stat_activity_count{{{POD},wait_event_type="Lock",wait_event="tuple"}}': count}


def connected(first: int, second: int) -> dict[str, float | str]:
    at = f'{POD},datid="5"'
    return {
        **LIMITS,
        f'pg_stat_database_numbackends{{{at},datname="fixia"}}': first,
        f'pg_stat_database_numbackends{{{at},datname="postgres"}}': second,
    }


def clients(active: int, waiting: int) -> dict[str, float | str]:
    at = f'{POOL},database="fixia",user="app_1"'
    return {
        f"pgbouncer_pools_client_active_connections{{{at}}}": active,
        f"pgbouncer_pools_client_waiting_connections{{{at}}}": waiting,
        f"pgbouncer_config_max_client_connections{{{POOL}}}": 1000,
    }


def memory(used: float, most: float) -> dict[str, float | str]:
    at = 'namespace="data",pod="cache-0"'
    return {f"redis_memory_used_bytes{{{at}}}": used, f"redis_memory_max_bytes{{{at}}}": most}


CACHE = '{namespace="data",pod="cache-0"}'
CASES = {
    "DatabaseDown": Case({f"pg_up{{{POD}}}": 0}, {f"pg_up{{{POD}}}": 1, f"pg_up{{{STANDBY}}}": 0}),
    "DatabaseStandbyDown": Case({f"pg_up{{{STANDBY}}}": 0}, {f"pg_up{{{STANDBY}}}": 1, f"pg_up{{{POD}}}": 0}),
    "DatabaseUnwatched": Case({}, {f"pg_up{{{POD}}}": 0}),
    "DatabaseExporterFails": Case(
        {f'pg_scrape_collector_success{{{POD},collector="wal"}}': 0},
        {f'pg_scrape_collector_success{{{POD},collector="wal"}}': 1, f"pg_exporter_last_scrape_error{{{POD}}}": 0},
    ),
    "DatabaseConnectionsNearLimit": Case(connected(60, 20), connected(60, 12)),
    "DatabaseTransactionTooLong": Case(
        {f"pg_long_running_transactions_oldest_timestamp_seconds{{{POD}}}": 400},
        {f"pg_long_running_transactions_oldest_timestamp_seconds{{{POD}}}": "0+60x5 0+60x5 " * 10},
    ),
    "DatabaseSessionsWait": Case(wait(6), wait(5)),
    "DatabaseDeadlocks": Case(
        {f'pg_stat_database_deadlocks{{{POD},datname="fixia"}}': "0+1x200"},
        {f'pg_stat_database_deadlocks{{{POD},datname="fixia"}}': 99},
    ),
    "DatabaseTransactionNumbersRunLow": Case(
        {f'pg_database_wraparound_age_datfrozenxid_seconds{{{POD},datname="fixia"}}': 4e8},
        {f'pg_database_wraparound_age_datfrozenxid_seconds{{{POD},datname="fixia"}}': 2.1e8,
         f'pg_database_wraparound_age_datminmxid_seconds{{{POD},datname="fixia"}}': 4.1e8},
    ),
    "DatabaseTransactionNumbersNearEnd": Case(
        {f'pg_database_wraparound_age_datminmxid_seconds{{{POD},datname="fixia"}}': 1.1e9},
        {f'pg_database_wraparound_age_datfrozenxid_seconds{{{POD},datname="fixia"}}': 9e8},
    ),
    "DatabaseReplicationLags": Case({LAG: 400, REPLICA: 1}, {LAG: 400, REPLICA: 0}),
    "DatabaseSlotInactive": Case(
        {f"pg_replication_slots_active{SLOT}": 0}, {f"pg_replication_slots_active{SLOT}": 1}
    ),
    "DatabaseSlotNearLimit": Case(
        {f"pg_replication_slots_pg_wal_lsn_diff{SLOT}": 6e9, KEEP: 1e10},
        {f"pg_replication_slots_pg_wal_lsn_diff{SLOT}": 6e9, KEEP: -1},
    ),
    "DatabaseWalPilesUp": Case(
        {f"pg_wal_size_bytes{{{POD}}}": 3e9, f'pg_settings_max_wal_size_bytes{{{POD},server="x"}}': 1e9},
        {f"pg_wal_size_bytes{{{POD}}}": 1e9, f'pg_settings_max_wal_size_bytes{{{POD},server="x"}}': 1e9},
    ),
    "PoolDown": Case(
        {f"pgbouncer_up{{{POOL}}}": 0, f"pgbouncer_up{{{OTHER_POOL}}}": 0},
        {f"pgbouncer_up{{{POOL}}}": 0, f"pgbouncer_up{{{OTHER_POOL}}}": 1},
    ),
    "PoolPodDown": Case(
        {f"pgbouncer_up{{{POOL}}}": 0, f"pgbouncer_up{{{OTHER_POOL}}}": 1}, {f"pgbouncer_up{{{POOL}}}": 1}
    ),
    "PoolUnwatched": Case({}, {f"pgbouncer_up{{{POOL}}}": 0}),
    "PoolPaused": Case(
        {f'pgbouncer_databases_paused{{{POOL},name="fixia"}}': 1},
        {f'pgbouncer_databases_paused{{{POOL},name="fixia"}}': 0},
    ),
    "PoolClientsWait": Case(
        {f'pgbouncer_pools_client_maxwait_seconds{{{POOL},database="fixia"}}': 6},
        {f'pgbouncer_pools_client_maxwait_seconds{{{POOL},database="fixia"}}': 4},
    ),
    "PoolClientsNearLimit": Case(clients(500, 400), clients(500, 300)),
    "CacheDown": Case({f"redis_up{CACHE}": 0}, {f"redis_up{CACHE}": 1}),
    "CacheUnwatched": Case({}, {f"redis_up{CACHE}": 0}),
    "CacheNotPersisting": Case(
        {f"redis_aof_last_write_status{CACHE}": 0},
        {f"redis_aof_last_write_status{CACHE}": 1, f"redis_aof_last_bgrewrite_status{CACHE}": 1},
    ),
    "CacheMemoryNearLimit": Case(memory(9e8, 1e9), memory(9e8, 0)),
    "CacheRefusesWrites": Case(memory(9.9e8, 1e9), memory(9e8, 1e9)),
    "CacheClientsNearLimit": Case(
        {f"redis_rejected_connections_total{CACHE}": "0+1x200"},
        {f"redis_rejected_connections_total{CACHE}": 7, f"redis_connected_clients{CACHE}": 70,
         f"redis_config_maxclients{CACHE}": 100},
    ),
    # Their clock begins at 0.
    "MaintenanceFailed": Case(
        {f'kube_job_failed{{{JOB},condition="true"}}': 1, f"kube_job_status_start_time{{{JOB}}}": 0},
        {f'kube_job_failed{{{JOB},condition="true"}}': 1, f"kube_job_status_start_time{{{JOB}}}": -90_000},
    ),
    "MaintenanceOverdue": Case({MADE: -110_000}, {MADE: -110_000, LAST: -90_000}),
    "DatabaseTableBloats": Case({DEAD: 2e6, LIVE: 4e6}, {DEAD: 2e6, LIVE: 4e7}),
    "DataVolumeFullSoon": Case(
        {AVAILABLE: "30000-30x200", CAPACITY: 100_000}, {AVAILABLE: "90000-10x200", CAPACITY: 100_000}
    ),
    "DataVolumeAlmostFull": Case({AVAILABLE: 9, CAPACITY: 100}, {AVAILABLE: 11, CAPACITY: 100}),
    "DataContainerRestarts": Case({RESTARTS: "0+1x200"}, {RESTARTS: 3}),
    "DataMemoryNearLimit": Case({USED: 99, ALLOWED: 100}, {USED: 90, ALLOWED: 100}),
}  # fmt: skip


def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    accepted(tmp_path, ALERTS)


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    judge(tmp_path, ALERTS, trials(ALERTS, CASES))


def test_prometheus_parses_every_query_of_the_dashboards() -> None:
    for board in dashboards().values():
        for query in queries(board):
            written = query.replace("$__rate_interval", "5m").replace("$namespace", "data")
            code, said = judged("promql", "format", written, "--experimental")
            assert code == 0, f"{query}: {said}"
