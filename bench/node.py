"""A node of Kubernetes on this machine: how soon it is there, what it holds idle, and a stack on it."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import psutil

from bench.measure import say, seconds
from simulator.faults import Fault
from simulator.golang.install import installed
from simulator.node import catalogue, cgroups, machine
from simulator.node import node as nodes
from simulator.node.control_plane import ControlPlane
from simulator.node.place import FOLDER_SETTING, NETWORK_SETTING, Place
from simulator.node.platform import KUBECONFIG, STACK
from simulator.node.programs import programs
from simulator.programs.registry import PROGRAMS
from simulator.session import Session
from simulator.stack_file import with_placeholders
from tests.recorder import ROOT

ROUNDS = 3
NETWORK = IPv4Network("10.220.0.0/16")
GOALS = {"ready_s": 30, "idle_mib": 1000}
STILL_SECONDS = 60.0
"""How long a node is left alone before its memory is looked at."""


def node(folder: Path, session: Session) -> dict[str, Any]:
    """A node from programs and images that are there already, and the local stack on it.

    Args:
        folder: for a second session; made.
        session: unused but for its engine.

    Returns:
        `boot`: seconds until node, DNS and metrics are ready, beside etcd and an API server alone.
        `idle`: what all of its processes hold, shared pages in shares, beside those two.
        `stack`: seconds of the first `up` of the local stack, of one that changes nothing and of the end of
        all, beside the same on simulated providers, which wait for nothing.
        `skipped`: why there is none of it on this machine.
    """
    try:
        machine.require()
    except Fault as fault:
        return {"skipped": str(fault).partition("\n")[0]}
    catalogue.of_the_node(programs())  # what is made once is no part of it
    folder.mkdir(parents=True)
    boots, alone = [], []
    for turn in range(ROUNDS):
        alone.append(_api_server()[0])
        with _place() as place:
            boots.append(seconds(partial(nodes.up, place)))
        say(f"boot, turn {turn + 1} of {ROUNDS}: {boots[-1]:.1f} s, an API server alone {alone[-1]:.1f} s")
    with _place() as place:
        nodes.up(place)
        idle = _idle(place)
        say(f"idle: {idle:.0f} MiB")
        stack = _stack(place, session, folder)
    return {
        "boot": {
            "ready_s": statistics.median(boots),
            "of_each_turn_s": boots,
            "api_server_alone_s": statistics.median(alone),
            "ratio": statistics.median(boots) / statistics.median(alone),
            "goal_s": GOALS["ready_s"],
        },
        "idle": {"mib": idle, "api_server_alone_mib": _api_server()[1], "goal_mib": GOALS["idle_mib"]},
        "stack": stack,
    }


@contextlib.contextmanager
def _place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="fixia-bench-", dir="/var/tmp"))
    place = Place(folder=folder, network=NETWORK)
    try:
        yield place
    finally:
        nodes.down(place)
        shutil.rmtree(folder, ignore_errors=True)


def _api_server() -> tuple[float, float]:
    """Seconds until etcd and an API server answer, and what they hold then."""
    etcd, server = (installed(PROGRAMS[name]) for name in ("etcd", "kube-apiserver"))
    begun = time.perf_counter()
    with ControlPlane(etcd=etcd, apiserver=server):
        taken = time.perf_counter() - begun
        children = psutil.Process().children(recursive=True)
        return taken, _held(child.pid for child in children if child.name() in ("etcd", "kube-apiserver"))


def _idle(place: Place) -> float:
    time.sleep(STILL_SECONDS)  # nothing happens in it that could be waited for
    return _held(cgroups.members(place.mark))


def _held(pids: Iterable[int]) -> float:
    """MiB, by proportional set sizes."""
    held = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            held += psutil.Process(pid).memory_full_info().pss
    return held / 2**20


def _stack(place: Place, session: Session, folder: Path) -> dict[str, Any]:
    real = {name: seconds(partial(_command, place, name)) for name in ("platform", "unchanged", "down")}
    settings = folder / f"Pulumi.{STACK}.yaml"
    with_placeholders(ROOT / settings.name, settings)
    session.init(STACK, ROOT)
    simulated = {}
    for name, command in (("up", "up"), ("unchanged", "up"), ("down", "destroy")):
        arguments = (command, "--yes", "--skip-preview", "--stack", STACK, "--config-file", str(settings))
        simulated[name] = seconds(partial(_engine, session, arguments))
    return {
        "up_s": real["platform"],
        "unchanged_s": real["unchanged"],
        "down_s": real["down"],
        "simulated": {f"{name}_s": taken for name, taken in simulated.items()},
    }


def _command(place: Place, name: str) -> None:
    """Run what `make up` and `make down` run; what the engine says is not ours to print."""
    say(name)
    arguments = ["down"] if name == "down" else ["platform", "--stack", STACK]
    env = {key: value for key, value in os.environ.items() if key != KUBECONFIG}
    env |= {FOLDER_SETTING: str(place.folder), NETWORK_SETTING: str(place.network)}
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "node", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"node {name} failed, so nothing was measured\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def _engine(session: Session, arguments: tuple[str, ...]) -> None:
    done = session.pulumi(*arguments, program=ROOT, capture=True)
    if done.returncode:
        raise SystemExit(f"pulumi {arguments[0]} failed, so nothing was measured\n{done.stdout[-2000:]}")
