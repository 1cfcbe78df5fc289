"""One rule of a ruleset, before Cloudflare or anybody else has seen it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.edge.expression import Expression


@dataclass(frozen=True)
class RateLimit:
    """How often is too often.

    Attributes:
        characteristics: the fields whose values are counted apart (`cf.colo.id`, `ip.src`).
        period: seconds over which requests are counted.
        requests: how many a period may have; the next one is too many.
        mitigation_seconds: how long the action then lasts.
    """

    characteristics: tuple[str, ...]
    period: int
    requests: int
    mitigation_seconds: int


@dataclass(frozen=True)
class Rule:
    """What happens to the requests that fulfil a condition.

    Attributes:
        ref: its name for ever: Cloudflare knows a rule by it when rules move.
        description: what it is for, as the dashboard shows it.
        expression: the condition.
        action: `block`, `managed_challenge`, `skip`, `execute`, `set_cache_settings` and so on.
        enabled: whether it is evaluated.
        parameters: the action's, with the API's own keys in snake_case.
        ratelimit: for the rules of the phase `http_ratelimit`.
    """

    ref: str
    description: str
    expression: Expression
    action: str
    enabled: bool = True
    parameters: Mapping[str, Any] | None = None
    ratelimit: RateLimit | None = None
