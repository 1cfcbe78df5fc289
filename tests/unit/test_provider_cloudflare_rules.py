"""What the simulated Cloudflare refuses, as the real one does when it is too late for a preview."""

from typing import Any

import pytest

from components.edge.rulesets import rules_by_phase
from simulator.providers import cloudflare_expression
from simulator.providers.cloudflare import Cloudflare
from simulator.providers.cloudflare_rules import MARKS, PLAN, plan_of
from simulator.providers.core import Resource
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN
from tests.unit.test_edge_plan import ALL, FULL, SHAPE, of

RULESET = "cloudflare:index/ruleset:Ruleset"
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
HEALTH = "cloudflare:index/healthcheck:Healthcheck"
SNIPPET_RULES = "cloudflare:index/snippetRules:SnippetRules"
ZONES = {plan: mark * 8 for mark, plan in MARKS.items()}
OWASP = "4814384a9e5d4991b9815dcfc25d2f1f"
BLOCK = {"action": "block", "expression": "true", "ref": "one"}
LIMIT = {
    "characteristics": ["cf.colo.id", "ip.src"],
    "period": 60,
    "requestsPerPeriod": 9,
    "mitigationTimeout": 60,
}
RATE = {**BLOCK, "ratelimit": LIMIT}


def refused(token: str, inputs: dict[str, Any]) -> list[str]:
    provider = Cloudflare(Store())
    provider.configure({})
    resource = Resource(f"urn:pulumi:test::shop::{token}::one", token, "one")
    return [str(each) for each in provider.check(resource, {}, inputs, Naming(seed=b"x")).failures]


def ruleset(phase: str, *rules: dict[str, Any], plan: str = "pro") -> list[str]:
    inputs = {"zoneId": ZONES[plan], "name": "x", "kind": "zone", "phase": phase, "rules": list(rules)}
    return refused(RULESET, inputs)


def rate(plan: str = "pro", action: str = "block", **changes: Any) -> list[str]:
    return ruleset("http_ratelimit", {**RATE, "action": action, "ratelimit": {**LIMIT, **changes}}, plan=plan)


def setting(name: str, value: Any) -> list[str]:
    return refused(SETTING, {"zoneId": ZONES["pro"], "settingId": name, "value": value})


@pytest.mark.parametrize(
    ("plan", "phase", "most"),
    [
        ("free", "http_request_firewall_custom", 5),
        ("pro", "http_request_firewall_custom", 20),
        ("business", "http_request_firewall_custom", 100),
        ("free", "http_request_cache_settings", 10),
    ],
)
def test_more_rules_than_the_plan_has_are_refused(plan: str, phase: str, most: int) -> None:
    action = "set_cache_settings" if "cache" in phase else "block"
    rules = [{**BLOCK, "action": action, "ref": str(number)} for number in range(most + 1)]
    assert ruleset(phase, *rules[:most], plan=plan) == []
    (found,) = ruleset(phase, *rules, plan=plan)
    assert found == f"rules: the plan {plan} allows {most} rules in {phase}, found {most + 1}"


@pytest.mark.parametrize(("plan", "most"), [("free", 1), ("pro", 2), ("business", 5)])
def test_rates_are_counted_by_plan(plan: str, most: int) -> None:
    short = {**LIMIT, "period": 10, "mitigationTimeout": 10}
    rules = [{**RATE, "ref": str(number), "ratelimit": short} for number in range(most + 1)]
    assert ruleset("http_ratelimit", *rules[:most], plan=plan) == []
    assert len(ruleset("http_ratelimit", *rules, plan=plan)) == 1


@pytest.mark.parametrize(
    ("plan", "changes", "expected"),
    [
        (
            "pro",
            {"period": 61},
            "rules[0].ratelimit.period: the plan pro has 10, 15, 20, 30, 40, 45, 60, found 61",
        ),
        ("pro", {"period": 300}, "found 300"),
        (
            "free",
            {"period": 60, "mitigationTimeout": 10},
            "rules[0].ratelimit.period: the plan free has 10, found 60",
        ),
        ("free", {"period": 10}, "rules[0].ratelimit.mitigationTimeout: the plan free has 10, found 60"),
        ("pro", {"mitigationTimeout": 86_400}, "found 86400"),
        ("pro", {"characteristics": ["ip.src"]}, "cf.colo.id has to be one of them"),
    ],
)
def test_a_rate_that_the_plan_cannot_say_is_refused(
    plan: str, changes: dict[str, Any], expected: str
) -> None:
    (found,) = rate(plan, **changes)
    assert expected in found


def test_a_rate_rule_says_its_rate_and_a_challenge_no_timeout() -> None:
    assert "has to say a rate" in ruleset("http_ratelimit", BLOCK)[0]
    assert "a challenge has the timeout 0" in rate(action="managed_challenge")[0]
    assert rate(action="managed_challenge", mitigationTimeout=0) == []


@pytest.mark.parametrize(
    ("phase", "rule", "expected"),
    [
        ("http_request_cache_settings", BLOCK, "has the actions set_cache_settings, found block"),
        ("http_request_firewall_custom", {**BLOCK, "action": "rewrite"}, "found rewrite"),
        ("http_request_firewall_custom", {**BLOCK, "action": "log"}, "log needs the plan enterprise"),
        ("http_request_firewall_custom", {**BLOCK, "action": "forbid"}, "rules[0].action: expected one of"),
        (
            "http_request_firewall_custom",
            {
                **BLOCK,
                "actionParameters": {
                    "response": {"statusCode": 503, "content": "", "contentType": "text/plain"}
                },
            },
            "statusCode: expected 400 to 499, found 503",
        ),
    ],
)
def test_an_action_that_the_phase_or_the_plan_lacks_is_refused(
    phase: str, rule: dict[str, Any], expected: str
) -> None:
    (found,) = ruleset(phase, rule)
    assert expected in found


def test_what_the_free_plan_lacks_is_refused() -> None:
    owasp = {**BLOCK, "action": "execute", "actionParameters": {"id": OWASP}}
    phase = "http_request_firewall_managed"
    assert ruleset(phase, owasp) == []
    assert "the plan free does not have the OWASP Core Ruleset" in ruleset(phase, owasp, plan="free")[0]
    answer = {"response": {"statusCode": 403, "content": "no", "contentType": "text/plain"}}
    told = ruleset("http_request_firewall_custom", {**BLOCK, "actionParameters": answer}, plan="free")
    assert "the plan free has no answers of its own" in told[0]
    health = {"zoneId": ZONES["free"], "name": "x", "address": "shop.example"}
    assert "has no health checks" in refused(HEALTH, health)[0]
    assert refused(HEALTH, {**health, "zoneId": ZONES["pro"]}) == []
    rules = {"zoneId": ZONES["free"], "rules": [{"expression": "true", "snippetName": "x"}]}
    assert "has no snippets" in refused(SNIPPET_RULES, rules)[0]


def test_two_rules_of_one_name_are_refused() -> None:
    assert "another rule has the ref 'one'" in ruleset("http_request_firewall_custom", BLOCK, BLOCK)[0]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ssl", "strickt", "value: ssl is one of off, flexible, full, strict, found 'strickt'"),
        ("min_tls_version", "1.4", "min_tls_version is one of"),
        ("brotli", True, "brotli is one of on, off"),
        ("always_https", "on", "settingId: Cloudflare has no zone setting 'always_https'"),
        ("browser_cache_ttl", 5, "found 5"),
        ("security_header", {"strictTransportSecurity": {"enabled": True}}, "in snake_case"),
        (
            "security_header",
            {"strict_transport_security": {"enabled": True, "maxAge": 1}},
            "value.strict_transport_security.maxAge: expected one of enabled, include_subdomains, max_age",
        ),
    ],
)
def test_a_setting_or_a_value_that_there_is_not_is_refused(name: str, value: Any, expected: str) -> None:
    (found,) = setting(name, value)
    assert expected in found


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "http.host eq",
        'http.host eq "shop.example',
        '(http.host eq "shop.example"',
        'http.host eq "shop.example")',
        'http.host = "shop.example"',
        'http.host eq "a" http.host eq "b"',
        'host eq "shop.example"',
        "http.host in {}",
        'http.host in ["a" "b"]',
        'and http.host eq "a"',
        'lower(http.host eq "a"',
        'http.request.headers["x" eq "a"',
        "x" * 5000,
    ],
)
def test_a_malformed_expression_is_refused(expression: str) -> None:
    assert cloudflare_expression.fault(expression)
    (found,) = ruleset("http_request_firewall_custom", {**BLOCK, "expression": expression})
    assert found.startswith("rules[0].expression: ")


@pytest.mark.parametrize(
    "expression",
    [
        "true",
        "not cf.client.bot",
        '(http.host eq "a" and ip.src in {192.0.2.0/24 2001:db8::/48}) or not ssl',
        'lower(http.request.uri.path) contains "/." && !starts_with(http.request.uri.path, "/.well-known/")',
        'any(http.request.headers["x-a"][*] contains "b") xor http.request.uri.args["q"][0] eq "1"',
        'http.host strict wildcard r"*.shop.example" and tcp.dstport in {80 443 8000..8999}',
        'ip.src in $office and len(http.response.headers["x-robots-tag"]) gt 0',
        r'http.user_agent matches r#"^a"b"# and http.cookie contains "\"x\\"',
    ],
)
def test_a_good_expression_is_taken(expression: str) -> None:
    assert cloudflare_expression.fault(expression) == ""


@pytest.mark.parametrize("plan", ALL)
def test_both_readers_of_the_language_take_every_rule_that_is_made(plan: Any) -> None:
    for shape in (SHAPE, FULL):
        for rules in rules_by_phase(of(plan, shape)).values():
            for rule in rules:
                assert cloudflare_expression.fault(str(rule.expression)) == "", rule.ref


def test_what_a_preview_does_not_know_yet_is_not_refused() -> None:
    rule = {**RATE, "expression": UNKNOWN, "ratelimit": {**LIMIT, "period": UNKNOWN}}
    assert ruleset("http_ratelimit", rule) == []
    assert setting("ssl", UNKNOWN) == []


def test_the_plan_is_in_the_zones_id_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name: plan_of(zone).name for name, zone in ZONES.items()} == {name: name for name in ZONES}
    assert plan_of("0123456789abcdef0123456789abcdef").name == "enterprise"
    assert plan_of(UNKNOWN).name == "enterprise"
    monkeypatch.setenv(PLAN, "free")
    assert plan_of("0123456789abcdef0123456789abcdef").name == "free"
