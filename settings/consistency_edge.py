"""Whether the edge can be what its section says: by its zone, its plan, and by what else stands there."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from components.edge.plan import CLOUDFLARE_MANAGED, OWASP, PLANS, Plan
from components.edge.rate_limit import has_login_rule
from components.edge.rulesets import faults, rules_by_phase
from components.edge.shape import Shape
from components.ingress.route import CLASS_NAME
from settings.disagreement import Disagreement
from settings.edge import Edge
from settings.edge_shape import SITE, full, hosts_of, shape_of
from settings.entrance import Entrance
from settings.model import Settings

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{40}|cf[ua]t_[A-Za-z0-9]{40}[0-9a-f]{8}")
"""Source: https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/"""

_STAND_IN: Final = re.compile(r"(placeholder|given)-[a-z-]+")
"""What previews without the stack's key read; Cloudflare's own provider refuses it for its length."""

_DOMAIN: Final = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


def disagreements_of_edge(settings: Settings) -> Iterator[Disagreement]:
    """Every disagreement of the section `edge` with its plan and with the other sections."""
    edge = settings.edge
    if edge is None:
        return
    if settings.entrance is None:
        yield Disagreement("edge", "an edge without an entrance", "a section `entrance` behind it")
        return
    plan, shape = PLANS[edge.plan], shape_of(settings, edge)
    yield from _token(settings, edge)
    yield from _entrance(settings.entrance, edge)
    yield from _zone(settings, edge)
    yield from _origin(edge)
    yield from _records(settings, edge)
    yield from _beyond_the_plan(edge, plan)
    yield from _rates(edge, plan)
    found = [*_shadows(edge)]
    yield from found
    if not found:
        yield from _rules(edge, shape)


def _token(settings: Settings, edge: Edge) -> Iterator[Disagreement]:
    secret = settings.secrets.get(edge.token)
    if secret is None:
        known = ", ".join(sorted(settings.secrets)) or "nothing: declare it there"
        yield Disagreement("edge.token", repr(edge.token), f"one of `secrets`: {known}")
        return
    if secret.generate is not None:
        yield Disagreement(f"secrets.{edge.token}", "a generated value", "Cloudflare's own token, as `value`")
    value = secret.value.get_secret_value() if secret.value else ""
    if value and not (_TOKEN.fullmatch(value) or _STAND_IN.fullmatch(value)):
        kind = "a Global API Key" if value.startswith("cfk_") or len(value) == 37 else "no API token"
        valid = "40 letters, digits, `-` and `_`, or `cfut_` or `cfat_` with 48 more, and nothing around it"
        yield Disagreement(f"secrets.{edge.token}.value", f"{kind} ({len(value)} characters)", valid)


def _entrance(entrance: Entrance, edge: Edge) -> Iterator[Disagreement]:
    if "cloudflare" not in entrance.trusted_ranges:
        valid = "`cloudflare` among them: else the origin is open to everybody, or to nobody"
        yield Disagreement("entrance.trustedRanges", str(entrance.trusted_ranges), valid)
    if edge.origin_pulls and entrance.class_name != CLASS_NAME:
        valid = f"false: {entrance.class_name!r} is another's controller, which has to be told by hand"
        yield Disagreement("edge.originPulls", "true", valid)


def _zone(settings: Settings, edge: Edge) -> Iterator[Disagreement]:
    zone = edge.zone.name
    outside = [settings.stack.domain] if not _within(settings.stack.domain, zone) else []
    if outside:
        yield Disagreement("edge.zone.name", repr(zone), f"a zone that {settings.stack.domain} is in")
        return
    for path, label in hosts_of(settings).items():
        host = full(settings, label)
        if len(host.removesuffix(zone).strip(".").split(".")) > 1 and not edge.zone.advanced_certificates:
            valid = (
                f"one label below {zone}: Universal SSL covers no more; or `edge.zone.advancedCertificates`"
            )
            yield Disagreement(path, repr(host), valid)
    labels = set(hosts_of(settings).values())
    for number, label in enumerate(edge.access.consoles):
        if label not in labels:
            hosts = ", ".join(sorted(labels))
            yield Disagreement(
                f"edge.access.consoles[{number}]", repr(label), f"a host of the stack: {hosts}"
            )
        elif label == SITE:
            yield Disagreement(
                f"edge.access.consoles[{number}]", repr(label), "not the site itself: it is for everybody"
            )
    for number, spared in enumerate(edge.exceptions):
        if spared.host not in labels:
            hosts = ", ".join(sorted(labels))
            yield Disagreement(
                f"edge.exceptions[{number}].host", repr(spared.host), f"a host of the stack: {hosts}"
            )
    if edge.health_check and edge.health_check.host not in labels:
        yield Disagreement(
            "edge.healthCheck.host", repr(edge.health_check.host), f"a host: {', '.join(sorted(labels))}"
        )


def _within(host: str, zone: str) -> bool:
    return host == zone or host.endswith(f".{zone}")


def _origin(edge: Edge) -> Iterator[Disagreement]:
    names = [each for each in edge.origin if not _is_address(each)]
    for number, each in enumerate(edge.origin):
        if _is_address(each):
            # Ranges for documentation are private to Python too, and stand in committed settings.
            if ip_address(each).is_loopback or ip_address(each) in ip_network("10.0.0.0/8"):
                yield Disagreement(
                    f"edge.origin[{number}]", repr(each), "an address that Cloudflare can reach"
                )
        elif _DOMAIN.fullmatch(each) is None:
            yield Disagreement(
                f"edge.origin[{number}]", repr(each), "an address, or a name such as lb-1.example.com"
            )
        elif _within(each, edge.zone.name):
            yield Disagreement(
                f"edge.origin[{number}]",
                repr(each),
                f"a name outside {edge.zone.name}: this one is the edge",
            )
    if names and len(edge.origin) > 1:
        yield Disagreement(
            "edge.origin", ", ".join(edge.origin), "addresses, or one name: a CNAME stands alone"
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _records(settings: Settings, edge: Edge) -> Iterator[Disagreement]:
    proxied = {full(settings, label) for label in hosts_of(settings).values()}
    for number, record in enumerate(edge.unproxied):
        path = f"edge.unproxied[{number}]"
        name = edge.zone.name if record.name == "@" else f"{record.name}.{edge.zone.name}"
        if record.type in ("A", "AAAA", "CNAME"):
            if name in proxied:
                yield Disagreement(
                    f"{path}.name", repr(record.name), "a name that the edge does not serve itself"
                )
            if record.content in edge.origin:
                valid = "another address than the origin's: whoever finds it goes around the edge"
                yield Disagreement(f"{path}.content", repr(record.content), valid)
        if record.type in ("A", "AAAA") and not _is_address(record.content):
            yield Disagreement(f"{path}.content", repr(record.content), "an address")


def _beyond_the_plan(edge: Edge, plan: Plan) -> Iterator[Disagreement]:
    """What the plan lacks, with what it could have instead."""
    name = plan.name
    if edge.owasp and OWASP not in plan.managed:
        valid = f"nothing: {name} has Cloudflare's Free Managed Ruleset, which is on; OWASP begins with pro"
        yield Disagreement("edge.owasp", "the OWASP Core Ruleset", valid)
    elif edge.owasp and edge.owasp.action == "log" and not plan.logs:
        valid = "managed_challenge with threshold 60, the mildest on this plan; log is Enterprise's"
        yield Disagreement("edge.owasp.action", "'log'", valid)
    for number, spared in enumerate(edge.exceptions):
        have = {"managed", "owasp"} if CLOUDFLARE_MANAGED in plan.managed else {"free"}
        if lacking := sorted(set(spared.rulesets) - have):
            valid = f"of {', '.join(sorted(have))}: those run on the plan {name}"
            yield Disagreement(f"edge.exceptions[{number}].rulesets", ", ".join(lacking), valid)
        if "owasp" in spared.rulesets and not edge.owasp and OWASP in plan.managed:
            yield Disagreement(
                f"edge.exceptions[{number}].rulesets", "owasp", "managed alone: `edge.owasp` is left out"
            )
    if edge.rate_limits.login_per_minute is not None and not has_login_rule(plan):
        valid = "nothing: the plan has one rate rule, for all requests; the entrance limits the API by itself"
        yield Disagreement("edge.rateLimits.loginPerMinute", str(edge.rate_limits.login_per_minute), valid)
    if edge.health_check and not plan.health_checks:
        valid = "nothing: health checks begin with pro; `edge.monitor` is for another's monitor"
        yield Disagreement("edge.healthCheck", "a health check", valid)
    elif edge.health_check and edge.health_check.interval_seconds < plan.health_interval:
        valid = f"at least {plan.health_interval} on the plan {name}"
        yield Disagreement("edge.healthCheck.intervalSeconds", str(edge.health_check.interval_seconds), valid)
    for mechanism, field in (("webhook", "webhooks"), ("pagerduty", "pagerduty")):
        if getattr(edge.notifications, field) and mechanism not in plan.mechanisms:
            valid = f"nothing: the plan {name} notifies by {' and '.join(plan.mechanisms)}"
            yield Disagreement(f"edge.notifications.{field}", f"a {mechanism}", valid)


def _rates(edge: Edge, plan: Plan) -> Iterator[Disagreement]:
    """A rate below what a checker needs would take the checker for an attack, and then wake somebody."""
    limit = edge.rate_limits.requests_per_minute
    checkers = {"healthCheck": edge.health_check, "monitor": edge.monitor}
    for name, checker in checkers.items():
        asked = 0
        if checker is not None:
            asked = checker.per_minute if isinstance(checker.per_minute, int) else checker.per_minute()
        if asked >= limit:
            valid = f"more than {asked}: so often asks `edge.{name}` from one address"
            yield Disagreement("edge.rateLimits.requestsPerMinute", str(limit), valid)
    if edge.rate_limits.login_per_minute and edge.rate_limits.login_per_minute >= limit:
        valid = f"less than edge.rateLimits.requestsPerMinute ({limit})"
        yield Disagreement("edge.rateLimits.loginPerMinute", str(edge.rate_limits.login_per_minute), valid)
    if limit * min(60, plan.longest_period) // 60 < 1:
        yield Disagreement(
            "edge.rateLimits.requestsPerMinute", str(limit), "at least 6: the plan counts over 10 seconds"
        )


def _shadows(edge: Edge) -> Iterator[Disagreement]:
    """Rules of which one never does anything, because another has done it before."""
    access, limits = edge.access, edge.rate_limits
    if access.only_countries and access.blocked_countries:
        valid = "left out: with `onlyCountries`, all others are blocked already"
        yield Disagreement("edge.access.blockedCountries", ", ".join(access.blocked_countries), valid)
    yield from _covered("edge.access.closedPaths", access.closed_paths, below=True)
    yield from _covered("edge.assets", edge.assets, below=False)
    for path, networks in (
        ("edge.access.openTo", access.open_to),
        ("edge.rateLimits.neverLimited", limits.never_limited),
    ):
        yield from _networks(path, networks)
    needed = {f"edge.rateLimits.loginPaths[{n}]": each for n, each in enumerate(limits.login_paths)}
    needed |= {f"edge.assets[{n}]": each for n, each in enumerate(edge.assets)}
    if edge.health_check:
        needed["edge.healthCheck.path"] = edge.health_check.path
    for path, wanted in needed.items():
        for closed in access.closed_paths:
            if _below(wanted.lower(), closed.lower()):
                yield Disagreement(
                    path, repr(wanted), f"a path that is not closed by edge.access.closedPaths ({closed})"
                )
    for number, spared in enumerate(edge.exceptions):
        for earlier in edge.exceptions[:number]:
            if (
                earlier.host == spared.host
                and spared.path.startswith(earlier.path)
                and set(spared.rulesets) <= set(earlier.rulesets)
            ):
                valid = f"left out: the exception for {earlier.path} before it holds for this too"
                yield Disagreement(f"edge.exceptions[{number}]", repr(spared.path), valid)
    for method in ("GET", "POST"):
        if method not in access.methods:
            yield Disagreement(
                "edge.access.methods",
                ", ".join(access.methods) or "none",
                f"{method} too: nobody gets in else",
            )


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above.rstrip('/')}/")


def _covered(where: str, paths: list[str], *, below: bool) -> Iterator[Disagreement]:
    for number, path in enumerate(paths):
        for other, earlier in enumerate(paths):
            covered = _below(path, earlier) if below else path.startswith(earlier)
            if number != other and covered and (path != earlier or number > other):
                yield Disagreement(f"{where}[{number}]", repr(path), f"left out: {earlier} covers it")
                break


def _networks(where: str, networks: list[str]) -> Iterator[Disagreement]:
    known: list[IPv4Network | IPv6Network] = [ip_network(each) for each in networks]
    for number, network in enumerate(known):
        if network.prefixlen == 0:
            yield Disagreement(
                f"{where}[{number}]", str(network), "networks of somebody: this one is everybody"
            )
        for other, wider in enumerate(known):
            if number == other or network.version != wider.version:
                continue
            if network.subnet_of(wider) and (network != wider or number > other):  # type: ignore[arg-type]
                yield Disagreement(f"{where}[{number}]", str(network), f"left out: {wider} covers it")
                break


def _rules(edge: Edge, shape: Shape) -> Iterator[Disagreement]:
    for where, found, valid in faults(rules_by_phase(shape, edge.flood_sensitivity), shape):
        yield Disagreement(f"edge ({where})", found, valid)
