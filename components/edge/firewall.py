"""What never reaches the entrance: closed paths, odd methods, countries, and what only attackers ask for."""

from collections.abc import Iterator
from typing import Any, Final

from components.edge.expression import (
    COUNTRY,
    EXTENSION,
    HOST,
    IP,
    METHOD,
    PATH,
    QUERY,
    RAW_PATH,
    USER_AGENT,
    VERIFIED_BOT,
    Expression,
    one_of,
)
from components.edge.plan import PLANS, Plan
from components.edge.rules import Rule
from components.edge.shape import Shape

EXPLOITED: Final = (
    *("/wp-", "/xmlrpc", "/phpmyadmin", "/pma/", "/cgi-bin/", "/vendor/phpunit", "/boaform", "/hnap1"),
    *("/manager/html", "/owa/", "/autodiscover", "/_ignition", "/solr/", "/jenkins", "/geoserver"),
    *("/_profiler", "/telescope/", "/server-info", "/druid/"),
)
"""Beginnings of paths, in small letters: programs that are not here, and are broken into where they are.

Source: https://github.com/danielmiessler/SecLists/tree/master/Discovery/Web-Content
"""

WITHIN: Final = ("/wp-login", "/wp-admin", "/wp-content", "/wp-includes", "/wp-config", "/etc/passwd")
"""The same anywhere in a path: scanners try them below every folder."""

EXTENSIONS: Final = (
    *("php", "php5", "phtml", "asp", "aspx", "ashx", "jsp", "jspx", "cgi", "cfm"),
    *("sql", "bak", "old", "swp", "pem", "sqlite", "db", "env", "ini", "log", "sh"),
)
"""What no path of the product ends with: other languages' pages, and what is copied by mistake.

Not `key` and `pl`: people upload Keynote's files, and have addresses in Poland.
"""

HIDDEN: Final = "/."
"""Files that lie beside the program when somebody copied too much: /.env, /.git/config, /.aws, /../x."""

IN_QUERIES: Final = (
    *("/etc/passwd", "../..", "${jndi:", "<script", "php://", "/win.ini"),
    *("union all select", "union select null", "union select 1,"),
)
"""In a decoded query, in small letters: attacks that are the same everywhere.

The European Union has select committees, and people look for them.
"""

CLIMBING: Final = ("/../", ".%2e", "%2e.", "%2e%2e")
"""In a path as it was sent, in small letters: no browser sends these, and the origin gets the path so, while
all other rules see it without (https://developers.cloudflare.com/rules/normalization/how-it-works/)."""

SCANNERS: Final = (
    "sqlmap",
    "nikto",
    "nuclei",
    "masscan",
    "zgrab",
    "wpscan",
    "gobuster",
    "dirbuster",
    "${jndi:",
)
"""In a client's name: whoever calls itself so is nobody's customer. Those who hide it are met by the rest."""

WELL_KNOWN: Final = "/.well-known/"
"""Where certificate authorities and others look for what is public on purpose (RFC 8615)."""

ANSWER: Final = {
    "status_code": 403,
    "content_type": "application/json",
    "content": '{"statusCode":403,"error":"Forbidden","message":"refused at the edge"}',
}


def custom_rules(shape: Shape) -> list[Rule]:
    """The custom rules of a zone, in the order of their evaluation.

    On the free plan, which has five, closed paths, paths of exploits and odd methods are one rule.

    Args:
        shape: the stack.
    """
    plan = PLANS[shape.plan]
    refusals = [*_refusals(shape)]
    if len(refusals) > 2 and plan.name == "free":
        refusals = [("refused", "paths and methods that nobody needs", one_of(each[2] for each in refusals))]
    return [
        *_never_limited(shape),
        *_maintenance(shape, plan),
        *(
            Rule(ref, description, expression, "block", parameters=_answer(plan))
            for ref, description, expression in [*refusals, *_countries(shape)]
        ),
    ]


def _answer(plan: Plan) -> dict[str, Any] | None:
    return {"response": dict(ANSWER)} if plan.says_why else None


def _never_limited(shape: Shape) -> Iterator[Rule]:
    # Below Business a rate rule can't ask for the address itself: its phase is skipped instead.
    if shape.never_limited:
        yield Rule(
            "never-limited",
            "no rate is counted for these networks",
            IP.one_of(*shape.never_limited),
            "skip",
            parameters={"phases": ["http_ratelimit"]},
        )


def _maintenance(shape: Shape, plan: Plan) -> Iterator[Rule]:
    # Where the plan has snippets, one of them answers 503; a block can only say 4xx.
    if shape.maintenance and not plan.snippets:
        yield Rule("maintenance", "closed for maintenance", in_maintenance(shape), "block")


def in_maintenance(shape: Shape) -> Expression:
    """Everybody who is told to come back later."""
    ours = HOST.one_of(*shape.hosts)
    return ours & ~IP.one_of(*shape.open_to) if shape.open_to else ours


def _refusals(shape: Shape) -> Iterator[tuple[str, str, Expression]]:
    yield "exploits", "what only scanners ask for", exploits()
    if shape.closed or shape.consoles:
        yield "closed", "consoles, metrics and what else is for operators", _closed(shape)
    if shape.methods:
        yield "methods", "methods that nothing here answers", ~METHOD.one_of(*shape.methods)


def exploits() -> Expression:
    """Requests for what is not here, and is broken into where it is."""
    path, query, client = PATH.lower(), QUERY.decoded().lower(), USER_AGENT.lower()
    return one_of(
        (
            path.contains(HIDDEN) & ~path.starts_with(WELL_KNOWN),
            EXTENSION.one_of(*EXTENSIONS),
            *(path.starts_with(each) for each in EXPLOITED),
            *(path.contains(each) for each in WITHIN),
            *(RAW_PATH.lower().contains(each) for each in CLIMBING),
            *(query.contains(each) for each in IN_QUERIES),
            *(client.contains(each) for each in SCANNERS),
        )
    )


def _closed(shape: Shape) -> Expression:
    path = PATH.lower()
    parts: list[Expression] = []
    for each in shape.closed:
        # `/metrics` closes itself and what is below it, and not /metrics-explained.
        parts += [path.equals(each.lower()), path.starts_with(f"{each.lower()}/")]
    if parts and shape.consoles:
        # A console has paths of its own; Grafana's /admin is for whoever may see Grafana.
        parts = [one_of(parts) & ~HOST.one_of(*shape.consoles)]
    if shape.consoles:
        parts.append(HOST.one_of(*shape.consoles))
    closed = one_of(parts)
    return closed & ~IP.one_of(*shape.open_to) if shape.open_to else closed


def _countries(shape: Shape) -> Iterator[tuple[str, str, Expression]]:
    refused = None
    if shape.only_countries:
        refused = ~COUNTRY.one_of(*shape.only_countries)
    elif shape.blocked_countries:
        refused = COUNTRY.one_of(*shape.blocked_countries)
    if refused is None:
        return
    if shape.verified_bots:
        # Search engines come from everywhere, and Cloudflare has verified that they are who they say.
        refused = refused & ~VERIFIED_BOT
    yield "countries", "countries that the product is not for", refused
