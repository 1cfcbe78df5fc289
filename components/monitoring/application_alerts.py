"""When the product itself needs somebody: errors, slowness, silence, a stuck queue, failed payments.

What users see is measured at the entrance, whose routers count every answer, also those for which no pod was
there; `service` is the Kubernetes Service as Traefik calls it (`at_entrance`). What only the application
knows it tells itself: its queue, its connections, and what its requests were for. Certificates that we issue
or serve are `components.ingress.alerts`; the one that the world sees, at the edge, is here.

Limits: an error in a hundred is worth a look and one in ten is an outage; 95 of 100 answers come within half
a second, and beyond a second people leave.
"""

from collections.abc import Sequence
from typing import Final

from components.watch import Alert, Recording

DAY: Final = 86400
"""Seconds."""

_RUNBOOKS: Final = "docs/runbooks"
OUTSIDE: Final = f"{_RUNBOOKS}/public-address-down.md"
ERRORS: Final = f"{_RUNBOOKS}/application-errors.md"
SLOW: Final = f"{_RUNBOOKS}/application-slow.md"
SILENT: Final = f"{_RUNBOOKS}/no-traffic.md"
QUEUE: Final = f"{_RUNBOOKS}/queue-stuck.md"
BUSINESS: Final = f"{_RUNBOOKS}/business-failures.md"
REFUSED: Final = f"{_RUNBOOKS}/many-refusals.md"
VERSIONS: Final = f"{_RUNBOOKS}/mixed-versions.md"

REQUESTS: Final = "traefik_router_requests_total"
DURATIONS: Final = "traefik_router_request_duration_seconds"
ANSWERED: Final = 'protocol!="websocket"'
"""A conversation has no answer to wait for."""


def at_entrance(namespace: str, service: str, port: str = "http") -> str:
    """A Kubernetes Service as the entrance's metrics call it.

    Args:
        namespace: where it is.
        service: its name.
        port: the name of its port.
    """
    return f"{namespace}-{service}-{port}@kubernetes"


def one_of(values: Sequence[str]) -> str:
    """A pattern of PromQL that matches these names and nothing else; of their signs only a dot means more."""
    return "|".join(value.replace(".", "[.]") for value in values)


_PAGES: Final = 'module=~"http.*"'
"""Of the ways to ask (blackbox.yml) that of the users."""

OUTSIDE_IN: Final = (
    Alert(
        name="PublicAddressDown",
        expression=f"probe_success{{{_PAGES}}} == 0",
        minutes=2,
        severity="P1",
        summary="{{ $labels.instance }} does not answer as it should when it is asked from outside",
        runbook=OUTSIDE,
    ),
    Alert(
        name="ProbeFails",
        expression=f"probe_success{{{_PAGES.replace('=~', '!~')}}} == 0",
        minutes=3,
        severity="P2",
        summary="{{ $labels.probe }}: {{ $labels.instance }} does not answer",
        runbook=OUTSIDE,
    ),
    Alert(
        name="PublicCertificateExpiresSoon",
        expression=f"probe_ssl_earliest_cert_expiry - time() < {14 * DAY}",
        minutes=60,
        severity="P3",
        summary="{{ $labels.instance }}: the certificate that the world sees ends in "
        "{{ $value | humanizeDuration }}",
        runbook=OUTSIDE,
    ),
    Alert(
        name="PublicCertificateExpiresThisWeek",
        expression=f"probe_ssl_earliest_cert_expiry - time() < {5 * DAY}",
        minutes=5,
        severity="P1",
        summary="{{ $labels.instance }} will be unreachable in {{ $value | humanizeDuration }}: the "
        "certificate that the world sees ends",
        runbook=OUTSIDE,
    ),
)
"""For what the blackbox exporter asks: what users ask, and what the cluster relies on."""

_FAILED: Final = f'sum by (service) (increase({REQUESTS}{{code=~"5.."}}[5m]))'
_ALL: Final = f"sum by (service) (increase({REQUESTS}[5m]))"
_RATE: Final = "service:entrance_requests:rate15m"

RECORDINGS: Final = (Recording(record=_RATE, expression=f"sum by (service) (rate({REQUESTS}[15m]))"),)
"""What each service is asked, in requests a second."""

ENTERED: Final = (
    Alert(
        name="ServiceErrors",
        # One of three at night is no share to speak of.
        expression=f"{_FAILED} / {_ALL} > 0.01 and {_FAILED} > 3",
        minutes=10,
        severity="P3",
        summary="{{ $labels.service }}: {{ $value | humanizePercentage }} of the answers are errors",
        runbook=ERRORS,
    ),
    Alert(
        name="ServiceErrorsMany",
        expression=f"{_FAILED} / {_ALL} > 0.1 and {_FAILED} > 3",
        minutes=2,
        severity="P1",
        summary="{{ $labels.service }}: {{ $value | humanizePercentage }} of the answers are errors. "
        "After a release: roll it back",
        runbook=ERRORS,
    ),
    Alert(
        name="RequestsRefused",
        expression=f'sum by (service) (increase({REQUESTS}{{code="429"}}[15m])) '
        f"/ sum by (service) (increase({REQUESTS}[15m])) > 0.2 "
        f'and sum by (service) (increase({REQUESTS}{{code="429"}}[15m])) > 100',
        minutes=15,
        severity="P4",
        summary="{{ $labels.service }}: {{ $value | humanizePercentage }} of the requests are refused: their "
        "clients ask too often",
        runbook=REFUSED,
    ),
)
"""For everything that the entrance serves."""


_SECONDS: Final = "{{ $value | humanizeDuration }}"


def prompt(services: Sequence[str]) -> tuple[Alert, ...]:
    """For those that somebody always asks, and that answer at once.

    One that streams, or is polled for long, is slow by nature; a console is silent on Sundays.

    Args:
        services: as the entrance calls them (`at_entrance`).
    """
    named = f'service=~"{one_of(services)}"'
    these = f"{named},{ANSWERED}"
    asked_now = f"{_RATE}{{{named}}}"

    def beyond(seconds: float) -> str:
        slowest = f"histogram_quantile(0.95, sum by (service, le) (rate({DURATIONS}_bucket{{{these}}}[5m])))"
        asked = f"sum by (service) (increase({DURATIONS}_count{{{these}}}[5m]))"
        return f"{slowest} > {seconds} and {asked} > 20"

    return (
        Alert(
            name="ServiceSilent",
            # Yesterday no quarter of an hour around this time was without. What is silent may be no series.
            expression=f"min_over_time({asked_now}[6h] offset 21h) > 0 unless {asked_now} > 0",
            minutes=5,
            severity="P2",
            summary="{{ $labels.service }}: nobody asks for anything, and at this hour somebody always does",
            runbook=SILENT,
        ),
        Alert(
            name="ServiceSlow",
            expression=beyond(0.5),
            minutes=10,
            severity="P3",
            summary=f"{{{{ $labels.service }}}}: 5 of 100 answers take longer than {_SECONDS}",
            runbook=SLOW,
        ),
        Alert(
            name="ServiceVerySlow",
            expression=beyond(1),
            minutes=5,
            severity="P2",
            summary=f"{{{{ $labels.service }}}}: 5 of 100 answers take longer than {_SECONDS}",
            runbook=SLOW,
        ),
    )


_WAITING: Final = 'queue_jobs{state="waiting"}'
_TRIED: Final = "sum by (namespace) (increase(jobs_finished_total[30m]))"
_TRIED_IN_VAIN: Final = 'sum by (namespace) (increase(jobs_finished_total{outcome="failed"}[30m]))'

WORKED: Final = (
    Alert(
        name="QueueStuck",
        # Every worker tells the same of the one queue.
        expression="max by (namespace) (queue_oldest_waiting_seconds) > 300",
        minutes=5,
        severity="P2",
        summary="The job that is next has waited for {{ $value | humanizeDuration }}",
        runbook=QUEUE,
    ),
    Alert(
        name="QueueGrows",
        expression=f"max by (namespace) ({_WAITING}) > 100 "
        f"and max by (namespace) (deriv({_WAITING}[30m])) > 0",
        minutes=30,
        severity="P3",
        summary="{{ $value }} jobs wait, and more come than are done",
        runbook=QUEUE,
    ),
    Alert(
        name="QueuedJobsFail",
        expression=f"{_TRIED_IN_VAIN} / {_TRIED} > 0.1 and {_TRIED_IN_VAIN} > 5",
        minutes=10,
        severity="P3",
        summary="{{ $value | humanizePercentage }} of the attempts at jobs fail",
        runbook=QUEUE,
    ),
)
"""For what is done later."""

SERVING: Final = (
    Alert(
        name="ApplicationBlocked",
        expression="max by (namespace, pod) (nodejs_eventloop_lag_p99_seconds) > 0.2",
        minutes=10,
        severity="P3",
        summary="{{ $labels.pod }}: requests wait for {{ $value | humanizeDuration }} until it looks at them",
        runbook=SLOW,
    ),
    Alert(
        name="ApplicationAwaitsConnections",
        expression='min_over_time(db_pool_connections{state="waiting"}[5m]) > 0',
        minutes=5,
        severity="P3",
        summary="{{ $labels.pod }}: requests wait for one of its connections to the database",
        runbook=SLOW,
    ),
    Alert(
        name="VersionsMixed",
        expression="count by (namespace, role) (count by (namespace, role, version, commit) (app_info)) > 1",
        minutes=30,
        severity="P3",
        summary="{{ $labels.namespace }}: {{ $value }} versions of {{ $labels.role }} serve side by side",
        runbook=VERSIONS,
    ),
)
"""For the application's processes."""

REGISTRATION: Final = "/auth/signup"
LOGIN: Final = "/auth/login"
PAYMENT: Final = "/payments/.+"
"""The application's own routes."""


def _asked(route: str, status: str) -> str:
    return (
        "sum by (namespace) (increase("
        f'http_requests_total{{method="POST",route=~"{route}",status_code=~"{status}"}}[15m]))'
    )


def _failing(name: str, route: str, summary: str) -> Alert:
    failed = _asked(route, "5..")
    return Alert(
        name=name,
        expression=f"{failed} / {_asked(route, '...')} > 0.05 and {failed} > 2",
        minutes=2,
        severity="P2",
        summary=f"{{{{ $value | humanizePercentage }}}} of {summary}",
        runbook=BUSINESS,
    )


MEANT: Final = (
    _failing("RegistrationsFail", REGISTRATION, "those who register fail: nobody new can come"),
    _failing("LoginsFail", LOGIN, "those who log in fail, with the right password too"),
    _failing("PaymentsFail", PAYMENT, "the payments fail: money is lost"),
    Alert(
        name="LoginsGuessed",
        expression=f"{_asked(LOGIN, '401')} > 100 and {_asked(LOGIN, '401')} > 0.5 * {_asked(LOGIN, '...')}",
        minutes=5,
        severity="P2",
        summary="{{ $value | humanize }} logins with a wrong password in 15 minutes: somebody guesses",
        runbook=REFUSED,
    ),
)
"""For what users came for."""


def alerts(services: Sequence[str]) -> tuple[Alert, ...]:
    """All of them.

    Args:
        services: those that are always asked and answer at once, as the entrance calls them (`at_entrance`).
    """
    return (*OUTSIDE_IN, *ENTERED, *prompt(services), *WORKED, *SERVING, *MEANT)
