"""What the stack costs, as one of its outputs."""

from typing import Any

from components.cost.estimate import estimate, prices_of
from components.cost.ledger import Ledger
from components.cost.sizes import sizes
from settings.model import Settings


def told_cost(ledger: Ledger, settings: Settings) -> dict[str, Any]:
    """A month in dollars, by component, of what the ledger has seen made so far."""
    prices = prices_of()
    plan = settings.edge.plan if settings.edge else None
    return estimate(sizes(ledger.resources), prices, plan).told(prices)
