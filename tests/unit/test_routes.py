"""Who is told of what: every combination of receivers has an answer, and nothing hides what it should not."""

import importlib
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, get_args

import pulumi
import pytest

from components.monitoring import routes
from components.monitoring.routes import (
    INHIBITIONS,
    KINDS,
    ROUTES,
    WATCHDOG,
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
from components.watch import Alert, Severity
from tests.recorder import ROOT


def credential(value: str = "secret") -> Credential:
    return Credential(current=pulumi.Output.secret(value))


def receivers(*kinds: Kind, switch: bool = False) -> Receivers:
    every: dict[Kind, Any] = {
        "slack": Slack(channel="#alerts", url=credential()),
        "email": Email(to=["ops@example.org"], sender="alerts@example.org", password=credential()),
        "pagerduty": PagerDuty(routing_key=credential()),
        "webhook": Webhook(url=credential()),
    }
    chosen: dict[str, Any] = {kind: every[kind] for kind in kinds}
    return Receivers(**chosen, dead_mans_switch=credential() if switch else None)


def route(severity: Severity) -> Route:
    (found,) = (each for each in ROUTES if each.severity == severity)
    return found


def told(severity: Severity, *kinds: Kind) -> set[Kind]:
    return set(route(severity).kinds(receivers(*kinds)))


def every_alert() -> Iterator[Alert]:
    """All that the modules of the components hold, by themselves, in a collection, or made by a function."""
    for path in sorted((ROOT / "components").rglob("*.py")):
        if "Alert(" not in path.read_text(encoding="utf-8") or path.name == "watch.py":
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for value in list(vars(module).values()):
            items = [value] if isinstance(value, Alert) else value if isinstance(value, list | tuple) else []
            yield from (item for item in items if isinstance(item, Alert))


def known() -> dict[str, Alert]:
    from components.monitoring.application_alerts import alerts

    return {alert.name: alert for alert in (*every_alert(), *alerts(["api"]))}


def seconds(duration: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def test_each_severity_has_one_route() -> None:
    assert [each.severity for each in ROUTES] == list(get_args(Severity))


def test_with_all_receivers_each_severity_reaches_its_own() -> None:
    assert told("P1", *KINDS) == {"pagerduty", "slack", "email", "webhook"}
    assert told("P2", *KINDS) == {"slack", "pagerduty", "webhook"}
    assert told("P3", *KINDS) == {"slack"}
    assert told("P4", *KINDS) == {"email"}


def test_without_pagerduty_email_stands_in_and_is_repeated() -> None:
    assert told("P2", "slack", "email") == {"slack", "email"}
    with_it, without = receivers("pagerduty", "email"), receivers("email")
    assert seconds(route("P1").repeat_interval(without)) < seconds(route("P1").repeat_interval(with_it))
    assert route("P3").repeat_interval(without) == route("P3").repeat_interval(with_it)


@pytest.mark.parametrize("severity", get_args(Severity))
def test_whoever_is_there_is_told_and_nobody_else(severity: Severity) -> None:
    for count in range(1, len(KINDS) + 1):
        for kinds in combinations(KINDS, count):
            chosen = route(severity).kinds(receivers(*kinds))
            assert chosen
            assert set(chosen) <= set(kinds)
            assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("switch", [True, False])
def test_nobody_at_all_is_refused(switch: bool) -> None:
    with pytest.raises(ValueError, match=r"nobody is told.*valid: at least one of pagerduty, slack"):
        receivers(switch=switch)


@pytest.mark.parametrize("each", ROUTES, ids=lambda each: str(each.severity))
def test_a_repetition_is_missed_by_no_moment(each: Route) -> None:
    """Alertmanager repeats what it told more than `repeat` ago, and looks once in each interval."""
    interval = seconds(each.group_interval)
    for repeat in filter(None, (each.repeat, each.repeat_unanswered)):
        left = seconds(repeat) % interval
        assert left == 0 or interval - left >= 60, f"{repeat} is a moment short of, or past, an interval"
        if not each.working_hours:
            assert left, f"{repeat} is a whole number of intervals, so it comes one late"


def test_within_the_hour_and_within_the_day() -> None:
    assert seconds(route("P1").group_wait) <= 60
    assert seconds(route("P1").repeat) <= 3600
    assert seconds(route("P2").group_wait) + seconds(route("P2").group_interval) < 3600
    assert seconds(route("P4").group_interval) == 24 * 3600
    assert 3600 * 10 < seconds(route("P3").repeat) < 3600 * 14  # once on each working day


def test_the_least_urgent_is_one_message_of_all() -> None:
    assert route("P4").group_by == ("severity",)
    assert {route(severity).group_by for severity in ("P1", "P2", "P3")} == {("alertname", "namespace")}


@pytest.mark.parametrize("inhibition", INHIBITIONS, ids=lambda each: f"{each.causes}->{each.hides}")
def test_an_inhibition_is_about_alerts_that_there_are(inhibition: Inhibition) -> None:
    alerts = known()
    for pattern in (inhibition.causes, inhibition.hides):
        for part in _alternatives(pattern):
            assert any(re.fullmatch(part, name) for name in alerts), f"no alert is called {part}"
    hidden = {name for name in alerts if re.fullmatch(inhibition.hides, name)}
    causes = {name for name in alerts if re.fullmatch(inhibition.causes, name)}
    assert {alerts[name].severity for name in hidden - causes} & {"P2", "P3", "P4"}, "it hides nothing"
    assert inhibition.equal
    assert "severity" not in inhibition.equal


def _alternatives(pattern: str) -> list[str]:
    """The parts of a pattern that stand beside each other at its top."""
    parts, depth = [""], 0
    for sign in pattern:
        depth += (sign in "([") - (sign in ")]")
        if sign == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


@pytest.mark.parametrize(
    ("cause", "kept"),
    [
        ("DatabaseDown", "DataVolumeAlmostFull"),
        ("DatabaseDown", "DataVolumeFullSoon"),
        ("DatabaseDown", "BackupTooOld"),
        ("CacheDown", "BackupTooOld"),
        ("CacheDown", "DatabaseConnectionsNearLimit"),
        ("NodeNotReady", WATCHDOG),
        ("DatabaseDown", WATCHDOG),
    ],
)
def test_what_may_be_the_cause_or_has_nothing_to_do_with_it_is_told(cause: str, kept: str) -> None:
    assert kept in known()
    assert not [
        each for each in INHIBITIONS if re.fullmatch(each.causes, cause) and re.fullmatch(each.hides, kept)
    ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"to": []}, "nobody"),
        ({"to": ["ops"]}, "'ops' is no address"),
        ({"to": ["a@b, c@d"]}, "is no address"),
        ({"sender": "Alerts <a@example.org>"}, "is no address"),
        ({"smarthost": "smtp.example.org"}, "a server and its port"),
        ({"smarthost": "smtp.example.org:0"}, "a server and its port"),
        ({"smarthost": "smtp.example.org:99999"}, "a server and its port"),
    ],
)
def test_an_email_that_could_reach_nobody_is_refused(wrong: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"to": ["ops@example.org"], "sender": "a@example.org", "password": credential()}
    with pytest.raises(ValueError, match=says):
        Email(**{**given, **wrong})


def test_a_timezone_is_one_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_timezone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="'Berlin' is none; valid: a name of the IANA database"):
        require_timezone("Berlin")
    monkeypatch.setattr(routes, "available_timezones", set)
    assert require_timezone("Mars/Olympus") == "Mars/Olympus"  # Alertmanager itself refuses it then
