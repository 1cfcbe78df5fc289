"""The entrance beside the application alone, and while a copy of the application drains or dies."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.load import CONNECTIONS, Load, Target
from bench.measure import say
from simulator.programs.registry import traefik
from simulator.session import Session
from tests.artifact import fakes
from tests.artifact.entrance_world import CLIENT, PROXY, Upstream, World, upstream, world
from tests.artifact.sample_app import Unavailable, application, copy_of

REQUESTS = {"direct": 200_000, "entrance": 30_000}
"""A round takes some four seconds either way: one busy second of the machine must not decide it."""
DRAINED_REQUESTS = 50_000
CRASHED_REQUESTS = 20_000
ROUNDS = 5
_TINY = "tests/artifact/upstream.py (Python), two copies"


def entrance(folder: Path, _: Session) -> dict[str, Any]:
    """Requests through the generated entrance beside the same ones straight to a tiny application.

    Through the entrance they are encrypted, and pass every middleware of a route without limits. Everything
    runs on this machine and takes turns on its cores.

    Args:
        folder: for the entrance's files; made.

    Returns:
        For `direct` and `entrance` the round with the median rate, see `Load.run`, with the slowest and the
        fastest round's. The direct rate is as fast as the generator goes: no limit of the application's.
        `drain`: the same for requests during which one of two copies goes away, of the sample application
        where that runs, and how many had been answered before and by then. `crash`: what fails after one of
        two dies unannounced.
        What was used to measure.
    """
    with (
        upstream("first") as first,
        upstream("second") as second,
        world(traefik(), folder, [first, second]) as here,
    ):
        targets = {
            "direct": [Target(address=one.pod, host="site.test") for one in (first, second)],
            "entrance": [_through(here)],
        }
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
        for turn in range(ROUNDS + 1):
            for name, target in targets.items():
                taken = Load(target, REQUESTS[name]).run()
                # The first finds everything cold.
                if turn:
                    rounds[name].append(taken)
                    rate = taken["requests_per_second"]
                    say(f"{name}, turn {turn} of {ROUNDS}: {rate:.0f} requests a second")
        medians = {name: _median(taken) for name, taken in rounds.items()}
    with (
        _application(folder) as ((first, second), drained),
        world(traefik(), folder / "drain", [first, second]) as here,
    ):
        drain = _drain(here, leaving=first, staying=second)
    with (
        upstream("first") as first,
        upstream("second") as second,
        world(traefik(), folder / "crash", [first, second]) as here,
    ):
        crash = _crash(here, dying=first)
    return {
        **medians,
        "rate_to_direct": medians["entrance"]["requests_per_second"]
        / medians["direct"]["requests_per_second"],
        "added_p50_ms": medians["entrance"]["p50_ms"] - medians["direct"]["p50_ms"],
        "drain": drain,
        "crash": crash,
        "generator": f"bench/load.py (Python, one process, {CONNECTIONS} connections)",
        "application": {"drain": drained, "direct, entrance and crash": _TINY},
    }


@contextmanager
def _application(folder: Path) -> Iterator[tuple[tuple[Upstream, Upstream], str]]:
    """Two copies that drain: the sample application's page, or the tiny one where that can't run."""
    with ExitStack() as stack:
        try:
            app = application(folder)
        except Unavailable as reason:
            say(f"no sample application: {reason}")
            tiny = (stack.enter_context(upstream("first")), stack.enter_context(upstream("second")))
            yield tiny, f"{_TINY}; {reason}"
            return
        first, second = (
            stack.enter_context(copy_of(app, ["web"], {}, address=address, log=folder / f"web-{address}.log"))
            for address in ("127.0.1.1", "127.0.1.2")
        )
        yield (first, second), "images/sample-app web (Node.js), two copies"


def _through(here: World) -> Target:
    # A client of its own choice is what a proxy would say; the route has no limits.
    return Target(
        address=(PROXY, here.ports["websecure"]),
        host="site.test",
        headers={"X-Forwarded-For": CLIENT},
        tls=here.context(),
    )


def _median(taken: list[dict[str, float]]) -> dict[str, float]:
    ordered = sorted(taken, key=lambda one: one["requests_per_second"])
    return {
        **ordered[len(ordered) // 2],
        "slowest_round_per_second": ordered[0]["requests_per_second"],
        "fastest_round_per_second": ordered[-1]["requests_per_second"],
    }


def _drain(here: World, *, leaving: Upstream, staying: Upstream) -> dict[str, float]:
    """Ends a copy under load as the cluster does: say that it ends, end it, say that it is gone."""
    load = Load([_through(here)], DRAINED_REQUESTS)
    answered: dict[str, int] = {}

    def end() -> None:
        fakes.until(lambda: load.answered > DRAINED_REQUESTS // 4, "a quarter of the requests")
        answered["answered_before"] = load.answered
        here.endpoints("site", [staying.pod], terminating=[leaving.pod])
        leaving.stop()
        here.endpoints("site", [staying.pod])
        answered["answered_until_gone"] = load.answered
        enough = load.answered + DRAINED_REQUESTS // 4
        fakes.until(lambda: load.answered > enough, "another quarter of the requests")

    measured = load.run(end)
    return {**measured, **answered}


def _crash(here: World, *, dying: Upstream) -> dict[str, float]:
    """Kills a copy under load, and lets the cluster know nothing of it."""
    load = Load([_through(here)], CRASHED_REQUESTS)
    before = 0

    def kill() -> None:
        nonlocal before
        fakes.until(lambda: load.answered > CRASHED_REQUESTS // 4, "a quarter of the requests")
        dying.process.kill()
        dying.process.wait()
        before = load.answered

    measured = load.run(kill)
    return {**measured, "failed_share_after": measured["failed"] / (measured["requests"] - before)}
