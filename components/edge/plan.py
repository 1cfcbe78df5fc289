"""What each of Cloudflare's plans can do: a zone never asks for more, for then only a part of it is there.

Source of all figures, unless a field says another: https://developers.cloudflare.com/plans/ and
https://github.com/cloudflare/cloudflare-docs/blob/production/src/content/plans/index.json
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from components.edge.rules import RateLimit
from components.edge.shape import PlanName

Mechanism = Literal["email", "webhook", "pagerduty"]

FREE_MANAGED: Final = "77454fe2d30c4220b5701f6fdfb893ba"
CLOUDFLARE_MANAGED: Final = "efb7b8c949ac4650a09736fc376e9aee"
OWASP: Final = "4814384a9e5d4991b9815dcfc25d2f1f"
OWASP_SCORE: Final = "6179ae15870a4bb7b2d480d4843b323c"
"""The OWASP ruleset's last rule, which compares the score and acts."""
HTTP_DDOS: Final = "4d21379b4f9f4bb088e0729962c8b3cf"
"""Sources: https://developers.cloudflare.com/waf/managed-rules/,
https://developers.cloudflare.com/ddos-protection/managed-rulesets/http/"""

EVERY_ADDRESS: Final = ("cf.colo.id", "ip.src")
"""What requests are counted by; the data centre is mandatory, so the limit holds in each by itself.
Source: https://developers.cloudflare.com/waf/rate-limiting-rules/parameters/"""

MINUTE: Final = 60
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One plan.

    Attributes:
        name: how the settings call it.
        rules: phase -> how many rules its ruleset may have.
        managed: the managed rulesets that it may execute.
        longest_period: over how many seconds a rate is counted at most.
        longest_timeout: for how many seconds a rate rule acts at most.
        rate_by_host: whether a rate rule may ask for the host.
        rate_by_method: whether a rate rule may ask for the method.
        says_why: whether a refusal may have an answer of our own (JSON, text); else Cloudflare's page.
        logs: whether rules may act by `log` alone.
        health_checks: how many.
        health_interval: seconds between two checks, at least.
        mechanisms: how it can notify.
        snippets: how many pieces of code may answer at the edge.
    """

    name: PlanName
    rules: Mapping[str, int]
    managed: frozenset[str]
    longest_period: int
    longest_timeout: int
    rate_by_host: bool
    rate_by_method: bool
    says_why: bool
    logs: bool
    health_checks: int
    health_interval: int
    mechanisms: tuple[Mechanism, ...]
    snippets: int

    def equivalent(self, per_minute: int) -> RateLimit:
        """The limit that comes nearest to so many requests a minute from one address.

        What is counted over a shorter time is the same rate, but a burst is refused sooner: a page that asks
        for a hundred files at once counts in one period.
        """
        period = min(MINUTE, self.longest_period)
        return RateLimit(
            characteristics=EVERY_ADDRESS,
            period=period,
            requests=max(1, per_minute * period // MINUTE),
            mitigation_seconds=min(MINUTE, self.longest_timeout),
        )


def _rules(custom: int, rate: int, cache: int, headers: int, managed: int) -> Mapping[str, int]:
    return MappingProxyType(
        {
            "http_request_firewall_custom": custom,
            "http_ratelimit": rate,
            "http_request_cache_settings": cache,
            "http_response_headers_transform": headers,
            # Exceptions and executions together; what is limited is the number of rulesets, not of rules.
            "http_request_firewall_managed": managed,
            "ddos_l7": 1,
        }
    )


_PAID: Final = frozenset({FREE_MANAGED, CLOUDFLARE_MANAGED, OWASP, HTTP_DDOS})

PLANS: Final[Mapping[PlanName, Plan]] = MappingProxyType(
    {
        "free": Plan(
            name="free",
            rules=_rules(custom=5, rate=1, cache=10, headers=10, managed=10),
            managed=frozenset({FREE_MANAGED, HTTP_DDOS}),
            longest_period=10,
            longest_timeout=10,
            rate_by_host=False,
            rate_by_method=False,
            says_why=False,
            logs=False,
            health_checks=0,
            health_interval=60,
            mechanisms=("email",),
            snippets=0,
        ),
        "pro": Plan(
            name="pro",
            rules=_rules(custom=20, rate=2, cache=25, headers=25, managed=25),
            managed=_PAID,
            longest_period=60,
            longest_timeout=3600,
            rate_by_host=True,
            rate_by_method=False,
            says_why=True,
            logs=False,
            health_checks=10,
            health_interval=60,
            mechanisms=("email", "webhook"),
            snippets=25,
        ),
        "business": Plan(
            name="business",
            rules=_rules(custom=100, rate=5, cache=50, headers=50, managed=50),
            managed=_PAID,
            longest_period=600,
            longest_timeout=86_400,
            rate_by_host=True,
            rate_by_method=True,
            says_why=True,
            logs=False,
            health_checks=50,
            health_interval=15,
            mechanisms=("email", "webhook", "pagerduty"),
            snippets=50,
        ),
        "enterprise": Plan(
            name="enterprise",
            rules=_rules(custom=1000, rate=5, cache=300, headers=300, managed=300),
            managed=_PAID,
            longest_period=65_535,
            longest_timeout=86_400,
            rate_by_host=True,
            rate_by_method=True,
            says_why=True,
            logs=True,
            health_checks=1000,
            health_interval=10,
            mechanisms=("email", "webhook", "pagerduty"),
            snippets=300,
        ),
    }
)
"""By name. What is not in the general table:

- rate rules: https://developers.cloudflare.com/waf/rate-limiting-rules/#availability; Enterprise's five are
  those without an add-on;
- answers of one's own: https://developers.cloudflare.com/ruleset-engine/rules-language/actions/ (`block`);
- intervals of health checks: https://developers.cloudflare.com/health-checks/;
- mechanisms: https://developers.cloudflare.com/notifications/;
- managed: Cloudflare states no number of rules; the one here is that of the plan's other rules.
"""
