"""Each alert on the operator's database asks for what its exporters have, comes when it should, and says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data import alerts
from components.data.cloudnative_pg_alerts import DATABASE, NIGHTLY, POOLED
from simulator.programs.definitions import CLOUDNATIVE_PG
from tests.artifact.alert_trials import Case, accepted, judge, trials
from tests.recorder import ROOT

ALERTS = (*DATABASE, *POOLED)
SCRAPED = {"namespace", "pod"}
"""Labels that the scrape adds."""
SETTING = {"name"}
POOL_OF = {"database", "user"}
METRICS = {
    "cnpg_backends_max_tx_duration_seconds": {"datname", "usename", "application_name", "state"},
    "cnpg_backends_total": {"datname", "usename", "application_name", "state"},
    "cnpg_backends_waiting_total": set(),
    "cnpg_collector_fencing_on": set(),
    "cnpg_collector_last_collection_error": set(),
    "cnpg_collector_nodes_used": set(),
    "cnpg_collector_pg_wal": {"value"},
    "cnpg_collector_up": {"cluster"},
    "cnpg_last_error": set(),
    "cnpg_pg_database_mxid_age": {"datname"},
    "cnpg_pg_database_xid_age": {"datname"},
    "cnpg_pg_replication_in_recovery": set(),
    "cnpg_pg_replication_is_wal_receiver_up": set(),
    "cnpg_pg_replication_lag": set(),
    "cnpg_pg_replication_slots_active": {"slot_name", "slot_type", "database"},
    "cnpg_pg_replication_slots_pg_wal_lsn_diff": {"slot_name", "slot_type", "database"},
    "cnpg_pg_settings_setting": SETTING,
    "cnpg_pg_stat_database_deadlocks": {"datname"},
    "cnpg_pgbouncer_last_collection_error": set(),
    "cnpg_pgbouncer_pools_cl_active": POOL_OF,
    "cnpg_pgbouncer_pools_cl_waiting": POOL_OF,
    "cnpg_pgbouncer_pools_maxwait": POOL_OF,
}
"""What the operator's exporters have of what is asked for, and the labels. Source: CloudNativePG 1.28."""

POD, STANDBY = (f'namespace="data",pod="database-{number}"' for number in (1, 2))
POOL, OTHER_POOL = (f'namespace="data",pod="pool-{number}"' for number in (1, 2))
UP, UP_TOO = (f'cnpg_collector_up{{{pod},cluster="database"}}' for pod in (POD, STANDBY))
RECOVERS, RECOVERS_TOO = (f"cnpg_pg_replication_in_recovery{{{pod}}}" for pod in (POD, STANDBY))
RECEIVES = f"cnpg_pg_replication_is_wal_receiver_up{{{STANDBY}}}"
LAG = f"cnpg_pg_replication_lag{{{STANDBY}}}"
SLOT = f'{POD},slot_name="_cnpg_database_2",slot_type="physical"'
COPY = f'{STANDBY},slot_name="_cnpg_database_3",slot_type="physical"'
KEPT = f"cnpg_pg_replication_slots_pg_wal_lsn_diff{{{SLOT}}}"
NODES = f"cnpg_collector_nodes_used{{{POD}}}"
AGE, MULTI = (f'cnpg_pg_database_{kind}_age{{{POD},datname="fixia"}}' for kind in ("xid", "mxid"))
DEADLOCKS = f'cnpg_pg_stat_database_deadlocks{{{POD},datname="fixia"}}'
FAILS, FAILS_TOO = (f"cnpg_pgbouncer_last_collection_error{{{pod}}}" for pod in (POOL, OTHER_POOL))
OLDEST = f'cnpg_backends_max_tx_duration_seconds{{{POD},usename="app_1",state="active"}}'


def setting(name: str, pod: str = POD) -> str:
    return f'cnpg_pg_settings_setting{{{pod},name="{name}"}}'


def connected(first: int, second: int) -> dict[str, float | str]:
    return {
        setting("max_connections"): 100,
        setting("superuser_reserved_connections"): 3,
        setting("reserved_connections"): 5,
        f'cnpg_backends_total{{{POD},datname="fixia",usename="app_1",state="idle"}}': first,
        f'cnpg_backends_total{{{POD},datname="fixia",usename="app_1",state="active"}}': second,
    }


def clients(active: int, waiting: int) -> dict[str, float | str]:
    at = f'{POOL},database="fixia",user="app_1"'
    return {
        f"cnpg_pgbouncer_pools_cl_active{{{at}}}": active,
        f"cnpg_pgbouncer_pools_cl_waiting{{{at}}}": waiting,
    }


CASES = {
    "OperatedDatabaseDown": Case(
        # The primary is gone, and what is left only reads.
        {UP: 0, UP_TOO: 1, RECOVERS_TOO: 1}, {UP: 0, UP_TOO: 1, RECOVERS: 0, RECOVERS_TOO: 0},
    ),
    "OperatedDatabaseInstanceDown": Case({UP: 1, UP_TOO: 0}, {UP: 1, UP_TOO: 1}),
    "OperatedDatabaseUnwatched": Case({}, {UP: 0}),
    "OperatedDatabaseExporterFails": Case(
        {f"cnpg_last_error{{{POD}}}": 1},
        {f"cnpg_last_error{{{POD}}}": 0, f"cnpg_collector_last_collection_error{{{POD}}}": 0},
    ),
    "OperatedDatabaseFenced": Case(
        {f"cnpg_collector_fencing_on{{{POD}}}": 1}, {f"cnpg_collector_fencing_on{{{POD}}}": 0}
    ),
    "OperatedDatabaseOnOneNode": Case({NODES: 1, UP: 1, UP_TOO: 1}, {NODES: 1, UP: 1}),
    "OperatedDatabaseConnectionsNearLimit": Case(connected(60, 20), connected(60, 12)),
    "OperatedDatabaseTransactionTooLong": Case({OLDEST: 400}, {OLDEST: "0+60x5 0+60x5 " * 10}),
    "OperatedDatabaseSessionsWait": Case(
        {f"cnpg_backends_waiting_total{{{POD}}}": 6}, {f"cnpg_backends_waiting_total{{{POD}}}": 5}
    ),
    "OperatedDatabaseDeadlocks": Case({DEADLOCKS: "0+1x200"}, {DEADLOCKS: 99}),
    "OperatedDatabaseTransactionNumbersRunLow": Case({AGE: 4e8}, {AGE: 2.1e8, MULTI: 4.1e8}),
    "OperatedDatabaseTransactionNumbersNearEnd": Case({MULTI: 1.1e9}, {AGE: 9e8}),
    "OperatedDatabaseReplicationLags": Case({LAG: 400, RECOVERS_TOO: 1}, {LAG: 400, RECOVERS_TOO: 0}),
    "OperatedDatabaseStandbyReceivesNothing": Case(
        {RECOVERS_TOO: 1, RECEIVES: 0}, {RECOVERS_TOO: 1, RECEIVES: 1}
    ),
    "OperatedDatabaseSlotInactive": Case(
        {f"cnpg_pg_replication_slots_active{{{SLOT}}}": 0, RECOVERS: 0},
        {f"cnpg_pg_replication_slots_active{{{COPY}}}": 0, RECOVERS_TOO: 1},
    ),
    "OperatedDatabaseSlotNearLimit": Case(
        # In megabytes, as pg_settings counts it.
        {KEPT: 6e9, setting("max_slot_wal_keep_size"): 1e4, RECOVERS: 0},
        {KEPT: 6e9, setting("max_slot_wal_keep_size"): -1, RECOVERS: 0},
    ),
    "OperatedDatabaseWalPilesUp": Case(
        {f'cnpg_collector_pg_wal{{{POD},value="size"}}': 3e9, setting("max_wal_size"): 1024},
        {f'cnpg_collector_pg_wal{{{POD},value="size"}}': 1e9, setting("max_wal_size"): 1024},
    ),
    "OperatedPoolDown": Case({FAILS: 1, FAILS_TOO: 1}, {FAILS: 1, FAILS_TOO: 0}),
    "OperatedPoolPodDown": Case({FAILS: 1, FAILS_TOO: 0}, {FAILS: 0}),
    "OperatedPoolUnwatched": Case({}, {FAILS: 1}),
    "OperatedPoolClientsWait": Case(
        {f'cnpg_pgbouncer_pools_maxwait{{{POOL},database="fixia"}}': 6},
        {f'cnpg_pgbouncer_pools_maxwait{{{POOL},database="fixia"}}': 4},
    ),
    "OperatedPoolClientsNearLimit": Case(clients(500, 400), clients(500, 300)),
}  # fmt: skip


def asked(expression: str) -> dict[str, set[str]]:
    """The operator's metrics of an expression, each with the labels that it is filtered by."""
    return {
        name: set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", filters))
        for name, filters in re.findall(r"\b(cnpg_\w+)(\{[^}]*\})?", expression)
    }


def test_every_metric_is_one_that_the_operator_has() -> None:
    everything = {name for alert in ALERTS for name in asked(alert.expression)}
    assert everything == set(METRICS)
    for alert in ALERTS:
        for name, labels in asked(alert.expression).items():
            assert labels <= METRICS[name] | SCRAPED, alert.name


def test_the_same_is_watched_as_of_our_own() -> None:
    ours = {alert.name for alert in (*alerts.DATABASE, *alerts.POOLED)}
    theirs = {alert.name.removeprefix("Operated") for alert in ALERTS}
    # Standbys and primary are alike to the operator; a paused pool is not told.
    assert ours - theirs == {"DatabaseStandbyDown", "PoolPaused"}
    assert {alert.name for alert in NIGHTLY} == {"MaintenanceFailed", "MaintenanceOverdue"}
    assert all(
        "|postgres|" in alert.expression for alert in alerts.MACHINES if "container=" in alert.expression
    )


def test_names_are_unique() -> None:
    names = [alert.name for alert in (*ALERTS, *alerts.DATABASE, *alerts.POOLED)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_its_page_names_it_and_says_what_differs(alert: Any) -> None:
    page = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in page
    assert "### With CloudNativePG" in page


def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    accepted(tmp_path, ALERTS)


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}
    judge(tmp_path, ALERTS, trials(ALERTS, CASES))


def exported(source: Path) -> dict[str, set[str]]:
    """What the sources of the operator say that its exporters have."""
    found: dict[str, set[str]] = {}
    manifest = yaml.safe_load((source / "config" / "manager" / "default-monitoring.yaml").read_text())
    for name, query in yaml.safe_load(manifest["data"]["queries"]).items():
        columns = {column: told["usage"] for each in query["metrics"] for column, told in each.items()}
        labels = {column for column, usage in columns.items() if usage == "LABEL"}
        for column in columns.keys() - labels:
            found[f"cnpg_{query.get('name', name)}_{column}"] = labels
    for folder, subsystem in (
        ("postgres/webserver/metricserver", "collector"),
        ("pgbouncer/metricsserver", "pgbouncer"),
    ):
        for path in (source / "pkg" / "management" / folder).glob("*.go"):
            text = path.read_text()
            more = "".join(re.findall(r'subsystem \+= "(\w+)"', text))
            made = re.findall(r'Name:\s+"(\w+)",\n.*?\n\t\t\}(?:, \[\]string\{([^}]*)\})?\)', text, re.DOTALL)
            for name, labels in made:
                found[f"cnpg_{subsystem}{more}_{name}"] = set(re.findall(r'"(\w+)"', labels))
    collector = (source / "pkg" / "management" / "postgres" / "metrics" / "collector.go").read_text()
    if 'Name:      "last_error"' in collector:
        found["cnpg_last_error"] = set()
    return found


def test_the_operators_sources_say_the_same() -> None:
    cache = Path.home() / "go" / "pkg" / "mod"
    source = cache / f"{CLOUDNATIVE_PG.module}@v{CLOUDNATIVE_PG.version}"
    if not source.is_dir():
        pytest.skip(
            f"{source} is not there: go mod download {CLOUDNATIVE_PG.module}@v{CLOUDNATIVE_PG.version}"
        )
    there = exported(source)
    assert {name: there.get(name) for name in METRICS} == METRICS
