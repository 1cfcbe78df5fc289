"""Headers of answers that the entrance leaves out; what it sets is not said twice."""

from typing import Any

from components.edge.expression import HOST, RESPONSE_HEADERS, Expression
from components.edge.rules import Rule
from components.edge.shape import Shape


def response_header_rules(shape: Shape) -> list[Rule]:
    """The headers that are added where the origin has not set them.

    HSTS, `nosniff`, frames, referrers, permissions and the content policy are the entrance's. HSTS alone is
    also a setting of the zone, which replaces the origin's: redirects and refusals of the edge need it too.

    Args:
        shape: the stack.
    """
    site = HOST.equals(shape.site)
    rules = [
        # A page that another page opened shares nothing with it.
        _added("opener", "cross-origin-opener-policy", "same-origin", site),
        # Other sites can't load what is ours into their pages (speculative execution reads what is loaded).
        _added(
            "resources", "cross-origin-resource-policy", "same-site", HOST.one_of(shape.site, *shape.hosts)
        ),
    ]
    others = [host for host in shape.hosts if host != shape.site]
    if others:
        rules.append(_added("robots", "x-robots-tag", "noindex", HOST.one_of(*others)))
    return rules


def _added(ref: str, name: str, value: str, where: Expression) -> Rule:
    missing = ~RESPONSE_HEADERS[name].count().greater(0)
    parameters: dict[str, Any] = {"headers": {name: {"operation": "set", "value": value}}}
    return Rule(ref, f"{name}: {value}", where & missing, "rewrite", parameters=parameters)
