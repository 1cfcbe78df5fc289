"""Each alert on the backups comes when it should and keeps quiet otherwise, by Prometheus' own judgement."""

from collections.abc import Mapping
from pathlib import Path

from components.backup.dashboard import dashboards
from tests.artifact.alert_trials import Case, Series, accepted, judge, trials
from tests.artifact.promtool import judged
from tests.unit.test_backup_alerts import ALERTS
from tests.unit.test_dashboard import queries

SLOW = {"BackupRepositoryGrows": 14 * 24 * 60, "BackupMissing": 27 * 60}
"""Alerts that look far back: minutes of the trial, which goes in steps of half an hour."""
NOW = 0
"""Prometheus' tests begin in 1970; what is some days old is from before."""
HOUR, DAY = 3600, 86400

AT = 'namespace="data",pod="backups-monitor-1"'
POD = 'namespace="data",pod="database-0"'
STANDBY = 'namespace="data",pod="database-standby-0"'
REFRESHED = f"backup_monitor_last_refresh_timestamp_seconds{{{AT}}}"
AGE = "pg_stat_archiver_last_archive_age"
REFUSED = f"pg_stat_archiver_failed_count{{{POD}}}"
SIZE = f"backup_repository_size_bytes{{{AT}}}"
UP = f"backup_repository_up{{{AT}}}"


def job(metric: str, name: str, value: float) -> dict[str, float | str]:
    return {f'backup_job_{metric}{{{AT},job="{name}"}}': value}


def succeeded(name: str, age: float) -> dict[str, float | str]:
    return job("last_success_timestamp_seconds", name, NOW - age)


def never(name: str, age: float) -> dict[str, float | str]:
    return {f'kube_cronjob_created{{namespace="data",cronjob="backups-{name}"}}': NOW - age}


def backup(kind: str, age: float) -> dict[str, float | str]:
    return {f'backup_last_success_timestamp_seconds{{{AT},type="{kind}"}}': NOW - age}


def measured(kind: str, seconds: float, promised: float) -> dict[str, float | str]:
    return {
        f'backup_measured_{kind}_seconds{{{AT},job="restore-test"}}': seconds,
        f"backup_promised_{kind}_seconds{{{AT}}}": promised,
    }


CASES: Mapping[str, tuple[Series, Series]] = {
    "ArchiveBehind": ({f"{AGE}{{{POD}}}": 300}, {f"{AGE}{{{POD}}}": 90, f"{AGE}{{{STANDBY}}}": 9000}),
    "ArchiveFails": ({REFUSED: "0+1x200"}, {REFUSED: "0x40 1x200"}),
    "ArchiveHasGaps": (
        {f'backup_archive_gaps{{{AT},job="freshness"}}': 2},
        {f'backup_archive_gaps{{{AT},job="freshness"}}': 0},
    ),
    "BackupTooOld": (
        {**backup("full", 5 * DAY), **backup("incr", 27 * HOUR)},
        {**backup("full", 5 * DAY), **backup("incr", 20 * HOUR)},
    ),
    "BackupFullTooOld": (
        {**backup("full", 9 * DAY), **backup("incr", HOUR)},
        {**backup("full", 6 * DAY), **backup("incr", HOUR)},
    ),
    "BackupMissing": ({UP: 1}, {UP: 1, **backup("full", HOUR)}),
    "BackupFailed": (
        job("success", "backup", 0),
        {**job("success", "backup", 1), **job("success", "dump", 0)},
    ),
    "SnapshotFailed": (job("success", "snapshot", 0), job("success", "snapshot", 1)),
    "FreshnessCheckFails": (job("success", "freshness", 0), job("success", "freshness", 1)),
    "FreshnessCheckMissing": (succeeded("freshness", 4 * HOUR), succeeded("freshness", 0)),
    "BackupDamaged": (
        {f"backup_verified{{{AT}}}": 0},
        {f"backup_verified{{{AT}}}": 1, f'backup_last_error{{{AT},type="full"}}': 0},
    ),
    "BackupRepositoryUnreachable": ({UP: 0}, {UP: "0x5 1x200"}),
    "BackupMonitorSilent": ({REFRESHED: NOW - 1000}, {REFRESHED: "0+60x200"}),
    "BackupRepositoryGrows": (
        {SIZE: "20000000000x336 50000000000x336"},
        {SIZE: "1000000x336 3000000x336"},
    ),
    "BackupReplicaBehind": (
        {f"backup_replica_lag_seconds{{{AT}}}": 7200},
        {f"backup_replica_lag_seconds{{{AT}}}": 600},
    ),
    "RestoreTestFailed": (job("success", "restore-test", 0), job("success", "restore-test", 1)),
    "RestoreTestTooOld": (
        never("restore-test", 9 * DAY),
        {**never("restore-test", 90 * DAY), **succeeded("restore-test", 7 * DAY)},
    ),
    "DrillFailed": (job("success", "drill", 0), job("success", "drill", 1)),
    "DrillTooOld": (succeeded("drill", 36 * DAY), never("drill", 30 * DAY)),
    "DumpFailed": (job("success", "dump", 0), job("success", "dump", 1)),
    "DumpTooOld": (succeeded("dump", 9 * DAY), succeeded("dump", 7 * DAY)),
    "RecoveryPointMissed": (measured("rpo", 400, 300), measured("rpo", 70, 300)),
    "RecoveryTimeMissed": (measured("rto", 2000, 1800), measured("rto", 100, 1800)),
}


def case(name: str) -> Case:
    comes, quiet = CASES[name]
    return Case(comes, quiet, minutes=SLOW.get(name), step=30 if name in SLOW else 1)


def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    accepted(tmp_path, ALERTS)


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    judge(tmp_path, ALERTS, trials(ALERTS, {name: case(name) for name in CASES}))


def test_prometheus_parses_every_query_of_the_dashboard() -> None:
    for board in dashboards().values():
        for query in queries(board):
            written = query.replace("$__rate_interval", "5m").replace("$namespace", "data")
            code, said = judged("promql", "format", written, "--experimental")
            assert code == 0, f"{query}: {said}"
