"""The sample application behind the entrance: the recorded configuration, two copies of each role."""

import contextlib
import gzip
import http.client
import json
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.artifact import fakes
from tests.artifact.callers import Callers
from tests.artifact.entrance_world import PATIENCE_SECONDS, Answer, World, asked, traefik
from tests.artifact.sample_app import AppPod, Copy, application_or_skip, copy_of, deployed, run, servers
from tests.artifact.staged_entrance import config, hosts, staged
from tests.recorder import Recording

ROLES = ("api", "web", "realtime")
ADDRESSES = ("127.0.1.1", "127.0.1.2")
JSON = {"Content-Type": "application/json"}
DRAINED = 3000
"""Requests altogether, while a copy stops."""
NODE_IDLE_SECONDS = 5.0
"""After which Node.js closes an idle connection, unless told otherwise."""


@pytest.fixture(scope="module")
def staging(recordings: Mapping[str, Recording]) -> Recording:
    return recordings["staging"]


@pytest.fixture(scope="module")
def program() -> Path:
    return traefik()


@pytest.fixture(scope="module")
def app(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return application_or_skip(tmp_path_factory.mktemp("application"))


@pytest.fixture(scope="module")
def services(app: Path) -> Iterator[Mapping[str, str]]:
    with servers(app) as there:
        yield there


@pytest.fixture(scope="module")
def copies(
    staging: Recording, services: Mapping[str, str], app: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Copy]]]:
    folder = tmp_path_factory.mktemp("copies")
    found: dict[str, list[Copy]] = {}
    with contextlib.ExitStack() as stack:
        for role in ROLES:
            spec = deployed(staging, role)
            (container,) = spec["containers"]
            environment = AppPod(folder / role, staging, spec, services).environment(container["name"])
            # The loopback stands for the pods' own network, which the entrance's pods are in.
            environment["TRUSTED_PROXIES"] += ",127.0.0.0/8"
            if role == "api":
                migrated = run(app, ["migrate"], environment, folder / "migrate.log")
                assert migrated.code == 0, migrated.output
            found[role] = [
                stack.enter_context(
                    copy_of(
                        app,
                        container["args"],
                        environment,
                        address=address,
                        log=folder / f"{role}-{address}.log",
                    )
                )
                for address in ADDRESSES
            ]
        yield found


@pytest.fixture(scope="module")
def here(
    program: Path,
    staging: Recording,
    copies: dict[str, list[Copy]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    with staged(program, tmp_path_factory.mktemp("entrance"), staging, copies) as running:
        yield running


@pytest.fixture(scope="module")
def host(staging: Recording) -> dict[str, str]:
    return hosts(staging)


def post(here: World, host: str, path: str, body: object, **headers: str) -> Answer:
    return here.ask(host, path, method="POST", body=json.dumps(body).encode(), headers={**JSON, **headers})


def signed_up(here: World, host: str) -> dict[str, str]:
    account = {"email": f"{uuid.uuid4()}@example.invalid", "password": uuid.uuid4().hex}
    answer = post(here, host, "/auth/signup", account)
    assert answer.status == 201, answer.body
    return {**account, "token": answer.told["token"]}


def direct(copy: Copy) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection(*copy.pod, timeout=PATIENCE_SECONDS))


def test_the_page_comes_with_the_entrances_headers_and_its_own_assets(
    here: World, host: dict[str, str], staging: Recording
) -> None:
    headers = config(staging)[1]["http"]["middlewares"]["web-headers"]["headers"]
    page = here.ask(host["web"])

    assert page.status == 200
    assert page.headers.get_all("Content-Security-Policy") == [headers["contentSecurityPolicy"]]
    assert page.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert page.headers.get_all("Referrer-Policy") == [headers["referrerPolicy"]]
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    assert page.headers["Cache-Control"] == "no-cache"
    assert here.ask(host["web"], headers={"If-None-Match": page.headers["ETag"]}).status == 304
    assets = re.findall(r'"(/assets/[^"]+)"', page.body.decode())
    assert len(assets) == 2
    for path in assets:
        asset = here.ask(host["web"], path)
        assert (asset.status, asset.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        if len(asset.body) >= 1024:
            packed = here.ask(host["web"], path, headers={"Accept-Encoding": "gzip"})
            assert packed.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(packed.body) == asset.body


def test_the_page_knows_its_api_and_may_call_it_and_the_sockets(here: World, host: dict[str, str]) -> None:
    origin = f"https://{host['web']}"
    policy = here.ask(host["web"]).headers["Content-Security-Policy"]

    assert here.ask(host["web"], "/config.json").told == {"api": f"https://{host['api']}"}
    for source in (f"https://{host['api']}", f"https://{host['realtime']}", f"wss://{host['realtime']}"):
        assert source in policy.split("connect-src")[1].split(";")[0].split()
    api = here.ask(host["api"], "/version", headers={"Origin": origin})
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    allowed = here.ask(host["realtime"], "/socket.io/", method="OPTIONS", headers=preflight)
    for answer in (api, allowed):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
    # Or a browser would leave out the cookie that keeps it on its pod.
    assert allowed.headers["Access-Control-Allow-Credentials"] == "true"
    foreign = here.ask(host["api"], "/version", headers={"Origin": "https://elsewhere.example"})
    assert foreign.headers["Access-Control-Allow-Origin"] is None


def test_an_account_and_its_items_through_the_entrance(here: World, host: dict[str, str]) -> None:
    account = signed_up(here, host["api"])
    login = post(here, host["api"], "/auth/login", {name: account[name] for name in ("email", "password")})
    assert login.status == 200
    bearer = {"Authorization": f"Bearer {login.told['token']}"}

    made = post(here, host["api"], "/items", {"name": "of two copies"}, **bearer)
    assert made.status == 201
    # Two copies take turns: each of them finds it.
    for _ in range(4):
        listed = here.ask(host["api"], "/items", headers=bearer).told["items"]
        assert [item["id"] for item in listed] == [made.told["id"]]
    assert here.ask(host["api"], "/items").status == 401


def test_the_application_hears_who_the_client_is(here: World, host: dict[str, str]) -> None:
    forged = {"X-Forwarded-For": "192.0.2.9, 203.0.113.8", "X-Request-Id": "request-1234"}
    told = post(here, host["api"], "/echo", {"a": 1}, **forged).told

    expected = {
        "body": {"a": 1},
        "client": "203.0.113.8",
        "protocol": "https",
        "requestId": "request-1234",
    }
    assert told == expected


def test_a_client_has_its_burst_and_then_its_rate(
    here: World, host: dict[str, str], staging: Recording
) -> None:
    limit = config(staging)[1]["http"]["middlewares"]["api-rate"]["rateLimit"]
    began = time.monotonic()
    with here.connection(host["api"]) as connection:
        count = 3 * limit["burst"]
        answers = [asked(connection, "/version", client="203.0.113.40") for _ in range(count)]
    seconds = time.monotonic() - began
    statuses = [answer.status for answer in answers]

    assert set(statuses) == {200, 429}
    assert statuses[: limit["burst"]] == [200] * limit["burst"]
    assert statuses.count(200) <= limit["burst"] + limit["average"] * seconds + 2
    assert int(next(each for each in answers if each.status == 429).headers["Retry-After"]) >= 1
    assert here.ask(host["api"], "/version", client="203.0.113.41").status == 200


def test_the_entrance_and_the_application_refuse_the_same_bodies(
    here: World, host: dict[str, str], staging: Recording, copies: dict[str, list[Copy]]
) -> None:
    limit = config(staging)[1]["http"]["middlewares"]["api-body"]["buffering"]["maxRequestBodyBytes"]
    largest = b'"' + b"x" * (limit - 2) + b'"'

    def announced(connection: http.client.HTTPConnection, length: int) -> int:
        """The answer to the head of a request alone, which is enough to refuse it."""
        connection.putrequest("POST", "/echo")
        for name, value in {**JSON, "Content-Length": str(length), "X-Forwarded-For": "203.0.113.42"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status

    accepted = here.ask(
        host["api"], "/echo", method="POST", body=largest, headers=JSON, client="203.0.113.42"
    )
    assert accepted.status == 200
    assert len(accepted.told["body"]) == limit - 2
    with here.connection(host["api"]) as connection:
        assert announced(connection, limit + 1) == 413
    with direct(copies["api"][0]) as connection:
        assert announced(connection, limit + 1) == 413


@contextlib.contextmanager
def sockets(here: World, host: dict[str, str], app: Path, *, cookies: bool) -> Iterator[dict[str, Any]]:
    """Socket.IO clients, and what they met; they go when the body has ended."""
    told = {
        "url": f"https://{host['realtime']}",
        "port": here.ports["websecure"],
        "ca": str(here.authority),
        "certificate": [str(file) for file in here.client_certificate or ()],
        "token": signed_up(here, host["api"])["token"],
        "client": "203.0.113.50",
        "cookies": cookies,
    }
    command = ["node", "test/sockets.js", json.dumps(told)]
    with subprocess.Popen(
        command, cwd=app, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        try:
            assert clients.stdout is not None
            yield json.loads(clients.stdout.readline())
            clients.communicate(timeout=PATIENCE_SECONDS)
        finally:
            clients.kill()
    assert clients.returncode == 0


def test_sockets_by_polling_and_upgraded_share_rooms_over_two_pods(
    here: World, host: dict[str, str], app: Path, copies: dict[str, list[Copy]]
) -> None:
    with sockets(here, host, app, cookies=True) as met:
        on_each = connected(copies)

    count = len(met["polling"]) + len(met["upgrades"])
    assert sum(on_each) == count > min(on_each) > 0, on_each
    assert set(met["polling"]) == {"polling"}
    assert set(met["upgrades"]) == {"websocket"}
    assert met["echoes"] == [True] * count
    assert met["heard"] == ["hello"] * count
    fakes.until(lambda: sum(connected(copies)) == 0, "everybody to be gone")


def test_it_is_the_cookie_that_keeps_sockets_on_their_pod(
    here: World, host: dict[str, str], app: Path
) -> None:
    with sockets(here, host, app, cookies=False) as met:
        assert met["through"] < met["tried"]


def connected(copies: dict[str, list[Copy]]) -> list[float]:
    """The clients of each copy, as it says itself."""
    found = []
    for copy in copies["realtime"]:
        with contextlib.closing(http.client.HTTPConnection(copy.pod[0], copy.metrics)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        gauge = re.search(r"^websocket_connections (\S+)$", text, re.MULTILINE)
        assert gauge
        found.append(float(gauge[1]))
    return found


def test_a_connection_that_was_idle_serves_the_next_request(
    here: World, host: dict[str, str], staging: Recording, copies: dict[str, list[Copy]]
) -> None:
    with here.connection(host["api"]) as connection:
        assert asked(connection, "/version", client="203.0.113.60").status == 200
        held = connection.sock
        time.sleep(NODE_IDLE_SECONDS + 1)  # idle is what it has to be
        assert asked(connection, "/version", client="203.0.113.60").status == 200
        assert connection.sock is held is not None
    # It is the entrance that closes idle connections to the pods: a pod might close one under a request.
    ours = config(staging)[0]["serversTransport"]["forwardingTimeouts"]["idleConnTimeout"]
    for role in ROLES:
        with direct(copies[role][0]) as connection:
            connection.request("GET", "/version")
            answer = connection.getresponse()
            theirs = re.fullmatch(r"timeout=(\d+)", answer.headers["Keep-Alive"])
            assert theirs
            assert int(theirs[1]) > int(ours.removesuffix("s"))


@pytest.mark.parametrize("role", ROLES)
def test_metrics_are_not_reachable_through_the_entrance(
    here: World, host: dict[str, str], copies: dict[str, list[Copy]], role: str
) -> None:
    port = copies[role][0].metrics
    for headers in ({}, {"Host": f"{host[role]}:{port}"}, {"X-Forwarded-Port": str(port)}):
        answer = here.ask(host[role], "/metrics", headers=headers, client="203.0.113.70")
        assert answer.status == 404
        assert b"process_cpu" not in answer.body
    with contextlib.closing(http.client.HTTPConnection(copies[role][0].pod[0], port)) as connection:
        connection.request("GET", "/metrics")
        assert b"process_cpu" in connection.getresponse().read()


def echo(connection: http.client.HTTPConnection, number: int) -> object:
    """A request with a body of its own, by a client of its own, who has no burst to use up."""
    body = json.dumps({"number": number})
    client = f"198.18.{number // 250 % 250}.{number % 250}"
    answer = asked(connection, "/echo", method="POST", body=body.encode(), headers=JSON, client=client)
    if answer.status != 200:
        return answer.status
    return 200 if answer.told["body"] == {"number": number} else "somebody else's answer"


def test_a_copy_that_is_told_to_stop_loses_no_request(
    here: World, host: dict[str, str], copies: dict[str, list[Copy]]
) -> None:
    leaving, staying = copies["api"]
    with Callers(here, host["api"], echo, count=8) as callers:
        callers.more(DRAINED // 4)
        # Harder than a cluster makes it, whose pods wait before they are told: here nobody has heard of it
        # yet when the process is told, and it is the application that goes on meanwhile.
        leaving.process.send_signal(signal.SIGTERM)
        fakes.until(lambda: "stopping" in leaving.log.read_text(encoding="utf-8"), "the stop to begin")
        with direct(leaving) as connection:
            connection.request("GET", "/health")
            not_ready = connection.getresponse().status
        here.endpoints("api", [staying.pod], terminating=[leaving.pod])
        code = leaving.process.wait(PATIENCE_SECONDS)
        here.endpoints("api", [staying.pod])
        callers.more(DRAINED // 4)
        fakes.until(lambda: len(callers.answers) >= DRAINED, f"{DRAINED} requests")

    assert not_ready == 503
    assert code == 0, leaving.log.read_text(encoding="utf-8")
    assert set(callers.answers) == {200}
