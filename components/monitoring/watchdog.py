"""That somebody watches at all: an alert that always comes, and one for each job that nobody hears of."""

from collections.abc import Sequence
from typing import Final

from components.watch import Alert

RUNBOOK: Final = "docs/runbooks/monitoring-blind.md"

WATCHDOG: Final = Alert(
    name="Watchdog",
    expression="vector(1)",
    minutes=1,
    # It must have one and wakes nobody: it is routed by its name, to whoever misses it when it stops.
    severity="P4",
    summary="All is well: this alert always comes, and when it does not, nobody would be told anything",
    runbook=RUNBOOK,
)
"""The heartbeat of the whole way, from the rules to whom they call."""


def absences(jobs: Sequence[str]) -> list[Alert]:
    """That a job has nothing to scrape: all of its pods are gone, or were never found.

    One alert tells of all; its label `job` says which. Those that have an alert of their own for it, such as
    `DatabaseUnwatched`, need not be named.

    Args:
        jobs: the names of the jobs that must always be there.
    """
    if not jobs:
        return []
    return [
        Alert(
            name="JobAbsent",
            expression=" or ".join(f'absent(up{{job="{job}"}})' for job in sorted(set(jobs))),
            minutes=10,
            severity="P2",
            summary="Nothing of {{ $labels.job }} is scraped: it is gone, or nobody would know",
            runbook=RUNBOOK,
        )
    ]
