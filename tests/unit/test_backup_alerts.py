"""The alerts on backups: each is told apart, asks for what the monitor serves, and the dashboard shows the promise."""

import re
from typing import Final

import pytest

from components.backup import alerts
from components.backup.dashboard import BOARDS, dashboards
from components.backup.tasks import SCRIPTS, TASKS
from components.watch import Alert
from tests.unit.test_dashboard import panels, queries

ALERTS: Final = (*alerts.ARCHIVED, *alerts.MADE, *alerts.TESTED)
SERVED: Final = {
    *re.findall(r'metric\("(\w+)"', (SCRIPTS / "metrics.jq").read_text()),
    "backup_repository_up",
    "backup_monitor_last_refresh_timestamp_seconds",
}
ELSEWHERE: Final = {
    # Source: postgres_exporter 0.17, collector/pg_stat_archiver.go
    "pg_stat_archiver_last_archive_age",
    "pg_stat_archiver_failed_count",
    # Source: kube-state-metrics 2.20, docs/metrics/workload/cronjob-metrics.md
    "kube_cronjob_created",
}


def asked(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:backup|pg|kube)_\w+)\b(?!\")", expression))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_asks_for_what_somebody_serves(alert: Alert) -> None:
    assert asked(alert.expression)
    assert asked(alert.expression) <= SERVED | ELSEWHERE


def test_the_dashboard_asks_for_what_somebody_serves() -> None:
    for board in dashboards().values():
        for query in queries(board):
            assert asked(query)
            assert asked(query) <= SERVED | ELSEWHERE


@pytest.mark.parametrize("job", sorted(TASKS.keys() - {"scratch", "restore-table"}))
def test_a_failure_of_every_job_wakes_somebody(job: str) -> None:
    assert any(
        f'backup_job_success{{job="{job}"}}' in alert.expression and alert.expression.endswith("== 0")
        for alert in ALERTS
    )


@pytest.mark.parametrize("job", ["restore-test", "drill", "dump", "freshness"])
def test_a_proof_that_never_came_wakes_somebody_too(job: str) -> None:
    (late,) = [
        alert for alert in ALERTS if f'kube_cronjob_created{{cronjob="backups-{job}"}}' in alert.expression
    ]
    assert f'backup_job_last_success_timestamp_seconds{{job="{job}"}}' in late.expression


def test_the_promise_is_drawn_beside_what_was_measured() -> None:
    (board,) = dashboards().values()
    for kind in ("rpo", "rto"):
        (panel,) = [
            panel
            for panel in panels(board)
            if f"backup_measured_{kind}_seconds" in panel["targets"][0]["expr"]
        ]
        assert f"backup_promised_{kind}_seconds" in panel["targets"][1]["expr"]


def test_the_dashboard_has_an_address_of_its_own_and_nobody_edits_it() -> None:
    assert [board.uid for board in BOARDS] == list(dashboards()) == ["fixia-backups"]
    assert all(board["editable"] is False for board in dashboards().values())
    for board in dashboards().values():
        numbers = [panel["id"] for panel in panels(board)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(query.count("[") == query.count("[$__rate_interval]") for query in queries(board))
