"""The table of requests, read from its files, and what each becomes of under the rules of this repository."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import yaml

from components.edge.fields import PLANS
from components.edge.rulesets import rules_by_phase
from components.edge.shape import Owasp, PlanName, Shape
from tests.unit.edge_evaluator import Request
from tests.unit.edge_walk import Cached, Edge, Verdict

FILES: Final = tuple(sorted((Path(__file__).parent / "data").glob("edge-requests-*.yaml")))

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

Kind = Literal["attack", "ordinary", "cost", "limit", "rate"]
"""What must not get through, what must, what is refused though nobody attacks, what the plan alone decides,
and sequences."""

_HOSTS: Final = ("app.example.com", "api.example.com", "live.example.com", "grafana.example.com")
_USUAL: Final = Shape(
    plan="free",
    site=_HOSTS[0],
    api=(_HOSTS[1],),
    sockets=(_HOSTS[2],),
    consoles=(_HOSTS[3],),
    hosts=_HOSTS,
    open_to=("198.51.100.0/24", "2001:db8:5::/48"),
    owasp=Owasp(paranoia=1, threshold=40, action="block"),
)
SHAPES: Final[Mapping[str, Shape]] = {
    "usual": _USUAL,
    "countries": replace(_USUAL, blocked_countries=("IR", "KP")),
    "only": replace(_USUAL, only_countries=("AT", "CH", "DE")),
    "monitored": replace(_USUAL, never_limited=("192.0.2.0/24",)),
}
"""Stacks that differ in what the table needs; the plan is put in by each test."""

CACHES: Final[Mapping[str, Cached]] = {
    "pages": Cached(kept=True, edge="bypass_by_default", browser="respect_origin"),
    "assets": Cached(kept=True, edge="respect_origin", browser="respect_origin"),
    "never": Cached(kept=False),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request, or many of one kind.

    Attributes:
        request: the first of them.
        times: how many.
        every: seconds between two.
        expect: plan -> outcomes and their numbers.
        cached: what the cache does with each, if the table says so.
    """

    request: Request
    times: int
    every: float
    expect: Mapping[PlanName, Mapping[str, int]]
    cached: Cached | None

    def __str__(self) -> str:
        request = self.request
        target = request.path + (f"?{request.query}" if request.query else "")
        return f"{request.method} {request.scheme}://{request.host}{target}"

    @property
    def besides(self) -> str:
        """What is not in the address of the request, and not as usual."""
        request, usual = self.request, Request()
        others = (f"{name}: {value}" for name, value in request.headers.items() if value != BROWSER)
        told = [
            *("no user-agent" for _ in range("user-agent" not in request.headers)),
            *others,
            *(
                f"{name} {found}"
                for name in _TOLD
                if (found := getattr(request, name)) != getattr(usual, name)
            ),
        ]
        return ", ".join(told)

    def run(self, edge: Edge) -> list[Verdict]:
        """What becomes of each."""
        return [edge.sees(self.request, number * self.every) for number in range(self.times)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request, or a sequence, before one zone.

    Attributes:
        group: its heading in the table.
        kind: what it is to the product.
        shape: which stack.
        steps: in order, seen by the same zone.
    """

    group: str
    kind: Kind
    shape: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        step = self.steps[0]
        return self.group if self.kind == "rate" else f"{self.group}: {step} {step.besides}".rstrip()

    def run(self, plan: PlanName) -> list[list[Verdict]]:
        """What becomes of each step's requests; the counters begin at nought."""
        return _run(str(self), plan)


@cache
def _run(name: str, plan: PlanName) -> list[list[Verdict]]:
    (case,) = (each for each in cases() if str(each) == name)
    edge = zone(plan, case.shape)
    edge.counters.clear()
    return [step.run(edge) for step in case.steps]


@cache
def zone(plan: PlanName, shape: str) -> Edge:
    """A zone with the rules that this repository makes."""
    return Edge(plan, rules_by_phase(replace(SHAPES[shape], plan=plan)))


@cache
def cases() -> tuple[Case, ...]:
    """The whole table."""
    return tuple(case for file in FILES for case in _cases(yaml.safe_load(file.read_text(encoding="utf-8"))))


def outcomes(verdicts: list[Verdict]) -> Mapping[str, int]:
    """How often each outcome was."""
    return Counter(verdict.outcome for verdict in verdicts)


def _cases(table: Mapping[str, Any]) -> Iterator[Case]:
    for group in table["groups"]:
        kind = group.get("kind", table["kind"])
        head = {"group": group["name"], "kind": kind, "shape": group.get("shape", "usual")}
        if "steps" in group:
            yield Case(**head, steps=tuple(_step(step, group) for step in group["steps"]))
            continue
        for row in group["requests"]:
            yield Case(**head, steps=(_step({"ask": row} if isinstance(row, str) else row, group),))


def _step(row: Mapping[str, Any], group: Mapping[str, Any]) -> Step:
    unknown = row.keys() - _KEYS
    if unknown:
        raise ValueError(f"{group['name']}: {row['ask']}: no such keys: {', '.join(sorted(unknown))}")
    method, url = row["ask"].split(" ", 1)
    # Not by urlsplit alone: it would take a backslash or two slashes for something else.
    scheme, _, rest = url.partition("://")
    host = urlsplit(url).hostname or ""
    path, _, query = rest[len(host) :].partition("?")
    agent = row.get("agent", BROWSER)
    times = row.get("times", 1)
    return Step(
        request=Request(
            method=method,
            scheme=scheme,
            host=host,
            path=path,
            query=query,
            headers=row.get("headers", {}) | ({"user-agent": agent} if agent else {}),
            second=row.get("from", 0),
            **{key: row[key] for key in _OF_REQUEST & row.keys()},
        ),
        times=times,
        every=row.get("every", 0),
        expect=_expected(row.get("expect", group.get("expect")), times),
        cached=CACHES[group["cache"]] if "cache" in group else None,
    )


_TOLD: Final = ("address", "country", "bot", "body", "body_bytes")
_OF_REQUEST: Final = frozenset({"address", "body", "body_bytes", "bot", "country", "place"})
_KEYS: Final = _OF_REQUEST | {"ask", "agent", "headers", "from", "times", "every", "expect"}


def _expected(given: Any, times: int) -> dict[PlanName, Mapping[str, int]]:
    by_plan = given if isinstance(given, dict) and given.keys() & {*PLANS} else dict.fromkeys(PLANS, given)
    found: dict[PlanName, Mapping[str, int]] = {}
    for plan in PLANS:
        wanted = by_plan.get(plan, by_plan.get("pro"))
        found[plan] = wanted if isinstance(wanted, dict) else {str(wanted): times}
    return found
