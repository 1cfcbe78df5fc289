"""The whole platform on a real Kubernetes: it serves, its jobs do what they promise, and all of it is watched."""

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.artifact.pod import eventually
from tests.artifact.sample_app import application_or_skip
from tests.cluster.platform import PATIENCE_SECONDS, Platform

pytestmark = [pytest.mark.cluster, pytest.mark.platform]

WEB, API, SOCKETS = "fixia.test", "api.fixia.test", "ws.fixia.test"

PARAMETERISED = ("backups-restore-table", "backups-scratch")
"""Templates of `make restore`, which gives them what they can't do without."""

TOLD: dict[str, dict[str, str]] = {
    name: {"GRACE_SECONDS": "0"} for name in ("maintenance-vacuum", "maintenance-reindex")
}
"""At another time than a backup's, which they would wait for."""

WATCHED_SECONDS = 600

OF_THIS_MACHINE: dict[str, Callable[[], bool]] = {
    **dict.fromkeys(
        ("NodeBusy", "NodeLoadHigh", "NodeWaitsForCpu", "AutoscalerAtMaximum"),
        lambda: psutil.getloadavg()[1] > 1,
    ),
    # A claim's volume is a folder: what is free on it is what is free on the machine's disk.
    **dict.fromkeys(
        (
            *("VolumeFilling", "VolumeNearlyFull", "VolumeFullWithinHours", "VolumeFullWithinDays"),
            *("DataVolumeAlmostFull", "DataVolumeFullSoon", "LogsVolumeOutgrown"),
        ),
        lambda: psutil.disk_usage("/var/tmp").free < psutil.disk_usage("/var/tmp").total / 2,
    ),
    "NodeClockUnsynchronised": lambda: not clock_is_set(),
}
"""Alerts that are about the machine which carries the node -> whether it is so."""


JOBS = (
    "alertmanager api apiserver backups cache cadvisor cert-manager collector collector-counts database entrance"
    " kube-state-metrics kubelet logs node-exporter pool prometheus realtime traces web worker"
)


def clock_is_set() -> bool:
    """Whether the kernel says that something keeps its clock right: STA_UNSYNC of adjtimex(2) is not set."""
    code = "import ctypes; b = (ctypes.c_char * 208)(); print(ctypes.CDLL(None).adjtimex(b))"
    return (
        subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        != "5"
    )


def signed_up(up: Platform) -> tuple[str, dict[str, str]]:
    account = {"email": f"{uuid.uuid4()}@example.invalid", "password": uuid.uuid4().hex}
    answer = up.post(API, "/auth/signup", account)
    assert answer.status == 201, answer.body
    token = str(answer.told["token"])
    return token, {"Authorization": f"Bearer {token}"}


def test_every_pod_is_ready_and_nothing_was_started_twice(up: Platform) -> None:
    status = up.status()
    assert status["ready"]
    assert all(part["ready"] for part in status["parts"])
    assert {pod["namespace"] for pod in status["pods"]} >= {
        *("fixia-app", "fixia-data", "fixia-ingress", "fixia-monitoring", "kube-system")
    }
    waiting = [pod for pod in status["pods"] if not pod["ready"] and pod["phase"] != "Succeeded"]
    assert not [pod for pod in waiting if not pod["name"].startswith("backups-")]
    assert [host["url"] for host in status["hosts"]] == [
        f"https://{name}" for name in sorted((WEB, API, SOCKETS))
    ]


def test_the_command_that_status_shows_for_a_host_reaches_it(up: Platform) -> None:
    (host,) = [each for each in up.status()["hosts"] if each["url"] == f"https://{WEB}"]
    ended = subprocess.run(
        [*host["command"].split(), "--silent", "--show-error"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "<html" in ended.stdout.lower()


def test_the_page_comes_over_https(up: Platform) -> None:
    page = up.ask(WEB)
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"]
    assert up.ask(WEB, "/config.json").told == {"api": f"https://{API}"}


def test_the_api_keeps_what_it_is_given_in_the_database_behind_the_pool(up: Platform) -> None:
    _, bearer = signed_up(up)
    made = up.post(API, "/items", {"name": "kept"}, **bearer)
    assert made.status == 201
    assert [item["id"] for item in up.ask(API, "/items", headers=bearer).told["items"]] == [made.told["id"]]
    asked = f"SELECT name FROM items WHERE id = '{made.told['id']}'"  # noqa: S608 the server's own number
    command = (
        "exec",
        "database-0",
        "-c",
        "postgresql",
        "--",
        "psql",
        "-AtqU",
        "postgres",
        "-d",
        "fixia",
        "-c",
        asked,
    )
    assert up.said("-n", "fixia-data", *command).strip() == "kept"


def test_a_queued_job_is_done_by_a_worker(up: Platform) -> None:
    _, bearer = signed_up(up)
    job = up.post(API, "/jobs", {"text": "hello"}, **bearer).told["id"]

    def state() -> Any:
        return up.ask(API, f"/jobs/{job}", headers=bearer).told["state"]

    eventually(lambda: state() == "completed", "the job is done", PATIENCE_SECONDS)


def test_sockets_hear_each_other_over_two_pods(up: Platform, tmp_path: Path) -> None:
    app = application_or_skip(tmp_path)
    token, _ = signed_up(up)
    told = {
        "url": f"https://{SOCKETS}",
        "port": 443,
        "address": up.address(),
        "ca": str(up.place.public_authority),
        "certificate": [],
        "token": token,
        "client": "203.0.113.50",
        "cookies": True,
    }
    # The autoscaler starts the second one when the first is ready, and the entrance hears of it in its turn.
    met_first: set[str] = set()

    def both_answer() -> bool:
        # Of a session that nobody has: a new one would be counted for a while.
        answer = up.ask(SOCKETS, "/socket.io/?EIO=4&transport=polling&sid=nobody")
        met_first.add(answer.headers.get("Set-Cookie", "").partition(";")[0])
        return len(met_first - {""}) == 2

    eventually(both_answer, "two socket servers answer", PATIENCE_SECONDS)
    command = ["node", "test/sockets.js", json.dumps(told)]
    with subprocess.Popen(
        command, cwd=app, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        try:
            assert clients.stdout is not None
            met = json.loads(clients.stdout.readline())
            on_each = connected(up)
            clients.communicate(timeout=60)
        finally:
            clients.kill()
    count = len(met["polling"]) + len(met["upgrades"])
    assert len(on_each) == 2
    assert sum(on_each) == count > min(on_each) > 0, on_each
    assert met["echoes"] == [True] * count
    assert met["heard"] == ["hello"] * count


def connected(up: Platform) -> list[float]:
    """The clients of each of the socket servers, as each says itself."""
    pods = up.said(
        "-n", "fixia-app", "get", "pods", "-l", "app.kubernetes.io/name=realtime", "-o", "name"
    ).split()
    ask = "fetch('http://127.0.0.1:9464/metrics').then(a => a.text()).then(t => console.log(t))"
    found = []
    for pod in pods:
        text = up.said("-n", "fixia-app", "exec", pod, "--", "node", "-e", ask)
        found += [
            float(line.split()[1]) for line in text.splitlines() if line.startswith("websocket_connections ")
        ]
    return found


def test_every_cron_job_succeeds_when_its_time_comes(up: Platform) -> None:
    known = {each["metadata"]["name"]: each["metadata"]["namespace"] for each in up.objects("cronjobs")}
    assert set(known) >= {"backups-backup", "backups-restore-test", "backups-drill", "maintenance-vacuum"}
    assert set(known) >= set(PARAMETERISED)
    # The backup first: others read it.
    for name in sorted(set(known) - set(PARAMETERISED), key=lambda name: (name != "backups-backup", name)):
        words = up.trigger(known[name], name, **TOLD.get(name, {}))
        if name == "backups-restore-test":
            finished = json.loads(words.splitlines()[-1])
            assert finished["event"] == "finished"
            assert 0 < finished["rto_seconds"] < 1800
            assert finished["rpo_seconds"] < 300


def test_prometheus_scrapes_every_target(up: Platform) -> None:
    def down() -> list[dict[str, str]]:
        return [labels for labels, value in up.prometheus("up") if value != 1]

    eventually(lambda: not down(), "every target answers", PATIENCE_SECONDS)
    jobs = {labels["job"] for labels, _ in up.prometheus("up")}
    assert jobs >= set(JOBS.split())


def test_only_the_watchdog_cries(up: Platform) -> None:
    def firing() -> set[str]:
        told = up.prometheus('ALERTS{alertstate="firing"}')
        return {labels["alertname"] for labels, _ in told if not of_this_machine(labels["alertname"])}

    def old() -> bool:
        """Whether Prometheus has looked for so long that what lasts for a few minutes would fire."""
        return bool(
            up.prometheus(f'time() - process_start_time_seconds{{job="prometheus"}} > {WATCHED_SECONDS}')
        )

    eventually(old, "Prometheus has looked for a while", WATCHED_SECONDS + PATIENCE_SECONDS)
    eventually(lambda: firing() == {"Watchdog"}, "nothing but the Watchdog fires", PATIENCE_SECONDS)


def of_this_machine(alert: str) -> bool:
    return alert in OF_THIS_MACHINE and OF_THIS_MACHINE[alert]()


def test_bringing_up_what_is_up_changes_nothing(up: Platform) -> None:
    ended = up.make("platform", "--", "--expect-no-changes")
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
