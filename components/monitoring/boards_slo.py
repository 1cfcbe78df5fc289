"""What is promised, how much of it was kept, and how fast the budget of errors is spent."""

import math
from typing import Final

from components.board import Board, Panel, Variable, files, series
from components.monitoring import slo

_THIS: Final = 'slo=~"$slo"'

_WHOLE: Final = (
    Panel(
        title="Kept in 30 days",
        description="Of all events, the good ones: answers without an error of ours, or in time.",
        unit="percentunit",
        look="number",
        width=8,
        queries={"{{slo}}": f"1 - {series(slo.error_ratio(f'{slo.DAYS}d'), _THIS)}"},
    ),
    Panel(
        title="Objective",
        description="What is promised. The rest is the budget of errors, to spend on releases and bad luck.",
        unit="percentunit",
        look="number",
        width=8,
        queries={"{{slo}}": series(slo.OBJECTIVE, _THIS)},
    ),
    Panel(
        title="Error budget that is left",
        description="Of 30 days. Below a quarter somebody is told; below zero the promise is broken.",
        unit="percentunit",
        look="number",
        width=8,
        steps={-math.inf: "red", 0: "orange", 0.25: "green"},
        queries={"{{slo}}": series(slo.REMAINING, _THIS)},
    ),
    Panel(
        title="Error budget over time",
        description="It falls with every error and comes back as old ones pass out of the 30 days.",
        unit="percentunit",
        width=16,
        queries={"{{slo}}": series(slo.REMAINING, _THIS)},
    ),
    Panel(
        title="Events",
        description="What the promise is about, in a second. With few, one error is a large share.",
        unit="reqps",
        queries={"{{slo}}": series(slo.EVENTS, _THIS)},
    ),
)

_BURNS: Final = tuple(
    Panel(
        title=f"Burn rate, {burn.long} and {burn.short}",
        description=f"How many times faster the budget is spent than would last for the 30 days. When both "
        f"windows are over {burn.factor:g}, {burn.alert} ({burn.severity}) tells somebody.",
        unit="short",
        width=12,
        queries={
            **{
                f"{{{{slo}}}} {window}": f"{series(slo.error_ratio(window), _THIS)} "
                f"/ on (slo) {series(slo.BUDGET, _THIS)}"
                for window in (burn.long, burn.short)
            },
            "limit": f"vector({burn.factor:g})",
        },
    )
    for burn in slo.BURNS
)

BOARDS: Final = (
    Board(
        uid="fixia-slo",
        title="Promises (SLO)",
        description="What is promised, how much of it was kept, how fast the budget of errors is spent.",
        tags=["overview"],
        time="now-7d",
        variables=[Variable(name="slo", metric=slo.OBJECTIVE, many=True)],
        rows={"Of 30 days": _WHOLE, "How fast it is spent": _BURNS},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
