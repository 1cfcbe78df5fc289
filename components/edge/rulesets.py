"""All rules of a zone by phase, and their limits: what is checked before anything is sent, and then sent."""

from collections.abc import Iterator, Mapping
from typing import Final

from components.edge.cache import cache_rules
from components.edge.expression import HOST
from components.edge.fields import Scope
from components.edge.firewall import custom_rules
from components.edge.headers import response_header_rules
from components.edge.language import ExpressionFault, check
from components.edge.managed import Sensitivity, ddos_rules, managed_rules
from components.edge.plan import PLANS
from components.edge.rate_limit import rate_limit_rules
from components.edge.rules import Rule
from components.edge.shape import Shape

CONFIG: Final = "http_config_settings"


def rules_by_phase(shape: Shape, sensitivity: Sensitivity = "default") -> dict[str, list[Rule]]:
    """The rules of every phase that has some: a phase has one ruleset in a zone.

    Args:
        shape: the stack.
        sensitivity: of the protection against floods.
    """
    phases = {
        "ddos_l7": ddos_rules(sensitivity),
        "http_request_firewall_managed": managed_rules(shape),
        "http_request_firewall_custom": custom_rules(shape),
        "http_ratelimit": rate_limit_rules(shape),
        "http_request_cache_settings": cache_rules(shape),
        "http_response_headers_transform": response_header_rules(shape),
        CONFIG: config_rules(shape),
    }
    return {phase: rules for phase, rules in phases.items() if rules}


def config_rules(shape: Shape) -> list[Rule]:
    """Under attack, every browser is examined; programs and sockets can't be, so their hosts are left out."""
    without = (*shape.api, *shape.sockets)
    if not (shape.under_attack and without):
        return []
    return [
        Rule(
            "programs",
            "no examination where no browser is",
            HOST.one_of(*without),
            "set_config",
            parameters={"security_level": "high"},
        )
    ]


def faults(phases: Mapping[str, list[Rule]], shape: Shape) -> Iterator[tuple[str, str, str]]:
    """What Cloudflare would refuse, or take only a part of: where, what was found, what would be valid."""
    plan = PLANS[shape.plan]
    for phase, rules in phases.items():
        most = plan.rules.get(phase, len(rules))
        if len(rules) > most:
            yield phase, f"{len(rules)} rules", f"at most {most} on the plan {plan.name}"
        refs = [rule.ref for rule in rules]
        for twice in sorted({ref for ref in refs if refs.count(ref) > 1}):
            yield f"{phase}.{twice}", "two rules of one name", "a name for each rule"
        for rule in rules:
            try:
                check(str(rule.expression), Scope(phase, plan.name), f"{phase}.{rule.ref}")
            except ExpressionFault as fault:
                yield f"{phase}.{rule.ref}", "an expression that Cloudflare refuses", str(fault)
