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

_ENDS_AT: Final = now("platform_policy_exemption_ends_seconds", by="policy", how="min")

_POLICIES: Final = (
    Panel(
        title="Pods below the level",
        description="Pods that the API server refused (enforce), or wrote down (audit, warn) for being less "
        "confined than their namespace asks, in the time shown. None: the policies refuse them before.",
        unit="short",
        look="table",
        width=12,
        queries={
            "pods": "sum by (mode, policy_level, resource) "
            '(increase(pod_security_evaluations_total{decision="deny"}[$__range]))'
        },
    ),
    Panel(
        title="Exemptions",
        description="Objects that a policy lets pass at a deployment, by policy, and how long still. Each "
        "has a reason and an owner in policies/levels.<stack>.json; one that has ended stops deployments.",
        unit="short",
        look="table",
        width=12,
        sorted_by="days left",
        queries={
            "objects": now("platform_policy_exemptions", by="policy", how="max"),
            "days left": f"({_ENDS_AT} - time()) / 86400",
        },
    ),
    Panel(
        title="Policies that stop nothing",
        description="That only warn at a deployment, by the stack's own choice. In production none.",
        unit="short",
        look="number",
        width=8,
        queries={"advisory": "count(max by (policy) (platform_policy_lowered)) or vector(0)"},
    ),
    Panel(
        title="Objects exempt",
        description="Of all policies together. Fewer is better; more is somebody's pull request.",
        unit="short",
        look="number",
        width=8,
        queries={"objects": "sum(max by (policy) (platform_policy_exemptions)) or vector(0)"},
    ),
    Panel(
        title="Checks of pods that failed",
        description="In which the API server could not tell how confined a pod is, in the time shown. None.",
        unit="short",
        look="number",
        width=8,
        steps=SAFE,
        queries={"failed": "sum(increase(pod_security_errors_total[$__range])) or vector(0)"},
    ),
)

_AUDIT: Final = (
    Panel(
        title="Audit events",
        description="What the API server writes into its audit log (docs/guides/audit-log.md says how to "
        "read it). None at all means that there is no log.",
        unit="ops",
        width=12,
        queries={"written": rate("apiserver_audit_event_total", by="")},
    ),
    Panel(
        title="Audit events lost",
        description="That could not be written, by the way they should have gone, and requests refused for "
        "it. None, ever: what happens unseen can not be looked up.",
        unit="ops",
        width=12,
        queries={
            "{{plugin}}": rate("apiserver_audit_error_total", by="plugin"),
            "requests refused": rate("apiserver_audit_requests_rejected_total", by=""),
        },
    ),
)

_NOT_HERE: Final = (
    Note(
        title="What is not on this board",
        description="What exists and is told elsewhere, or is not collected.",
        text="- **Audit events** themselves are in the API server's log, which the cluster's provider keeps; "
        "here are their numbers.\n"
        "- **What a policy found** in a change is in the comment of its pull request: what is found is never "
        "deployed.\n"
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
        rows={
            "Refused": _REFUSALS,
            "Sign-in": _ENTERED,
            "Ends": _ENDS,
            "Policies": _POLICIES,
            "Audit": _AUDIT,
            "Not here": _NOT_HERE,
        },
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
