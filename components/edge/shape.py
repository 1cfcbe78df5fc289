"""What a stack looks like from the edge, as plain values: all that the rules are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PlanName = Literal["free", "pro", "business", "enterprise"]

ASSETS = ("/assets/",)
"""Where the frontend's files are whose names change with their content: Vite's default."""

LOGIN = ("/auth/login", "/auth/signup", "/auth/forgot-password", "/auth/reset-password")
"""Where passwords are tried, and letters sent, on the API."""

CLOSED = ("/metrics", "/admin", "/debug", "/actuator", "/server-status")
"""What nobody outside has any business with: metrics, consoles, the insides of a process."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class Spared:
    """What the managed rules leave alone, because they were wrong about it.

    Attributes:
        host: the host.
        path: what the request's path begins with.
        rulesets: which of them: `managed`, `owasp`; on the free plan, `free`.
        reason: why, and since when.
    """

    host: str
    path: str
    rulesets: tuple[Literal["managed", "owasp", "free"], ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Owasp:
    """How strict the OWASP Core Ruleset is.

    Attributes:
        paranoia: 1 to 4: how many of its rules run. Every level finds more, and more that is none.
        threshold: the score at which something is done: 60 (few findings), 40 or 25 (many).
        action: what is done. To try it out, take the mildest that the plan has.
    """

    paranoia: Literal[1, 2, 3, 4] = 1
    threshold: Literal[25, 40, 60] = 40
    action: Literal["log", "managed_challenge", "block"] = "managed_challenge"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A stack as the edge sees it; a rule is a function of this and of nothing else.

    Attributes:
        plan: the zone's plan.
        site: the frontend's host.
        api: hosts that programs call; no browser is there to solve a challenge.
        sockets: hosts of WebSockets.
        consoles: hosts for operators alone (Grafana).
        hosts: every proxied host, all of the above.
        open_to: networks of operators: they reach consoles, closed paths, and everything in maintenance.
        closed: first parts of paths that are closed on every host; `/metrics` closes `/metrics/x` too.
        methods: the HTTP methods that get through.
        blocked_countries: ISO 3166-1 alpha-2 codes that get nothing.
        only_countries: if there are any, nobody else gets anything.
        verified_bots: whether search engines and the like, as Cloudflare knows them, go around countries.
        login: paths on the API where passwords are tried; exact.
        login_per_minute: how often an address may try, on plans with a second rate rule.
        requests_per_minute: how many requests an address may make in all.
        never_limited: networks that no rate is counted for.
        assets: first parts of the frontend's paths whose content never changes.
        owasp: how strict; None leaves it out.
        exceptions: what the managed rules leave alone.
        maintenance: whether everybody but `open_to` is told to come back later.
        under_attack: whether every browser is examined before it gets in.
    """

    plan: PlanName
    site: str
    api: Sequence[str] = ()
    sockets: Sequence[str] = ()
    consoles: Sequence[str] = ()
    hosts: Sequence[str] = ()
    open_to: Sequence[str] = ()
    closed: Sequence[str] = CLOSED
    methods: Sequence[str] = METHODS
    blocked_countries: Sequence[str] = ()
    only_countries: Sequence[str] = ()
    verified_bots: bool = True
    login: Sequence[str] = LOGIN
    login_per_minute: int = 10
    requests_per_minute: int = 1000
    never_limited: Sequence[str] = ()
    assets: Sequence[str] = ASSETS
    owasp: Owasp | None = None
    exceptions: Sequence[Spared] = ()
    maintenance: bool = False
    under_attack: bool = False
