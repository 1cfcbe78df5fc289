"""What Cloudflare's API refuses of rulesets, zone settings and what a zone's plan lacks.

The official provider lets all of this through at preview. A real `up` would stop in the middle.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.providers import cloudflare_expression
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, get, reveal

PLAN: Final = "FIXIA_SIMULATOR_CLOUDFLARE_PLAN"
"""The plan of every zone; else it is in a zone's id (`MARKS`)."""

MARKS: Final = {"f4ee": "free", "9409": "pro", "b051": "business", "e47e": "enterprise"}
"""A zone's id that is one of these, eight times, has that plan. Any other zone has the greatest."""

FREE_MANAGED: Final = "77454fe2d30c4220b5701f6fdfb893ba"
PAID_MANAGED: Final = {
    "efb7b8c949ac4650a09736fc376e9aee": "the Cloudflare Managed Ruleset",
    "4814384a9e5d4991b9815dcfc25d2f1f": "the OWASP Core Ruleset",
}


@dataclass(frozen=True)
class Plan:
    """What a plan allows; source: https://developers.cloudflare.com/plans/."""

    name: str
    custom: int
    rates: int
    others: int
    period: int
    timeout: int
    health_checks: int
    mechanisms: tuple[str, ...]


PLANS: Final[Mapping[str, Plan]] = {
    each.name: each
    for each in (
        Plan("free", 5, 1, 10, 10, 10, 0, ("emails",)),
        Plan("pro", 20, 2, 25, 60, 3600, 10, ("emails", "webhooks")),
        Plan("business", 100, 5, 50, 600, 86_400, 50, ("emails", "webhooks", "pagerduties")),
        Plan("enterprise", 1000, 100, 300, 65_535, 86_400, 1000, ("emails", "webhooks", "pagerduties")),
    )
}

PERIODS: Final = (
    10,
    15,
    20,
    30,
    40,
    45,
    60,
    90,
    120,
    180,
    240,
    300,
    480,
    600,
    900,
    1200,
    1800,
    2400,
    3600,
    65_535,
    86_400,
)
"""Seconds. Source: https://developers.cloudflare.com/waf/rate-limiting-rules/#availability"""

CHALLENGES: Final = ("challenge", "js_challenge", "managed_challenge")
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "ddos_l7": ("execute",),
    "http_config_settings": ("set_config",),
    "http_custom_errors": ("serve_error",),
    "http_ratelimit": ("block", *CHALLENGES, "log"),
    "http_request_cache_settings": ("set_cache_settings",),
    "http_request_dynamic_redirect": ("redirect",),
    "http_request_firewall_custom": ("block", *CHALLENGES, "log", "skip", "execute"),
    "http_request_firewall_managed": ("execute", "skip"),
    "http_request_late_transform": ("rewrite",),
    "http_request_origin": ("route",),
    "http_request_transform": ("rewrite",),
    "http_response_headers_transform": ("rewrite",),
}
"""Source: https://developers.cloudflare.com/ruleset-engine/rules-language/actions/"""

KNOWN: Final = frozenset(action for valid in ACTIONS.values() for action in valid)

SWITCHES: Final = (
    *("0rtt", "always_online", "always_use_https", "automatic_https_rewrites", "brotli", "browser_check"),
    *("development_mode", "early_hints", "email_obfuscation", "hotlink_protection", "http2", "http3"),
    *("ip_geolocation", "ipv6", "opportunistic_encryption", "opportunistic_onion", "rocket_loader"),
    *("server_side_exclude", "tls_client_auth", "websockets"),
)
SETTINGS: Final[Mapping[str, tuple[Any, ...]]] = {
    **dict.fromkeys(SWITCHES, ("on", "off")),
    "cache_level": ("aggressive", "basic", "simplified"),
    "min_tls_version": ("1.0", "1.1", "1.2", "1.3"),
    "security_level": ("off", "essentially_off", "low", "medium", "high", "under_attack"),
    "ssl": ("off", "flexible", "full", "strict"),
    "tls_1_3": ("on", "off", "zrt"),
}
"""Source: https://developers.cloudflare.com/api/resources/zones/subresources/settings/"""

BROWSER_TTLS: Final = (
    *(0, 30, 60, 120, 300, 1200, 1800, 3600, 7200, 10_800, 14_400, 18_000, 28_800, 43_200, 57_600, 72_000),
    *(86_400, 172_800, 259_200, 345_600, 432_000, 691_200, 1_382_400, 2_073_600, 2_678_400, 5_356_800),
    *(16_070_400, 31_536_000),
)
HSTS: Final = frozenset({"enabled", "max_age", "include_subdomains", "preload", "nosniff"})


def plan_of(zone: object) -> Plan:
    """The plan of a zone."""
    told = os.environ.get(PLAN, "")
    marked = MARKS.get(zone[:4], "") if isinstance(zone, str) and zone == zone[:4] * 8 else ""
    return PLANS[told or marked or "enterprise"]


def refused(kind: str, inputs: Properties) -> Iterator[Failure]:
    """What Cloudflare would not take, of a resource of one kind."""
    plain = reveal(inputs)
    plan = plan_of(plain.get("zoneId"))
    if kind == "Ruleset":
        yield from _ruleset(plain, plan)
    elif kind == "ZoneSetting":
        yield from _setting(plain.get("settingId"), plain.get("value"))
    elif kind == "Healthcheck" and not plan.health_checks:
        yield Failure("zoneId", f"the plan {plan.name} of the zone has no health checks")
    elif kind in ("Snippet", "SnippetRules"):
        if plan.name == "free":
            yield Failure("zoneId", "the plan free of the zone has no snippets")
        rules = plain.get("rules")
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            yield from _expression(f"rules[{number}]", rule)


def _ruleset(plain: Properties, plan: Plan) -> Iterator[Failure]:
    phase, rules = plain.get("phase"), plain.get("rules")
    if not isinstance(phase, str) or not isinstance(rules, list):
        return
    most = {"http_request_firewall_custom": plan.custom, "http_ratelimit": plan.rates}.get(phase, plan.others)
    if phase == "ddos_l7":
        most = 1
    if len(rules) > most:
        yield Failure("rules", f"the plan {plan.name} allows {most} rules in {phase}, found {len(rules)}")
    refs = [get(rule, "ref") for rule in rules]
    for number, rule in enumerate(rules):
        if not isinstance(rule, dict):
            continue
        path = f"rules[{number}]"
        if isinstance(refs[number], str) and refs[number] in refs[:number]:
            yield Failure(f"{path}.ref", f"another rule has the ref {refs[number]!r}")
        yield from _expression(path, rule)
        yield from _action(path, phase, rule, plan)
        if phase == "http_ratelimit" and rule.get("action") in KNOWN:
            yield from _rate(path, rule, plan)


def _expression(path: str, rule: Any) -> Iterator[Failure]:
    text = get(rule, "expression")
    if isinstance(text, str) and (found := cloudflare_expression.fault(text)):
        yield Failure(f"{path}.expression", found)


def _action(path: str, phase: str, rule: Properties, plan: Plan) -> Iterator[Failure]:
    action = rule.get("action")
    valid = ACTIONS.get(phase)
    # One that no phase has is the SDK's to refuse.
    if action in KNOWN and valid and action not in valid:
        yield Failure(f"{path}.action", f"{phase} has the actions {', '.join(valid)}, found {action}")
    if action == "log" and plan.name != "enterprise":
        yield Failure(f"{path}.action", f"log needs the plan enterprise, the zone's is {plan.name}")
    ruleset = get(rule, "actionParameters", "id")
    if action == "execute" and plan.name == "free" and ruleset in PAID_MANAGED:
        yield Failure(f"{path}.actionParameters.id", f"the plan free does not have {PAID_MANAGED[ruleset]}")
    for number, override in enumerate(get(rule, "actionParameters", "overrides", "rules") or ()):
        if get(override, "action") == "log" and plan.name != "enterprise":
            where = f"{path}.actionParameters.overrides.rules[{number}].action"
            yield Failure(where, f"log needs the plan enterprise, the zone's is {plan.name}")
    answer = get(rule, "actionParameters", "response")
    if action == "block" and isinstance(answer, dict):
        where = f"{path}.actionParameters.response"
        if plan.name == "free":
            yield Failure(where, "the plan free has no answers of its own")
        code = answer.get("statusCode")
        if isinstance(code, int | float) and not 400 <= code <= 499:
            yield Failure(f"{where}.statusCode", f"expected 400 to 499, found {code:g}")


def _rate(path: str, rule: Properties, plan: Plan) -> Iterator[Failure]:
    limit = rule.get("ratelimit")
    if not isinstance(limit, dict):
        yield Failure(f"{path}.ratelimit", "a rule in http_ratelimit has to say a rate")
        return
    for name, longest in (("period", plan.period), ("mitigationTimeout", plan.timeout)):
        value = limit.get(name)
        if not isinstance(value, int | float) or (name == "mitigationTimeout" and value == 0):
            continue
        valid = [each for each in PERIODS if each <= longest]
        if value not in valid:
            choices = ", ".join(str(each) for each in valid)
            yield Failure(f"{path}.ratelimit.{name}", f"the plan {plan.name} has {choices}, found {value:g}")
    counted = limit.get("characteristics")
    if isinstance(counted, list) and "cf.colo.id" not in counted:
        yield Failure(f"{path}.ratelimit.characteristics", "cf.colo.id has to be one of them")
    timeout = limit.get("mitigationTimeout")
    if rule.get("action") in CHALLENGES and timeout and plan.name != "enterprise":
        yield Failure(f"{path}.ratelimit.mitigationTimeout", "a challenge has the timeout 0 on this plan")


def _setting(name: Any, value: Any) -> Iterator[Failure]:
    if not isinstance(name, str):
        return
    if name == "security_header":
        yield from _hsts(value)
    elif name == "browser_cache_ttl":
        if isinstance(value, int | float) and value not in BROWSER_TTLS:
            yield Failure("value", f"expected one of {', '.join(map(str, BROWSER_TTLS))}, found {value:g}")
    elif name not in SETTINGS:
        yield Failure("settingId", f"Cloudflare has no zone setting {name!r}")
    elif isinstance(value, str | int | float | bool) and value not in SETTINGS[name]:
        yield Failure("value", f"{name} is one of {', '.join(map(str, SETTINGS[name]))}, found {value!r}")


def _hsts(value: Any) -> Iterator[Failure]:
    if not isinstance(value, dict):
        return
    told = value.get("strict_transport_security")
    if set(value) != {"strict_transport_security"} or not isinstance(told, dict):
        valid = "expected strict_transport_security alone, in snake_case: camelCase is dropped without a word"
        yield Failure("value", f"{valid}; found {', '.join(sorted(value)) or 'nothing'}")
        return
    for key in sorted(set(told) - HSTS):
        yield Failure(f"value.strict_transport_security.{key}", f"expected one of {', '.join(sorted(HSTS))}")
