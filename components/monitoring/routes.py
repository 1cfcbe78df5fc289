"""Who is told of what: the receivers of a stack, and the routing of the severities as a table.

Pure data; `components.monitoring.alertmanager_config` writes them down for Alertmanager.

An alert is told again while it lasts. Alertmanager looks at a group once in each `group_interval`, and
repeats what it told longer ago than `repeat_interval`. It told it a moment after it looked, so an interval of
exactly an hour would be missed by that moment and become an hour and five minutes: each is a bit shorter than
what is meant.
Source: https://prometheus.io/docs/alerting/latest/configuration/#route-related-settings
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import available_timezones

from components.platform.credentials import Credential
from components.watch import Severity

Kind = Literal["pagerduty", "slack", "email", "webhook"]
"""Where people are told; the dead man's switch is told that nothing is to be told."""

KINDS: Final[tuple[Kind, ...]] = ("pagerduty", "slack", "email", "webhook")

WATCHDOG: Final = "Watchdog"
"""The alert that always fires; when it no longer reaches the dead man's switch, that one raises the alarm."""

_SMARTHOST: Final = re.compile(r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})")
_ADDRESS: Final = re.compile(r"[^\s@<>,\"]+@[^\s@<>,\"]+")


@dataclass(frozen=True, kw_only=True)
class Slack:
    """A channel, by an incoming webhook.

    Attributes:
        channel: such as `#alerts`. A webhook of a Slack app is bound to one channel and ignores it.
        url: the webhook's address, which is the secret.

    Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """

    channel: str
    url: Credential


@dataclass(frozen=True, kw_only=True)
class Email:
    """Addresses, by a mail server that demands TLS and a login.

    Attributes:
        to: who gets it, one or more.
        sender: whom it is from; the server must be allowed to send for that domain.
        password: of the login; Resend's is an API key.
        smarthost: the server and its port: 465 speaks TLS from the first byte, any other after STARTTLS.
        username: the login.

    Raises:
        ValueError: no recipient, or an address or a server that is none.

    Source: https://resend.com/docs/send-with-smtp
    """

    to: Sequence[str]
    sender: str
    password: Credential
    smarthost: str = "smtp.resend.com:587"
    username: str = "resend"

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("email.to: there is nobody; valid: one address or more, such as ops@example.org")
        for address in (*self.to, self.sender):
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"email: {address!r} is no address; valid: such as ops@example.org")
        if not 0 < self.port < 65536:
            raise ValueError(
                f"email.smarthost: {self.smarthost!r}; valid: a server and its port, such as "
                "smtp.resend.com:587"
            )

    @property
    def port(self) -> int:
        """The server's port; 0 when there is none."""
        found = _SMARTHOST.fullmatch(self.smarthost)
        return int(found["port"]) if found else 0


@dataclass(frozen=True, kw_only=True)
class PagerDuty:
    """A service whose people are woken, and its next ones when those do not answer.

    Attributes:
        routing_key: the integration key of an `Events API v2` integration. Give the service `Dynamic
            notifications based on alert severity`, or a P2 wakes people too.

    Source: https://support.pagerduty.com/main/docs/dynamic-notifications
    """

    routing_key: Credential


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A program of your own, by HTTPS at port 443, which gets what Alertmanager knows as JSON.

    Attributes:
        url: its address, which may hold a secret.

    Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
    """

    url: Credential


@dataclass(frozen=True, kw_only=True)
class Receivers:
    """Who can be told; each may be left out, but not all.

    Attributes:
        slack: a channel.
        email: addresses.
        pagerduty: who is on duty.
        webhook: a program.
        dead_mans_switch: the address of a service outside, asked each minute by HTTPS at port 443; it raises
            the alarm when that ends, because then nothing here can. It tells nobody of any alert.

    Raises:
        ValueError: nobody can be told.
    """

    slack: Slack | None = None
    email: Email | None = None
    pagerduty: PagerDuty | None = None
    webhook: Webhook | None = None
    dead_mans_switch: Credential | None = None

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError(
                f"receivers: nobody is told of any alert; valid: at least one of {', '.join(KINDS)}"
                " (the dead man's switch only learns that the monitoring lives)"
            )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Where people can be told."""
        return tuple(kind for kind in KINDS if getattr(self, kind) is not None)


@dataclass(frozen=True, kw_only=True)
class Route:
    """How alerts of one severity are told.

    Attributes:
        severity: whose alerts.
        to: where; of each list the first that the stack has. If it has none of all of these, the first of
            `INSTEAD` that it has.
        repeat: how long until it is told again, as Alertmanager writes it.
        repeat_unanswered: the same where there is no PagerDuty, which would call the next one by itself.
        group_by: alerts that agree in these are one message.
        group_wait: how long the first of a group waits for others.
        group_interval: how long until a group's news are told; also how long is tried to tell them.
        working_hours: whether it is told in working hours alone.
        pagerduty: the severity as PagerDuty knows it: `critical` is of high urgency, the others of low.
    """

    severity: Severity
    to: Sequence[Sequence[Kind]]
    repeat: str
    repeat_unanswered: str | None = None
    group_by: Sequence[str] = ("alertname", "namespace")
    group_wait: str = "30s"
    group_interval: str = "5m"
    working_hours: bool = False
    pagerduty: Literal["critical", "warning", "info"] = "warning"

    def kinds(self, receivers: Receivers) -> tuple[Kind, ...]:
        """Where a stack with these receivers is told; at least one, each once."""
        found = [
            next((kind for kind in wanted if kind in receivers.kinds), None) for wanted in (*self.to, INSTEAD)
        ]
        chosen = [kind for kind in found[:-1] if kind] or [kind for kind in found[-1:] if kind]
        return tuple(dict.fromkeys(chosen))

    def repeat_interval(self, receivers: Receivers) -> str:
        """When it is told again in a stack with these receivers."""
        if self.repeat_unanswered and receivers.pagerduty is None:
            return self.repeat_unanswered
        return self.repeat


INSTEAD: Final[tuple[Kind, ...]] = ("slack", "email", "webhook", "pagerduty")
"""Who is told what nobody is there for, the least disturbing first."""

ROUTES: Final = (
    # Hourly, as a reminder. Without PagerDuty nobody calls the next one: then all are told every quarter of
    # an hour, which is how soon somebody should look.
    Route(
        severity="P1",
        to=(("pagerduty",), ("slack",), ("email",), ("webhook",)),
        repeat="57m",
        repeat_unanswered="12m",
        pagerduty="critical",
    ),
    # Within the hour: PagerDuty shows it and wakes nobody; an email does the same.
    Route(
        severity="P2",
        to=(("slack",), ("pagerduty", "email"), ("webhook",)),
        repeat="3h57m",
        pagerduty="warning",
    ),
    # What lasts over the night is told once in the morning: 12 hours are more than working hours are long,
    # and less than what is between two days'.
    Route(severity="P3", to=(("slack",),), repeat="12h", working_hours=True, pagerduty="info"),
    # One message a day of all there is, in whichever namespace; the first gathers for an hour.
    Route(
        severity="P4",
        to=(("email",),),
        repeat="23h",
        group_by=("severity",),
        group_wait="1h",
        group_interval="24h",
        pagerduty="info",
    ),
)
"""By severity. What has none, which no alert of ours does, is told like a P2."""

WITHOUT_SEVERITY: Final[Severity] = "P2"

WATCHDOG_REPEAT: Final = "50s"
WATCHDOG_INTERVAL: Final = "1m"
"""Each minute."""


@dataclass(frozen=True, kw_only=True)
class Inhibition:
    """What is not told while something else is known that explains it.

    Attributes:
        causes: names of alerts, as a regular expression.
        hides: names of alerts, likewise; a P1 is never hidden.
        equal: labels that both must have, with the same values. Alertmanager takes two missing labels for
            equal; here they are not.
    """

    causes: str
    hides: str
    equal: Sequence[str]


_PRODUCT: Final = "Service(Errors|Slow|VerySlow)|Application[A-Z].*|Queue[A-Z].*|QueuedJobsFail"
_BUSINESS: Final = "(Logins|Payments|Registrations)Fail"
_VOLUME: Final = ("namespace", "persistentvolumeclaim")

INHIBITIONS: Final = (
    # Who answers nobody has no other troubles. Volumes and containers are still told: they may be why.
    Inhibition(
        causes="(Operated)?DatabaseDown",
        hides="(Operated)?(Database|Pool|Archive)[A-Z].*",
        equal=("namespace",),
    ),
    Inhibition(causes="(Operated)?PoolDown", hides="(Operated)?Pool[A-Z].*", equal=("namespace",)),
    Inhibition(causes="CacheDown", hides="Cache[A-Z].*", equal=("namespace",)),
    # What works with them, in other namespaces of the same platform, cannot.
    Inhibition(
        causes="(Operated)?(Database|Pool)Down", hides=f"{_PRODUCT}|{_BUSINESS}", equal=("environment",)
    ),
    Inhibition(causes="CacheDown", hides=_PRODUCT, equal=("environment",)),
    # A node that is away: all that is said of it follows.
    Inhibition(causes="NodeNotReady", hides="Node[A-Z].*|KubeletDown|TargetDown", equal=("node",)),
    # The same in a milder form.
    Inhibition(causes="ErrorBudgetBurnsUp", hides="ErrorBudget(Burns|Melts|WearsDown)", equal=("slo",)),
    Inhibition(causes="ErrorBudgetBurns", hides="ErrorBudget(Melts|WearsDown)", equal=("slo",)),
    Inhibition(causes="ErrorBudgetMelts", hides="ErrorBudgetWearsDown", equal=("slo",)),
    Inhibition(causes="ServiceErrorsMany", hides="ServiceErrors", equal=("service",)),
    Inhibition(causes="ServiceVerySlow", hides="ServiceSlow", equal=("service",)),
    Inhibition(
        causes="CertificateExpiresThisWeek", hides="CertificateExpiresSoon", equal=("namespace", "name")
    ),
    Inhibition(
        causes="ServedCertificateExpiresThisWeek", hides="ServedCertificateExpiresSoon", equal=("sans",)
    ),
    Inhibition(
        causes="PublicCertificateExpiresThisWeek",
        hides="PublicCertificateExpiresSoon",
        equal=("instance",),
    ),
    Inhibition(
        causes="(Operated)?DatabaseTransactionNumbersNearEnd",
        hides="(Operated)?DatabaseTransactionNumbersRunLow",
        equal=("namespace", "pod"),
    ),
    Inhibition(causes="CacheRefusesWrites", hides="CacheMemoryNearLimit", equal=("namespace", "pod")),
    Inhibition(
        causes="DataVolumeAlmostFull",
        hides="DataVolumeFullSoon|Volume(Filling|NearlyFull|FullWithin[A-Z].*)",
        equal=_VOLUME,
    ),
    Inhibition(causes="VolumeNearlyFull", hides="VolumeFilling", equal=_VOLUME),
    Inhibition(causes="VolumeFilesNearlyFull", hides="VolumeFilesFilling", equal=_VOLUME),
    Inhibition(
        causes="QuotaUsedUp", hides="QuotaNearlyUsed", equal=("namespace", "resourcequota", "resource")
    ),
    Inhibition(causes="NodeDiskNearlyFull", hides="NodeDiskFilling", equal=("node", "device")),
    Inhibition(causes="NodeMemoryUsedUp", hides="NodeMemoryLow", equal=("node",)),
)
"""Deliberately narrow. A P1 does not hide all that is milder in its namespace: the database, the cache and
the backups share one, and a backup that fails while the cache is down is news. What is hidden is not lost: it
is told when its cause has ended and it has not."""


def require_timezone(timezone: str) -> str:
    """A time zone by its name in the IANA database.

    Raises:
        ValueError: there is none of that name. A machine without the database takes any.
    """
    known = available_timezones()
    if known and timezone not in known:
        raise ValueError(
            f"timezone: {timezone!r} is none; valid: a name of the IANA database, such as Europe/Berlin"
        )
    return timezone
