"""For who decides: is the promise kept, is the product used, what was released, what is urgent."""

import math
from typing import Final

from components.board import Board, Note, Panel, files, now
from components.monitoring import business, slo
from components.monitoring.boards_shared import NODE_CPU, NODE_MEMORY, RPO, RTO, URGENT_ALERTS, granted

_PROMISED: Final = (
    Panel(
        title="Availability of 30 days",
        description="Of the requests, those that were answered without an error of ours, for each promise "
        "that is about it. The objective stands beside it on the board of promises.",
        unit="percentunit",
        look="number",
        width=8,
        queries={"{{slo}}": f'1 - {slo.error_ratio(f"{slo.DAYS}d")}{{slo=~".+-availability"}}'},
        leads_to="fixia-slo",
    ),
    Panel(
        title="Error budget that is left",
        description="Of what may go wrong in 30 days. Below a quarter, releases wait; below zero the promise "
        "is broken.",
        unit="percentunit",
        look="number",
        width=8,
        steps={-math.inf: "red", 0: "orange", 0.25: "green"},
        queries={"{{slo}}": slo.REMAINING},
        leads_to="fixia-slo",
    ),
    URGENT_ALERTS,
)

_USED: Final = (
    Panel(
        title="Active users",
        description="Who asked for something in the last five minutes. Days and weeks repeat themselves: a "
        "step that was not there last week is worth a question.",
        unit="short",
        queries={"now": business.ACTIVE, "a week ago": f"{business.ACTIVE} offset 1w"},
    ),
    Panel(
        title="Sign-ups",
        description="Accounts that were made in the hour before.",
        unit="short",
        queries={"in an hour": f"{business.SIGNUPS}1h"},
    ),
    Panel(
        title="Payments",
        description="How many were taken in the hour before.",
        unit="short",
        queries={"{{currency}}": f"{business.PAYMENTS}1h"},
    ),
    Panel(
        title="Payment volume",
        description="What was taken in the hour before, in units of each currency; they are not converted.",
        unit="short",
        queries={"{{currency}}": f"{business.AMOUNT}1h"},
    ),
    Panel(
        title="Payment volume of a day",
        description="What was taken in the 24 hours before, in units of each currency.",
        unit="short",
        queries={"{{currency}}": f"{business.AMOUNT}1d"},
    ),
    Panel(
        title="Connected in real time",
        description="Clients that are told of news as it happens. When all fall away at once and come back, "
        "something was restarted.",
        unit="short",
        queries={"clients": "sum(websocket_connections)"},
    ),
)

_RELEASED: Final = (
    Panel(
        title="Releases in the time shown",
        description="Versions of each service that were seen beyond the first; one that was taken back is "
        "counted once.",
        unit="short",
        look="number",
        width=8,
        queries={
            "{{job}}": "count by (job) (count by (job, version) (last_over_time(app_info[$__range]))) - 1"
        },
        leads_to="fixia-development",
    ),
    Panel(
        title="Versions that run",
        description="More than one of a service for longer than a release takes is a release that got stuck.",
        unit="short",
        look="table",
        width=16,
        queries={"pods": now("app_info", by="job, version, commit", how="count")},
        leads_to="fixia-development",
    ),
)

_SAFE: Final = (RPO, RTO)

_COST: Final = (
    Panel(
        title="Machines that are used",
        description="Of the nodes' CPU and memory, on average. Low for weeks: the nodes are larger than they "
        "need to be. Near the top: the next growth costs one more.",
        unit="percentunit",
        most=1,
        queries={"CPU": f"avg({NODE_CPU})", "memory": f"avg({NODE_MEMORY})"},
        leads_to="fixia-cluster",
    ),
    Panel(
        title="Machines that are asked for",
        description="Of what the nodes have, what pods reserve. It is what decides how many nodes there must "
        "be, whether it is used or not.",
        unit="percentunit",
        most=1,
        queries={
            each: granted(resource, "requests", by="")
            + f' / sum(kube_node_status_allocatable{{resource="{resource}"}})'
            for each, resource in (("CPU", "cpu"), ("memory", "memory"))
        },
        leads_to="fixia-cluster",
    ),
    Note(
        title="Cost",
        description="Why no sum of money stands here.",
        text="Nothing that is watched here tells of prices, so no sum is shown rather than an invented one. "
        "What the bill grows with is beside this: nodes, and what is reserved on them.",
        width=8,
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-executive",
        title="Executive",
        description="Is the promise kept, is the product used, what was released, what is urgent.",
        tags=["overview"],
        time="now-7d",
        rows={
            "Promised": _PROMISED,
            "Used": _USED,
            "Released": _RELEASED,
            "If the worst happens": _SAFE,
            "What it runs on": _COST,
        },
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
