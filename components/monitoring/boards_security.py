"""For who guards it: who was refused, who tries to get in, and what ends soon."""

from typing import Final

from components.board import Board, Note, Panel, files, now, rate, share
from components.monitoring.boards_shared import CERTIFICATES, REFUSED, SAFE, requests

_LOGIN: Final = 'route="/auth/login"'
_WRONG: Final = 'status_code="401"'

_REFUSALS: Final = (
    Panel(
        title="Refused by code",
        description="401 is not signed in, 403 not allowed (also: not through the edge), 429 too often. A "
        "step in any is somebody who tries something, or a release that broke clients.",
        unit="reqps",
        queries={"{{code}}": requests(REFUSED, by="code")},
    ),
    Panel(
        title="Refused share by service",
        description="Of each service's answers.",
        unit="percentunit",
        queries={"{{service}}": share(requests(REFUSED), requests())},
    ),
    Panel(
        title="Rate limit hits",
        description="Requests of clients that ask more often than they may, by service. The edge has limits "
        "of its own before these.",
        unit="reqps",
        queries={"{{service}}": requests('code="429"')},
    ),
    Panel(
        title="Asked for what is not there",
        description="404 at the entrance. Many, of a kind that no page links to, is a scanner.",
        unit="reqps",
        queries={"{{entrypoint}}": rate("traefik_entrypoint_requests_total", 'code="404"', by="entrypoint")},
    ),
    Panel(
        title="Encryption that clients use",
        description="Connections are TLS 1.2 or newer; 1.2 should become less over the years.",
        unit="reqps",
        queries={"TLS {{tls_version}}": rate("traefik_entrypoint_requests_tls_total", by="tls_version")},
    ),
    Panel(
        title="Refused by the API server",
        description="401 is a token that is not valid, 403 an account that asks for what it may not. Neither "
        "happens by itself.",
        unit="reqps",
        queries={"{{code}}": rate("apiserver_request_total", 'code=~"401|403"', by="code")},
    ),
)

_ENTERED: Final = (
    Panel(
        title="Failed sign-ins",
        description="A wrong address or password, in an hour. A few are people; hundreds are a list of "
        "stolen passwords.",
        unit="short",
        queries={"in an hour": f"3600 * {rate('http_requests_total', _LOGIN, _WRONG, by='')}"},
    ),
    Panel(
        title="Failed share of the sign-ins",
        description="Of all attempts. People come to one in five; somebody else's list to nearly all.",
        unit="percentunit",
        most=1,
        queries={
            "failed": share(
                rate("http_requests_total", _LOGIN, _WRONG, by=""), rate("http_requests_total", _LOGIN, by="")
            )
        },
    ),
    Panel(
        title="Accounts made",
        description="In an hour. Far more than usual, with payments that do not follow, are not people.",
        unit="short",
        queries={"in an hour": f"3600 * {rate('signups_total', by='')}"},
    ),
    Panel(
        title="Asked without being signed in",
        description="401 of the application, by route, but for the sign-in itself.",
        unit="reqps",
        queries={
            "{{route}}": "topk(10, "
            + rate("http_requests_total", 'route!="/auth/login"', _WRONG, by="route")
            + ")"
        },
    ),
    Panel(
        title="Refused by the cache",
        description="Connections beyond the most that it takes. None, ever.",
        unit="ops",
        queries={"{{pod}}": rate("redis_rejected_connections_total")},
    ),
)

_ENDS: Final = (
    Panel(
        title="Our certificates: time left",
        description="Of each that is issued here. They are renewed 30 days before their end; at 21 somebody "
        "is told.",
        unit="s",
        look="table",
        width=12,
        queries={"left": f"sort({CERTIFICATES})"},
    ),
    Panel(
        title="Served certificates: time left",
        description="Of what the entrance shows to whoever connects, whoever issued it.",
        unit="s",
        look="table",
        width=12,
        queries={
            "left": 'sort(min by (sans) (traefik_tls_certs_not_after{cn!="TRAEFIK DEFAULT CERT"}) - time())'
        },
    ),
    Panel(
        title="Public certificates: time left",
        description="Of what the world sees at each address, which is the edge's.",
        unit="s",
        look="number",
        width=16,
        queries={"{{probe}}": now("probe_ssl_earliest_cert_expiry", by="probe", how="min") + " - time()"},
    ),
    Panel(
        title="Certificates that are not ready",
        description="That could not be issued. None.",
        unit="short",
        look="number",
        width=8,
        steps=SAFE,
        queries={"not ready": 'sum(certmanager_certificate_ready_status{condition!="True"})'},
    ),
)

_NOT_HERE: Final = (
    Note(
        title="What is not on this board",
        description="What exists and is told elsewhere, or is not collected.",
        text="- **Audit events** of the API server are not collected: the cluster's provider keeps its log.\n"
        "- **Policy results** are those of each preview and of CI; none is exported from the running "
        "cluster.\n"
        "- **What the edge refuses** (firewall, bots, floods) is on Cloudflare's own pages; the entrance "
        "never sees it.",
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-security",
        title="Security",
        description="Who was refused, who tries to get in, and what ends soon.",
        tags=["overview"],
        time="now-24h",
        rows={"Refused": _REFUSALS, "Sign-in": _ENTERED, "Ends": _ENDS, "Not here": _NOT_HERE},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
