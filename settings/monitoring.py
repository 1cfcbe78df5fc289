"""What watches the platform, and whom it tells."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from settings.section import Section
from settings.types import Bytes, Cidr, Image, Name, Percent, Subdomain, matching
from settings.workload import COLLECTOR, Resources

PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
GRAFANA: Final = "grafana"
KUBE_STATE_METRICS: Final = "kube-state-metrics"
NODE_EXPORTER: Final = "node-exporter"
BLACKBOX: Final = "blackbox"
DEPLOYED: Final = "deployed"
STATUS: Final = "status"
LOGS: Final = "logs"
TRACES: Final = "traces"
"""The names of its parts, and of their Services."""

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_BASE: Final = re.compile(r"https://[^\s?#]*[^\s?#/]")
_HOST_PORT: Final = re.compile(r"[a-z0-9.-]+:\d{1,5}")
_CHANNEL: Final = re.compile(r"#[a-z0-9_-]{1,79}")

RESEND: Final = "smtp.resend.com:587"
"""Source: https://resend.com/docs/send-with-smtp"""

EmailAddress = Annotated[str, matching(_EMAIL, "an address such as ops@fixia.app")]


class Slack(Section):
    """A channel, by an incoming webhook."""

    channel: Annotated[str, matching(_CHANNEL, "a channel with its #, in lower case")]
    url: Name = Field(description="The secret with the webhook's URL.")


class Email(Section):
    """Mail, by any server that speaks STARTTLS; Resend unless told."""

    to: list[EmailAddress] = Field(min_length=1, description="Who gets it.")
    sender: EmailAddress = Field(description="Whom it is from; the server must let us.")
    server: Annotated[str, matching(_HOST_PORT, f"host:port, such as {RESEND}")] = RESEND
    username: str = Field(default="resend", min_length=1)
    password: Name = Field(description="The secret with the password; of Resend, the API key.")


class Receivers(Section):
    """Who is told. What isn't set is not used, and its alerts reach the others."""

    slack: Slack | None = None
    email: Email | None = None
    pagerduty: Name | None = Field(default=None, description="The secret with PagerDuty's routing key.")
    webhook: Name | None = Field(default=None, description="The secret with a URL that is sent everything.")
    dead_mans_switch: Name | None = Field(
        default=None,
        description="The secret with a URL that is called every minute, and calls somebody when it is not.",
    )

    @model_validator(mode="after")
    def _reach_somebody(self) -> Self:
        if not (self.slack or self.email or self.pagerduty or self.webhook):
            raise ValueError("at least one of slack, email, pagerduty and webhook: else nobody is told")
        return self

    def secret_names(self) -> Iterator[tuple[str, str]]:
        """Each secret that is named, as (its path below `receivers`, its name)."""
        if self.slack:
            yield "slack.url", self.slack.url
        if self.email:
            yield "email.password", self.email.password
        for field in ("pagerduty", "webhook", "dead_mans_switch"):
            if name := getattr(self, field):
                yield ("deadMansSwitch" if field == "dead_mans_switch" else field), name


class Prometheus(Section):
    """What collects and judges."""

    image: Image = Field(description="Prometheus 2.53 or newer.")
    resources: Resources
    storage: Bytes = Field(default="10Gi", description="The volume; it can grow, never shrink.")
    retention_days: Annotated[int, Field(ge=1, le=730)] = 30
    retention_size: Annotated[str, matching(re.compile(r"\d+(MB|GB)"), "a size such as 8GB")] = Field(
        default="8GB", description="The most that its data may take; four fifths of the volume."
    )


class Alertmanager(Section):
    """What tells people."""

    image: Image = Field(description="Alertmanager 0.28 or newer.")
    resources: Resources
    replicas: Literal[1, 2] = Field(default=1, description="Two tell each other what was sent.")
    storage: Bytes = Field(default="1Gi", description="A volume for silences and what was sent.")


class Sso(Section):
    """Who may sign in to Grafana by another account of theirs: OAuth 2 with OpenID Connect."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Name = Field(description="The secret with the client's secret.")
    authorize: Annotated[str, matching(_BASE, "an https:// URL")]
    token: Annotated[str, matching(_BASE, "an https:// URL")]
    userinfo: Annotated[str, matching(_BASE, "an https:// URL")]
    domains: list[str] = Field(default_factory=list, description="Of e-mail addresses that may sign in.")


class Grafana(Section):
    """What shows it."""

    image: Image = Field(description="Grafana 12 or newer.")
    resources: Resources
    host: Subdomain | None = Field(default="grafana", description="Null: by port-forward alone.")
    sso: Sso | None = Field(default=None, description="Left out: the administrator's password alone.")


class Errors(Section):
    """Where unexpected errors of the product go: Sentry, or what speaks as it does."""

    dsn: Name = Field(description="The secret with the project's DSN, `https://<key>@<host>/<project>`.")
    workloads: list[Name] = Field(
        min_length=1,
        description="Who reports. Each must talk to `internet`: reports go out like any request.",
    )


class Status(Section):
    """The page that tells everybody whether the product works."""

    image: Image = Field(description="With Python 3.11 or newer; see images/status.")
    resources: Resources
    host: Subdomain = "status"
    shown: dict[Name, Annotated[str, Field(min_length=1, max_length=40)]] = Field(
        min_length=1, description="A public workload -> the name that everybody sees. Others are not shown."
    )


class Exporter(Section):
    """A program that tells of what can't tell of itself."""

    image: Image
    resources: Resources


class Collector(Section):
    """What reads the logs of each node, and takes the workloads' traces."""

    namespace: Name = Field(
        default=COLLECTOR,
        description="One of `platform.namespaces`, with nothing else in it: it may mount the node's logs.",
    )
    image: Image = Field(description="The OpenTelemetry Collector's contrib image, 0.157 or newer.")
    resources: Resources


class Logs(Section):
    """What all containers write: who reads it, and who keeps it."""

    image: Image = Field(description="Loki 3.7 or newer.")
    resources: Resources
    storage: Bytes = Field(default="10Gi", description="The volume; it can grow, never shrink.")
    retention_days: Annotated[int, Field(ge=1, le=730)] = Field(
        default=30, description="How long a line is kept; its volume must hold so much."
    )
    collector: Collector


class Traces(Section):
    """What requests did on their way: who keeps it. Who sends any has `collector` in its `talksTo`."""

    image: Image = Field(description="Jaeger 2.13 or newer.")
    resources: Resources
    storage: Bytes = Field(default="5Gi", description="The volume; it can grow, never shrink.")
    retention_days: Annotated[int, Field(ge=1, le=90)] = Field(
        default=3, description="How long a span is found; its volume must hold so much."
    )
    sampled_percent: Percent = Field(default=10, description="How many of all traces are kept.")


class Monitoring(Section):
    """Prometheus, Alertmanager, Grafana and what they ask."""

    namespace: Name = Field(default="monitoring", description="One of `platform.namespaces`.")
    prometheus: Prometheus
    alertmanager: Alertmanager
    grafana: Grafana | None = Field(default=None, description="Left out: nothing is drawn.")
    kube_state_metrics: Exporter = Field(description="What the cluster says of its objects.")
    node_exporter: Exporter = Field(description="What each node says of itself.")
    blackbox: Exporter | None = Field(default=None, description="Left out: no host is asked from outside.")
    status: Status | None = Field(default=None, description="Left out: nobody outside is told.")
    logs: Logs | None = Field(default=None, description="Left out: logs stay on the nodes.")
    traces: Traces | None = Field(
        default=None,
        description="Left out: no trace is kept. It takes `logs`, whose collector takes traces too.",
    )
    receivers: Receivers
    errors: Errors | None = Field(default=None, description="Left out: errors are in the logs alone.")
    api_server: list[Cidr] = Field(
        min_length=1, description="Where the API server is, behind its Service: targets are found there."
    )
    api_server_port: Annotated[int, Field(ge=1, le=65535)] = 6443
    nodes: list[Cidr] = Field(min_length=1, description="Where the nodes' kubelets are.")
    most_nodes: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="How many nodes there may be: each has an exporter, which the quota must hold."
    )
    time_zone: str = Field(default="UTC", description="Of working hours, such as Europe/Berlin.")
    runbooks: Annotated[str, matching(_BASE, "an https:// URL without a slash at its end")] = Field(
        description="Where this repository's files are read; alerts link to their runbooks below it."
    )
