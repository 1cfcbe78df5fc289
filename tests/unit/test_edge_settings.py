"""What a person is told whose edge can't be as its settings say: the path, what was found, what would do."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from components.edge.shape import Owasp
from settings.edge_shape import shape_of
from settings.model import Settings
from tests.unit.test_settings import faults, read, sections

Data = dict[str, Any]


def changed(stack: str, change: Callable[[Data], Any]) -> Data:
    data = copy.deepcopy(sections(stack))
    change(data)
    return data


def put(path: str, value: Any) -> Callable[[Data], None]:
    """Sets the value at a dotted path, with the mappings on the way."""

    def change(data: Data) -> None:
        *parents, last = path.split(".")
        node: Any = data
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[last] = value

    return change


def told(stack: str, *changes: Callable[[Data], None]) -> dict[str, tuple[str, str]]:
    def all_of_them(data: Data) -> None:
        for change in changes:
            change(data)

    return {path.removeprefix("fixia:"): rest for path, rest in faults(changed(stack, all_of_them)).items()}


ID = "0123456789abcdef0123456789abcdef"
EXCEPTION = {"host": "api", "path": "/items", "rulesets": ["owasp"], "reason": "long texts with quotes"}


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_the_committed_edges_are_valid(stack: str) -> None:
    edge = read(sections(stack)).edge
    assert edge is not None
    assert edge.plan == {"staging": "free", "production": "pro"}[stack]


def test_the_local_stack_has_none() -> None:
    assert read(sections("local")).edge is None


@pytest.mark.parametrize(
    ("path", "value", "at", "found", "valid"),
    [
        ("zone.id", "0123", "edge.zone.id", "0123", "32 digits"),
        ("zone.id", ID.upper(), "edge.zone.id", ID.upper(), "small letters"),
        ("account", "acme", "edge.account", "acme", "32 digits"),
        ("plan", "gold", "edge.plan", "gold", "'free', 'pro', 'business' or 'enterprise'"),
        ("zone.name", "other.example", "edge.zone.name", "other.example", "a zone that fixia.app is in"),
        ("access.blockedCountries", ["UK"], "edge.access.blockedCountries[0]", "UK", "ISO 3166-1"),
        ("access.onlyCountries", ["de"], "edge.access.onlyCountries[0]", "de", "did you mean DE?"),
        ("access.methods", ["get", "POST"], "edge.access.methods[0]", "get", "in capitals"),
        ("access.methods", ["GET"], "edge.access.methods", "GET", "POST too"),
        ("access.consoles", ["kibana"], "edge.access.consoles[0]", "'kibana'", "a host of the stack: @, api"),
        ("access.consoles", ["@"], "edge.access.consoles[0]", "'@'", "not the site itself"),
        ("token", "nobody", "edge.token", "'nobody'", "cloudflare-edge-token"),
        ("origin", ["10.1.2.3"], "edge.origin[0]", "10.1.2.3", "that Cloudflare can reach"),
        ("origin", ["lb.fixia.app"], "edge.origin[0]", "lb.fixia.app", "a name outside fixia.app"),
        ("origin", ["not a name"], "edge.origin[0]", "not a name", "an address, or a name"),
        ("origin", ["203.0.113.1", "lb.example.net"], "edge.origin", "203.0.113.1", "a CNAME stands alone"),
        (
            "hsts",
            {"subdomains": False, "preload": True},
            "edge.hsts",
            "preload",
            "`preload` needs `subdomains`",
        ),
        (
            "rateLimits",
            {"requestsPerMinute": 6},
            "edge.rateLimits.requestsPerMinute",
            "6",
            "more than 6: so often asks `edge.monitor` from one address",
        ),
        (
            "healthCheck",
            {"host": "api", "retries": 5, "intervalSeconds": 10},
            "edge.healthCheck.intervalSeconds",
            "10",
            "at least 60 on the plan pro",
        ),
        ("healthCheck.host", "www", "edge.healthCheck.host", "'www'", "a host: @, api"),
        ("rateLimits.loginPerMinute", 1000, "edge.rateLimits.loginPerMinute", "1000", "less than"),
        ("owasp.action", "log", "edge.owasp.action", "'log'", "managed_challenge with threshold 60"),
        ("owasp.paranoia", 5, "edge.owasp.paranoia", "5", "1, 2, 3 or 4"),
        (
            "notifications.pagerduty",
            [ID],
            "edge.notifications.pagerduty",
            "pagerduty",
            "by email and webhook",
        ),
        (
            "exceptions",
            [{**EXCEPTION, "rulesets": ["free"]}],
            "edge.exceptions[0].rulesets",
            "free",
            "of managed, owasp",
        ),
        (
            "exceptions",
            [{**EXCEPTION, "host": "www"}],
            "edge.exceptions[0].host",
            "'www'",
            "a host of the stack",
        ),
        (
            "exceptions",
            [EXCEPTION, EXCEPTION],
            "edge.exceptions[1]",
            "/items",
            "the exception for /items before",
        ),
        (
            "access.closedPaths",
            ["/admin", "/admin/users"],
            "edge.access.closedPaths[1]",
            "/admin/users",
            "/admin covers it",
        ),
        (
            "access.closedPaths",
            ["/auth/login"],
            "edge.rateLimits.loginPaths[0]",
            "/auth/login",
            "not closed by",
        ),
        ("access.closedPaths", ["/health"], "edge.healthCheck.path", "/health", "not closed by"),
        ("assets", ["/assets/", "/assets/js/"], "edge.assets[1]", "/assets/js/", "/assets/ covers it"),
        (
            "access.openTo",
            ["192.0.2.0/24", "192.0.2.0/28"],
            "edge.access.openTo[1]",
            "192.0.2.0/28",
            "covers it",
        ),
        ("access.openTo", ["0.0.0.0/0"], "edge.access.openTo[0]", "0.0.0.0/0", "this one is everybody"),
        (
            "access",
            {"onlyCountries": ["DE"], "blockedCountries": ["FR"]},
            "edge.access.blockedCountries",
            "FR",
            "all others are blocked already",
        ),
        (
            "unproxied.0.content",
            "",
            "edge.unproxied[0].content",
            "",
            "at least 1 character",
        ),
        ("unproxied.1.type", "MX", "edge.unproxied[1]", "MX", "`priority` for MX"),
    ],
)
def test_a_fault_is_one_message_with_its_path(path: str, value: Any, at: str, found: str, valid: str) -> None:
    said = told("production", put(f"edge.{path}", value))
    assert at in said, said
    assert len(said) == 1, said
    assert found in said[at][0]
    assert valid in said[at][1]


def test_an_unproxied_address_of_the_origin_would_give_it_away() -> None:
    record = {"name": "ftp", "type": "A", "content": "203.0.113.10", "reason": "for old programs"}
    said = told("production", put("edge.unproxied", [record]))
    assert list(said) == ["edge.unproxied[0].content"]
    assert "goes around the edge" in said["edge.unproxied[0].content"][1]
    beside = {**record, "name": "api", "content": "203.0.113.99"}
    assert list(told("production", put("edge.unproxied", [beside]))) == ["edge.unproxied[0].name"]


def test_a_host_two_labels_deep_has_no_certificate_at_the_edge() -> None:
    said = told("production", put("stack.domain", "eu.fixia.app"))
    assert "workloads.api.public.host" in said
    assert "Universal SSL covers no more" in said["workloads.api.public.host"][1]
    covered = put("edge.zone.advancedCertificates", True)
    settings = read(
        changed("production", lambda data: (put("stack.domain", "eu.fixia.app")(data), covered(data)))
    )
    assert settings.edge is not None


def test_an_edge_needs_an_entrance_behind_it() -> None:
    def alone(data: Data) -> None:
        del data["entrance"]
        data["monitoring"]["grafana"]["host"] = None
        del data["monitoring"]["status"]
        for workload in data["workloads"].values():
            workload.pop("public", None)

    assert list(told("production", alone)) == ["edge"]
    said = told("production", put("entrance.trustedRanges", []))
    assert "the origin is open to everybody" in said["entrance.trustedRanges"][1]
    another = told("production", put("entrance.className", "nginx"))
    assert "another's controller" in another["edge.originPulls"][1]


@pytest.mark.parametrize(
    ("path", "value", "found", "valid"),
    [
        ("owasp", {}, "OWASP", "nothing: free has Cloudflare's Free Managed Ruleset"),
        ("healthCheck", {"host": "api"}, "a health check", "`edge.monitor` is for another's monitor"),
        ("rateLimits.loginPerMinute", 5, "5", "the plan has one rate rule"),
        ("notifications.webhooks", [ID], "a webhook", "the plan free notifies by email"),
        ("exceptions.0.rulesets", ["owasp"], "owasp", "of free"),
    ],
)
def test_what_free_lacks_is_refused_with_what_it_has(path: str, value: Any, found: str, valid: str) -> None:
    def change(data: Data) -> None:
        if path.startswith("exceptions"):
            put("edge.exceptions", [{**EXCEPTION, "rulesets": value}])(data)
        else:
            put(f"edge.{path}", value)(data)

    said = told("staging", change)
    (at,) = said
    assert at.startswith("edge.")
    assert found in said[at][0]
    assert valid in said[at][1]


@pytest.mark.parametrize("value", ["a" * 40, f"cfut_{'A1' * 20}{'0f' * 4}", f"cfat_{'A1' * 20}{'0f' * 4}"])
def test_tokens_of_both_formats_are_taken(value: str) -> None:
    read(changed("staging", put("secrets.cloudflare-edge-token", {"value": value})))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Bearer " + "a" * 40, "no API token (47 characters)"),
        ("a" * 39, "no API token (39 characters)"),
        ("0" * 37, "a Global API Key (37 characters)"),
        (f"cfk_{'A1' * 20}{'0f' * 4}", "a Global API Key (52 characters)"),
        ("a" * 39 + "\n", "no API token (40 characters)"),
    ],
)
def test_what_is_no_token_is_refused_and_never_printed(value: str, kind: str) -> None:
    said = told("staging", put("secrets.cloudflare-edge-token", {"value": value}))
    assert said["secrets.cloudflare-edge-token.value"][0] == kind
    assert value not in str(said)


def test_a_generated_token_would_be_nobodys() -> None:
    said = told("staging", put("secrets.cloudflare-edge-token", {"generate": 40}))
    assert "Cloudflare's own token" in said["secrets.cloudflare-edge-token"][1]


def test_an_expression_that_is_too_long_names_its_rule() -> None:
    said = told("production", put("edge.access.closedPaths", [f"/{'x' * 60}-{n}" for n in range(60)]))
    (at,) = said
    assert at == "edge (http_request_firewall_custom.closed)"
    assert "4096" in said[at][1]


def test_the_health_checkers_own_rate_counts_with_its_retries() -> None:
    check = put("edge.healthCheck", {"host": "api", "retries": 5, "intervalSeconds": 60})
    limit = put("edge.rateLimits", {"requestsPerMinute": 6})
    monitor = put("edge.monitor", None)
    said = told("production", check, limit, monitor)
    assert said["edge.rateLimits.requestsPerMinute"][1].startswith(
        "more than 6: so often asks `edge.healthCheck`"
    )


def test_all_faults_come_at_once() -> None:
    said = told(
        "staging",
        put("edge.owasp", {}),
        put("edge.healthCheck", {"host": "api"}),
        put("edge.zone.name", "other.example"),
    )
    assert {"edge.owasp", "edge.healthCheck", "edge.zone.name"} <= set(said)


def test_the_edge_sees_the_stack_as_it_is() -> None:
    settings: Settings = read(sections("production"))
    assert settings.edge is not None
    shape = shape_of(settings, settings.edge)
    assert shape.site == "fixia.app"
    assert shape.sockets == ("ws.fixia.app",)
    assert "api.fixia.app" in shape.api
    assert shape.consoles == ("grafana.fixia.app",)
    assert {shape.site, *shape.api, *shape.sockets, *shape.consoles} == set(shape.hosts)
    assert shape.owasp == Owasp(paranoia=1, threshold=60, action="managed_challenge")
