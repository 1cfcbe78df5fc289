"""The edge: what every zone of Cloudflare must have."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import prowler
from baseline.model import UNKNOWN, Policy, Resource, StackPolicy, Value, Violation
from baseline.subjects import PlainPolicy
from baseline.tree import Node, guarded, must, must_be

_ZONE: Final = "cloudflare:index/zone:Zone"
_SETTING: Final = "cloudflare:index/zoneSetting:ZoneSetting"
_RULESET: Final = "cloudflare:index/ruleset:Ruleset"
_RECORDS: Final = ("cloudflare:index/dnsRecord:DnsRecord", "cloudflare:index/record:Record")
_OF_A_ZONE: Final = (_ZONE, _SETTING, _RULESET, *_RECORDS)

_HALF_A_YEAR: Final = 15768000
"""Seconds. Source: the preload list's and Prowler's least value of HSTS."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone, and what of it the stack has.

    Attributes:
        first: The resource to blame for what is missing: the zone itself, or else the first of its parts.
        settings: Its settings by id.
        rulesets: Its rulesets.
        unsure: Whether a resource may be of this zone, or may not.
    """

    first: Resource
    settings: dict[str, Resource] = field(default_factory=dict)
    rulesets: list[Resource] = field(default_factory=list)
    unsure: bool = False


def zones(resources: Sequence[Resource]) -> list[Zone]:
    """Sort the resources of a stack by zone.

    Args:
        resources: Resources of a stack.

    Returns:
        The zones that the stack makes, or has a setting, a ruleset or a record of.
    """
    made = {one.urn: one for one in resources if one.type == _ZONE}
    by_key: dict[str, list[Resource]] = {}
    for resource in sorted(resources, key=lambda one: one.type != _ZONE):
        if resource.type in _OF_A_ZONE and (key := _key(resource, made)) is not None:
            by_key.setdefault(key, []).append(resource)
    lost = by_key.pop("", [])
    if not by_key and lost:
        by_key, lost = {"": lost}, []
    return [_zone(members, unsure=bool(lost)) for members in by_key.values()]


def _key(resource: Resource, made: dict[str, Resource]) -> str | None:
    """Name the zone of a resource by URN or id; empty if not known; None if it is of an account."""
    if resource.type == _ZONE:
        return resource.urn
    value = resource.properties.get("zoneId")
    for link in resource.links.get("zoneId", ()):
        if link in made:
            return link
    if isinstance(value, str):
        return next((urn for urn, zone in made.items() if zone.properties.get("id") == value), value)
    return "" if value is UNKNOWN else None


def _zone(members: list[Resource], *, unsure: bool) -> Zone:
    settings: dict[str, Resource] = {}
    for one in members:
        name = one.properties.get("settingId")
        if one.type == _SETTING and isinstance(name, str):
            settings[name] = one
        unsure = unsure or (one.type == _SETTING and name is UNKNOWN)
    return Zone(members[0], settings, [one for one in members if one.type == _RULESET], unsure)


Check = Callable[[Zone], Iterator[Violation]]


def _each(check: Check) -> Callable[[Sequence[Resource]], Iterator[Violation]]:
    """Turn a check of one zone into one of a stack."""

    def check_all(resources: Sequence[Resource]) -> Iterator[Violation]:
        for zone in zones(resources):
            yield from guarded(zone.first, check(zone))

    return check_all


def _setting(zone: Zone, name: str, *keys: str) -> tuple[Resource, Node]:
    resource = zone.settings.get(name)
    if resource is None:
        return zone.first, Node(UNKNOWN if zone.unsure else None, f'ZoneSetting["{name}"].value')
    return resource, Node(resource.properties).at("value", *keys)


def _must_be(zone: Zone, name: str, *valid: Value) -> Iterator[Violation]:
    resource, node = _setting(zone, name)
    yield from guarded(resource, must_be(node, *valid))


def check_ssl(zone: Zone) -> Iterator[Violation]:
    """Require that Cloudflare verifies the origin's certificate."""
    yield from _must_be(zone, "ssl", "strict", "origin_pull")


def check_min_tls(zone: Zone) -> Iterator[Violation]:
    """Require TLS 1.2 at least."""
    yield from _must_be(zone, "min_tls_version", "1.2", "1.3")


def check_https(zone: Zone) -> Iterator[Violation]:
    """Require the redirect to HTTPS, and that browsers remember it."""
    yield from _must_be(zone, "always_use_https", "on")
    resource, header = _setting(zone, "security_header")
    # Cloudflare takes these keys in snake_case; some programs write them in camelCase all the same.
    block = header.at("strict_transport_security")
    if block.value is None:
        block = header.at("strictTransportSecurity")
    age, within = block.at("max_age"), block.at("include_subdomains")
    age = block.at("maxAge") if age.value is None else age
    within = block.at("includeSubdomains") if within.value is None else within
    yield from guarded(resource, must_be(block.at("enabled"), True))
    valid = f"{_HALF_A_YEAR} seconds or more"
    yield from guarded(
        resource, must(age, lambda value: isinstance(value, int) and value >= _HALF_A_YEAR, valid)
    )
    yield from guarded(resource, must_be(within, True))


def _rule(zone: Zone, phase: str, accepts: Callable[[Node], bool], valid: str) -> Iterator[Violation]:
    """Require an enabled rule in a phase."""
    path = f'Ruleset["{phase}"].rules'
    unsure = zone.unsure
    blamed = zone.first
    for ruleset in zone.rulesets:
        root = Node(ruleset.properties)
        unsure = unsure or root.at("phase").value is UNKNOWN
        if root.at("phase").value != phase:
            continue
        blamed = ruleset
        for rule in root.at("rules").items():
            if rule.value is UNKNOWN or rule.at("enabled").value is UNKNOWN:
                unsure = True
            elif rule.at("enabled").value is not False and accepts(rule):
                return
    yield Violation(path, UNKNOWN if unsure else None, valid, resource=blamed)


def check_waf(zone: Zone) -> Iterator[Violation]:
    """Require that a managed ruleset is executed."""
    valid = "a rule that executes a managed ruleset, and is enabled"
    yield from _rule(
        zone, "http_request_firewall_managed", lambda rule: rule.at("action").value == "execute", valid
    )


def check_rate_limit(zone: Zone) -> Iterator[Violation]:
    """Require a limit of requests."""
    valid = "a rule with a rate limit, and is enabled"
    yield from _rule(zone, "http_ratelimit", lambda rule: bool(rule.at("ratelimit").value), valid)


def check_proxied(record: Resource, *, unproxied: Sequence[str]) -> Iterator[Violation]:
    """Require that records of addresses and names lead through Cloudflare."""
    root = Node(record.properties)
    kind, name, proxied = root.at("type"), root.at("name"), root.at("proxied")
    if isinstance(kind.value, str) and kind.value not in ("A", "AAAA", "CNAME"):
        return
    if name.value in unproxied or record.name in unproxied:
        return
    if kind.value is UNKNOWN and proxied.value is not True:
        yield Violation(kind.path, UNKNOWN, "a type that needs no proxy, or proxied")
        return
    yield from must_be(proxied, True)


def _about(type_token: str) -> bool:
    return type_token in _OF_A_ZONE


POLICIES: Final[tuple[Policy, ...]] = (
    StackPolicy(
        name="cf-ssl-strict",
        description="Zones must verify the origin's certificate.",
        remedy="Add a ZoneSetting with settingId ssl and value strict.",
        severity=Severity.HIGH,
        framework=prowler("zone_ssl_strict"),
        anchors=("Prowler-zone_ssl_strict", "SOC2-CC6.7"),
        selects=_about,
        check=_each(check_ssl),
    ),
    StackPolicy(
        name="cf-min-tls-1-2",
        description="Zones must refuse TLS older than 1.2.",
        remedy='Add a ZoneSetting with settingId min_tls_version and value "1.2".',
        severity=Severity.HIGH,
        framework=prowler("zone_min_tls_version_secure"),
        anchors=("Prowler-zone_min_tls_version_secure",),
        selects=_about,
        check=_each(check_min_tls),
    ),
    StackPolicy(
        name="cf-https-hsts",
        description="Zones must redirect to HTTPS and send HSTS for half a year, with subdomains.",
        remedy="Add ZoneSettings always_use_https: on, and security_header with strict_transport_security.",
        severity=Severity.HIGH,
        framework=prowler("zone_hsts_enabled"),
        anchors=("Prowler-zone_hsts_enabled", "Prowler-zone_https_redirect_enabled"),
        selects=_about,
        check=_each(check_https),
    ),
    StackPolicy(
        name="cf-waf-managed",
        description="Zones must have a managed firewall ruleset executed.",
        remedy="Add a Ruleset of phase http_request_firewall_managed with a rule whose action is execute.",
        severity=Severity.HIGH,
        framework=prowler("zone_waf_enabled"),
        anchors=("Prowler-zone_waf_enabled", "SOC2-CC6.6"),
        selects=_about,
        check=_each(check_waf),
    ),
    StackPolicy(
        name="cf-rate-limit",
        description="Zones must limit the rate of requests.",
        remedy="Add a Ruleset of phase http_ratelimit with a rule that has ratelimit.",
        severity=Severity.MEDIUM,
        framework=prowler("zone_rate_limiting_enabled"),
        anchors=("Prowler-zone_rate_limiting_enabled", "SOC2-A1.1"),
        selects=_about,
        check=_each(check_rate_limit),
    ),
    PlainPolicy(
        name="cf-records-proxied",
        description="Records of addresses must lead through Cloudflare. The option `unproxied` names the "
        "exceptions.",
        remedy="Set proxied to true, or name the record in the policy's option.",
        severity=Severity.HIGH,
        framework=prowler("dns_record_proxied"),
        anchors=("Prowler-dns_record_proxied", "SOC2-CC6.6"),
        options={"unproxied": ()},
        selects=lambda token: token in _RECORDS,
        check=check_proxied,
    ),
)
