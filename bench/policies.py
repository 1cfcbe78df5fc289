"""The policy pack: cost per resource, share of a preview, growth, and a scanner's time beside it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bench import programs
from bench.measure import exponent, say, seconds, side_by_side
from bench.preview import preview
from simulator.session import Session
from tests.recorder import ROOT

SIZES = (100, 1000, 5000)
ROUNDS = 3
BAD = ROOT / "tests" / "policy" / "bad"
OBJECTS = "good.yaml"
"""Eleven objects that belong together and break no policy; a stack is as many namespaces of them as fit."""


def policies(folder: Path, session: Session) -> dict[str, Any]:
    """The pack's cost and share of a preview; its growth, beside checkov if that is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    return {**_share(folder, session), **_growth(folder)}


def _share(folder: Path, session: Session) -> dict[str, float]:
    program = programs.ours(folder / "ours", programs.with_workloads(100))
    # The stack's own levels exempt what is not in this program, and a needless exemption fails.
    advised = {name: "advisory" for name, own in _levels().items() if own == "advisory"}
    config = folder / "levels.json"
    config.write_text(json.dumps(advised), encoding="utf-8")
    pack = ("--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(config))
    taken = side_by_side(
        {"without": preview(session, program), "with": preview(session, program, *pack)}, rounds=ROUNDS
    )
    events = folder / "events.jsonl"
    preview(session, program, "--event-log", str(events))()
    resources = sum('"resourcePreEvent"' in line for line in events.read_text().splitlines())
    cost = taken["with"] - taken["without"]
    return {
        "resources": resources,
        "without_s": taken["without"],
        "with_s": taken["with"],
        "ms_per_resource": 1000 * cost / resources,
        "share_of_preview": cost / taken["with"],
    }


def _levels() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "policies" / f"levels.{programs.STACK}.json").read_text())
    return loaded


def _growth(folder: Path) -> dict[str, Any]:
    """The pack's own time over more and more objects, as the engine asks it, without the engine."""
    points = {size: seconds(_judge(folder, size)) for size in SIZES}
    for size, taken in points.items():
        say(f"{size} resources: {taken:.2f} s")
    with tempfile.TemporaryDirectory(prefix="fixia-bench-") as scanned:
        (Path(scanned) / "stack.yaml").write_text(yaml.safe_dump_all(_objects(SIZES[0])), encoding="utf-8")
        checkov = _checkov(Path(scanned))
    return {"seconds": points, "exponent": exponent(points), "checkov_s": {SIZES[0]: checkov}}


def _objects(size: int) -> list[dict[str, Any]]:
    good = list(yaml.safe_load_all((BAD / OBJECTS).read_text(encoding="utf-8")))
    found: list[dict[str, Any]] = []
    for number in range(-(-size // len(good))):
        text = json.dumps(good).replace('"shop"', f'"shop-{number}"')
        found += json.loads(text)
    return found[:size]


def _judge(folder: Path, size: int) -> Callable[[], object]:
    """The pack in a process of its own, given the objects; what is measured begins when they are read."""
    file = folder / f"objects-{size}.json"
    file.write_text(json.dumps(_objects(size)), encoding="utf-8")
    script = Path(__file__).with_name("policy_run.py")
    command = [sys.executable, "-P", str(script), str(file)]

    def run() -> None:
        subprocess.run(
            command, check=True, env={"PYTHONPATH": str(ROOT / "policies")}, stdout=subprocess.DEVNULL
        )

    return run


def _checkov(folder: Path) -> float | None:
    """How long the scanner takes; None where it is not installed yet (`tests/cross`)."""
    from tests.cross import scanner

    if not (scanner.environment() / "complete").exists():
        return None
    return seconds(lambda: scanner.failed(folder))
