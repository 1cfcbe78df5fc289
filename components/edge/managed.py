"""Cloudflare's own rulesets: exceptions, then Cloudflare's, then OWASP's; and the one against floods."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from components.edge.expression import ALWAYS, HOST, PATH
from components.edge.plan import CLOUDFLARE_MANAGED, FREE_MANAGED, HTTP_DDOS, OWASP, OWASP_SCORE, PLANS
from components.edge.rules import Rule
from components.edge.shape import Owasp, Shape

PARANOIA: Final = (1, 2, 3, 4)

Sensitivity = Literal["default", "medium", "low", "eoff"]
"""How soon a flood is one. `default` is the highest; `eoff` is as good as off."""

_RULESETS: Final = {"managed": CLOUDFLARE_MANAGED, "owasp": OWASP, "free": FREE_MANAGED}


def managed_rules(shape: Shape) -> list[Rule]:
    """The managed rulesets of a zone.

    An exception only holds for what stands after it, so all of them come first.

    Args:
        shape: the stack.
    """
    plan = PLANS[shape.plan]
    rules = [*_exceptions(shape)]
    if CLOUDFLARE_MANAGED in plan.managed:
        rules.append(_execute("managed", "Cloudflare Managed Ruleset", CLOUDFLARE_MANAGED))
    else:
        rules.append(_execute("free", "Cloudflare Free Managed Ruleset", FREE_MANAGED))
    if shape.owasp and OWASP in plan.managed:
        rules.append(_execute("owasp", "OWASP Core Ruleset", OWASP, _owasp(shape.owasp)))
    return rules


def ddos_rules(sensitivity: Sensitivity) -> list[Rule]:
    """The override of the ruleset against HTTP floods, which runs on every plan with or without it.

    Args:
        sensitivity: lowered while it takes a release or a campaign for a flood.
    """
    overrides = {"sensitivity_level": sensitivity}
    return [_execute("flood", "HTTP DDoS Attack Protection", HTTP_DDOS, overrides)]


def _execute(ref: str, description: str, ruleset: str, overrides: dict[str, Any] | None = None) -> Rule:
    parameters: dict[str, Any] = {"id": ruleset}
    if overrides:
        parameters["overrides"] = overrides
    return Rule(ref, description, ALWAYS, "execute", parameters=parameters)


def _exceptions(shape: Shape) -> Iterator[Rule]:
    for number, spared in enumerate(shape.exceptions):
        yield Rule(
            # By place, not by content: a mended exception stays the same rule.
            f"exception-{number}",
            spared.reason,
            HOST.equals(spared.host) & PATH.starts_with(spared.path),
            "skip",
            parameters={"rulesets": [_RULESETS[name] for name in spared.rulesets]},
        )


def _owasp(owasp: Owasp) -> dict[str, Any]:
    """The overrides: levels beyond the wanted one are off, and the last rule has our threshold and action.

    Source: https://developers.cloudflare.com/waf/managed-rules/reference/owasp-core-ruleset/configure-api/
    """
    beyond = [level for level in PARANOIA if level > owasp.paranoia]
    overrides: dict[str, Any] = {
        "rules": [{"id": OWASP_SCORE, "score_threshold": owasp.threshold, "action": owasp.action}]
    }
    if beyond:
        overrides["categories"] = [
            {"category": f"paranoia-level-{level}", "enabled": False} for level in beyond
        ]
    return overrides
