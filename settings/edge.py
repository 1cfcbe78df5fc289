"""The edge: the zone at Cloudflare, what its plan is asked to do, and whom it tells."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.edge.shape import ASSETS, CLOSED, LOGIN, METHODS, PlanName
from settings.countries import COUNTRIES, TOR
from settings.section import Section
from settings.types import Cidr, Domain, HttpPath, Name, Paragraph, Subdomain

_ID: Final = re.compile(r"[0-9a-f]{32}")
_RECORD: Final = re.compile(
    r"@|(\*|[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*"
)
_METHOD: Final = re.compile(r"[A-Z]+")


def _id(value: str) -> str:
    if _ID.fullmatch(value) is None:
        raise ValueError("32 digits and small letters a to f, as the zone's page in the dashboard shows it")
    return value


def _country(value: str) -> str:
    if value not in COUNTRIES | {TOR}:
        hint = f"; did you mean {value.upper()}?" if value.upper() in COUNTRIES else ""
        raise ValueError(
            f"a country's two capitals as in ISO 3166-1 (DE, not UK but GB), or {TOR} for Tor{hint}"
        )
    return value


def _record_name(value: str) -> str:
    if _RECORD.fullmatch(value) is None:
        raise ValueError(
            "labels below the zone's name in small letters, such as _dmarc, or @ for the zone itself"
        )
    return value


def _method(value: str) -> str:
    if _METHOD.fullmatch(value) is None:
        raise ValueError("an HTTP method in capitals, such as GET")
    return value


CloudflareId = Annotated[str, AfterValidator(_id), Field(examples=["0123456789abcdef0123456789abcdef"])]
"""What Cloudflare calls a zone or an account."""

Country = Annotated[str, AfterValidator(_country), Field(examples=["DE"])]
Method = Annotated[str, AfterValidator(_method), Field(examples=["GET"])]


class Zone(Section):
    """The zone: a domain whose name servers are Cloudflare's."""

    id: CloudflareId
    name: Domain = Field(
        description="The domain as it was registered: below one, a zone of its own needs Enterprise."
    )
    advanced_certificates: bool = Field(
        default=False,
        description="Whether Advanced Certificate Manager is bought, for names two labels below the zone.",
    )


class Record(Section):
    """A DNS record that the edge does not stand in front of."""

    name: Annotated[str, AfterValidator(_record_name)] = Field(
        description="Below the zone's name; `@` is it."
    )
    type: Literal["A", "AAAA", "CNAME", "MX", "TXT"]
    content: Annotated[str, Field(min_length=1, max_length=4096)]
    priority: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        default=None, description="Of an MX record."
    )
    reason: Paragraph = Field(description="Why this can't be proxied; what it says is public.")

    @model_validator(mode="after")
    def _has_a_priority_where_there_are_several(self) -> Self:
        if (self.type == "MX") != (self.priority is not None):
            raise ValueError("`priority` for MX, and for nothing else")
        return self


class Hsts(Section):
    """What browsers are told of HTTPS for the year to come."""

    subdomains: bool = Field(default=True, description="Whether it holds for every name below the zone too.")
    preload: bool = Field(
        default=False, description="Whether the zone may be built into browsers; nobody takes that back soon."
    )

    @model_validator(mode="after")
    def _can_be_preloaded(self) -> Self:
        if self.preload and not self.subdomains:
            raise ValueError("`preload` needs `subdomains` (https://hstspreload.org)")
        return self


class Owasp(Section):
    """The OWASP Core Ruleset, which Pro and above have."""

    paranoia: Literal[1, 2, 3, 4] = Field(default=1, description="How many of its rules run.")
    threshold: Literal[25, 40, 60] = Field(
        default=60, description="The score that is too much; 60 takes many."
    )
    action: Literal["log", "managed_challenge", "block"] = Field(
        default="managed_challenge",
        description="`log` first, which Enterprise alone has; elsewhere begin with a challenge at 60.",
    )


class Spared(Section):
    """What the managed rulesets leave alone, because they were wrong about it."""

    host: Subdomain
    path: HttpPath = Field(description="What the path begins with.")
    rulesets: list[Literal["managed", "owasp", "free"]] = Field(min_length=1)
    reason: Paragraph = Field(description="Which request was refused, and when.")


class RateLimits(Section):
    """How often one address may ask."""

    requests_per_minute: Annotated[int, Field(ge=6, le=1_000_000)] = 1000
    login_per_minute: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Tries of passwords; 10 where the plan has a second rule. Free has none."
    )
    login_paths: list[HttpPath] = Field(default=list(LOGIN), description="On every API host, exact.")
    never_limited: list[Cidr] = Field(
        default_factory=list, description="Networks that nothing is counted for."
    )


class Access(Section):
    """What gets through, and from where."""

    open_to: list[Cidr] = Field(
        default_factory=list,
        description="Operators' networks: they reach consoles, closed paths, and all of it in maintenance.",
    )
    consoles: list[Subdomain] = Field(default_factory=list, description="Hosts for operators alone.")
    closed_paths: list[HttpPath] = Field(default=list(CLOSED), description="With all that is below them.")
    methods: list[Method] = Field(default=list(METHODS), description="All others are refused.")
    blocked_countries: list[Country] = Field(default_factory=list)
    only_countries: list[Country] = Field(default_factory=list, description="If any: nobody else.")
    verified_bots: bool = Field(default=True, description="Whether search engines may come from anywhere.")


class HealthCheck(Section):
    """A check by Cloudflare, through the edge; Pro and above."""

    host: Subdomain
    path: HttpPath = "/health"
    interval_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    retries: Annotated[int, Field(ge=0, le=5)] = 2
    regions: list[Literal["WNAM", "ENAM", "WEU", "EEU", "NSAM", "SSAM", "OC", "ME", "NAF", "SAF"]] = Field(
        default=["WEU", "ENAM"], min_length=1, description="From where."
    )

    def per_minute(self) -> int:
        """How often one address may ask at most: each check, with all its retries."""
        return -(-60 * (1 + self.retries) // self.interval_seconds)


class Monitor(Section):
    """Somebody else's monitor, which asks from outside (Uptime Robot and the like)."""

    per_minute: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Requests from one of its addresses."
    )


class Notifications(Section):
    """Whom Cloudflare tells of floods, certificates and an origin that does not answer."""

    emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = Field(default_factory=list)
    webhooks: list[CloudflareId] = Field(
        default_factory=list, description="Ids of destinations that stand in the account; Pro and above."
    )
    pagerduty: list[CloudflareId] = Field(default_factory=list, description="The same; Business and above.")


class Edge(Section):
    """Cloudflare in front of the entrance."""

    plan: PlanName = Field(description="The zone's plan, as it is paid for: nothing here changes it.")
    account: CloudflareId
    zone: Zone
    token: Name = Field(
        description="The secret with the API token; docs/decisions/0020-edge.md lists its rights."
    )
    origin: list[str] = Field(
        min_length=1, description="Where the entrance's load balancer is: its addresses, or its one name."
    )
    unproxied: list[Record] = Field(
        default_factory=list, description="Records for mail and proofs of ownership."
    )
    hsts: Hsts = Hsts()
    access: Access = Access()
    rate_limits: RateLimits = RateLimits()
    owasp: Owasp | None = Field(default=None, description="Left out: no OWASP rules.")
    exceptions: list[Spared] = Field(default_factory=list, description="From the managed rulesets.")
    flood_sensitivity: Literal["default", "medium", "low", "eoff"] = Field(
        default="default",
        description="Of the protection against floods; lower while it takes friends for foes.",
    )
    assets: list[HttpPath] = Field(
        default=list(ASSETS), description="Beginnings of paths of unchanging files."
    )
    health_check: HealthCheck | None = Field(default=None, description="Left out: Cloudflare does not check.")
    monitor: Monitor | None = Field(default=None, description="Left out: nobody asks from outside.")
    notifications: Notifications = Notifications()
    origin_pulls: bool = Field(
        default=True, description="Whether the entrance takes nobody without this zone's own certificate."
    )
    maintenance: bool = Field(default=False, description="Everybody but `openTo` is told to come back later.")
    under_attack: bool = Field(default=False, description="Every browser is examined before it gets in.")
