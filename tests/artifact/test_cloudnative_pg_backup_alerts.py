"""Each alert on the operator's backups asks for what its exporters have, comes when it should, and says what to do."""

from pathlib import Path

import pytest

from components.backup import alerts as ours
from components.data import cloudnative_pg_alerts
from components.data.cloudnative_pg_alerts import BACKED_UP
from components.watch import Alert
from simulator.programs.definitions import CLOUDNATIVE_PG
from tests.artifact.alert_trials import Series, judge, trial
from tests.artifact.test_cloudnative_pg_alerts import POD, SCRAPED, STANDBY, asked, exported
from tests.recorder import ROOT

METRICS = {
    "cnpg_collector_first_recoverability_point": set(),
    "cnpg_collector_last_available_backup_timestamp": set(),
    "cnpg_collector_last_failed_backup_timestamp": set(),
    "cnpg_collector_pg_wal_archive_status": {"value"},
    "cnpg_pg_replication_in_recovery": set(),
    "cnpg_pg_stat_archiver_failed_count": set(),
    "cnpg_pg_stat_archiver_last_archived_time": set(),
}
"""What the operator's exporters have of what is asked for, and the labels. Source: CloudNativePG 1.28."""

LONG = {"OperatedBackupMissing", "OperatedBackupsShrink"}
"""Alerts that look a day back; their trial goes in steps of half an hour."""
LONG_MINUTES, SHORT_MINUTES = 28 * 60, 75
HOUR, DAY = 3600, 86400

AVAILABLE, FAILED, BACK_TO = (
    f"cnpg_collector_{name}{{{POD}}}"
    for name in (
        "last_available_backup_timestamp",
        "last_failed_backup_timestamp",
        "first_recoverability_point",
    )
)
REFUSED = f"cnpg_pg_stat_archiver_failed_count{{{POD}}}"


def archive(pod: str, at: float | str, waiting: int, *, standby: bool = False) -> Series:
    """An instance that archived last at a time, with segments that wait."""
    return {
        f"cnpg_pg_stat_archiver_last_archived_time{{{pod}}}": at,
        f'cnpg_collector_pg_wal_archive_status{{{pod},value="ready"}}': waiting,
        f'cnpg_collector_pg_wal_archive_status{{{pod},value="done"}}': 3,
        f"cnpg_pg_replication_in_recovery{{{pod}}}": int(standby),
    }


PRIMARY = {f"cnpg_pg_replication_in_recovery{{{POD}}}": 0}

# Prometheus' tests begin in 1970: what is some hours old is from before, and 0 is none at all.
CASES: dict[str, list[tuple[Series, bool]]] = {
    "OperatedArchiveBehind": [
        (archive(POD, -300, 1), True),
        # It never archived anything.
        (archive(POD, -1, 7), True),
        # Nobody writes, so nothing waits; or all is well; or it is a standby.
        (archive(POD, -300, 0), False),
        (archive(POD, "0+60x80", 1), False),
        ({**archive(STANDBY, -300, 1, standby=True), **PRIMARY}, False),
    ],
    "OperatedArchiveFails": [
        ({REFUSED: "0+1x80", **PRIMARY}, True),
        ({REFUSED: 80, **PRIMARY}, False),
    ],
    "OperatedBackupTooOld": [
        ({AVAILABLE: -26 * HOUR}, True),
        ({AVAILABLE: -24 * HOUR}, False),
        ({AVAILABLE: 0}, False),
    ],
    "OperatedBackupMissing": [
        ({AVAILABLE: 0}, True),
        ({AVAILABLE: "0x20 36000x40"}, False),
    ],
    "OperatedBackupFailed": [
        ({FAILED: -HOUR, AVAILABLE: -DAY}, True),
        ({FAILED: 60, AVAILABLE: 0}, True),
        ({FAILED: -DAY, AVAILABLE: -HOUR}, False),
        ({FAILED: 0, AVAILABLE: 0}, False),
    ],
    "OperatedBackupsShrink": [
        ({BACK_TO: f"{-20 * DAY}x40 72000x40"}, True),
        # Expiry, and the first backup of all.
        ({BACK_TO: f"{-31 * DAY}x27 {-30 * DAY}x40"}, False),
        ({BACK_TO: "0x10 18000x60"}, False),
    ],
}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    assert set(CASES) == {alert.name for alert in BACKED_UP}
    judge(
        tmp_path,
        BACKED_UP,
        [
            trial(alert, given, comes=comes, minutes=LONG_MINUTES, step=30)
            if alert.name in LONG
            else trial(alert, given, comes=comes, minutes=SHORT_MINUTES)
            for alert in BACKED_UP
            for given, comes in CASES[alert.name]
        ],
    )


def test_every_metric_is_one_that_the_operator_has() -> None:
    found = [asked(alert.expression) for alert in BACKED_UP]
    assert {name for each in found for name in each} == set(METRICS)
    assert all(labels <= METRICS[name] | SCRAPED for each in found for name, labels in each.items())


def test_what_our_own_database_promises_is_watched_here_too() -> None:
    theirs = {alert.name.removeprefix("Operated"): alert for alert in BACKED_UP}
    own = {alert.name: alert for alert in (*ours.ARCHIVED, *ours.MADE)}
    # What our own monitor measures has no counterpart: the decision record says so.
    assert theirs.keys() - own.keys() == {"BackupsShrink"}
    for name in theirs.keys() & own.keys():
        assert (theirs[name].minutes, theirs[name].severity) == (own[name].minutes, own[name].severity)
    for name, limit in (("BackupTooOld", 26 * HOUR), ("ArchiveBehind", ours.ARCHIVE_SECONDS)):
        assert f"> {limit}" in theirs[name].expression
        assert f"> {limit}" in own[name].expression


def test_names_are_unique() -> None:
    others = (*cloudnative_pg_alerts.DATABASE, *cloudnative_pg_alerts.POOLED)
    names = [alert.name for alert in (*BACKED_UP, *others)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", BACKED_UP, ids=lambda alert: alert.name)
def test_its_page_names_it(alert: Alert) -> None:
    assert f"`{alert.name}`" in (ROOT / alert.runbook).read_text(encoding="utf-8")


def test_the_operators_sources_say_the_same() -> None:
    wanted = f"{CLOUDNATIVE_PG.module}@v{CLOUDNATIVE_PG.version}"
    source = Path.home() / "go" / "pkg" / "mod" / wanted
    if not source.is_dir():
        pytest.skip(f"{source} is not there: go mod download {wanted}")
    there = exported(source)
    assert {name: there.get(name) for name in METRICS} == METRICS
