"""What a stack costs in a month, by component: `python -m delivery.cost --stack production`.

An estimate out of the last review's resources and the list prices of `components/cost/prices.yaml`: from as
few pods as there ever are to as many. It says what it leaves out, and stands beside what the product's
documents say. The program tells the same figures as its output `cost` (`components/cost/ledger.py`).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.cost.estimate import Estimate, Range, estimate, prices_of
from components.cost.sizes import sizes, states
from delivery import recorded
from simulator.faults import USAGE, Fault
from simulator.processes import guarded


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a stack costs before a change and after it; `before` is None where nothing stands yet."""

    before: Estimate | None
    after: Estimate


def compare(digest: Mapping[str, Any], prices: Mapping[str, Any], plan_before: str | None) -> Comparison:
    """Estimate both sides of a preview.

    Args:
        digest: what `pulumi preview --json --show-sames` printed, parsed.
        prices: `components/cost/prices.yaml`, parsed.
        plan_before: the edge's plan before the change; the one after it is in the configuration.
    """
    before, after = states(digest)
    stood = any(state.get("custom") for state in before.values())
    now = estimate(sizes(after), prices, plan_of(digest.get("config") or {}))
    return Comparison(before=estimate(sizes(before), prices, plan_before) if stood else None, after=now)


def plan_of(config: Mapping[str, Any]) -> str | None:
    """The edge's plan in a configuration, as a file or the engine has it; None without an edge."""
    for key, value in config.items():
        if key.endswith(":edge"):
            section = yaml.safe_load(value) if isinstance(value, str) else value
            return str(section.get("plan")) if isinstance(section, Mapping) else None
    return None


def against(budget: Mapping[str, Any], found: Estimate) -> list[tuple[str, Range, Range]]:
    """A document's rows with what it expects and what was estimated; the last row is the sum of each."""
    rows = [
        (
            str(row["name"]),
            Range(low=float(row["low"]), high=float(row["high"])),
            sum(
                (cost for (type_, _), cost in found.components.items() if _room(type_) in row["components"]),
                Range(),
            ),
        )
        for row in budget["rows"]
    ]
    expected, estimated = (sum(column, Range()) for column in zip(*(row[1:] for row in rows), strict=True))
    return [*rows, ("together", expected, estimated)]


def page(stack: str, found: Estimate, prices: Mapping[str, Any]) -> str:
    """An estimate as text for a terminal."""
    lines = [f"stack {stack}: {found.total} in a month, list prices of {prices['region']}, to be checked", ""]
    lines += [
        f"  {name:<24} {cost!s:>24}  {type_}" for (type_, name), cost in sorted(found.components.items())
    ]
    if found.unread:
        lines += ["", f"not known before the update, counted as nothing: {', '.join(found.unread)}"]
    if found.edge:
        lines += ["", f"no price here: the edge's plan {found.edge}"]
    for budget in prices["budgets"]:
        lines += ["", f"beside the {budget['name']} of {budget['date']} ({budget['note']}):"]
        lines += [
            f"  {name:<36} expected {expected!s:>20}   here {estimated}"
            for name, expected, estimated in against(budget, found)
        ]
    lines += ["", "what the documents say that others ask:"]
    for other in prices["alternatives"]:
        asked = Range(low=float(other["low"]), high=float(other["high"]))
        lines.append(f"  {other['name']:<36} {asked}")
    lines += ["", "left out: " + "; ".join(prices["leftOut"])]
    return "\n".join(lines) + "\n"


def read(program: Path, stack: str, base: str | None) -> Comparison:
    """Compare both sides of a stack's last review.

    Args:
        program: the program's folder.
        stack: the stack's name.
        base: the revision that the preview was compared with, for the edge's plan of then.

    Raises:
        Fault: there was no review, or it left something unreadable.
    """
    file = recorded.files(program, stack)[1]
    try:
        digest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Fault(
            where=str(file),
            found=f"no resources of a preview ({type(error).__name__}: {error})",
            valid="what `python -m delivery.review` keeps there",
            do=f"python -m delivery.review --stack {stack}",
            exit_code=USAGE,
        ) from None
    return compare(digest, prices_of(), _plan_at(program, stack, base, plan_of(digest.get("config") or {})))


def _plan_at(program: Path, stack: str, base: str | None, otherwise: str | None) -> str | None:
    if base is None:
        return otherwise
    command = ["git", "show", f"{base}:./Pulumi.{stack}.yaml"]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True, check=False)
    loaded = yaml.safe_load(done.stdout) if done.returncode == 0 else None
    return plan_of(loaded.get("config") or {}) if isinstance(loaded, Mapping) else otherwise


def _room(type_: str) -> str:
    parts = type_.split(":")
    return parts[1] if parts[0] == "fixia" else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 2 if there was no review to estimate.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.cost", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)

    def command() -> None:
        found = read(given.program, given.stack, None)
        print(page(given.stack, found.after, prices_of()), end="")

    return guarded("cost", command)


if __name__ == "__main__":
    sys.exit(main())
