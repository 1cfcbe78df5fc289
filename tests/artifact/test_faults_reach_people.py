"""Faults that are caused for real reach the right people, with their runbook, and are taken back when they end.

What is watched and what watches are the real programs with the components' configuration and rules. Of the rules
the times alone are divided by 60: how long an alert must hold, how far back it looks, and three ages;
`tests.artifact.watched_world` says exactly which. So what is printed in the end is, but for the scrapes and for
the messages' own way, a sixtieth of production's. What of a fault is not real says `tests.artifact.faults`.
"""

import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest

from components.backup import alerts as backup
from components.data import alerts as data
from components.monitoring.application_alerts import alerts as of_application
from components.monitoring.routes import ROUTES
from components.watch import Alert, Recording, rules
from tests.artifact.alertmanager_world import RUNBOOKS, Told
from tests.artifact.faults import FAULTS
from tests.artifact.pod import eventually
from tests.artifact.watched_world import FACTOR, Watched, hastened, watched

PATIENCE = 90.0
PLACES = {"pagerduty": "/v2/enqueue", "slack": "/slack", "email": "mail", "webhook": "/webhook"}
SILENCE_SECONDS = 10.0
"""The dead man's switch is told each second here: production's minute, by 60."""


@dataclass(frozen=True)
class Seconds:
    """How long one alert took, from the fault and from its end, until all had been told."""

    severity: str
    minutes: int
    told: float
    taken_back: float


@pytest.fixture(scope="module")
def seconds(request: pytest.FixtureRequest) -> Iterator[dict[str, Seconds]]:
    """What was measured; printed in the end."""
    measured: dict[str, Seconds] = {}
    yield measured
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print(f"\n{table(measured)}")


def table(measured: Mapping[str, Seconds]) -> str:
    """What was measured, alert by alert and class by class."""
    lines = ["seconds from the fault until all were told, and from its end until it was taken back"]
    late: dict[str, list[float]] = {}
    for name, found in sorted(measured.items(), key=lambda each: (each[1].severity, each[0])):
        holds = found.minutes * 60 / FACTOR
        late.setdefault(found.severity, []).append(found.told - holds)
        lines.append(
            f"{found.severity} {name:34} for: {holds:4.0f}  told: {found.told:5.1f}"
            f"  taken back: {found.taken_back:5.1f}"
        )
    # Beyond what an alert has to hold: scrapes, rules, Alertmanager, and the message's own way.
    lines += [
        f"{severity}: {len(each)} alerts, told {min(each):.1f} to {max(each):.1f} s after their `for`"
        for severity, each in late.items()
    ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, seconds: dict[str, Seconds]) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as made:
        yield made


def states(told: Told, alert: str) -> set[str]:
    """What a message says of an alert: `firing`, `resolved`, both or nothing."""
    body, found = told.body, set()
    if "payload" in body:
        if alert == body["payload"]["class"]:
            found.add({"trigger": "firing", "resolve": "resolved"}[body["event_action"]])
    elif "attachments" in body:
        if re.search(rf" {alert}\b", told.title):
            found.add("resolved" if told.title.startswith("Resolved: ") else "firing")
    elif told.mail["Subject"]:
        firing, _, resolved = said_in(told).partition("\nResolved:\n")
        said = {"firing": firing, "resolved": resolved}
        found |= {state for state, text in said.items() if re.search(rf"alertname={alert}\b", text)}
    else:
        found |= {each["status"] for each in body["alerts"] if each["labels"]["alertname"] == alert}
    return found


def said_in(told: Told) -> str:
    """All that a message says, as text."""
    if told.mail["Subject"]:
        plain = told.mail.get_body(("plain",))
        assert plain is not None
        return str(plain.get_content()).replace("\r\n", "\n")
    return str(told.body)


def places(world: Watched, alert: str) -> list[str]:
    """Where an alert must be told."""
    (route,) = [each for each in ROUTES if each.severity == world.alerts[alert].severity]
    return [PLACES[kind] for kind in route.kinds(world.around.receivers())]


def marks(world: Watched) -> dict[str, int]:
    """How many messages have come so far, by where."""
    return {place: len(world.around.told(place)) for place in PLACES.values()}


def untold(world: Watched, alert: str, state: str, since: Mapping[str, int]) -> list[str]:
    """Those who must be told, with the runbook, and have not been."""
    runbook = world.alerts[alert].runbook
    return [
        place
        for place in places(world, alert)
        if not any(
            state in states(each, alert)
            and (runbook if place == "/webhook" else RUNBOOKS + runbook) in said_in(each)
            for each in world.around.told(place)[since[place] :]
        )
    ]


@pytest.mark.heavy
@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_runbook_and_taken_back(
    world: Watched, seconds: dict[str, Seconds], fault: str
) -> None:
    cause, alerts = FAULTS[fault]
    for alert in alerts:
        eventually(lambda alert=alert: not world.fires(alert), f"{alert} is quiet", PATIENCE)  # type: ignore[misc]
    since, began = marks(world), time.monotonic()
    with cause(world):
        told = awaited(world, alerts, "firing", since, began)
        since, ended = marks(world), time.monotonic()
    taken_back = awaited(world, alerts, "resolved", since, ended)
    for alert in alerts:
        known = world.alerts[alert]
        seconds[alert] = Seconds(known.severity, known.minutes, told[alert], taken_back[alert])


def awaited(
    world: Watched, alerts: Sequence[str], state: str, since: Mapping[str, int], began: float
) -> dict[str, float]:
    """Seconds until all who must have been told of each alert."""
    found: dict[str, float] = {}

    def all_told() -> bool:
        for alert in alerts:
            if alert not in found and not untold(world, alert, state, since):
                found[alert] = time.monotonic() - began
        return found.keys() == set(alerts)

    try:
        eventually(all_told, f"{state}: {', '.join(alerts)}", PATIENCE)
    except AssertionError as late:
        missing = {
            alert: (world.fires(alert), untold(world, alert, state, since))
            for alert in alerts
            if alert not in found
        }
        raise AssertionError(f"{late}; missing: {missing}") from late
    return found


def test_of_the_rules_the_times_alone_are_divided() -> None:
    ages = "(queue_oldest_waiting_seconds) > 300"
    told = rules(
        "group",
        [
            Alert(name="Some", expression='increase(a{b="[5m]x"}[10m]) > 300 and c offset 21h', minutes=5,
                  severity="P1", summary="s", runbook="r"),
            Alert(name="QueueStuck", expression=f"max by (namespace) {ages}", minutes=1500,
                  severity="P2", summary="s", runbook="r"),
        ],
        [Recording(record="a:b", expression="rate(c[15m]) + d[1h:1m]")],
    )  # fmt: skip
    recording, some, aged = hastened(told, 60)["groups"][0]["rules"]
    assert recording == {"record": "a:b", "expr": "rate(c[15000ms]) + d[60000ms:1000ms]"}
    assert some["for"] == "5000ms"
    assert some["expr"] == 'increase(a{b="[5m]x"}[10000ms]) > 300 and c offset 1260000ms'
    assert aged["expr"] == "max by (namespace) (queue_oldest_waiting_seconds) > 5"
    before = told["groups"][0]["rules"]
    for new, old in zip((recording, some, aged), before, strict=True):
        assert {key for key in new if new[key] != old[key]} <= {"expr", "for"}


@pytest.mark.parametrize("firing", [True, False])
def test_every_kind_of_message_is_read(firing: bool) -> None:
    title = f"{'' if firing else 'Resolved: '}P2 CacheUnwatched (production)"
    state = "firing" if firing else "resolved"
    mail = EmailMessage()
    mail["Subject"] = title
    mail.set_content(f"{title}\n\n{state.title()}:\n- it\n  alertname=CacheUnwatched, pod=a\n")
    bodies: dict[str, dict[str, Any]] = {
        "/slack": {"attachments": [{"title": title}]},
        "/webhook": {"alerts": [{"status": state, "labels": {"alertname": "CacheUnwatched"}}]},
        "/v2/enqueue": {
            "event_action": "trigger" if firing else "resolve",
            "payload": {"summary": title, "class": "CacheUnwatched"},
        },
    }
    messages = [Told(path, body) for path, body in bodies.items()] + [Told("mail", mail=mail)]
    for message in messages:
        assert states(message, "CacheUnwatched") == {state}, message.path
        assert states(message, "Cache") == states(message, "CacheDown") == set(), message.path


def test_no_rule_of_the_components_looks_back_as_far_as_before() -> None:
    alerts = (
        *data.DATABASE,
        *data.POOLED,
        *data.CACHED,
        *backup.ARCHIVED,
        *backup.MADE,
        *of_application(["api"]),
    )
    again = hastened(rules("group", alerts))["groups"][0]["rules"]
    assert [rule["alert"] for rule in again] == [alert.name for alert in alerts]
    far = re.compile(r"([\[:]|offset )\d+([shdwy]|m(?!s))")
    assert any(far.search(alert.expression) for alert in alerts)
    for rule, alert in zip(again, alerts, strict=True):
        assert not far.search(rule["expr"]), rule
        assert (rule["for"], rule["labels"]) == (f"{alert.minutes}000ms", {"severity": alert.severity})


@pytest.mark.heavy
@pytest.mark.faults
def test_whoever_waits_for_the_watchdog_hears_when_prometheus_dies(
    world: Watched, seconds: dict[str, Seconds]
) -> None:
    def calls() -> int:
        return len(world.around.told("/switch"))

    before = calls()
    eventually(lambda: calls() >= before + 3, "the switch is told again and again", PATIENCE)
    began = time.monotonic()
    world.running["prometheus"].send_signal(signal.SIGKILL)
    world.running["prometheus"].wait(20)
    last = [calls(), time.monotonic()]

    def silent() -> bool:
        if calls() != last[0]:
            last[:] = [calls(), time.monotonic()]
        return time.monotonic() - last[1] > SILENCE_SECONDS

    try:
        eventually(silent, "the switch is told no more", PATIENCE)
        told = time.monotonic() - began
    finally:
        ended, before = time.monotonic(), calls()
        world.begin_prometheus()
    eventually(lambda: calls() > before, "the switch is told again", PATIENCE)
    seconds["Watchdog"] = Seconds("P4", 1, told, time.monotonic() - ended)
