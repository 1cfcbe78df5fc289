"""Nothing is lost while a copy of the application, or the entrance itself, goes away."""

import http.client
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifact import fakes
from tests.artifact.callers import Callers
from tests.artifact.entrance_world import (
    PATIENCE_SECONDS,
    Upstream,
    World,
    asked,
    traefik,
    upstream,
    world,
)


def slowly(connection: http.client.HTTPConnection, number: int) -> int:
    """A request that takes some hundredths of a second, from a client of its own."""
    return asked(connection, f"/slow?0.0{number % 8}", client=f"198.51.100.{number % 250}").status


@pytest.fixture
def upstreams() -> Iterator[list[Upstream]]:
    traefik()  # skips first
    with upstream("first") as first, upstream("second") as second:
        yield [first, second]


@pytest.fixture
def here(upstreams: list[Upstream], tmp_path: Path) -> Iterator[World]:
    with world(traefik(), tmp_path, upstreams, removal_seconds=2) as running:
        yield running


def test_a_copy_that_drains_loses_no_request(here: World, upstreams: list[Upstream]) -> None:
    leaving, staying = upstreams
    with Callers(here, "site.test", slowly, count=8) as callers:
        callers.more(100)
        # As the cluster does: first it is said that the pod ends, then the pod is told to.
        here.endpoints("site", [staying.pod], terminating=[leaving.pod])
        callers.more(100)
        for service in ("api", "ws"):
            here.endpoints(service, [staying.pod], terminating=[leaving.pod])
        code = leaving.stop()
        callers.more(100)
        here.endpoints("site", [staying.pod])
        callers.more(100)

    assert code == 0
    assert set(callers.answers) == {200}


def test_a_client_that_is_bound_to_a_draining_copy_stays_until_it_is_gone(
    here: World, upstreams: list[Upstream]
) -> None:
    leaving, staying = upstreams
    cookies: dict[str, dict[str, str]] = {}
    while len(cookies) < 2:
        answer = here.ask("ws.test")
        cookies[answer.told["name"]] = {"Cookie": answer.headers["Set-Cookie"].split("; ")[0]}
    here.endpoints("ws", [staying.pod], terminating=[leaving.pod])

    assert here.ask("ws.test", headers=cookies["first"]).told["name"] == "first"
    assert {here.ask("ws.test").told["name"] for _ in range(10)} == {"second"}

    here.endpoints("ws", [staying.pod])
    assert here.ask("ws.test", headers=cookies["first"]).told["name"] == "second"


def test_an_entrance_that_is_told_to_stop_finishes_what_it_has(here: World) -> None:
    answers: list[int | str] = []

    def ask() -> None:
        try:
            answers.append(here.ask("site.test", "/slow?4").status)
        except OSError as error:
            answers.append(repr(error))

    slow = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in slow:
        thread.start()
    fakes.until(lambda: open_requests(here) >= len(slow), "the slow requests")

    here.process.send_signal(signal.SIGTERM)
    fakes.until(lambda: here.plain("ping", "/ping").status == 503, "the word that it stops")
    late = here.ask("site.test").status  # somebody who has not heard of it yet
    for thread in slow:
        thread.join(PATIENCE_SECONDS)

    assert late == 200
    assert answers == [200] * len(slow)
    assert here.process.wait(PATIENCE_SECONDS) == 0


def open_requests(here: World) -> int:
    """How many connections are open to the entrance's TLS port."""
    lines = here.metrics().splitlines()
    found = [line for line in lines if line.startswith('traefik_open_connections{entrypoint="websecure"')]
    return int(float(found[0].split()[-1])) if found else 0
