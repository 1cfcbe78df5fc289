"""Prices on sizes: what each component costs in a month, at least and at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from components.cost.sizes import Size, Sized

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

    def told(self, prices: Mapping[str, Any]) -> dict[str, Any]:
        """It as plain data for who reads a stack's outputs: dollars in a month, cents rounded.

        Args:
            prices: what it was estimated by.
        """

        def both(cost: Range) -> dict[str, float]:
            return {"low": round(cost.low, 2), "high": round(cost.high, 2)}

        return {
            "usdPerMonth": both(self.total),
            "components": {
                f"{type_.split(':')[1]}/{name}": both(cost)
                for (type_, name), cost in sorted(self.components.items())
            },
            "prices": f"list prices of {prices['region']}, to be checked; renewed last {renewed(prices)}",
            "leftOut": [
                *prices["leftOut"],
                *(f"the size of {name}, not known when it is declared" for name in self.unread),
                *([f"the edge's plan {self.edge}"] if self.edge else []),
            ],
        }


def estimate(sized: Sequence[Sized], prices: Mapping[str, Any], plan: str | None) -> Estimate:
    """Put prices on sizes.

    Args:
        sized: what each component takes up.
        prices: `components/cost/prices.yaml`, parsed.
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


def renewed(prices: Mapping[str, Any]) -> str:
    """The month of the oldest price."""
    return min(str(price["date"]) for price in prices["prices"].values())


def prices_of(file: Path = PRICES) -> dict[str, Any]:
    """The price file, parsed."""
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


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
