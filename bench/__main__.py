"""`make bench`: prints one JSON object; progress goes to standard error, Ctrl-C prints what is there."""

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import programs
from bench.backup import backup
from bench.database import database
from bench.entrance import entrance
from bench.measure import Peak, exponent, say, seconds, side_by_side
from bench.monitoring import monitoring
from bench.node import node
from bench.policies import policies
from bench.pool import pool
from bench.preview import preview
from simulator.engine import release
from simulator.engine.install import engine
from simulator.session import Session
from tests.recorder import ROOT

WORKLOADS = (1, 10, 100, 300)
ROUNDS = 3


def main() -> None:
    """Runs the measurements and prints them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "group",
        type=_group,
        nargs="*",
        help=f"what to measure, of {', '.join(MEASUREMENTS)}; all unless told",
    )
    chosen = parser.parse_args().group or [*MEASUREMENTS]
    result: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "providers": "simulated",
    }
    with tempfile.TemporaryDirectory(prefix="fixia-bench-") as folder, Session(engine()) as session:
        session.init(programs.STACK, ROOT)
        try:
            for name in chosen:
                say(name)
                result[name] = MEASUREMENTS[name](Path(folder) / name, session)
        except KeyboardInterrupt:
            result["interrupted"] = True
    print(json.dumps(result, indent=2))


def _group(name: str) -> str:
    if name not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MEASUREMENTS)}")
    return name


def first_preview(folder: Path, _: Session) -> dict[str, float]:
    """From an empty clone to the first preview, beside the bare cost of what it has to fetch and compile."""
    folder.mkdir(parents=True)
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL}
    fresh = {**os.environ, "FIXIA_CACHE": str(folder / "cache")}
    clone = folder / "clone"

    def ours() -> None:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], **quiet)
        subprocess.run(["make", "preview"], cwd=clone, env=fresh, **quiet)

    def pip() -> None:
        subprocess.run(["python3", "-m", "venv", str(folder / "venv")], **quiet)
        pinned = ["-c", str(ROOT / "constraints.txt"), "-r", str(ROOT / "requirements-dev.txt")]
        subprocess.run([str(folder / "venv/bin/pip"), "install", "--quiet", *pinned], **quiet)

    def go() -> None:
        caches = {
            "GOMODCACHE": str(folder / "go/mod"),
            "GOCACHE": str(folder / "go/build"),
            "GOFLAGS": "-modcacherw",
        }
        build = [
            "go",
            "build",
            "-trimpath",
            "-ldflags",
            "-s -w",
            "-o",
            str(folder / "pulumi"),
            release.PACKAGE,
        ]
        subprocess.run(build, cwd=release.FOLDER, env={**os.environ, **caches}, **quiet)

    whole, bare = seconds(ours), seconds(pip) + seconds(go)
    return {"clone_to_preview_s": whole, "pip_install_and_go_build_s": bare, "ratio": whole / bare}


def warm_preview(folder: Path, session: Session) -> dict[str, float]:
    """Ours beside a program of two resources, and beside the same resources declared flat."""
    fleet = programs.with_workloads(30)
    taken = side_by_side(
        {
            "staging": preview(session, ROOT),
            "two_resources": preview(session, programs.two(folder / "two")),
            "components": preview(session, programs.ours(folder / "ours", fleet)),
            "flat": preview(session, programs.flat(folder / "flat", fleet)),
        },
        rounds=ROUNDS,
    )
    return {
        "staging_s": taken["staging"],
        "two_resources_s": taken["two_resources"],
        "staging_to_two_resources": taken["staging"] / taken["two_resources"],
        "thirty_workloads_s": taken["components"],
        "thirty_workloads_flat_s": taken["flat"],
        "component_overhead": taken["components"] / taken["flat"],
    }


def growth(folder: Path, session: Session) -> dict[str, Any]:
    """Preview with more and more workloads: how its time grows, and what it holds in memory."""
    empty = seconds(preview(session, programs.two(folder / "two")))
    points, peaks = {}, {}
    for count in WORKLOADS:
        program = programs.ours(folder / str(count), programs.with_workloads(count))
        with Peak() as peak:
            points[count] = seconds(preview(session, program))
        peaks[count] = peak.mib
        say(f"{count} workloads: {points[count]:.1f} s, {peak.mib:.0f} MiB")
    beyond = {count: taken - empty for count, taken in points.items() if count >= 10}
    return {"seconds": points, "two_resources_s": empty, "exponent": exponent(beyond), "peak_mib": peaks}


MEASUREMENTS: dict[str, Callable[[Path, Session], dict[str, Any]]] = {
    "warm_preview": warm_preview,
    "growth": growth,
    "policies": policies,
    "entrance": entrance,
    "pool": pool,
    "database": database,
    "backup": backup,
    "monitoring": monitoring,
    "node": node,
    "first_preview": first_preview,
}

if __name__ == "__main__":
    main()
