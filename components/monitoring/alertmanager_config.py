"""What Alertmanager is told, as text: pure functions from receivers and routes to files.

It names no secret: each is in a file of its own, read anew for each message.
Source: https://prometheus.io/docs/alerting/latest/configuration/
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from components.monitoring.access import TLS_FOLDER, USER
from components.monitoring.routes import (
    INHIBITIONS,
    ROUTES,
    WATCHDOG,
    WATCHDOG_INTERVAL,
    WATCHDOG_REPEAT,
    WITHOUT_SEVERITY,
    Email,
    Inhibition,
    Kind,
    PagerDuty,
    Receivers,
    Route,
    Slack,
    Webhook,
    require_timezone,
)
from components.platform.credentials import Credential

CONFIG_FOLDER: Final = "/etc/alertmanager"
AMTOOL_FOLDER: Final = "/etc/amtool"
"""Where amtool looks for its own settings, `config.yml`."""
DEBIAN_AMTOOL_FOLDER: Final = "/etc/prometheus"
"""Where Debian's does, for `amtool.yml`."""
RECEIVERS_FOLDER: Final = "/run/secrets/receivers"
ACCESS_FOLDER: Final = "/run/secrets/access"

PORT: Final = 9093
CLUSTER_PORT: Final = 9094

SLACK_URL: Final = "slack-url"
EMAIL_PASSWORD: Final = "email-password"  # noqa: S105 a file's name
PAGERDUTY_KEY: Final = "pagerduty-key"
WEBHOOK_URL: Final = "webhook-url"
DEAD_MANS_SWITCH_URL: Final = "dead-mans-switch-url"

WORKING_HOURS: Final = "working-hours"
DEAD_MANS_SWITCH: Final = "dead-mans-switch"
NOBODY: Final = "nobody"

_TEMPLATES: Final = Path(__file__).with_name("alertmanager.tmpl")
_URL: Final = re.compile(r"https?://[^\s\"'<>{}|\\]+")
_LOWER: Final = 'severity=~"P2|P3|P4"'
_COLOURS: Final = {"P1": "danger", "P2": "danger", "P3": "warning", "P4": "#7a869a"}


def alertmanager_yml(receivers: Receivers, *, timezone: str = "UTC", dashboards: bool = False) -> str:
    """The configuration file.

    Args:
        receivers: who can be told.
        timezone: where working hours are, such as `Europe/Berlin`.
        dashboards: whether messages have a link to the dashboards.

    Raises:
        ValueError: there is no such time zone.
    """
    told: dict[str, Any] = {
        "global": _everywhere(receivers),
        "templates": [f"{CONFIG_FOLDER}/*.tmpl"],
        "time_intervals": [_working_hours(require_timezone(timezone))],
        "inhibit_rules": [_inhibition(each) for each in INHIBITIONS],
        "route": _tree(receivers),
        "receivers": [
            *(_receiver(route, receivers, dashboards) for route in ROUTES),
            _watching(receivers.dead_mans_switch),
        ],
    }
    return _yaml(told)


def templates(environment: str, *, runbooks: str, dashboards: str | None = None) -> dict[str, str]:
    """The messages' words, and where their links lead.

    Args:
        environment: the stack's, such as `production`.
        runbooks: the address before a runbook's path in this repository, such as
            `https://github.com/fixia/platform/blob/main/`.
        dashboards: Grafana's address, whose data source for silences is called `Alertmanager`. An alert's
            annotation `dashboard` is the path there, such as `/d/database`.

    Returns:
        File name -> content.

    Raises:
        ValueError: an address is none.
    """
    for name, url in (("runbooks", runbooks), ("dashboards", dashboards)):
        if url is not None and not _URL.fullmatch(url):
            raise ValueError(f"{name}: {url!r}; valid: an address that begins with https://")
    words = {
        "environment": environment,
        "runbooks": runbooks.rstrip("/") + "/",
        "dashboards": (dashboards or "").rstrip("/"),
    }
    lines = [f'{{{{ define "stack.{name}" }}}}{text}{{{{ end }}}}' for name, text in words.items()]
    # A template can't ask whether another one is empty, so what has no address is not asked for.
    for part in ("dashboard", "page"):
        for form in ("text", "slack", "html"):
            called = f'{{{{ template "platform.{part}.{form}" . }}}}' if dashboards else ""
            lines.append(f'{{{{ define "stack.{part}.{form}" }}}}{called}{{{{ end }}}}')
    return {
        "alertmanager.tmpl": _TEMPLATES.read_text(encoding="utf-8"),
        "stack.tmpl": "".join(f"{line}\n" for line in lines),
    }


def secret_files(receivers: Receivers) -> pulumi.Output[dict[str, str]]:
    """The files of the Secret: name -> content, each a line.

    Raises:
        ValueError: in the engine, when a value is empty or more than a line.
    """
    held: dict[str, Credential | None] = {
        SLACK_URL: receivers.slack.url if receivers.slack else None,
        EMAIL_PASSWORD: receivers.email.password if receivers.email else None,
        PAGERDUTY_KEY: receivers.pagerduty.routing_key if receivers.pagerduty else None,
        WEBHOOK_URL: receivers.webhook.url if receivers.webhook else None,
        DEAD_MANS_SWITCH_URL: receivers.dead_mans_switch,
    }
    values = {name: credential.current for name, credential in held.items() if credential}
    return pulumi.Output.secret(pulumi.Output.all(**values).apply(_lines))


def cluster_tls(name: str) -> str:
    """How replicas know each other: by a certificate for their own name, on both sides.

    Args:
        name: the DNS name that the certificate of each is for.

    Source: https://github.com/prometheus/alertmanager/blob/main/doc/examples/tls-config.md
    """
    pair = {"cert_file": f"{TLS_FOLDER}/tls.crt", "key_file": f"{TLS_FOLDER}/tls.key"}
    return _yaml(
        {
            "tls_server_config": {
                **pair,
                "client_ca_file": f"{TLS_FOLDER}/ca.crt",
                "client_auth_type": "RequireAndVerifyClientCert",
                # The same authority signs for every tier.
                "client_allowed_sans": [name],
                "min_version": "TLS12",
            },
            # They connect to addresses, which no certificate is for.
            "tls_client_config": {**pair, "ca_file": f"{TLS_FOLDER}/ca.crt", "server_name": name},
        }
    )


def amtool_files(port: int = PORT) -> dict[str, str]:
    """What lets amtool in, in the pod: file name -> content.

    Args:
        port: where Alertmanager listens.
    """
    settings = _yaml({"alertmanager.url": address(port), "http.config.file": f"{AMTOOL_FOLDER}/http.yml"})
    return {
        "config.yml": settings,
        "amtool.yml": settings,
        "http.yml": _yaml(
            {
                "basic_auth": {"username": USER, "password_file": f"{ACCESS_FOLDER}/password"},
                "tls_config": {"ca_file": f"{TLS_FOLDER}/ca.crt"},
                # By HTTP/2 the server says of each answer to a probe, at length, that its stream is closed.
                "enable_http2": False,
            }
        ),
    }


def address(port: int = PORT) -> str:
    """Where Alertmanager is to be found from within its own pod; its certificate is for that name too."""
    return f"https://localhost:{port}"


def _everywhere(receivers: Receivers) -> dict[str, Any]:
    told: dict[str, Any] = {"resolve_timeout": "5m"}
    if (email := receivers.email) is not None:
        told |= {
            "smtp_smarthost": email.smarthost,
            "smtp_from": email.sender,
            "smtp_auth_username": email.username,
            "smtp_auth_password_file": f"{RECEIVERS_FOLDER}/{EMAIL_PASSWORD}",
            "smtp_require_tls": True,
        }
    return told


def _working_hours(timezone: str) -> dict[str, Any]:
    hours = {
        "weekdays": ["monday:friday"],
        "times": [{"start_time": "08:00", "end_time": "18:00"}],
        "location": timezone,
    }
    return {"name": WORKING_HOURS, "time_intervals": [hours]}


def _inhibition(inhibition: Inhibition) -> dict[str, Any]:
    there = [f'{label}=~".+"' for label in inhibition.equal]
    return {
        "source_matchers": [f'alertname=~"{inhibition.causes}"', *there],
        "target_matchers": [f'alertname=~"{inhibition.hides}"', _LOWER],
        "equal": list(inhibition.equal),
    }


def _tree(receivers: Receivers) -> dict[str, Any]:
    (otherwise,) = (route for route in ROUTES if route.severity == WITHOUT_SEVERITY)
    return {
        **_told(otherwise, receivers),
        "routes": [
            {
                "matchers": [f'alertname="{WATCHDOG}"'],
                "receiver": DEAD_MANS_SWITCH if receivers.dead_mans_switch else NOBODY,
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": WATCHDOG_INTERVAL,
                "repeat_interval": WATCHDOG_REPEAT,
            },
            *(
                {
                    "matchers": [f'severity="{route.severity}"'],
                    **_told(route, receivers),
                    **({"active_time_intervals": [WORKING_HOURS]} if route.working_hours else {}),
                }
                for route in ROUTES
            ),
        ],
    }


def _told(route: Route, receivers: Receivers) -> dict[str, Any]:
    return {
        "receiver": route.severity,
        "group_by": list(route.group_by),
        "group_wait": route.group_wait,
        "group_interval": route.group_interval,
        "repeat_interval": route.repeat_interval(receivers),
    }


def _watching(switch: Credential | None) -> dict[str, Any]:
    if switch is None:
        return {"name": NOBODY}
    # Its end is what the switch waits for: told of that, it would take it for one more sign of life.
    config = {"url_file": f"{RECEIVERS_FOLDER}/{DEAD_MANS_SWITCH_URL}", "send_resolved": False}
    return {"name": DEAD_MANS_SWITCH, "webhook_configs": [config]}


def _receiver(route: Route, receivers: Receivers, dashboards: bool) -> dict[str, Any]:
    kinds: Sequence[Kind] = route.kinds(receivers)
    configs: dict[str, Mapping[str, Any]] = {}
    for kind in kinds:
        receiver: Slack | Email | PagerDuty | Webhook = getattr(receivers, kind)
        if isinstance(receiver, Slack):
            configs["slack_configs"] = _slack(receiver, route)
        elif isinstance(receiver, Email):
            configs["email_configs"] = _email(receiver)
        elif isinstance(receiver, PagerDuty):
            configs["pagerduty_configs"] = _pagerduty(route, dashboards)
        else:
            configs["webhook_configs"] = {"url_file": f"{RECEIVERS_FOLDER}/{WEBHOOK_URL}"}
    # Resolved ones too, which not every integration tells unless asked.
    return {
        "name": route.severity,
        **{name: [{**config, "send_resolved": True}] for name, config in configs.items()},
    }


def _slack(slack: Slack, route: Route) -> dict[str, Any]:
    return {
        "api_url_file": f"{RECEIVERS_FOLDER}/{SLACK_URL}",
        "channel": slack.channel,
        "color": f'{{{{ if eq .Status "firing" }}}}{_COLOURS[route.severity]}{{{{ else }}}}good{{{{ end }}}}',
        "title": '{{ template "platform.title" . }}',
        "title_link": '{{ template "platform.runbook" (index .Alerts 0) }}',
        "fallback": '{{ template "platform.title" . }}',
        "text": '{{ template "platform.slack" . }}',
        "footer": "",
    }


def _email(email: Email) -> dict[str, Any]:
    return {
        "to": ", ".join(email.to),
        "headers": {"Subject": '{{ template "platform.title" . }}'},
        "text": '{{ template "platform.text" . }}',
        "html": '{{ template "platform.html" . }}',
    }


def _pagerduty(route: Route, dashboards: bool) -> dict[str, Any]:
    runbook = {"href": '{{ template "platform.runbook" (index .Alerts 0) }}', "text": "Runbook"}
    dashboard = {"href": '{{ template "platform.dashboard" (index .Alerts 0) }}', "text": "Dashboard"}
    return {
        "routing_key_file": f"{RECEIVERS_FOLDER}/{PAGERDUTY_KEY}",
        "severity": route.pagerduty,
        "description": '{{ template "platform.title" . }}',
        "client": '{{ template "stack.environment" . }}',
        "client_url": '{{ template "platform.runbook" (index .Alerts 0) }}',
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.namespace }}",
        "group": '{{ template "stack.environment" . }}',
        "links": [runbook, *([dashboard] if dashboards else [])],
        "details": {
            "firing": '{{ template "platform.list.text" .Alerts.Firing }}',
            "resolved": '{{ template "platform.list.text" .Alerts.Resolved }}',
        },
    }


def _lines(values: Mapping[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not value.strip() or not value.strip().isprintable():
            raise ValueError(f"{name}: it is empty or more than a line; valid: one line")
    return {name: value.strip() for name, value in values.items()}


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=1000)
