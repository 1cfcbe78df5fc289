"""The real Alertmanager, as its pod runs it, tells whom it should, once, and in words that help."""

import re
import shlex
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from components.monitoring import alertmanager_config as config
from components.monitoring.routes import KINDS, Kind
from settings import silence
from simulator.images.container import Bind, Container, run_in
from tests.artifact.alertmanager_world import (
    MAIL_PASSWORD,
    PASSWORD,
    ROUTING_KEY,
    RUNBOOK,
    RUNBOOKS,
    AlertmanagerPod,
    World,
    alert,
    world,
)
from tests.artifact.pod import eventually, system
from tests.recorder import ROOT
from tests.unit.test_routes import receivers

SEVERITIES = ("P1", "P2", "P3", "P4")


@pytest.fixture
def around(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def pod(around: World) -> AlertmanagerPod:
    return AlertmanagerPod(around.folder / "pod", around)


def amtool(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run amtool over a folder of configuration files."""
    output = folder.parent / "amtool.log"
    output.unlink(missing_ok=True)
    binds = [Bind(source=folder, target=config.CONFIG_FOLDER)]
    with run_in(system("alertmanager"), ["amtool", *arguments], binds=binds, output=output) as program:
        code = program.wait(30)
    return code, output.read_text()


def written(folder: Path, *kinds: Kind, **options: Any) -> Path:
    """The configuration files of a stack with these receivers."""
    folder.mkdir()
    grafana = "https://grafana.example"
    files = config.templates("production", runbooks=RUNBOOKS, dashboards=grafana)
    told = config.alertmanager_yml(receivers(*kinds, switch=True), dashboards=True, **options)
    for name, text in {**files, "alertmanager.yml": told}.items():
        (folder / name).write_text(text)
    return folder


FILE = f"{config.CONFIG_FOLDER}/alertmanager.yml"


def test_it_takes_the_configuration_whoever_is_told(tmp_path: Path) -> None:
    combined = [kinds for count in range(1, len(KINDS) + 1) for kinds in combinations(KINDS, count)]
    for number, kinds in enumerate(combined):
        folder = written(tmp_path / str(number), *kinds, timezone="Europe/Berlin")
        code, said = amtool(folder, "check-config", FILE)
        assert code == 0, said
        assert said.count("SUCCESS") == 2, "of the configuration, and of the templates"
        assert f"- {len(SEVERITIES) + 1} receivers" in said


def test_it_routes_by_severity_and_knows_the_watchdog_by_its_name(tmp_path: Path) -> None:
    folder = written(tmp_path / "config", *KINDS)
    wanted = {
        **{f"severity={each} alertname=CacheDown": each for each in SEVERITIES},
        "severity=P4 alertname=Watchdog": "dead-mans-switch",
        "alertname=CacheDown": "P2",
        "severity=nonsense alertname=CacheDown": "P2",
    }
    for labels, receiver in wanted.items():
        told = ("config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={receiver}")
        code, said = amtool(folder, *told, *labels.split())
        assert code == 0, f"{labels}: {said}"


def test_each_severity_reaches_whom_it_should_and_nobody_else(around: World, pod: AlertmanagerPod) -> None:
    with pod.serving():
        pod.fires(*(alert(f"Alert{each}", each) for each in SEVERITIES), alert("AlertNone", None))
        pod.fires(alert("Watchdog", "P4", namespace=""))
        wanted = {
            "AlertP1": {"/v2/enqueue": 1, "/slack": 1, "mail": 1, "/webhook": 1},
            "AlertP2": {"/v2/enqueue": 1, "/slack": 1, "/webhook": 1},
            "AlertP3": {"/slack": 1},
            "AlertNone": {"/v2/enqueue": 1, "/slack": 1, "/webhook": 1},
        }
        for name, places in wanted.items():
            eventually(lambda name=name, places=places: around.about(name) == places, f"{name} reached all")  # type: ignore[misc]
        eventually(lambda: around.told("/switch"), "the switch is asked")
        digest = "the day's alerts"
        eventually(lambda: around.about(digest) == {"mail": 1}, "the digest came by mail")
        for name in (*wanted, "AlertP4", "Watchdog"):
            eventually(lambda name=name: pod.looked(name) >= 3, f"it has had more chances to tell of {name}")  # type: ignore[misc]
    for name, places in wanted.items():
        assert around.about(name) == places
    assert around.about(digest) == {"mail": 1}
    assert around.about("Watchdog") == {}
    assert {each.body["groupLabels"]["alertname"] for each in around.told("/switch")} == {"Watchdog"}
    urgency = {each.title: each.body["payload"]["severity"] for each in around.told("/v2/enqueue")}
    assert {title.split()[1]: severity for title, severity in urgency.items() if title.startswith("P")} == {
        "AlertP1": "critical",
        "AlertP2": "warning",
    }


def test_the_end_is_told_to_the_same_and_to_nobody_else(around: World, pod: AlertmanagerPod) -> None:
    places = {"/v2/enqueue", "/slack", "mail", "/webhook"}
    with pod.serving():
        pod.fires(alert("CacheDown"), alert("Watchdog", "P4", namespace=""))
        eventually(lambda: set(around.about("CacheDown")) == places, "all are told")
        eventually(lambda: around.told("/switch"), "the switch is asked")
        pod.fires(alert("CacheDown"), alert("Watchdog", "P4", namespace=""), ended=True)
        eventually(lambda: around.about("CacheDown") == dict.fromkeys(places, 2), "all are told of the end")
        over = re.compile(r'"flushing".*Watchdog\[\w+\]\[resolved\]')
        eventually(lambda: over.search(pod.log("alertmanager")), "the watchdog's end was looked at")
    begun, ended = around.told("/v2/enqueue")
    assert (begun.body["event_action"], ended.body["event_action"]) == ("trigger", "resolve")
    assert begun.body["dedup_key"] == ended.body["dedup_key"]
    assert begun.body["routing_key"] == ROUTING_KEY
    slack, mail = around.told("/slack")[1], around.mail.got[1]
    assert slack.title == mail.title == "Resolved: P1 CacheDown in fixia-data (production)"
    assert slack.body["attachments"][0]["color"] == "good"
    assert [each.body["status"] for each in around.told("/webhook")] == ["firing", "resolved"]
    assert [each.body["status"] for each in around.told("/switch")] == [
        "firing"
    ]  # its end is no sign of life


def test_a_message_says_what_where_how_badly_and_what_to_do(around: World, pod: AlertmanagerPod) -> None:
    with pod.serving():
        pod.fires(alert("CacheDown", pod="cache-<0>&1"))
        eventually(lambda: len(around.about("CacheDown")) == 4, "all are told")
    title = "P1 CacheDown in fixia-data (production)"
    runbook = f"{RUNBOOKS}{RUNBOOK}"
    command = "make silence STACK=production FOR=2h ALERT=CacheDown NAMESPACE=fixia-data REASON='...'"
    form = (
        "https://grafana.example/alerting/silence/new?alertmanager=Alertmanager"
        "&matcher=alertname%3DCacheDown&matcher=namespace%3Dfixia-data"
    )
    (slack,) = around.told("/slack")[0].body["attachments"]
    assert around.told("/slack")[0].body["channel"] == "#alerts"
    assert (slack["title"], slack["title_link"], slack["color"]) == (title, runbook, "danger")
    assert "cache-&lt;0&gt;&amp;1: 93% of it is used" in slack["text"]
    for words in (f"<{runbook}|Runbook>", "<https://grafana.example/dashboards|Dashboard>", command):
        assert words in slack["text"]
    assert f"<{form}|Silence>" in slack["text"]

    (mail,) = around.told("mail")
    assert mail.path == "ops@example.orgduty@example.org"
    assert mail.title == title
    assert mail.mail["From"] == "alerts@example.org"
    plain, html = (mail.mail.get_body([kind]).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    for words in ("cache-<0>&1: 93% of it is used", runbook, command, form, "since "):
        assert words in plain
    assert "alertname=CacheDown, namespace=fixia-data, pod=cache-<0>&1" in plain
    assert "cache-&lt;0&gt;&amp;1: 93% of it is used" in html
    assert "<0>" not in html
    assert f'<a href="{runbook}">Runbook</a>' in html
    assert command.replace("'", "&#39;") in html or command in html

    event = around.told("/v2/enqueue")[0].body
    assert event["payload"]["summary"] == title
    assert event["payload"]["component"] == "fixia-data"
    assert event["client_url"] == runbook
    assert {link["text"]: link["href"] for link in event["links"]} == {
        "Runbook": runbook,
        "Dashboard": "https://grafana.example/dashboards",
    }
    assert "93% of it is used" in str(event["payload"]["custom_details"])


def test_a_hundred_at_once_are_one_message_for_each_name_and_namespace(
    around: World, pod: AlertmanagerPod
) -> None:
    with pod.serving():
        many = [alert("PodsDown", pod=f"pod-{number}") for number in range(100)]
        other = [alert("PodsDown", pod=f"pod-{number}", namespace="fixia-app") for number in range(2)]
        pod.fires(*many, *other)
        eventually(lambda: around.about("PodsDown").get("/slack") == 2, "both groups are told")
        eventually(lambda: pod.looked("PodsDown") >= 6, "it has had more chances to tell")
    assert sorted(each.title for each in around.told("/slack")) == [
        "P1 PodsDown in fixia-app, 2 of 2 firing (production)",
        "P1 PodsDown in fixia-data, 100 of 100 firing (production)",
    ]
    longest = max((each.body["attachments"][0]["text"] for each in around.told("/slack")), key=len)
    assert longest.count("93% of it") == 10
    assert "and 90 more" in longest
    assert len(longest) < 1500
    (mail,) = (each.mail for each in around.told("mail") if "100" in each.title)
    assert "- and 50 more" in mail.get_body(["plain"]).get_content()  # type: ignore[union-attr]


def test_secrets_come_from_files_and_are_shown_nowhere(around: World, pod: AlertmanagerPod) -> None:
    with pod.serving():
        pod.fires(alert("First"))
        eventually(lambda: len(around.about("First")) == 4, "all are told")
        pod.write_secret("slack-url", f"{around.web.url}/renewed", volume="receivers")
        pod.fires(alert("Second"))
        eventually(lambda: around.told("/renewed"), "the new address is used, without a restart")
        shown = pod.ask("/api/v2/status")
    everywhere = shown + pod.log("alertmanager") + " ".join(pod.arguments) + pod.configuration.read_text()
    for secret in (
        ROUTING_KEY,
        MAIL_PASSWORD,
        PASSWORD,
        f"{around.web.url}/slack",
        f"{around.web.url}/switch",
    ):
        assert secret not in everywhere
    assert around.mail.refused == []


def test_what_is_silenced_is_not_told_until_it_ends(
    around: World, pod: AlertmanagerPod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pod.serving() as running:
        _by_exec(monkeypatch, running)
        told = ["--stack", "production", "--program", str(ROOT)]
        pod.fires(alert("Loud", pod="a"))
        eventually(lambda: around.about("Loud").get("/slack") == 1, "it is loud")
        some = [
            "--for",
            "2h",
            "--alert",
            "CacheDown",
            "--namespace",
            "fixia-data",
            "--reason",
            'it\'s "moved"',
        ]
        assert silence.main([*told, *some]) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        number = re.findall(r"^id +(\S+)$", said, re.MULTILINE)[0]
        assert "firing    nothing of it now" in said
        pod.fires(alert("CacheDown", pod="cache-0"), alert("CacheDown", namespace="elsewhere"))
        eventually(lambda: around.about("CacheDown").get("/slack") == 1, "the other namespace's is told")
        eventually(lambda: pod.looked("CacheDown") >= 6, "it has had more chances to tell")
        assert [each.title for each in around.told("/slack") if "CacheDown" in each.title] == [
            "P1 CacheDown in elsewhere (production)"
        ]
        assert silence.main([*told, "--list"]) == 0
        listed = capsys.readouterr().out
        assert number in listed
        assert "alertname=CacheDown namespace=fixia-data" in listed
        assert 'it\'s "moved"' in listed
        assert silence.main([*told, "--end", number]) == 0
        eventually(lambda: around.about("CacheDown").get("/slack") == 2, "it is told when the silence ends")
        everything = ["--for", "10m", "--all", "--reason", "the move"]
        assert silence.main([*told, *everything]) == 0, capsys.readouterr().err
        assert "firing    3" in capsys.readouterr().out
        asked = len(around.told("/switch"))
        pod.fires(alert("Quiet"), alert("Watchdog", "P4", namespace=""))
        eventually(lambda: len(around.told("/switch")) > asked, "the watchdog is never silenced")
        eventually(lambda: pod.looked("Quiet") >= 3, "it has had chances to tell")
        assert around.about("Quiet") == {}
        assert silence.main([*told, "--end", "00000000-0000-0000-0000-000000000000"]) == silence.USAGE


def _by_exec(monkeypatch: pytest.MonkeyPatch, running: Container) -> None:
    """Have the command's kubectl go into this container."""

    def run(_: silence.Alertmanager, *arguments: str) -> str:
        if arguments[0] == "get":
            return "production"
        assert arguments[:2] == ("exec", "statefulset/alertmanager")
        ended = running.execute(arguments[arguments.index("--") + 1 :], timeout=30)
        if ended.code:
            raise silence.RefusedError("\n".join(ended.lines))
        return "\n".join(ended.lines)

    monkeypatch.setattr(silence.Alertmanager, "_run", run)


def test_what_has_a_known_cause_is_told_when_that_has_ended(around: World, pod: AlertmanagerPod) -> None:
    with pod.serving():
        pod.fires(alert("DatabaseDown"))
        eventually(lambda: around.about("DatabaseDown").get("/slack") == 1, "the cause is told")
        consequences = [
            alert("PoolClientsWait", "P2"),
            alert("PaymentsFail", "P2", namespace="fixia-app"),
            alert("PoolUnwatched", "P2", namespace=""),  # about no namespace that we know
            alert("PoolClientsNearLimit", "P2", namespace="fixia-other"),
            alert("BackupTooOld", "P2"),
            alert("PoolDown", "P1"),
        ]
        pod.fires(*consequences)
        told = ("PoolUnwatched", "PoolClientsNearLimit", "BackupTooOld", "PoolDown")
        for name in told:
            eventually(lambda name=name: around.about(name).get("/slack") == 1, f"{name} is told")  # type: ignore[misc]
        for name in ("PoolClientsWait", "PaymentsFail"):
            eventually(lambda name=name: pod.looked(name) >= 3, f"it has had chances to tell of {name}")  # type: ignore[misc]
            assert around.about(name) == {}
        pod.fires(alert("DatabaseDown"), alert("PoolDown", "P1"), ended=True)
        for name in ("PoolClientsWait", "PaymentsFail"):
            eventually(lambda name=name: around.about(name).get("/slack") == 1, f"{name} is told")  # type: ignore[misc]


@pytest.mark.parametrize("working", [False, True])
def test_what_can_wait_for_working_hours_waits_for_them(around: World, working: bool) -> None:
    def hours(told: dict[str, Any]) -> None:
        (interval,) = told["time_intervals"]
        # A year that has passed is never.
        interval["time_intervals"] = [{"weekdays": ["sunday:saturday"]} if working else {"years": ["2020"]}]

    pod = AlertmanagerPod(around.folder / "pod", around, changes=hours)
    with pod.serving():
        pod.fires(alert("Later", "P3"), alert("Sooner", "P2"))
        eventually(lambda: around.about("Sooner").get("/slack") == 1, "the urgent one is told")
        eventually(lambda: pod.looked("Later") >= 3, "it has had chances to tell")
        assert around.about("Later") == ({"/slack": 1} if working else {})


def test_what_lasts_is_told_again(around: World) -> None:
    def soon(told: dict[str, Any]) -> None:
        for route in told["route"]["routes"]:
            route["repeat_interval"] = "1s"

    pod = AlertmanagerPod(around.folder / "pod", around, changes=soon)
    with pod.serving():
        pod.fires(alert("CacheDown"), alert("Watchdog", "P4", namespace=""))
        eventually(lambda: around.about("CacheDown").get("mail", 0) >= 3, "it is repeated")
        eventually(lambda: len(around.told("/switch")) >= 3, "the switch is asked again and again")


def test_its_time_zones_and_authorities_are_in_the_image() -> None:
    rootfs = system("alertmanager")
    assert (rootfs / "usr/share/zoneinfo/Europe/Berlin").is_file()
    assert (rootfs / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100_000


def test_what_the_runbooks_have_typed_works(around: World, pod: AlertmanagerPod) -> None:
    pages = [*ROOT.glob("docs/runbooks/alertmanager-*.md"), ROOT / "docs/runbooks/silence-alerts.md"]
    typed = {
        " ".join(each.split()).replace('"$USER"', "ada")
        for page in pages
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for each in re.findall(r"\bamtool [^;|#\n]+", block.replace("\\\n", ""))
    }
    assert len(typed) >= 6
    with pod.serving() as running:
        for command in sorted(typed):
            ended = running.execute(shlex.split(command), timeout=30)
            assert ended.code == 0, f"{command}: {ended.lines}"
        eventually(
            lambda: around.about("Trial") == {"/v2/enqueue": 1, "/slack": 1, "/webhook": 1}, "the trial"
        )
