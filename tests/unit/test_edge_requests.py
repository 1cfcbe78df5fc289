"""What the rules of this repository make of attacks and of ordinary traffic, on every plan."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from components.edge.expression import ALWAYS, COUNTRY, METHOD, PATH
from components.edge.fields import PLANS
from components.edge.plan import CLOUDFLARE_MANAGED, OWASP
from components.edge.rules import RateLimit, Rule
from components.edge.rulesets import rules_by_phase
from components.edge.shape import PlanName
from settings.schema import REFERENCE
from tests.unit.edge_evaluator import Request
from tests.unit.edge_page import page
from tests.unit.edge_table import SHAPES, Case, cases, outcomes, zone
from tests.unit.edge_walk import CACHE, CUSTOM, MANAGED, RATE, Cached, Edge

TABLE = cases()
ORDINARY = [case for case in TABLE if case.kind == "ordinary"]
ATTACKS = [case for case in TABLE if case.kind == "attack"]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_every_request_of_the_table_becomes_what_the_table_says_on_every_plan(case: Case) -> None:
    for plan in PLANS:
        for step, verdicts in zip(case.steps, case.run(plan), strict=True):
            found = {f"{verdict.outcome} by {verdict.by}" for verdict in verdicts}
            assert outcomes(verdicts) == step.expect[plan], f"{step} on {plan}: {found}"
            if step.cached and step.expect[plan].keys() == {"pass"}:
                assert {verdict.cached for verdict in verdicts} == {step.cached}, f"{step} on {plan}"


def test_the_table_is_as_large_as_it_claims_and_names_nothing_twice() -> None:
    assert len(ATTACKS) >= 100
    assert len(ORDINARY) >= 100
    assert [name for name, count in Counter(map(str, TABLE)).items() if count > 1] == []
    assert {case.shape for case in TABLE} == {*SHAPES}


@pytest.mark.parametrize("plan", PLANS)
def test_no_ordinary_request_is_refused_on_any_plan(plan: PlanName) -> None:
    refused = [
        f"{case.steps[0]}: {verdict.outcome} by {verdict.by}"
        for case in ORDINARY
        for verdicts in case.run(plan)
        for verdict in verdicts
        if verdict.outcome != "pass"
    ]
    assert refused == []


def test_a_greater_plan_lets_through_no_attack_that_a_smaller_one_stops() -> None:
    stopped = {
        plan: {str(case) for case in ATTACKS if case.run(plan)[0][0].outcome != "pass"} for plan in PLANS
    }
    for smaller, greater in pairwise(PLANS):
        assert stopped[smaller] <= stopped[greater], (smaller, greater)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("plan", PLANS)
def test_every_rule_is_one_that_its_plan_and_phase_can_have(plan: PlanName, shape: str) -> None:
    # Reading the rules for the evaluator checks each expression in its phase and plan.
    assert zone(plan, shape).phases.keys() >= {CUSTOM, RATE, MANAGED, CACHE}


@pytest.mark.parametrize("plan", PLANS)
def test_in_maintenance_only_operators_get_in_or_a_snippet_answers(plan: PlanName) -> None:
    phases = rules_by_phase(replace(SHAPES["usual"], plan=plan, maintenance=True))
    edge = Edge(plan, phases)
    outside = edge.sees(Request(host="app.example.com"))
    assert edge.sees(Request(host="app.example.com", address="198.51.100.7")).outcome == "pass"
    by_rule = any(rule.ref == "maintenance" for rule in phases[CUSTOM])
    assert (outside.outcome, outside.by) == (("block", "custom/maintenance") if by_rule else ("pass", ""))


def test_the_page_of_the_table_is_current() -> None:
    assert (REFERENCE / "edge-requests.md").read_text(encoding="utf-8") == page(), "make docs renews it"


# The evaluator itself: rules of no product.


def rule(ref: str, action: str = "block", **rest: object) -> Rule:
    return Rule(ref, ref, rest.pop("when", ALWAYS), action, **rest)  # type: ignore[arg-type]


def test_a_skip_of_the_ruleset_spares_what_follows_and_a_log_spares_nothing() -> None:
    ours = PATH.equals("/ours")
    edge = Edge(
        "pro",
        {
            CUSTOM: [
                rule("seen", "log"),
                rule("first", when=PATH.equals("/first")),
                rule("ours", "skip", when=ours, parameters={"ruleset": "current"}),
                rule("all"),
            ]
        },
    )
    assert edge.sees(Request(path="/ours")).outcome == "pass"
    assert edge.sees(Request(path="/first")).by == "custom/first"
    refused = edge.sees(Request(path="/other"))
    assert (refused.by, refused.logged, refused.status) == ("custom/all", ("seen",), 403)


def test_a_skip_of_a_phase_spares_its_rates_and_is_told_with_products() -> None:
    rate = rule("rate", ratelimit=RateLimit(("cf.colo.id", "ip.src"), 10, 1, 10))
    spared = {"phases": ["http_ratelimit"], "products": ["bic"]}
    edge = Edge("pro", {CUSTOM: [rule("spared", "skip", parameters=spared)], RATE: [rate]})
    verdicts = [edge.sees(Request(second=number)) for number in range(5)]
    assert outcomes(verdicts) == {"pass": 5}
    assert verdicts[0].skipped == {"http_ratelimit", "bic"}


def test_a_disabled_rule_does_nothing() -> None:
    assert Edge("free", {CUSTOM: [rule("off", enabled=False)]}).sees(Request()).outcome == "pass"


@pytest.mark.parametrize("action", ["managed_challenge", "js_challenge", "challenge"])
def test_a_challenge_ends_the_evaluation(action: str) -> None:
    edge = Edge("free", {CUSTOM: [rule("asked", action, when=COUNTRY.equals("XX")), rule("never")]})
    assert edge.sees(Request(country="XX")).outcome == "challenge"
    assert edge.sees(Request(country="DE")).by == "custom/never"


def test_an_excess_lasts_for_the_mitigation_time_and_is_counted_by_its_characteristics() -> None:
    limit = RateLimit(("cf.colo.id", "ip.src"), period=10, requests=2, mitigation_seconds=30)
    answer = {"response": {"status_code": 429}}
    edge = Edge("pro", {RATE: [rule("rate", ratelimit=limit, parameters=answer)]})
    seen = [edge.sees(Request(second=second)) for second in (0, 1, 2, 31.9, 32)]
    assert [verdict.outcome for verdict in seen] == ["pass", "pass", "limit", "limit", "pass"]
    assert seen[2].status == 429
    assert edge.sees(Request(second=3, address="203.0.113.8")).outcome == "pass"
    assert edge.sees(Request(second=3, place="AMS")).outcome == "pass"


def test_what_is_older_than_the_period_is_not_counted() -> None:
    limit = RateLimit(("cf.colo.id", "ip.src"), period=10, requests=2, mitigation_seconds=10)
    edge = Edge("pro", {RATE: [rule("rate", ratelimit=limit)]})
    seen = [edge.sees(Request(second=second)) for second in (0, 5, 10, 15, 19.9)]
    assert [verdict.outcome for verdict in seen] == ["pass", "pass", "pass", "pass", "limit"]


def test_requests_that_do_not_fulfil_a_rate_rule_are_not_counted_by_it() -> None:
    limit = RateLimit(("cf.colo.id", "ip.src"), period=10, requests=1, mitigation_seconds=10)
    edge = Edge("business", {RATE: [rule("posts", when=METHOD.equals("POST"), ratelimit=limit)]})
    methods = ("POST", "GET", "GET", "POST", "GET")
    seen = [edge.sees(Request(method=method, second=number)) for number, method in enumerate(methods)]
    assert [verdict.outcome for verdict in seen] == ["pass", "pass", "pass", "limit", "pass"]


def test_an_exception_spares_only_the_rulesets_that_it_names_and_that_follow_it() -> None:
    def edge(*rules: Rule) -> Edge:
        return Edge("pro", {MANAGED: list(rules)})

    spare = rule("spare", "skip", parameters={"rulesets": [CLOUDFLARE_MANAGED]})
    managed = rule("managed", "execute", parameters={"id": CLOUDFLARE_MANAGED})
    owasp = rule("owasp", "execute", parameters={"id": OWASP})
    attack = Request(query="x=${jndi:ldap://x}")
    assert edge(spare, managed, owasp).sees(attack).executed == (OWASP,)
    assert edge(managed, spare, owasp).sees(attack).by == "managed/managed"
    logging = replace(managed, parameters={"id": CLOUDFLARE_MANAGED, "overrides": {"action": "log"}})
    assert edge(logging).sees(attack).logged == ("managed",)


def test_the_last_cache_rule_that_fits_wins() -> None:
    keep = {"cache": True, "edge_ttl": {"mode": "override_origin", "default": 60}}
    revalidate = {"cache": True, "browser_ttl": {"mode": "respect_origin"}}
    edge = Edge(
        "free",
        {
            CACHE: [
                rule("keep", "set_cache_settings", parameters=keep),
                rule("page", "set_cache_settings", when=PATH.equals("/page"), parameters=revalidate),
                rule(
                    "api", "set_cache_settings", when=PATH.starts_with("/api/"), parameters={"cache": False}
                ),
            ]
        },
    )
    assert edge.sees(Request(path="/x")).cached == Cached(kept=True, edge=60)
    assert edge.sees(Request(path="/page")).cached == Cached(kept=True, edge=60, browser="respect_origin")
    assert edge.sees(Request(path="/api/x")).cached == Cached(kept=False)
    assert Edge("free", {}).sees(Request()).cached == Cached()


def test_headers_are_added_only_where_the_origin_has_none() -> None:
    edge = zone("free", "usual")
    silent = edge.headers(Request(host="app.example.com"))
    assert silent["cross-origin-opener-policy"] == "same-origin"
    said = Request(host="app.example.com", answered={"Cross-Origin-Opener-Policy": "unsafe-none"})
    assert "cross-origin-opener-policy" not in edge.headers(said)


def test_an_action_of_another_phase_is_an_error_of_the_rules() -> None:
    with pytest.raises(ValueError, match="custom rules have no action execute"):
        Edge("free", {CUSTOM: [rule("wrong", "execute")]}).sees(Request())
