"""What each plan gets, and that no promise rests on what a plan lacks."""

import ast
from dataclasses import replace

import pytest

from components.edge.firewall import custom_rules
from components.edge.language import MAX_LENGTH
from components.edge.plan import (
    CLOUDFLARE_MANAGED,
    FREE_MANAGED,
    HTTP_DDOS,
    OWASP,
    OWASP_SCORE,
    PLANS,
)
from components.edge.rate_limit import rate_limit_rules
from components.edge.rules import RateLimit, Rule
from components.edge.rulesets import faults, rules_by_phase
from components.edge.shape import Owasp, PlanName, Shape, Spared
from components.edge.told import left_behind, notes
from tests.recorder import ROOT
from tests.unit.edge_promises import PROMISES, Promise, holders

HOSTS = ("shop.example", "api.shop.example", "ws.shop.example", "grafana.shop.example")
SHAPE = Shape(
    plan="free",
    site=HOSTS[0],
    api=(HOSTS[1],),
    sockets=(HOSTS[2],),
    consoles=(HOSTS[3],),
    hosts=HOSTS,
    owasp=Owasp(),
)
FULL = replace(
    SHAPE,
    open_to=("192.0.2.0/24", "2001:db8::/48"),
    never_limited=("198.51.100.7/32",),
    blocked_countries=("KP", "T1"),
    maintenance=True,
    under_attack=True,
)
ALL: tuple[PlanName, ...] = ("free", "pro", "business", "enterprise")
CUSTOM = "http_request_firewall_custom"
MANAGED = "http_request_firewall_managed"


def of(plan: PlanName, shape: Shape = SHAPE) -> Shape:
    return replace(shape, plan=plan)


def refs(rules: list[Rule]) -> list[str]:
    return [rule.ref for rule in rules]


def executed(shape: Shape) -> list[str]:
    rules = rules_by_phase(shape)[MANAGED]
    return [(rule.parameters or {})["id"] for rule in rules if rule.action == "execute"]


@pytest.mark.parametrize("plan", ALL)
@pytest.mark.parametrize("shape", [SHAPE, FULL], ids=["plain", "full"])
def test_every_plan_takes_the_rules_that_it_gets(plan: PlanName, shape: Shape) -> None:
    phases = rules_by_phase(of(plan, shape))
    assert list(faults(phases, of(plan, shape))) == []
    for phase, rules in phases.items():
        assert 1 <= len(rules) <= PLANS[plan].rules.get(phase, 10)
        assert len(set(refs(rules))) == len(rules)
        assert all(len(str(rule.expression)) <= MAX_LENGTH for rule in rules)


@pytest.mark.parametrize(
    ("plan", "limit"),
    [
        ("free", RateLimit(("cf.colo.id", "ip.src"), 10, 166, 10)),
        ("pro", RateLimit(("cf.colo.id", "ip.src"), 60, 1000, 60)),
        ("business", RateLimit(("cf.colo.id", "ip.src"), 60, 1000, 60)),
        ("enterprise", RateLimit(("cf.colo.id", "ip.src"), 60, 1000, 60)),
    ],
)
def test_a_thousand_a_minute_is_said_as_each_plan_can(plan: PlanName, limit: RateLimit) -> None:
    assert PLANS[plan].equivalent(1000) == limit
    assert rate_limit_rules(of(plan))[-1].ratelimit == limit


def test_the_equivalent_is_never_more_than_what_was_asked_for() -> None:
    for plan in PLANS.values():
        for per_minute in range(6, 2000, 7):
            limit = plan.equivalent(per_minute)
            assert limit.requests * 60 / limit.period <= per_minute
            assert limit.period <= plan.longest_period
            assert limit.mitigation_seconds <= plan.longest_timeout


@pytest.mark.parametrize(
    ("plan", "rates"), [("free", ["address"]), *((p, ["login", "address"]) for p in ALL[1:])]
)
def test_logins_have_a_rate_of_their_own_where_the_plan_has_two(plan: PlanName, rates: list[str]) -> None:
    assert refs(rate_limit_rules(of(plan))) == rates


@pytest.mark.parametrize(
    ("plan", "rulesets"),
    [("free", [FREE_MANAGED]), *((plan, [CLOUDFLARE_MANAGED, OWASP]) for plan in ALL[1:])],
)
def test_the_managed_rulesets_of_each_plan(plan: PlanName, rulesets: list[str]) -> None:
    assert executed(of(plan)) == rulesets
    assert (rules_by_phase(of(plan))["ddos_l7"][0].parameters or {})["id"] == HTTP_DDOS


def test_exceptions_stand_before_what_they_are_from() -> None:
    spared = Spared(host=HOSTS[1], path="/items", rulesets=("owasp",), reason="long texts with quotes")
    rules = rules_by_phase(of("pro", replace(SHAPE, exceptions=(spared,))))[MANAGED]
    assert [rule.action for rule in rules] == ["skip", "execute", "execute"]
    assert rules[0].parameters == {"rulesets": [OWASP]}
    assert str(rules[0].expression) == (
        'http.host eq "api.shop.example" and starts_with(http.request.uri.path, "/items")'
    )


@pytest.mark.parametrize(
    ("paranoia", "off"),
    [(1, [2, 3, 4]), (2, [3, 4]), (3, [4]), (4, [])],
)
def test_the_strictness_of_owasp(paranoia: int, off: list[int]) -> None:
    owasp = Owasp(paranoia=paranoia, threshold=25, action="block")  # type: ignore[arg-type]
    rule = rules_by_phase(of("pro", replace(SHAPE, owasp=owasp)))[MANAGED][-1]
    overrides = (rule.parameters or {})["overrides"]
    assert overrides["rules"] == [{"id": OWASP_SCORE, "score_threshold": 25, "action": "block"}]
    found = overrides.get("categories", [])
    assert found == [{"category": f"paranoia-level-{level}", "enabled": False} for level in off]


def test_the_free_plans_five_rules_are_enough_for_all_that_there_is() -> None:
    assert refs(custom_rules(of("free", FULL))) == ["never-limited", "maintenance", "refused", "countries"]
    packed = str(custom_rules(of("free"))[0].expression)
    apart = custom_rules(of("pro"))
    assert refs(apart) == ["exploits", "closed", "methods"]
    assert all(str(rule.expression) in packed for rule in apart)


def test_an_answer_of_our_own_only_where_the_plan_has_it() -> None:
    for phase in (CUSTOM, "http_ratelimit"):
        assert all(rule.parameters is None for rule in rules_by_phase(of("free"))[phase])
        answers = [(rule.parameters or {})["response"] for rule in rules_by_phase(of("pro"))[phase]]
        assert {answer["status_code"] for answer in answers} == {403 if phase == CUSTOM else 429}


def test_in_maintenance_the_plan_decides_who_says_so() -> None:
    closed = replace(SHAPE, maintenance=True)
    assert "maintenance" in refs(custom_rules(of("free", closed)))
    assert "maintenance" not in refs(custom_rules(of("pro", closed)))
    assert any("403" in note for note in notes(of("free", closed)))
    assert any("503" in note for note in notes(of("pro", closed)))


def test_programs_are_left_alone_while_every_browser_is_examined() -> None:
    assert "http_config_settings" not in rules_by_phase(SHAPE)
    (rule,) = rules_by_phase(replace(SHAPE, under_attack=True))["http_config_settings"]
    assert str(rule.expression) == 'http.host in {"api.shop.example" "ws.shop.example"}'


@pytest.mark.parametrize(("plan", "said"), [("free", 3), ("pro", 0), ("business", 0), ("enterprise", 0)])
def test_a_plan_that_says_less_is_told(plan: PlanName, said: int) -> None:
    assert len(notes(of(plan))) == said


def test_what_stays_behind_is_named() -> None:
    behind = left_behind("free", origin_pulls=True)
    assert {"zone setting ssl", "zone setting security_header", "bot management"} <= set(behind)
    assert "bot management" not in left_behind("enterprise", origin_pulls=True)
    assert not any("origin pulls" in each for each in left_behind("pro", origin_pulls=False))


def test_faults_name_the_rule() -> None:
    many = replace(SHAPE, closed=[f"/closed-{'x' * 60}-{n}" for n in range(60)])
    (found,) = faults({CUSTOM: custom_rules(of("pro", many))}, of("pro", many))
    assert found[0] == f"{CUSTOM}.closed"
    assert "4096" in found[2]
    rules = custom_rules(of("pro")) * 9
    where = [each[0] for each in faults({CUSTOM: rules}, of("pro"))]
    assert where == [CUSTOM, f"{CUSTOM}.closed", f"{CUSTOM}.exploits", f"{CUSTOM}.methods"]


@pytest.mark.parametrize("plan", ALL)
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name.replace(" ", "-"))
def test_no_promise_rests_on_a_layer_that_the_plan_lacks(plan: PlanName, promise: Promise) -> None:
    assert holders(promise, of(plan)), f"on the plan {plan} nothing keeps: {promise.name}"


def test_what_a_plan_lacks_another_layer_keeps() -> None:
    lacking = {(plan, promise.name) for plan in ALL for promise in PROMISES if not promise.edge(of(plan))}
    assert ("free", "passwords can't be tried fast") in lacking
    assert ("pro", "passwords can't be tried fast") not in lacking
    assert all(promise.others for promise in PROMISES if any(name == promise.name for _, name in lacking))


def test_every_layer_that_is_named_has_its_test() -> None:
    for promise in PROMISES:
        for layer, test in promise.others.items():
            file, _, name = test.partition("::")
            functions = {
                node.name
                for node in ast.walk(ast.parse((ROOT / file).read_text()))
                if isinstance(node, ast.FunctionDef)
            }
            assert name in functions, f"{promise.name}: {layer} is said to be held by {test}"
