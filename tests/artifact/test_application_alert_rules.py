"""Each alert on the product comes at its minute, and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.monitoring import application_alerts, business, watchdog, watches
from components.monitoring.application_alerts import at_entrance
from tests.artifact.alert_trials import Case, Series, judge, trials

API = at_entrance("fixia-app", "api")
REALTIME = at_entrance("fixia-app", "realtime")
PROBED = 'job="probe",module="http_2xx",probe="api",instance="https://api.fixia.app/health"'
APP = 'namespace="fixia-app"'
NAMES = 'probe_success{job="probe",module="dns",probe="names",instance="10.96.0.10:53"}'
WORKER = f'{APP},pod="worker-1"'
DAY, WEEK = 86400, 7 * 86400

HALF_HOUR = 30
WEEK_STEPS = 7 * 48
"""Half hours."""


def entered(good: str, bad: str = "0x200", *, code: str = "500", service: str = API) -> Series:
    at = f'service="{service}",method="GET",protocol="http",code='
    return {
        f'traefik_router_requests_total{{{at}"200"}}': good,
        f'traefik_router_requests_total{{{at}"{code}"}}': bad,
    }


def took(half: int, second: int, count: int, *, service: str = API, protocol: str = "http") -> Series:
    """Of so many answers a minute, how many came within half a second and within one."""
    metric = "traefik_router_request_duration_seconds"
    at = f'service="{service}",method="GET",protocol="{protocol}",code="200"'
    return {
        f'{metric}_bucket{{{at},le="0.5"}}': f"0+{half}x200",
        f'{metric}_bucket{{{at},le="1"}}': f"0+{second}x200",
        f'{metric}_bucket{{{at},le="2"}}': f"0+{count}x200",
        f'{metric}_bucket{{{at},le="+Inf"}}': f"0+{count}x200",
        f"{metric}_count{{{at}}}": f"0+{count}x200",
    }


def waiting(jobs: float | str, oldest: float | str = 0) -> Series:
    return {
        f'queue_jobs{{{WORKER},state="waiting"}}': jobs,
        f"queue_oldest_waiting_seconds{{{WORKER}}}": oldest,
    }


def tried(completed: str, failed: str) -> Series:
    return {
        f'jobs_finished_total{{{WORKER},outcome="completed"}}': completed,
        f'jobs_finished_total{{{WORKER},outcome="failed"}}': failed,
    }


def runs(*versions: str, role: str = "api") -> Series:
    return {
        f'app_info{{{APP},pod="{role}-{number}",role="{role}",version="{version}",commit="c"}}': 1
        for number, version in enumerate(versions)
    }


def posted(route: str, **codes: str) -> Series:
    at = f'{APP},pod="api-1",method="POST",route="{route}"'
    return {
        f'http_requests_total{{{at},status_code="{code.removeprefix("_")}"}}': values
        for code, values in codes.items()
    }


def failing(route: str) -> Case:
    return Case(
        posted(route, _201="0+94x200", _500="0+6x200"),
        [
            posted(route, _201="0+96x200", _500="0+4x200"),
            posted(route, _201="0+9x200", _500="0x20 1x2 2x200"),
            # Wrong passwords and addresses that are taken are the users' own.
            posted(route, _201="0+1x200", _401="0+1x200", _409="0+1x200"),
            posted("/items", _201="0+1x200", _500="0+9x200"),
        ],
        begins=1,
    )


def expires(days: float) -> Series:
    return {f"probe_ssl_earliest_cert_expiry{{{PROBED}}}": days * DAY}


# Their clock begins at 0.
CASES = {
    "PublicAddressDown": Case(
        {f"probe_success{{{PROBED}}}": 0},
        [{f"probe_success{{{PROBED}}}": 1}, {f"probe_success{{{PROBED}}}": "1x9 0x1 1x200"}, {NAMES: 0}],
        begins=0,
    ),
    "ProbeFails": Case({NAMES: 0}, [{NAMES: 1}, {f"probe_success{{{PROBED}}}": 0}], begins=0),
    "PublicCertificateExpiresSoon": Case(expires(13), expires(15), begins=0),
    "PublicCertificateExpiresThisWeek": Case(expires(4), expires(6), begins=0),
    "ServiceErrors": Case(
        entered("0+989x200", "0+11x200"),
        [
            entered("0+991x200", "0+9x200"),
            # One at night; three bad minutes; what the client did wrong; none at all.
            entered("0x200", "0x20 1x200"),
            entered("0+90x200", "0x20 0+10x3 30x200"),
            entered("0+50x200", "0+50x200", code="404"),
            entered("0+95x200", "0x200"),
        ],
        begins=1,
    ),
    "ServiceErrorsMany": Case(
        [entered("0+89x200", "0+11x200"), entered("0x200", "0+4x200", code="503")],
        [entered("0+91x200", "0+9x200"), entered("0x200", "0x20 1x200")],
        begins=1,
    ),
    "ServiceSilent": Case(
        [
            entered("0+10x360 3600x40"),
            # The entrance was restarted, and knows nothing of the service.
            entered("0+10x360 _x40"),
        ],
        [
            entered("0+10x400"),
            entered("0+10x360 3600x40", service=REALTIME),
            # It is new; it was silent yesterday too; it is silent for ten minutes.
            entered("_x300 0+10x60 600x60"),
            entered("0x72 0+10x20 200x400"),
            entered("0+10x360 3600x1 3610+10x40"),
        ],
        minutes=1850,
        step=5,
    ),
    "RequestsRefused": Case(
        entered("0+780x200", "0+220x200", code="429"),
        [entered("0+820x200", "0+180x200", code="429"), entered("0x200", "0x20 0+1x60 60x200", code="429")],
        begins=1,
    ),
    "ServiceSlow": Case(
        took(94, 98, 100),
        [
            took(96, 98, 100),
            took(10, 20, 100, protocol="websocket"),
            # It is polled for long; hardly anybody asks.
            took(10, 20, 100, service=REALTIME),
            took(1, 2, 3),
        ],
        begins=1,
    ),
    "ServiceVerySlow": Case(took(80, 94, 100), [took(90, 96, 100), took(1, 2, 3)], begins=1),
    "QueueStuck": Case(
        {**waiting(1, 301), f'queue_oldest_waiting_seconds{{{APP},pod="worker-2"}}': 301}, waiting(1, 299), begins=0
    ),
    "QueueGrows": Case(waiting("101+1x200"), [waiting("1000-5x200"), waiting("0+1x90 90x200")], begins=1),
    "QueuedJobsFail": Case(
        tried("0+89x200", "0+11x200"), [tried("0+91x200", "0+9x200"), tried("0x200", "0x20 1 2 3x200")], begins=1
    ),
    "ApplicationBlocked": Case(
        {f"nodejs_eventloop_lag_p99_seconds{{{WORKER}}}": 0.22},
        {f"nodejs_eventloop_lag_p99_seconds{{{WORKER}}}": 0.18},
        begins=0,
    ),
    "ApplicationAwaitsConnections": Case(
        {f'db_pool_connections{{{WORKER},state="waiting"}}': 2},
        [
            {f'db_pool_connections{{{WORKER},state="waiting"}}': "0 0 0 5 " * 50},
            {f'db_pool_connections{{{WORKER},state="active"}}': 2},
        ],
        begins=0,
    ),
    "VersionsMixed": Case(
        runs("1.0", "1.0", "1.1"), [runs("1.0", "1.0"), {**runs("1.0"), **runs("2.0", role="web")}], begins=0
    ),
    "RegistrationsFail": failing("/auth/signup"),
    "LoginsFail": failing("/auth/login"),
    "PaymentsFail": failing("/payments/test"),
    "LoginsGuessed": Case(
        posted("/auth/login", _200="0+1x200", _401="0+20x200"),
        [posted("/auth/login", _200="0+50x200", _401="0+20x200"), posted("/auth/login", _401="0+2x200")],
        begins=6,
    ),
}  # fmt: skip

_USERS = f'active_users{{{APP},pod="api-1"}}'
_SIGNUPS = f'signups_total{{{APP},pod="api-1"}}'
_PAID = f'payments_total{{{APP},pod="api-1",currency="EUR"}}'
LONG = (WEEK_STEPS + 100) * HALF_HOUR

BUSINESS = {
    "ActiveUsersDrop": Case(
        {_USERS: f"100x{WEEK_STEPS} 40x100"},
        # As ever; a product that hardly anybody uses; the cache is away, and nobody can say.
        [{_USERS: 100}, {_USERS: f"10x{WEEK_STEPS} 1x100"}, {_USERS: f"100x{WEEK_STEPS} _x100"}],
        minutes=LONG,
        step=HALF_HOUR,
    ),
    "RegistrationsDrop": Case(
        {_SIGNUPS: f"0+2x{WEEK_STEPS + 40} {2 * (WEEK_STEPS + 40)}x60"},
        [{_SIGNUPS: f"0+2x{WEEK_STEPS + 100}"}, {_SIGNUPS: f"0+0.1x{WEEK_STEPS + 40} 37x60"}],
        minutes=LONG,
        step=HALF_HOUR,
    ),
    "PaymentsStop": Case(
        [{_PAID: f"0+10x{WEEK_STEPS + 90} {10 * (WEEK_STEPS + 90)}x10"}, {_PAID: f"0+10x{WEEK_STEPS + 90} _x10"}],
        [{_PAID: f"0+10x{WEEK_STEPS + 100}"}, {_PAID: f"0+1x{WEEK_STEPS + 90} {WEEK_STEPS + 90}x10"}],
        minutes=LONG,
        step=HALF_HOUR,
    ),
}  # fmt: skip

WATCHING = {
    "Watchdog": Case({}, [], begins=0),
    "JobAbsent": Case(
        [{'up{job="cache"}': 1}, {'up{job="database"}': 0}],
        [{'up{job="cache"}': 1, 'up{job="database"}': 1}, {'up{job="cache"}': 1, 'up{job="database"}': 0}],
        begins=0,
    ),
}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = application_alerts.alerts([API])
    judge(tmp_path, alerts, trials(alerts, CASES), application_alerts.RECORDINGS)


def test_the_business_is_watched_against_itself_a_week_ago(tmp_path: Path) -> None:
    judge(tmp_path, business.ALERTS, trials(business.ALERTS, BUSINESS), business.RECORDINGS)


def test_the_watching_is_watched(tmp_path: Path) -> None:
    alerts = watches.of_absences(["cache", "database"]).alerts
    judge(tmp_path, alerts, trials(alerts, WATCHING))


def test_no_job_is_no_alert() -> None:
    assert watchdog.absences([]) == []
