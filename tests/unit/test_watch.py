"""Every alert of every component can be told apart, and leads to a runbook that says what to do."""

import importlib
import re
from collections import Counter
from typing import get_args

import pytest

from components.watch import Alert, Severity
from tests.recorder import ROOT

MODULES = sorted((ROOT / "components").rglob("alerts.py"))
SECTIONS = ("Check", "Act", "Verify")


def alerts() -> list[Alert]:
    """All that the `alerts` modules hold, by themselves or in a collection."""
    found: list[Alert] = []
    for path in MODULES:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for value in vars(module).values():
            items = [value] if isinstance(value, Alert) else value if isinstance(value, list | tuple) else []
            found += [item for item in items if isinstance(item, Alert)]
    return found


every_alert = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)


def test_there_are_alerts() -> None:
    assert {"CertificateExpiresSoon", "ServedCertificateExpiresThisWeek"} <= {
        alert.name for alert in alerts()
    }


def test_names_are_unique() -> None:
    counts = Counter(alert.name for alert in alerts())
    assert [name for name, count in counts.items() if count > 1] == []


@every_alert
def test_an_alert_says_what_when_and_how_badly(alert: Alert) -> None:
    assert re.fullmatch(r"([A-Z][a-z0-9]*)+", alert.name)
    assert alert.expression.strip()
    assert alert.expression.count("(") == alert.expression.count(")")
    assert alert.minutes > 0
    assert alert.severity in get_args(Severity)
    assert alert.summary.strip()
    assert "\n" not in alert.summary


@every_alert
def test_an_alert_leads_to_a_runbook_that_names_it(alert: Alert) -> None:
    assert alert.runbook.startswith("docs/runbooks/")
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert f"`{alert.name}`" in text
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] in ("Symptom", "Reason")
    assert tuple(headings[1:]) == SECTIONS
