"""When backups need somebody: that they are made, that they are good, and that what is promised is kept.

Every series is expected to carry `namespace` and `pod` of what was scraped. `backup_*` is what the monitor
serves (scripts/metrics.jq), whose label `job` is the backup job's name (`honor_labels`); the archiver's
numbers are those of the database's own exporter, 0.17, and `kube_*` are kube-state-metrics'.
"""

from typing import Final

from components.watch import Alert, Severity

HOUR: Final = 3600
DAY: Final = 86400
"""Seconds."""

ARCHIVE_SECONDS: Final = 240
"""A segment a minute; four of them, and the fifth minute is promised away."""

_RUNBOOKS: Final = "docs/runbooks"
ARCHIVE: Final = f"{_RUNBOOKS}/archive-behind.md"
LATE: Final = f"{_RUNBOOKS}/backup-late.md"
DAMAGED: Final = f"{_RUNBOOKS}/repository-damaged.md"
PROVEN: Final = f"{_RUNBOOKS}/restore-test-failed.md"
DUMPED: Final = f"{_RUNBOOKS}/dump-late.md"
REPLICA: Final = f"{_RUNBOOKS}/backup-replica-behind.md"
GROWTH: Final = f"{_RUNBOOKS}/backup-repository-grows.md"

_FULL: Final = 'backup_last_success_timestamp_seconds{type="full"}'
_STANDBY: Final = ".*-standby-[0-9]+"


def _age(metric: str) -> str:
    return f"time() - max by (namespace) ({metric})"


def _of(job: str, metric: str) -> str:
    return f'backup_job_{metric}{{job="{job}"}}'


def _late(name: str, job: str, seconds: int, severity: Severity, summary: str, runbook: str) -> Alert:
    """A job whose last success is too long ago; one that never had one counts from when it was made."""
    last = f"max by (namespace) ({_of(job, 'last_success_timestamp_seconds')})"
    made = f'max by (namespace) (kube_cronjob_created{{cronjob="backups-{job}"}})'
    return Alert(
        name=name,
        expression=f"time() - ({last} or {made}) > {seconds}",
        minutes=15,
        severity=severity,
        summary=summary,
        runbook=runbook,
    )


def _failed(name: str, job: str, severity: Severity, summary: str, runbook: str) -> Alert:
    return Alert(
        name=name,
        expression=f"max by (namespace) ({_of(job, 'success')}) == 0",
        minutes=1,
        severity=severity,
        summary=summary,
        runbook=runbook,
    )


ARCHIVED: Final = (
    Alert(
        name="ArchiveBehind",
        expression=f'pg_stat_archiver_last_archive_age{{pod!~"{_STANDBY}"}} > {ARCHIVE_SECONDS}',
        minutes=1,
        severity="P1",
        summary="{{ $labels.pod }}: nothing was archived for {{ $value | humanizeDuration }}, "
        "and all since would be lost with the volume",
        runbook=ARCHIVE,
    ),
    Alert(
        name="ArchiveFails",
        expression=f'increase(pg_stat_archiver_failed_count{{pod!~"{_STANDBY}"}}[10m]) > 3',
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: WAL was refused {{ $value | humanize }} times in ten minutes",
        runbook=ARCHIVE,
    ),
    Alert(
        name="ArchiveHasGaps",
        expression="max by (namespace) (backup_archive_gaps) > 0",
        minutes=1,
        severity="P1",
        summary="{{ $value }} segments of WAL are missing: no moment after the first of them can be "
        "reached from the backups before it. Take a backup now",
        runbook=DAMAGED,
    ),
)

MADE: Final = (
    Alert(
        name="BackupTooOld",
        expression=f"{_age('backup_last_success_timestamp_seconds')} > {26 * HOUR}",
        minutes=5,
        severity="P2",
        summary="The newest backup is {{ $value | humanizeDuration }} old",
        runbook=LATE,
    ),
    Alert(
        name="BackupFullTooOld",
        expression=f"{_age(_FULL)} > {8 * DAY}",
        minutes=60,
        severity="P3",
        summary="The newest full backup is {{ $value | humanizeDuration }} old: restores get long",
        runbook=LATE,
    ),
    Alert(
        name="BackupMissing",
        expression="(backup_repository_up == 1) unless on (namespace) backup_last_success_timestamp_seconds",
        minutes=26 * 60,
        severity="P1",
        summary="There is no backup at all",
        runbook=LATE,
    ),
    _failed("BackupFailed", "backup", "P2", "The last backup failed", LATE),
    _failed(
        "SnapshotFailed", "snapshot", "P3", "The backup before a release failed, and the release waits", LATE
    ),
    _failed("FreshnessCheckFails", "freshness", "P2", "The hourly check found backups or archive late", LATE),
    _late(
        "FreshnessCheckMissing",
        "freshness",
        3 * HOUR,
        "P3",
        "The hourly check of the backups has not succeeded for three hours",
        LATE,
    ),
    Alert(
        name="BackupDamaged",
        expression="max by (namespace) (backup_last_error) == 1 or min by (namespace) (backup_verified) == 0",
        minutes=1,
        severity="P1",
        summary="What the newest backup is made of is damaged, or its pages were when they were read",
        runbook=DAMAGED,
    ),
    Alert(
        name="BackupRepositoryUnreachable",
        expression="backup_repository_up == 0",
        minutes=10,
        severity="P2",
        summary="The repository of the backups can't be read",
        runbook=LATE,
    ),
    Alert(
        name="BackupMonitorSilent",
        expression="absent(backup_monitor_last_refresh_timestamp_seconds) or "
        f"{_age('backup_monitor_last_refresh_timestamp_seconds')} > 900",
        minutes=10,
        severity="P2",
        summary="Nobody looks at the backups: the monitor is gone, or hangs",
        runbook=LATE,
    ),
    Alert(
        name="BackupRepositoryGrows",
        expression="backup_repository_size_bytes > 2 * (backup_repository_size_bytes offset 7d) "
        "and backup_repository_size_bytes > 1e10",
        minutes=60,
        severity="P4",
        summary="The repository is more than twice as large as a week ago: {{ $value | humanize1024 }}B",
        runbook=GROWTH,
    ),
    Alert(
        name="BackupReplicaBehind",
        expression="backup_replica_lag_seconds > 3600",
        minutes=30,
        severity="P3",
        summary="The copy in the other region is {{ $value | humanizeDuration }} behind",
        runbook=REPLICA,
    ),
)

TESTED: Final = (
    _failed(
        "RestoreTestFailed",
        "restore-test",
        "P1",
        "The newest backup could not be restored or is damaged",
        PROVEN,
    ),
    _late(
        "RestoreTestTooOld",
        "restore-test",
        8 * DAY,
        "P2",
        "No backup has been proven by a restore for more than a week",
        PROVEN,
    ),
    _failed("DrillFailed", "drill", "P2", "The copy in the other region could not be restored", PROVEN),
    _late(
        "DrillTooOld",
        "drill",
        35 * DAY,
        "P3",
        "The copy in the other region has not been restored for more than a month",
        PROVEN,
    ),
    _failed("DumpFailed", "dump", "P3", "The last dump failed", DUMPED),
    _late("DumpTooOld", "dump", 8 * DAY, "P3", "There is no dump of this week", DUMPED),
    Alert(
        name="RecoveryPointMissed",
        expression="max by (namespace, job) (backup_measured_rpo_seconds) "
        "> on (namespace) group_left () max by (namespace) (backup_promised_rpo_seconds)",
        minutes=1,
        severity="P2",
        summary="A restore would have lost {{ $value | humanizeDuration }}, more than is promised",
        runbook=PROVEN,
    ),
    Alert(
        name="RecoveryTimeMissed",
        expression="max by (namespace, job) (backup_measured_rto_seconds) "
        "> on (namespace) group_left () max by (namespace) (backup_promised_rto_seconds)",
        minutes=1,
        severity="P2",
        summary="A restore took {{ $value | humanizeDuration }}, longer than is promised",
        runbook=PROVEN,
    ),
)
