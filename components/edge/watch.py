"""What Cloudflare itself watches, and what it tells us of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.edge.plan import Plan


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A check of one host through the edge, so with everything that stands before the origin.

    Attributes:
        host: the host.
        path: what is asked for; 200 is good.
        interval_seconds: between two checks from one place.
        retries: how often at once again, after no answer.
        regions: from where, as Cloudflare calls them.
    """

    host: str
    path: str
    interval_seconds: int = 60
    retries: int = 2
    regions: Sequence[str] = ("WEU", "ENAM")


@dataclass(frozen=True, kw_only=True)
class Notified:
    """Whom Cloudflare tells.

    Attributes:
        emails: addresses.
        webhooks: ids of destinations in the account.
        pagerduty: the same.
    """

    emails: Sequence[str] = ()
    webhooks: Sequence[str] = ()
    pagerduty: Sequence[str] = ()

    def anybody(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self.emails or self.webhooks or self.pagerduty)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One kind of notification.

    Attributes:
        role: its name in the program.
        type: Cloudflare's name.
        description: what it tells of.
        filters: what it is narrowed to: `zones`, `health_check_ids`, ...
    """

    role: str
    type: str
    description: str
    filters: Mapping[str, Sequence[str]]


TIMEOUT_SECONDS: Final = 5
FAILURES: Final = 2
"""How many checks in a row must fail: one may be the network's."""


def alerts(plan: Plan, *, zone: str, origin_pulls: bool) -> Iterator[Alert]:
    """The notifications that a plan has, without that of a health check, whose id is known only later.

    Args:
        plan: the zone's plan.
        zone: its id.
        origin_pulls: whether a certificate of ours is at the edge.

    Source: https://developers.cloudflare.com/notifications/notification-available/
    """
    here = {"zones": [zone]}
    yield Alert(role="flood", type="dos_attack_l7", description="an HTTP flood is being stopped", filters={})
    yield Alert(
        role="certificate",
        type="universal_ssl_event_type",
        description="the edge's certificate: validation, renewal, end",
        filters={},
    )
    yield Alert(
        role="origin",
        type="real_origin_monitoring",
        description="the edge can't reach the origin (521)",
        filters=here,
    )
    if origin_pulls:
        yield Alert(
            role="origin-pulls",
            type="zone_aop_custom_certificate_expiration_type",
            description="the certificate that the edge shows to the entrance ends",
            filters={},
        )
    if plan.name in ("business", "enterprise"):
        yield Alert(
            role="firewall",
            type="clickhouse_alert_fw_anomaly",
            description="many more refusals than usual",
            filters=here,
        )
