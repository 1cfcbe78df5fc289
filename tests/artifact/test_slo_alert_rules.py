"""A budget that burns calls somebody while it matters and while it lasts; a short flare calls nobody."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.monitoring import slo
from components.monitoring.application_alerts import DURATIONS, REQUESTS, at_entrance
from components.monitoring.slo import BURNS, REMAINING, promised
from tests.artifact.alert_trials import Series, expected, judge

SERVICE = at_entrance("fixia-app", "api")
SLOS = promised("api", SERVICE)
AT = f'service="{SERVICE}",router="api",method="GET",protocol="http"'
UP, BURNS_FASTER, MELTS, WEARS = (burn.alert for burn in BURNS)
EVERY = {alert.name for alert in slo.ALERTS}


def counter(*phases: tuple[int, float]) -> str:
    """A counter in promtool's notation: for so many minutes, so many a minute."""
    values, at = [], 0.0
    for minutes, rate in phases:
        values.append(f"{at:g}+{rate:g}x{minutes - 1}")
        at += rate * minutes
    return " ".join(values)


def requests(*phases: tuple[int, float], rate: float = 1000) -> Series:
    """For so many minutes, such a share of errors."""
    return {
        f'{REQUESTS}{{{AT},code="200"}}': counter(*((minutes, rate * (1 - bad)) for minutes, bad in phases)),
        f'{REQUESTS}{{{AT},code="503"}}': counter(*((minutes, rate * bad) for minutes, bad in phases)),
    }


def slow(share: float, minutes: int) -> Series:
    """No errors, and such a share of answers that take longer than half a second."""
    return {
        f'{DURATIONS}_bucket{{{AT},code="200",le="0.5"}}': counter((minutes, 1000 * (1 - share))),
        f'{DURATIONS}_count{{{AT},code="200"}}': counter((minutes, 1000)),
    }


def trial(name: str, given: Series, at: Mapping[int, set[str]], step: int = 1) -> dict[str, Any]:
    """At each of these minutes, these alerts fire and no others."""
    return {
        "name": name,
        "interval": f"{step}m",
        "input_series": [{"series": series, "values": str(values)} for series, values in given.items()],
        "promql_expr_test": [
            expected(alert, minute, comes=alert in firing)
            for minute, firing in at.items()
            for alert in sorted(EVERY)
        ],
    }


HEALTHY = 180
"""Minutes of a good past."""

TRIALS = [
    trial(
        "an outage calls at once, and no longer than it lasts",
        requests((HEALTHY, 0), (20, 0.3), (60, 0)),
        {
            HEALTHY: set(),
            HEALTHY + 2: set(),
            HEALTHY + 12: {UP, BURNS_FASTER},
            # The shortest windows know that it is over; the longer ones, that it cost more than there was.
            HEALTHY + 20 + 8: {BURNS_FASTER, MELTS},
            HEALTHY + 20 + 50: {MELTS, WEARS, "ErrorBudgetUsedUp"},
        },
    ),
    trial(
        "three bad minutes are no outage",
        requests((1200, 0), (3, 0.1), (120, 0)),
        {minute: set() for minute in range(1200, 1300, 2)},
    ),
    trial("a hundredth is too much for some hours", requests((400, 0.01)), {399: {BURNS_FASTER, MELTS, WEARS, "ErrorBudgetUsedUp"}}),
    trial("four thousandths are too much for a day", requests((400, 0.004)), {399: {MELTS, WEARS, "ErrorBudgetUsedUp"}}),
    trial("a little more than what was promised wears it down", requests((400, 0.0015)), {399: {WEARS, "ErrorBudgetUsedUp"}}),
    trial("most of the budget was spent", requests((400, 0.0008)), {399: {"ErrorBudgetLow"}}),
    trial("half of what was promised is what a budget is for", requests((400, 0.0005)), {399: set()}),
    trial(
        "one of three at night calls nobody, and a quiet night neither",
        requests((3 * 1440, 0), (300, 1 / 3), rate=0.02),
        {3 * 1440 + 299: {"ErrorBudgetUsedUp"}},
    ),
    trial("nobody asks", {f'{REQUESTS}{{{AT},code="200"}}': "5x400"}, {399: set()}),
    trial("nothing good at all", {f'{REQUESTS}{{{AT},code="503"}}': "0+100x100"}, {15: {UP, BURNS_FASTER}}),
    trial("eight of ten in time is four times too few", slow(0.2, 400), {399: {MELTS, WEARS, "ErrorBudgetUsedUp"}}),
    trial("nearly all in time is what was promised", slow(0.03, 400), {399: set()}),
]  # fmt: skip


def test_a_burn_calls_and_a_flare_does_not(tmp_path: Path) -> None:
    judge(tmp_path, slo.ALERTS, TRIALS, slo.recordings(SLOS))


def test_every_alert_has_come_in_some_trial() -> None:
    come = {
        asked["expr"].split('"')[1]
        for each in TRIALS
        for asked in each["promql_expr_test"]
        if asked["exp_samples"]
    }
    assert come == EVERY


def test_what_is_left_of_the_budget_is_told_for_each_promise(tmp_path: Path) -> None:
    told = trial("what is left", {**requests((100, 0.0005)), **slow(0.01, 100)}, {})
    told["promql_expr_test"] = [
        {
            "expr": f"round({REMAINING}, 0.001)",
            "eval_time": "90m",
            "exp_samples": [
                {"labels": f'{REMAINING}{{slo="api-availability"}}', "value": 0.5},
                {"labels": f'{REMAINING}{{slo="api-latency"}}', "value": 0.8},
            ],
        }
    ]
    # `round` takes the name away.
    for sample in told["promql_expr_test"][0]["exp_samples"]:
        sample["labels"] = sample["labels"].removeprefix(REMAINING)
    judge(tmp_path, slo.ALERTS, [told], slo.recordings(SLOS))


def test_the_windows_spend_what_the_workbook_says() -> None:
    assert [round(burn.spent(), 3) for burn in BURNS] == [0.02, 0.05, 0.1, 0.1]
    assert [burn.severity for burn in BURNS] == ["P1", "P2", "P3", "P4"]
