"""What the monitoring brings beside the components' own: told apart, led to a page, and nothing told twice."""

import re
from collections import Counter
from typing import get_args

import pytest

from components.backup import alerts as backup
from components.data import alerts as data
from components.monitoring import application_alerts, cluster_alerts, slo, watches
from components.monitoring.application_alerts import at_entrance, one_of
from components.monitoring.slo import Slo, promised
from components.watch import Alert, Severity, Watch
from tests.recorder import ROOT
from tests.unit.test_watch import SECTIONS
from tests.unit.test_watch import alerts as of_components

API = at_entrance("fixia-app", "api")
WATCHES = (
    watches.of_cluster(),
    watches.of_nodes(),
    watches.of_application([API]),
    watches.of_slos(promised("api", API)),
    watches.of_absences(["database", "cache"]),
    watches.of_business(),
)
ALERTS = [alert for watch in WATCHES for alert in watch.alerts]
PAGES = sorted({alert.runbook for alert in ALERTS})

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


@pytest.mark.parametrize("watch", WATCHES, ids=lambda watch: watch.name)
def test_a_watch_has_alerts_and_no_recording_twice(watch: Watch) -> None:
    assert watch.alerts
    records = [recording.record for recording in watch.recordings]
    assert len(records) == len(set(records))
    assert all(re.fullmatch(r"[a-z]\w*:[a-z]\w*:[a-z]\w*", record) for record in records)


def test_names_are_unique_in_the_platform() -> None:
    names = Counter({alert.name for alert in of_components()}) + Counter(alert.name for alert in ALERTS)
    assert [name for name, count in names.items() if count > 1] == []
    assert len({watch.name for watch in WATCHES}) == len(WATCHES)


@every_alert
def test_an_alert_says_what_when_and_how_badly(alert: Alert) -> None:
    assert re.fullmatch(r"([A-Z][a-z0-9]*)+", alert.name)
    for opening, closing in ("()", "{}", "[]"):
        assert alert.expression.count(opening) == alert.expression.count(closing)
        assert alert.summary.count(opening) == alert.summary.count(closing)
    assert alert.minutes > 0
    assert alert.severity in get_args(Severity)
    assert alert.summary.strip()
    assert "\n" not in alert.summary


@every_alert
def test_an_alert_leads_to_a_page_that_names_it(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in text.partition("## ")[0]
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] in ("Symptom", "Reason")
    assert tuple(headings[1:]) == SECTIONS


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_alert_that_is_not_there(page: str) -> None:
    head = (ROOT / page).read_text(encoding="utf-8").partition("## ")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", head))
    assert named == {alert.name for alert in ALERTS if alert.runbook == page}


def test_what_others_watch_closer_is_left_to_them() -> None:
    """The data tier's containers and jobs, and the backups' jobs."""
    assert f'"{cluster_alerts.COVERED_CONTAINERS}"' in next(
        alert.expression for alert in data.MACHINES if alert.name == "DataContainerRestarts"
    )
    jobs = [
        name
        for alert in (*data.NIGHTLY, *backup.MADE, *backup.TESTED)
        for name in re.findall(r'(?:cronjob|job_name)=~?"([^"]+)"', alert.expression)
    ]
    assert len(jobs) > 3
    assert all(re.fullmatch(cluster_alerts.COVERED_JOBS, name) for name in jobs)


def test_only_what_users_meet_wakes_somebody() -> None:
    assert {alert.name for alert in ALERTS if alert.severity == "P1"} == {
        "PublicAddressDown",
        "PublicCertificateExpiresThisWeek",
        "ServiceErrorsMany",
        "ErrorBudgetBurnsUp",
    }


def test_the_limits_are_those_that_were_asked_for() -> None:
    limits = {alert.name: (alert.expression.split(" and ")[0], alert.severity) for alert in ALERTS}
    for name, limit, severity in (
        ("ServiceErrors", "> 0.01", "P3"),
        ("ServiceErrorsMany", "> 0.1", "P1"),
        ("ServiceSlow", "> 0.5", "P3"),
        ("ServiceVerySlow", "> 1", "P2"),
        ("NodeBusy", "> 0.8", "P3"),
        ("NodeMemoryLow", "> 0.85", "P3"),
        ("NodeDiskFilling", "> 0.7", "P4"),
        ("NodeDiskNearlyFull", "> 0.85", "P2"),
        ("VolumeFilling", "> 0.7", "P4"),
        ("VolumeNearlyFull", "> 0.85", "P2"),
        ("QuotaNearlyUsed", "> 0.85", "P4"),
        ("QuotaUsedUp", "> 0.95", "P3"),
        ("ContainerMemoryNearLimit", "> 0.85", "P3"),
        ("ContainerBusy", "> 0.8", "P4"),
    ):
        assert limits[name][0].endswith(limit), name
        assert limits[name][1] == severity


def test_a_service_of_a_dotted_name_matches_itself_alone() -> None:
    pattern = one_of([at_entrance("a", "b.c"), API])
    assert re.fullmatch(pattern, "a-b.c-http@kubernetes")
    assert re.fullmatch(pattern, API)
    assert not re.fullmatch(pattern, "a-bxc-http@kubernetes")


@pytest.mark.parametrize("objective", [0, 1, 99.9])
def test_a_promise_that_leaves_no_budget_is_refused(objective: float) -> None:
    with pytest.raises(ValueError, match=r"the objective of api is .*; it must be between 0 and 1"):
        Slo(name="api", objective=objective, good="a", total="b")


def test_the_promises_are_those_that_were_made() -> None:
    available, fast = promised("api", API)
    assert (available.name, available.budget) == ("api-availability", 0.001)
    assert (fast.name, fast.budget) == ("api-latency", 0.05)
    assert 'le="0.5"' in fast.good


def test_every_promise_has_every_series() -> None:
    slos = (*promised("api", API), *promised("web", at_entrance("fixia-app", "web")))
    records = {recording.record: recording.expression for recording in slo.recordings(slos)}
    for record in (slo.OBJECTIVE, slo.BUDGET, slo.EVENTS, slo.ERRORS):
        assert re.findall(r'"slo", "([\w-]+)"', records[record]) == [each.name for each in slos]
    assert {slo.error_ratio(window) for window in slo.SECONDS} <= records.keys()
    # A rule sees what was computed before it.
    assert list(records)[-1] == slo.REMAINING


def test_recordings_are_asked_for_by_their_own_names() -> None:
    asked = " ".join(alert.expression for alert in ALERTS)
    for recording in application_alerts.RECORDINGS:
        assert recording.record in asked
