"""What is promised, how much of it was kept, and when somebody is told that it will not be.

A promise is a share of good events in 30 days; the rest is a budget of errors, to spend on releases and bad
luck. People are told by how fast it is spent, seen through two windows at once: the long one says that it
matters, the short one that it still goes on.

Only two series of each promise are computed from the requests, its events and its errors; every window is a
sum over these. So a window weighs its busy hours as the users did, and thirty days cost two series.

Source: Beyer and others, The Site Reliability Workbook, chapter 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.monitoring.application_alerts import ANSWERED, DURATIONS, REQUESTS
from components.watch import Alert, Recording, Severity

RUNBOOK: Final = "docs/runbooks/error-budget.md"

DAYS: Final = 30
"""How long a promise is about."""
SECONDS: Final = {
    "5m": 300,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "6h": 6 * 3600,
    "1d": 86400,
    "3d": 3 * 86400,
    "30d": DAYS * 86400,
}
"""Every window -> its length."""
FEWEST: Final = 10
"""Errors in the long window below which nobody is told: at night one request may be a third of all."""

EVENTS: Final = "slo:events:rate5m"
ERRORS: Final = "slo:errors:rate5m"
"""A second."""
OBJECTIVE: Final = "slo:objective:ratio"
BUDGET: Final = "slo:error_budget:ratio"
REMAINING: Final = "slo:period_error_budget_remaining:ratio"
"""1 is all of it, 0 none; less is what was overspent."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """One promise.

    Attributes:
        name: the label `slo` of all of its series.
        objective: the share of events that are good, such as 0.999.
        good: PromQL of the good events a second over 5 minutes, one series without labels.
        total: the same of all events.
    """

    name: str
    objective: float
    good: str
    total: str

    def __post_init__(self) -> None:
        """Refuses what leaves no budget, or nothing else."""
        if not 0 < self.objective < 1:
            raise ValueError(f"the objective of {self.name} is {self.objective}; it must be between 0 and 1")

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 9)


def promised(
    name: str, service: str, *, available: float = 0.999, fast: float = 0.95, within_seconds: float = 0.5
) -> tuple[Slo, Slo]:
    """What users of one service are promised, as they see it: at the entrance.

    Args:
        name: what it is, such as `api`.
        service: as the entrance calls it (`components.monitoring.application_alerts.at_entrance`).
        available: the share of requests that are answered without an error of ours.
        fast: the share of those that are answered in time.
        within_seconds: in which time; a bound of the entrance's buckets (components/ingress/traefik.yaml).
    """
    these = f'service="{service}",{ANSWERED}'
    good = f'{these},code!~"5.."'
    return (
        Slo(
            name=f"{name}-availability",
            objective=available,
            good=f"sum(rate({REQUESTS}{{{good}}}[5m]))",
            total=f"sum(rate({REQUESTS}{{{these}}}[5m]))",
        ),
        Slo(
            name=f"{name}-latency",
            objective=fast,
            good=f'sum(rate({DURATIONS}_bucket{{{good},le="{within_seconds:g}"}}[5m]))',
            total=f"sum(rate({DURATIONS}_count{{{good}}}[5m]))",
        ),
    )


def error_ratio(window: str) -> str:
    """The series that says which share of the events of a window was bad."""
    return f"slo:sli_error:ratio_rate{window}"


def _named(slo: Slo, expression: str) -> str:
    return f'label_replace({expression}, "slo", "{slo.name}", "", "")'


def _errors(slo: Slo) -> str:
    """Nothing good at all is no series rather than 0."""
    return f"clamp_min({slo.total} - ({slo.good} or 0 * {slo.total}), 0)"


def _bad(window: str) -> str:
    if window == "5m":
        return f"{ERRORS} / ({EVENTS} > 0)"
    return f"sum_over_time({ERRORS}[{window}]) / (sum_over_time({EVENTS}[{window}]) > 0)"


def recordings(slos: Sequence[Slo]) -> tuple[Recording, ...]:
    """What is computed of every promise; each series has the label `slo`.

    Args:
        slos: the promises.
    """
    together = {
        OBJECTIVE: [_named(slo, f"vector({slo.objective:g})") for slo in slos],
        BUDGET: [_named(slo, f"vector({slo.budget:g})") for slo in slos],
        EVENTS: [_named(slo, slo.total) for slo in slos],
        ERRORS: [_named(slo, _errors(slo)) for slo in slos],
    }
    return (
        *(Recording(record=record, expression=" or ".join(each)) for record, each in together.items()),
        *(Recording(record=error_ratio(window), expression=_bad(window)) for window in SECONDS),
        Recording(record=REMAINING, expression=f"1 - {error_ratio(f'{DAYS}d')} / on (slo) {BUDGET}"),
    )


@dataclass(frozen=True, kw_only=True)
class Burn:
    """How fast a budget is spent, and how badly somebody is wanted.

    Attributes:
        alert: the alert's name.
        long: the window that says that it matters.
        short: the window that says that it goes on.
        factor: how many times faster than would last for the 30 days.
        minutes: how long it must hold.
        severity: how soon somebody looks.
    """

    alert: str
    long: str
    short: str
    factor: float
    minutes: int
    severity: Severity

    def spent(self) -> float:
        """The share of the budget that is gone when the long window is full."""
        return self.factor * SECONDS[self.long] / SECONDS[f"{DAYS}d"]

    def expression(self) -> str:
        """Both windows, and errors that are worth the name."""
        over = f"> on (slo) {self.factor:g} * {BUDGET}"
        return (
            f"{error_ratio(self.long)} {over} and on (slo) {error_ratio(self.short)} {over} "
            f"and on (slo) avg_over_time({ERRORS}[{self.long}]) * {SECONDS[self.long]} > {FEWEST}"
        )


BURNS: Final = (
    Burn(alert="ErrorBudgetBurnsUp", long="1h", short="5m", factor=14.4, minutes=2, severity="P1"),
    Burn(alert="ErrorBudgetBurns", long="6h", short="30m", factor=6, minutes=5, severity="P2"),
    Burn(alert="ErrorBudgetMelts", long="1d", short="2h", factor=3, minutes=15, severity="P3"),
    Burn(alert="ErrorBudgetWearsDown", long="3d", short="6h", factor=1, minutes=30, severity="P4"),
)
"""The first two call somebody, the others are work for the day."""

BURNING: Final = tuple(
    Alert(
        name=burn.alert,
        expression=burn.expression(),
        minutes=burn.minutes,
        severity=burn.severity,
        summary="{{ $labels.slo }}: {{ $value | humanizePercentage }} of the last "
        f"{burn.long} were bad, and they go on; {burn.spent():.0%} of the month's budget is gone by now",
        runbook=RUNBOOK,
    )
    for burn in BURNS
)

SPENT: Final = (
    Alert(
        name="ErrorBudgetLow",
        expression=f"{REMAINING} < 0.25 > 0",
        minutes=60,
        severity="P4",
        summary="{{ $labels.slo }}: {{ $value | humanizePercentage }} of the month's budget is left",
        runbook=RUNBOOK,
    ),
    Alert(
        name="ErrorBudgetUsedUp",
        expression=f"{REMAINING} <= 0",
        minutes=60,
        severity="P3",
        summary="{{ $labels.slo }}: the month's budget is used up; what makes it better goes first",
        runbook=RUNBOOK,
    ),
)

ALERTS: Final = (*BURNING, *SPENT)
"""For every promise at once: the label `slo` says which."""
