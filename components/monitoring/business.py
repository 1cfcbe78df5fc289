"""How the product is doing as a business: numbers for who decides, and when they fall.

They are what the application counts when it has done something. What fails technically is
`components.monitoring.application_alerts`; here is what nobody asked for any more.
"""

from typing import Final

from components.watch import Alert, Recording

RUNBOOK: Final = "docs/runbooks/business-drops.md"

ACTIVE: Final = "product:active_users:max"
"""Who asked for something in the last five minutes. Every pod tells the same number."""
SIGNUPS: Final = "product:signups:increase"
PAYMENTS: Final = "product:payments:increase"
"""By currency."""
AMOUNT: Final = "product:payments_amount:increase"
"""By currency, in its units."""
WINDOWS: Final = ("1h", "1d")

RECORDINGS: Final = (
    Recording(record=ACTIVE, expression="max(active_users)"),
    *(
        recording
        for window in WINDOWS
        for recording in (
            Recording(record=f"{SIGNUPS}{window}", expression=f"sum(increase(signups_total[{window}]))"),
            Recording(
                record=f"{PAYMENTS}{window}",
                expression=f"sum by (currency) (increase(payments_total[{window}]))",
            ),
            Recording(
                record=f"{AMOUNT}{window}",
                expression=f"sum by (currency) (increase(payments_amount_cents_total[{window}])) / 100",
            ),
        )
    ),
)

_ACTIVE_ONCE: Final = f"avg_over_time({ACTIVE}[1h] offset 1w)"

ALERTS: Final = (
    Alert(
        name="ActiveUsersDrop",
        expression=f"{ACTIVE} < 0.5 * {_ACTIVE_ONCE} and {_ACTIVE_ONCE} >= 20",
        minutes=15,
        severity="P3",
        summary="{{ $value }} users are active: not half as many as at this hour a week ago",
        runbook=RUNBOOK,
    ),
    Alert(
        name="RegistrationsDrop",
        expression=f"{SIGNUPS}1d < 0.3 * ({SIGNUPS}1d offset 1w) and {SIGNUPS}1d offset 1w >= 20",
        minutes=60,
        severity="P3",
        summary="{{ $value | humanize }} registered within a day: not a third of a week ago",
        runbook=RUNBOOK,
    ),
    Alert(
        name="PaymentsStop",
        # After a release a currency has no series until it is paid in.
        expression=f"({PAYMENTS}1h offset 1d >= 10 and {PAYMENTS}1h offset 1w >= 10) unless {PAYMENTS}1h > 0",
        minutes=15,
        severity="P2",
        summary="Nobody has paid in {{ $labels.currency }} for an hour; yesterday at this time "
        "{{ $value | humanize }} did",
        runbook=RUNBOOK,
    ),
)
