"""How a component is watched: plain data beside it, handed to the monitoring, which knows no component.

A component says where it tells its metrics, what somebody is woken for, and how it looks over time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.network import Endpoint

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


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One series that is computed ahead, because many ask for it or it takes long.

    Attributes:
        record: its name, `level:metric:operations`.
        expression: PromQL.

    Source: https://prometheus.io/docs/practices/rules/
    """

    record: str
    expression: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """Pods that tell metrics. Each series gets their `namespace`, `pod` and `node`, and the `job`.

    Attributes:
        job: what they are to the rules, such as `database`.
        endpoint: the pods, and the port of their metrics.
        path: where they tell them.
        interval_seconds: how often they are asked.
        honor_labels: whether labels that they tell win; for who tells of others.
        tls: whether they show a certificate of the platform's own authority.
    """

    job: str
    endpoint: Endpoint
    path: str = "/metrics"
    interval_seconds: int = 30
    honor_labels: bool = False
    tls: bool = False


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What one component brings.

    Attributes:
        name: unique in the platform; its rules are a group of that name.
        targets: whose metrics are collected.
        alerts: what somebody is told.
        recordings: what is computed ahead of the alerts.
        boards: file name, ending in `.json` -> a dashboard as Grafana reads it.
    """

    name: str
    targets: Sequence[Target] = ()
    alerts: Sequence[Alert] = ()
    recordings: Sequence[Recording] = ()
    boards: Mapping[str, str] = field(default_factory=dict)


def files(dashboards: Mapping[str, Mapping[str, Any]], *uids: str) -> dict[str, str]:
    """Dashboards as files for Grafana.

    Args:
        dashboards: uid -> a dashboard.
        uids: which of them; all unless told.

    Raises:
        KeyError: there is none of that uid.
    """
    return {f"{uid}.json": json.dumps(dashboards[uid], separators=(",", ":")) for uid in uids or dashboards}


def rules(group: str, alerts: Sequence[Alert], recordings: Sequence[Recording] = ()) -> dict[str, Any]:
    """Rules as Prometheus reads them: the content of one file.

    Args:
        group: the group's name, unique in the platform; its rules are evaluated one after the other.
        alerts: the alerts.
        recordings: what is computed before the alerts are.

    Source: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
    """
    return {
        "groups": [
            {
                "name": group,
                "rules": [
                    *({"record": each.record, "expr": each.expression} for each in recordings),
                    *(
                        {
                            "alert": alert.name,
                            "expr": alert.expression,
                            "for": f"{alert.minutes}m",
                            "labels": {"severity": alert.severity},
                            "annotations": {"summary": alert.summary, "runbook": alert.runbook},
                        }
                        for alert in alerts
                    ),
                ],
            }
        ]
    }
