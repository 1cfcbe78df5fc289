"""Who cannot be told keeps nobody else from it, and who should not know learns nothing."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.artifact.alertmanager_world import AlertmanagerPod, World, alert, refused, world
from tests.artifact.pod import eventually


@pytest.fixture
def around(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def pod(around: World) -> AlertmanagerPod:
    return AlertmanagerPod(around.folder / "pod", around)


def test_nobody_comes_in_without_the_password(pod: AlertmanagerPod) -> None:
    with pod.serving() as running:
        for path in ("/metrics", "/api/v2/alerts", "/-/healthy"):
            for password in (None, "wrong"):
                assert refused(lambda path=path, password=password: pod.ask(path, password=password)) == 401  # type: ignore[misc]
        with socket.create_connection(("127.0.0.1", pod.port)) as plain:
            plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"200 OK" not in plain.recv(100)
        for kind in ("startup", "readiness", "liveness"):
            assert pod.probe("alertmanager", running, kind)[0] == 0
        pod.write_secret("password", "wrong", volume="access")
        assert pod.probe("alertmanager", running, "readiness")[0] != 0


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is down"])
def test_one_who_cannot_be_told_keeps_nobody_else_from_it(around: World, fault: str) -> None:
    pod = AlertmanagerPod(around.folder / "pod", around)
    if fault == "refuses":
        around.web.answers["/slack"] = 404
    elif fault == "hangs":
        around.web.hangs.add("/slack")
    else:
        pod.write_secret("slack-url", "http://127.0.0.1:1/slack", volume="receivers")
    others = {"/v2/enqueue": 1, "mail": 1, "/webhook": 1}
    with pod.serving():
        pod.fires(alert("First"))
        eventually(lambda: around.about("First") == others, "the others are told of the first")
        pod.fires(alert("Second"))
        eventually(lambda: around.about("Second") == others, "the others are told of the second")
        eventually(lambda: pod.failed("slack") > 0, "the failure is counted", patience=60)
        said = pod.log("alertmanager")
        assert ("Notify" in said, f"{around.web.url}/slack" in said, "127.0.0.1:1/slack" in said) == (
            True,
            False,
            False,
        ), "the log says that it failed, and not the address, which is a secret"
        assert pod.failed("email") == pod.failed("pagerduty") == pod.failed("webhook") == 0
        around.web.answers.clear()
        around.web.hangs.clear()
        pod.write_secret("slack-url", f"{around.web.url}/slack", volume="receivers")
        eventually(lambda: around.about("First").get("/slack") == 1, "it is told when it can be", patience=60)
    assert {place: count for place, count in around.about("First").items() if place != "/slack"} == others


def test_a_mail_server_that_is_not_who_it_says_gets_no_password(around: World) -> None:
    def untrusting(told: dict[str, Any]) -> None:
        for receiver in told["receivers"]:
            for email in receiver.get("email_configs", []):
                del email["tls_config"]  # as in production: who the world trusts

    pod = AlertmanagerPod(around.folder / "pod", around, changes=untrusting)
    with pod.serving():
        pod.fires(alert("First"))
        eventually(lambda: pod.failed("email") > 0, "the server is not trusted")
    assert (around.mail.got, around.mail.refused) == ([], [])


@pytest.mark.parametrize(("wrong", "says"), [("email-password", "535"), ("slack-url", "no_service")])
def test_the_log_says_why_somebody_could_not_be_told(
    around: World, pod: AlertmanagerPod, wrong: str, says: str
) -> None:
    around.web.answers["/gone"] = 404
    pod.write_secret(wrong, f"{around.web.url}/gone", volume="receivers")
    with pod.serving():
        pod.fires(alert("CacheDown"))
        why = re.compile(rf'"Notify.*{says}')
        eventually(lambda: why.search(pod.log("alertmanager")), "why, in the server's own words")
