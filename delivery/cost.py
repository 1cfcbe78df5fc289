"""What a stack costs in a month, by component: `python -m delivery.cost --stack production`.

An estimate out of the last review's resources and the list prices of `delivery/prices.yaml`: from as few pods
as there ever are to as many. It says what it leaves out, and stands beside what the product's documents say.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from delivery import recorded
from delivery.sizes import Size, Sized, sizes, states
from simulator.faults import USAGE, Fault
from simulator.processes import guarded

PRICES: Final = Path(__file__).with_name("prices.yaml")
EDGE: Final = "fixia:edge:CloudflareEdge"
_PLANS: Final = {"free": "zoneFree", "pro": "zonePro", "business": "zoneBusiness"}


@dataclass(frozen=True, kw_only=True)
class Range:
    """US dollars in a month, at least and at most."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Range") -> "Range":
        return Range(low=self.low + other.low, high=self.high + other.high)

    def __sub__(self, other: "Range") -> "Range":
        return Range(low=self.low - other.low, high=self.high - other.high)

    def __str__(self) -> str:
        low, high = f"${self.low:,.2f}", f"${self.high:,.2f}"
        return low if low == high else f"{low} to {high}"

    def signed(self) -> str:
        """It as a difference."""
        low, high = (f"{'-' if each < 0 else '+'}${abs(each):,.2f}" for each in (self.low, self.high))
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a stack costs.

    Attributes:
        components: (type token, name) -> dollars in a month.
        unread: resources whose size is known only after the update.
        edge: the edge's plan if it has no price here, such as `enterprise`; else nothing.
    """

    components: Mapping[tuple[str, str], Range]
    unread: tuple[str, ...] = ()
    edge: str = ""

    @property
    def total(self) -> Range:
        """All components together."""
        return sum(self.components.values(), Range())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a stack costs before a change and after it; `before` is None where nothing stands yet."""

    before: Estimate | None
    after: Estimate


def estimate(sized: Sequence[Sized], prices: Mapping[str, Any], plan: str | None) -> Estimate:
    """Put prices on sizes.

    Args:
        sized: what each component takes up.
        prices: `delivery/prices.yaml`, parsed.
        plan: the edge's plan, if the stack has an edge.
    """
    components = {
        (each.type, each.name): Range(
            low=_dollars(each.low, prices, "low"), high=_dollars(each.high, prices, "high")
        )
        for each in sized
    }
    unpriced = ""
    if plan is not None:
        if price := _PLANS.get(plan):
            zone = float(prices["prices"][price]["usd"])
            key = next((key for key in components if key[0] == EDGE), (EDGE, "edge"))
            components[key] = components.get(key, Range()) + Range(low=zone, high=zone)
        else:
            unpriced = plan
    unread = tuple(name for each in sized for name in each.unread)
    return Estimate(components=components, unread=unread, edge=unpriced)


def compare(digest: Mapping[str, Any], prices: Mapping[str, Any], plan_before: str | None) -> Comparison:
    """Estimate both sides of a preview.

    Args:
        digest: what `pulumi preview --json --show-sames` printed, parsed.
        prices: `delivery/prices.yaml`, parsed.
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
    lines += ["", "left out: " + "; ".join(prices["leftOut"])]
    return "\n".join(lines) + "\n"


def prices_of(file: Path = PRICES) -> dict[str, Any]:
    """The price file, parsed."""
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


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


def _dollars(size: Size, prices: Mapping[str, Any], side: str) -> float:
    of = {name: float(price["usd"]) for name, price in prices["prices"].items()}
    hours = float(prices["hoursPerMonth"])
    assumed = prices["assumed"]
    backups = float(assumed["backupGb"][side]) * float(assumed["backupsKept"])
    return (
        hours * (size.vcpu * of["vcpu"] + size.memory * of["memoryGb"])
        + size.volume * of["volumeGb"]
        + size.buckets * backups * of["bucketGb"]
        + size.keys * of["key"]
        + size.balancers * of["loadBalancer"]
    )


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
