"""What a component wants to be woken for: plain data beside the component, told to the monitoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["P1", "P2", "P3", "P4"]
"""How soon somebody looks: at once, day or night; within the hour; on the working day; when there is time."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One rule: when the expression has held for some minutes, somebody is told.

    Attributes:
        name: in PascalCase, unique in the platform.
        expression: PromQL; every series that it yields is one alert.
        minutes: how long it must hold.
        severity: how soon somebody looks.
        summary: one line for who is told; `{{ $labels.name }}` and `{{ $value }}` are filled in.
        runbook: what to do, as a file's path in this repository.
    """

    name: str
    expression: str
    minutes: int
    severity: Severity
    summary: str
    runbook: str


def rules(group: str, alerts: Sequence[Alert]) -> dict[str, Any]:
    """Alerts as Prometheus reads them: the content of one file of rules.

    Args:
        group: the group's name, unique in the platform; its rules are evaluated one after the other.
        alerts: the alerts.

    Source: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
    """
    return {
        "groups": [
            {
                "name": group,
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": alert.expression,
                        "for": f"{alert.minutes}m",
                        "labels": {"severity": alert.severity},
                        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
                    }
                    for alert in alerts
                ],
            }
        ]
    }
