"""What is done for the backups and when: a row for each CronJob, whose script is scripts/<name>.sh."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components.backup.repository import Access
from components.pods import Resources

SCRIPTS: Final = Path(__file__).parent / "scripts"

RPO_SECONDS: Final = 300
RTO_SECONDS: Final = 1800

FINAL: Final = (65, 78)
"""Exit codes of the scripts: damaged data and wrong settings are still there at the next try."""

_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row.

    Attributes:
        schedule: five fields of cron, in UTC.
        deadline: seconds after which it is ended, over all its tries.
        access: as whom it uses the repository.
        resources: what it may use.
        role: as whom it logs into the database; None if it does not.
        server: whether it asks for the database's files, or has them changed: with the certificate for that.
        replica: whether pgBackRest reads the repository's copy instead; there is no such task without a copy.
        scratch: space of its own beside /tmp: a size, or `database` for a volume as large as the database's.
        apart: whether it runs in the namespace of restored copies, where nothing else of ours is.
        suspended: whether the clock never starts it.
        retries: how often it is tried again.
        env: what else its script is told.
    """

    schedule: str
    deadline: int
    access: Access
    resources: Resources
    role: str | None = None
    server: bool = False
    replica: bool = False
    scratch: str | None = None
    apart: bool = False
    suspended: bool = False
    retries: int = 2
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """How often the monitor looks.

    Attributes:
        look_seconds: at the backups and the results.
        size_seconds: at the size of everything, which takes a list of it.
    """

    look_seconds: int
    size_seconds: int


MONITOR: Final = Monitoring(look_seconds=60, size_seconds=_HOUR)

# What is reserved is little: they may use whatever nobody else wants at night. It compresses and encrypts;
# two processes for each CPU.
_MAKES: Final = Resources(cpu="50m", memory="96Mi", memory_limit="1Gi")
# A server of its own, too.
_RESTORES: Final = Resources(cpu="50m", memory="160Mi", memory_limit="2Gi")
_ASKS: Final = Resources(cpu="20m", memory="48Mi", memory_limit="256Mi")

TASKS: Final[Mapping[str, Task]] = {
    "backup": Task(
        schedule="0 2 * * *",
        deadline=6 * _HOUR,
        access="backup",
        resources=_MAKES,
        role="backup",
        server=True,
        env={"PATIENCE_SECONDS": str(_HOUR)},
    ),
    # Past the hour, when everybody else's jobs begin.
    "freshness": Task(
        schedule="17 * * * *",
        deadline=900,
        access="freshness",
        resources=_ASKS,
        role="backup",
        server=True,
        retries=1,
    ),
    # The date is none that matters: a release starts it.
    "snapshot": Task(
        schedule="0 0 1 1 *",
        deadline=2 * _HOUR,
        access="snapshot",
        resources=_MAKES,
        role="backup",
        server=True,
        suspended=True,
        retries=0,
        env={"PATIENCE_SECONDS": str(_HOUR)},
    ),
    # After the backup and the nightly maintenance, before anybody needs the database for much.
    "dump": Task(
        schedule="30 6 * * 0",
        deadline=4 * _HOUR,
        access="dump",
        resources=_MAKES,
        role="backup",
        scratch="database",
        env={"PROCESSES": "2", "KEEP_DAYS": "56"},
    ),
    # Of what was backed up on this day.
    "restore-test": Task(
        schedule="0 8 * * 0",
        deadline=8 * _HOUR,
        access="restore-test",
        resources=_RESTORES,
        scratch="database",
        apart=True,
        retries=1,
        env={"PROCESSES": "2", "RECOVERY_SECONDS": str(2 * _HOUR), "CHECK_SECONDS": str(4 * _HOUR)},
    ),
    "drill": Task(
        schedule="0 9 3 * *",
        deadline=8 * _HOUR,
        access="drill",
        resources=_RESTORES,
        replica=True,
        scratch="database",
        apart=True,
        retries=1,
        env={"PROCESSES": "2", "RECOVERY_SECONDS": str(2 * _HOUR), "CHECK_SECONDS": str(4 * _HOUR)},
    ),
    # By hand, as the two below: `make restore` tells them what.
    "scratch": Task(
        schedule="0 0 1 1 *",
        deadline=12 * _HOUR,
        access="scratch",
        resources=_RESTORES,
        scratch="database",
        apart=True,
        suspended=True,
        retries=0,
        env={"PROCESSES": "2", "RECOVERY_SECONDS": str(2 * _HOUR), "KEEP_SECONDS": str(8 * _HOUR)},
    ),
    "restore-table": Task(
        schedule="0 0 1 1 *",
        deadline=4 * _HOUR,
        access="restore-table",
        resources=_RESTORES,
        role="owner",
        scratch="database",
        suspended=True,
        retries=0,
    ),
}
"""Every task by name."""
