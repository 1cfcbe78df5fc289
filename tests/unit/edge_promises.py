"""What is promised at the edge, and which layers keep each promise on a plan.

The edge's part is asked of the very rules that a plan gets; the others' is proven by a test each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from components.edge.plan import CLOUDFLARE_MANAGED, FREE_MANAGED, PLANS
from components.edge.rulesets import rules_by_phase
from components.edge.shape import Shape
from components.edge.zone import zone_settings

ENTRANCE: Final = "tests/artifact/test_traefik.py::"
SAMPLE: Final = "tests/artifact/test_sample_app.py::"
NETWORK: Final = "tests/unit/test_reachability_of_stacks.py::"
APPLICATION: Final = "tests/artifact/test_sample_app_entrance.py::"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One thing that whoever attacks or uses the product can rely on.

    Attributes:
        name: in words.
        edge: whether the edge keeps it for a stack, on its plan.
        others: layer -> the test that shows that it keeps it too, whatever the plan.
    """

    name: str
    edge: Callable[[Shape], bool]
    others: Mapping[str, str] = field(default_factory=dict)


def holders(promise: Promise, shape: Shape) -> list[str]:
    """The layers that keep a promise for a stack, from outside to inside.

    Args:
        promise: the promise.
        shape: the stack, with its plan.
    """
    return [*(["edge"] if promise.edge(shape) else []), *promise.others]


def _rule(phase: str, *refs: str) -> Callable[[Shape], bool]:
    """Whether one of some rules is made, in any of whose names the plan packs it."""

    def made(shape: Shape) -> bool:
        return any(rule.ref in refs and rule.enabled for rule in rules_by_phase(shape).get(phase, []))

    return made


def _setting(name: str) -> Callable[[Shape], bool]:
    return lambda _: name in zone_settings(subdomains=True, preload=False, under_attack=False)


def _executes(*rulesets: str) -> Callable[[Shape], bool]:
    def made(shape: Shape) -> bool:
        rules = rules_by_phase(shape)["http_request_firewall_managed"]
        return any((rule.parameters or {}).get("id") in rulesets for rule in rules)

    return made


def _never(_: Shape) -> bool:
    return False


_FIREWALL: Final = "http_request_firewall_custom"

PROMISES: Final = (
    Promise(
        name="one address can't ask as often as it likes",
        edge=_rule("http_ratelimit", "address"),
        others={
            "entrance": f"{ENTRANCE}test_a_client_has_its_burst_and_then_its_rate_while_others_are_served"
        },
    ),
    Promise(
        name="passwords can't be tried fast",
        edge=_rule("http_ratelimit", "login"),
        others={"entrance": f"{APPLICATION}test_a_client_has_its_burst_and_then_its_rate"},
    ),
    Promise(name="a flood is stopped where it starts", edge=_rule("ddos_l7", "flood")),
    Promise(
        name="metrics are read from inside alone",
        edge=_rule(_FIREWALL, "closed", "refused"),
        others={"application": f"{APPLICATION}test_metrics_are_not_reachable_through_the_entrance"},
    ),
    Promise(name="consoles are for operators' networks", edge=_rule(_FIREWALL, "closed", "refused")),
    Promise(name="what only scanners ask for is refused", edge=_rule(_FIREWALL, "exploits", "refused")),
    Promise(name="odd methods are refused", edge=_rule(_FIREWALL, "methods", "refused")),
    Promise(
        name="well-known attacks in a request are refused",
        edge=_executes(CLOUDFLARE_MANAGED, FREE_MANAGED),
        # The application's own tests: prepared statements and schemas.
        others={"application": f"{SAMPLE}test_the_application_alone_and_with_real_servers"},
    ),
    Promise(
        name="nothing travels in plain text",
        edge=_setting("always_use_https"),
        others={"entrance": f"{ENTRANCE}test_plain_http_is_sent_to_https"},
    ),
    Promise(
        name="TLS begins at 1.2",
        edge=_setting("min_tls_version"),
        others={"entrance": f"{ENTRANCE}test_tls_begins_at_1_2"},
    ),
    Promise(
        name="browsers remember HTTPS for a year",
        edge=_setting("security_header"),
        others={"entrance": f"{ENTRANCE}test_every_answer_carries_the_security_headers"},
    ),
    Promise(
        name="nobody goes around the edge",
        edge=_never,
        others={
            "entrance (addresses)": f"{ENTRANCE}test_nobody_comes_in_past_the_proxy",
            "entrance (certificate)": (
                f"{ENTRANCE}test_a_caller_must_show_a_certificate_where_an_authority_is_named"
            ),
            "network policy": f"{NETWORK}test_nobody_comes_in_around_the_proxies",
        },
    ),
    Promise(
        name="a body that is too large is refused",
        edge=_never,  # At 100 MB or more it is, which is no help to an API.
        others={"entrance": f"{ENTRANCE}test_a_large_body_is_refused_where_there_is_a_limit"},
    ),
    Promise(name="nobody's own answers are kept", edge=_rule("http_request_cache_settings", "never")),
    Promise(
        name="it is noticed when the origin does not answer",
        edge=lambda shape: PLANS[shape.plan].health_checks > 0,
        others={
            "Cloudflare's notifications": "tests/unit/test_edge.py::test_every_plan_tells_of_a_lost_origin"
        },
    ),
)
