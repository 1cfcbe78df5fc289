"""The way of a request through the rules of a zone, in Cloudflare's order.

SIMULATED, from the documentation alone. What the managed rulesets would say is Cloudflare's secret: here
stands a small stand-in of signatures that every such ruleset has, so that the table can tell what rests on
them (`managed`) from what our own rules stop (`block`). It is no promise of what Cloudflare finds.

Sources: https://developers.cloudflare.com/ruleset-engine/reference/phases-list/,
https://developers.cloudflare.com/ruleset-engine/rules-language/actions/,
https://developers.cloudflare.com/waf/rate-limiting-rules/request-rate/,
https://developers.cloudflare.com/cache/how-to/cache-rules/order/
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

from components.edge.fields import Scope
from components.edge.language import check
from components.edge.language_tree import Condition
from components.edge.plan import CLOUDFLARE_MANAGED, FREE_MANAGED, OWASP
from components.edge.rules import RateLimit, Rule
from components.edge.shape import PlanName
from tests.unit.edge_evaluator import Request, evaluate, normalised

CUSTOM: Final = "http_request_firewall_custom"
RATE: Final = "http_ratelimit"
MANAGED: Final = "http_request_firewall_managed"
CACHE: Final = "http_request_cache_settings"
RESPONSE: Final = "http_response_headers_transform"

Outcome = Literal["pass", "block", "challenge", "limit", "managed", "large"]

_ENDS: Final[Mapping[str, Outcome]] = {
    "block": "block",
    "challenge": "challenge",
    "js_challenge": "challenge",
    "managed_challenge": "challenge",
}
"""Actions that end the evaluation, unless the challenge is solved."""

MEGABYTE: Final = 1_000_000
LARGEST_BODY: Final[Mapping[PlanName, int]] = {
    "free": 100 * MEGABYTE,
    "pro": 100 * MEGABYTE,
    "business": 200 * MEGABYTE,
    "enterprise": 500 * MEGABYTE,
}
"""Source: https://developers.cloudflare.com/workers/platform/limits/#request-and-response-limits."""

_JNDI: Final = r"\$\{jndi:"
_SHELLSHOCK: Final = r"\(\)\s*\{"
_INJECTION: Final = (
    r"\bunion\b.{0,30}\bselect\b.{0,60}\bfrom\b|\bunion\s+(all\s+)?select\s+(null|\d)"
    r"|'\s*or\s+'?\d+'?\s*=|;\s*drop\s+table\b|\bsleep\(\d+\)|information_schema"
    r"|<script\b[^>]*>|\bon(error|load)\s*=|javascript:"
    r"|(\.\./){2,}|/etc/passwd|/win\.ini|php://|file:///|;\s*(cat|id|wget|curl)\b|\$\(|`"
)
STAND_IN: Final[Mapping[str, re.Pattern[str]]] = {
    FREE_MANAGED: re.compile(f"{_JNDI}|{_SHELLSHOCK}", re.IGNORECASE),
    CLOUDFLARE_MANAGED: re.compile(f"{_JNDI}|{_SHELLSHOCK}|information_schema|php://|<script", re.IGNORECASE),
    OWASP: re.compile(_INJECTION, re.IGNORECASE),
}
"""A managed ruleset -> the SIMULATED little of it that the table needs."""


@dataclass(frozen=True, kw_only=True)
class Cached:
    """What the cache does.

    Attributes:
        kept: whether the answer may be kept at the edge; None is Cloudflare's default, by extension.
        edge: how long at the edge: `respect_origin`, `bypass_by_default`, or seconds.
        browser: the same in the browser.
    """

    kept: bool | None = None
    edge: str | int | None = None
    browser: str | int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a request.

    Attributes:
        outcome: `pass` reaches the cache or the origin; `managed` is stopped by the stand-in.
        by: the phase's short name and the rule's ref, as `custom/closed`; empty for `pass`.
        status: the answer's, where the edge answers.
        logged: refs of rules that only took note.
        executed: ids of the managed rulesets that looked at it, in order.
        skipped: phases, products and rulesets that a rule skipped.
        cached: what the cache does with it.
    """

    outcome: Outcome
    by: str = ""
    status: int = 0
    logged: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    skipped: frozenset[str] = frozenset()
    cached: Cached = Cached()


@dataclass
class _Counter:
    seconds: list[float] = field(default_factory=list)
    until: float = float("-inf")


class Edge:
    """A zone's rules, with the counters of its rates.

    Args:
        plan: the zone's.
        phases: phase -> rules.
        lists: name -> members, for `in $name`.

    Raises:
        ExpressionFault: a rule that the zone could not have.
    """

    def __init__(
        self,
        plan: PlanName,
        phases: Mapping[str, Sequence[Rule]],
        lists: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.plan = plan
        self.lists = lists or {}
        self.phases: dict[str, list[tuple[Rule, Condition]]] = {
            phase: [
                (rule, check(str(rule.expression), Scope(phase, plan), f"{phase}.{rule.ref}"))
                for rule in rules
                if rule.enabled
            ]
            for phase, rules in phases.items()
        }
        self.counters: defaultdict[tuple[str, ...], _Counter] = defaultdict(_Counter)
        self.second = 0.0
        self._matched: tuple[Request | None, dict[str, list[Rule]]] = (None, {})

    def sees(self, request: Request, later: float = 0) -> Verdict:
        """What becomes of a request; rates count it.

        Args:
            request: the request.
            later: seconds after its own time, for many of one kind.
        """
        self.second = request.second + later
        if request.size > LARGEST_BODY[self.plan]:
            return Verdict(outcome="large", by="edge/body", status=413)
        verdict = Verdict(outcome="pass")
        for phase, walk in (
            (CUSTOM, self._custom),
            (RATE, self._rate),
            (MANAGED, self._managed),
        ):
            if phase not in verdict.skipped:
                verdict = walk(request, verdict)
            if verdict.outcome != "pass":
                return verdict
        return replace(verdict, cached=self._cached(request))

    def headers(self, request: Request) -> dict[str, str]:
        """The headers that the answer gets on top of the origin's."""
        added: dict[str, str] = {}
        for rule in self._matching(RESPONSE, request):
            for name, change in _parameters(rule)["headers"].items():
                added[name] = change.get("value", "")
        return added

    def _matching(self, phase: str, request: Request) -> list[Rule]:
        # Of a thousand equal requests only the rates differ.
        if self._matched[0] is not request:
            self._matched = (request, {})
        found = self._matched[1]
        if phase not in found:
            rules = self.phases.get(phase, ())
            found[phase] = [rule for rule, condition in rules if evaluate(condition, request, self.lists)]
        return found[phase]

    def _custom(self, request: Request, verdict: Verdict) -> Verdict:
        for rule in self._matching(CUSTOM, request):
            if rule.action in _ENDS:
                return _ended(verdict, rule, "custom", 403)
            if rule.action == "log":
                verdict = replace(verdict, logged=(*verdict.logged, rule.ref))
            elif rule.action == "skip":
                verdict = _skipped(verdict, rule)
                if _parameters(rule).keys() & {"ruleset", "phase"}:
                    return verdict
            else:
                raise ValueError(f"{rule.ref}: custom rules have no action {rule.action}")
        return verdict

    def _rate(self, request: Request, verdict: Verdict) -> Verdict:
        for rule in self._matching(RATE, request):
            assert rule.ratelimit is not None, f"{rule.ref} has no rate"
            if not self._exceeds(rule.ref, rule.ratelimit, request):
                continue
            if rule.action == "log":
                verdict = replace(verdict, logged=(*verdict.logged, rule.ref))
                continue
            ended = _ended(verdict, rule, "rate", 429)
            return replace(ended, outcome="limit") if ended.outcome == "block" else ended
        return verdict

    def _exceeds(self, ref: str, limit: RateLimit, request: Request) -> bool:
        """Whether this request is too many, or comes while an earlier excess is punished.

        Counted exactly and at once; Cloudflare's counters lag by seconds and let a little more through.
        """
        key = (ref, *(str(request.fields[name]) for name in limit.characteristics))
        counter = self.counters[key]
        counter.seconds = [each for each in counter.seconds if each > self.second - limit.period]
        counter.seconds.append(self.second)
        if self.second < counter.until:
            return True
        if len(counter.seconds) > limit.requests:
            counter.until = self.second + limit.mitigation_seconds
            return True
        return False

    def _managed(self, request: Request, verdict: Verdict) -> Verdict:
        for rule in self._matching(MANAGED, request):
            parameters = _parameters(rule)
            if rule.action == "skip":
                verdict = _skipped(verdict, rule)
                if parameters.keys() & {"ruleset", "phase"}:
                    return verdict
                continue
            if rule.action != "execute":
                raise ValueError(f"{rule.ref}: managed rules have no action {rule.action}")
            ruleset = parameters["id"]
            if ruleset in verdict.skipped:
                continue
            verdict = replace(verdict, executed=(*verdict.executed, ruleset))
            if ruleset in STAND_IN and STAND_IN[ruleset].search(_looked_at(request)):
                if _only_logs(parameters):
                    verdict = replace(verdict, logged=(*verdict.logged, rule.ref))
                    continue
                return replace(verdict, outcome="managed", by=f"managed/{rule.ref}", status=403)
        return verdict

    def _cached(self, request: Request) -> Cached:
        cached = Cached()
        for rule in self._matching(CACHE, request):
            parameters = _parameters(rule)
            if parameters.get("cache") is False:
                cached = Cached(kept=False)
                continue
            cached = Cached(
                kept=parameters.get("cache", cached.kept),
                edge=_time(parameters.get("edge_ttl"), cached.edge),
                browser=_time(parameters.get("browser_ttl"), cached.browser),
            )
        return cached


def _parameters(rule: Rule) -> Mapping[str, Any]:
    return rule.parameters or {}


def _ended(verdict: Verdict, rule: Rule, phase: str, status: int) -> Verdict:
    said = _parameters(rule).get("response", {}).get("status_code", status)
    return replace(verdict, outcome=_ENDS[rule.action], by=f"{phase}/{rule.ref}", status=said)


def _skipped(verdict: Verdict, rule: Rule) -> Verdict:
    parameters = _parameters(rule)
    names = [name for key in ("phases", "products", "rulesets") for name in parameters.get(key, ())]
    return replace(verdict, skipped=verdict.skipped | {*names})


def _only_logs(parameters: Mapping[str, Any]) -> bool:
    overrides = parameters.get("overrides", {})
    actions = [overrides.get("action"), *(rule.get("action") for rule in overrides.get("rules", ()))]
    return "log" in actions


def _time(given: Mapping[str, Any] | None, before: str | int | None) -> str | int | None:
    if given is None:
        return before
    return given["default"] if given["mode"] == "override_origin" else str(given["mode"])


def _looked_at(request: Request) -> str:
    values = [value for value in request.headers.values() if isinstance(value, str)]
    return "\n".join(
        [
            unquote_plus(normalised(request.path)),
            unquote_plus(request.path),
            unquote_plus(request.query),
            request.body,
            *values,
        ]
    )
