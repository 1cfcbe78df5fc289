"""What is promised of the backups and what was measured, side by side: a dashboard for Grafana, as data."""

from typing import Any, Final

from components import board
from components.board import HERE, Board, Panel, Variable, drawn


def _now(metric: str, *matching: str, by: str = "namespace", how: str = "max") -> str:
    return board.now(metric, HERE, *matching, by=by, how=how)


def _age(metric: str, *matching: str, by: str = "namespace") -> str:
    return f"time() - {_now(metric, *matching, by=by)}"


_PROVEN: Final = (
    Panel(
        title="What a restore loses (RPO)",
        description="Between the last commit that came back and the moment of the test, beside the promise. "
        "Below a minute and a half it is as good as archiving once a minute can be.",
        unit="s",
        queries={
            "measured by {{job}}": _now("backup_measured_rpo_seconds", by="job"),
            "promised": _now("backup_promised_rpo_seconds"),
        },
    ),
    Panel(
        title="How long a restore takes (RTO)",
        description="From an empty folder to the first answer, beside the promise. It grows with the data.",
        unit="s",
        queries={
            "measured by {{job}}": _now("backup_measured_rto_seconds", by="job"),
            "promised": _now("backup_promised_rto_seconds"),
        },
    ),
    Panel(
        title="Since the last proof",
        description="That succeeded: a week for the restore test and the dump, a month for the drill.",
        unit="s",
        queries={
            "{{job}}": _age(
                "backup_job_last_success_timestamp_seconds",
                'job=~"restore-test|drill|dump|freshness"',
                by="job",
            )
        },
    ),
    Panel(
        title="Last runs",
        description="1 when the last run of a job succeeded. Anything else is an alert.",
        unit="bool_yes_no",
        queries={"{{job}}": _now("backup_job_success", by="job", how="min")},
    ),
    Panel(
        title="Verified",
        description="1 when all that the newest backup is made of was read and found whole.",
        unit="bool_yes_no",
        queries={"verified": _now("backup_verified", how="min")},
    ),
    Panel(
        title="Duration of the jobs",
        description="Of the last run of each. A slope is the data's growth.",
        unit="s",
        queries={"{{job}}": _now("backup_job_duration_seconds", by="job")},
    ),
)

_MADE: Final = (
    Panel(
        title="Age of the archive",
        description="Since WAL was archived last: a minute. All since is lost with the volume.",
        unit="s",
        queries={"{{pod}}": _now("pg_stat_archiver_last_archive_age", by="pod")},
    ),
    Panel(
        title="Refused by the archive",
        description="Attempts to archive that failed. Each is tried again; the volume fills meanwhile.",
        unit="short",
        queries={
            "{{pod}}": board.rate("pg_stat_archiver_failed_count", HERE),
        },
    ),
    Panel(
        title="Age of the newest backup",
        description="A day at most, and a week for the full one.",
        unit="s",
        queries={"{{type}}": _age("backup_last_success_timestamp_seconds", by="type")},
    ),
    Panel(
        title="How far back",
        description="The age of the earliest moment that one can go back to; not less than the retention.",
        unit="s",
        queries={"earliest": _age("backup_oldest_timestamp_seconds")},
    ),
    Panel(
        title="Size",
        description="Of the database, and of the repository with all backups and WAL.",
        unit="bytes",
        queries={
            "database": _now("backup_database_size_bytes"),
            "repository": _now("backup_repository_size_bytes"),
        },
    ),
    Panel(
        title="Size of the newest backups",
        description="What each type takes in the repository, compressed and encrypted.",
        unit="bytes",
        queries={"{{type}}": _now("backup_size_bytes", by="type")},
    ),
    Panel(
        title="Behind in the other region",
        description="How old the newest result is that the copy lacks: seconds, at times minutes.",
        unit="s",
        queries={"replica": _now("backup_replica_lag_seconds")},
    ),
    Panel(
        title="Repository readable",
        description="1 when the monitor could read it at its last look.",
        unit="bool_yes_no",
        queries={"repository": _now("backup_repository_up", how="min")},
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-backups",
        title="Backups: promised and measured",
        variables=[Variable(name="namespace", metric="backup_repository_up")],
        tags=["data"],
        legend=False,
        rows={"Proven": _PROVEN, "Made": _MADE},
    ),
)


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard as Grafana reads it from a file, by its uid."""
    return {board.uid: drawn(board) for board in BOARDS}
