"""Traefik: what comes in, what it becomes, and how the entrance itself is."""

from typing import Final

from components.board import RATE, Board, Panel, files, now, rate
from components.monitoring.boards_shared import (
    PERCENTILES,
    REFUSED,
    THERE,
    answered_within,
    cpu,
    failed,
    granted,
    memory,
    percent,
    requests,
)

_TRAEFIK: Final = 'container="traefik"'

_IN: Final = (
    Panel(
        title="Answers by code",
        description="Of all routes. 502 and 504 are pods that were not there or not in time, 429 clients "
        "that ask too often.",
        unit="reqps",
        queries={"{{code}}": requests(by="code")},
    ),
    Panel(
        title="Requests by service",
        description="Also those for which no pod was there.",
        unit="reqps",
        queries={"{{service}}": requests()},
    ),
    Panel(
        title="Errors by service",
        description="Of the answers, those that are errors of ours.",
        unit="percentunit",
        queries={"{{service}}": failed()},
    ),
    *(
        Panel(
            title=f"Time of an answer ({percent(of)})",
            description=f"By service: {of * 100:.0f} of 100 answers come sooner, with all that stands "
            "between the entrance and the pod.",
            unit="s",
            queries={"{{service}}": answered_within(of)},
        )
        for of in PERCENTILES
    ),
    Panel(
        title="Refused here",
        description="Not signed in, not allowed, too often: by service and code.",
        unit="reqps",
        queries={"{{service}} {{code}}": requests(REFUSED, by="service, code")},
        leads_to="fixia-security",
    ),
    Panel(
        title="Pods that did not answer",
        # Traefik has a counter of what it tried again and never counts with it.
        description="Attempts at pods that were not there or not in time. Each is tried again with another, "
        "so clients see few of them; some come with every release.",
        unit="reqps",
        queries={"{{service}}": rate("traefik_service_requests_total", 'code=~"502|504"', by="service")},
    ),
    Panel(
        title="Conversations",
        description="Connections that stay open, by entry point and protocol.",
        unit="short",
        queries={"{{entrypoint}} {{protocol}}": now("traefik_open_connections", by="entrypoint, protocol")},
    ),
    Panel(
        title="Bytes",
        description="In and out of each entry point, without headers.",
        unit="Bps",
        queries={
            "into {{entrypoint}}": rate("traefik_entrypoint_requests_bytes_total", by="entrypoint"),
            "out of {{entrypoint}}": rate("traefik_entrypoint_responses_bytes_total", by="entrypoint"),
        },
    ),
    Panel(
        title="Before any route",
        description="Requests by entry point: `web` only tells browsers to come back encrypted.",
        unit="reqps",
        queries={"{{entrypoint}}": rate("traefik_entrypoint_requests_total", by="entrypoint")},
    ),
)

_OUTSIDE: Final = (
    Panel(
        title="Answers from outside",
        description="Whether each public address answers as it should when it is asked as a user would.",
        unit="bool_yes_no",
        look="number",
        width=8,
        steps=THERE,
        queries={"{{probe}}": now("probe_success", by="probe", how="min")},
    ),
    Panel(
        title="Time from outside",
        description="Of the whole question: name, connection, encryption, answer.",
        unit="s",
        width=16,
        queries={"{{probe}}": now("probe_duration_seconds", by="probe", how="max")},
    ),
)

_ITSELF: Final = (
    Panel(
        title="CPU",
        description="Cores in use, and what is asked for. Encryption is most of it.",
        unit="short",
        queries={"{{pod}}": cpu(_TRAEFIK), "asked for by {{pod}}": granted("cpu", "requests", _TRAEFIK)},
    ),
    Panel(
        title="Memory",
        description="In use, and where the kernel ends the container. It grows with open connections.",
        unit="bytes",
        queries={"{{pod}}": memory(_TRAEFIK), "limit of {{pod}}": granted("memory", "limits", _TRAEFIK)},
    ),
    Panel(
        title="Routes read anew",
        description="How often it took over a changed configuration: at releases, as pods come and go.",
        unit="short",
        queries={"{{pod}}": f"60 * sum by (pod) (rate(traefik_config_reloads_total[{RATE}]))"},
    ),
    Panel(
        title="Served certificates: time left",
        description="Of what it shows to whoever connects. At 21 days somebody is told.",
        unit="s",
        look="table",
        queries={
            "left": 'sort(min by (sans) (traefik_tls_certs_not_after{cn!="TRAEFIK DEFAULT CERT"}) - time())'
        },
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-entrance",
        title="Entrance",
        description="Traefik: what comes in, what it becomes, how the entrance itself is.",
        tags=["application"],
        rows={"Through it": _IN, "From outside": _OUTSIDE, "Itself": _ITSELF},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
