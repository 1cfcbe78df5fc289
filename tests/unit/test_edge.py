"""The edge as it is registered: records, settings, rulesets, what is watched, and the way to the origin."""

import json
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_cloudflare
import pulumi_kubernetes
import pulumi_tls
import pytest

from components.base import Identity
from components.edge.cloudflare import MAINTENANCE, CloudflareEdge, CloudflareEdgeArgs
from components.edge.dns import Unproxied
from components.edge.origin_pulls import OriginPulls, OriginPullsArgs
from components.edge.plan import PLANS
from components.edge.shape import PlanName
from components.edge.watch import HealthCheck, Notified, alerts
from components.edge.zone import bot_settings, zone_settings
from tests.recorder import Recording, is_pulumi_secret, provider_name, record
from tests.unit.test_edge_plan import ALL, FULL, HOSTS, SHAPE, of

IDENTITY = Identity(product="shop", environment="test", owner="team", cost_centre="shop")
ZONE = "0123456789abcdef0123456789abcdef"
ACCOUNT = "f" * 32
ARGS = CloudflareEdgeArgs(
    identity=IDENTITY,
    account=ACCOUNT,
    zone=ZONE,
    zone_name="shop.example",
    shape=SHAPE,
    origin=["203.0.113.10"],
)
ORIGIN = "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate"
ORIGIN_SETTINGS = "cloudflare:index/authenticatedOriginPullsSettings:AuthenticatedOriginPullsSettings"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
RULESET = "cloudflare:index/ruleset:Ruleset"
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
POLICY = "cloudflare:index/notificationPolicy:NotificationPolicy"
HEALTH = "cloudflare:index/healthcheck:Healthcheck"
SNIPPET = "cloudflare:index/snippet:Snippet"
SECRET = "kubernetes:core/v1:Secret"


def providers() -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        providers=[
            pulumi_kubernetes.Provider("cluster", context="test"),
            pulumi_cloudflare.Provider("edge", api_token=pulumi.Output.secret("t" * 40)),
            pulumi_tls.Provider("tls"),
        ]
    )


def edge(args: CloudflareEdgeArgs = ARGS) -> Recording:
    return record(lambda: CloudflareEdge("edge", args, providers()) and None)


@pytest.fixture(scope="module")
def made() -> Recording:
    return edge()


def by_setting(recording: Recording) -> dict[str, Any]:
    found = {each.inputs["settingId"]: each.inputs["value"] for each in recording.of_type(SETTING)}
    assert len(found) == len(recording.of_type(SETTING))
    return found


def phases(recording: Recording) -> dict[str, list[dict[str, Any]]]:
    return {each.inputs["phase"]: each.inputs["rules"] for each in recording.of_type(RULESET)}


def test_every_host_is_led_through_the_edge(made: Recording) -> None:
    found = made.of_type(RECORD)
    assert {each.inputs["name"] for each in found} == set(HOSTS)
    for each in found:
        assert each.inputs["proxied"] is True
        assert (each.inputs["type"], each.inputs["content"], each.inputs["ttl"]) == ("A", "203.0.113.10", 1)
        assert each.inputs["zoneId"] == ZONE
    assert [each.name for each in found] == [
        "edge-api-a",
        "edge-grafana-a",
        "edge-ws-a",
        "edge-zone-a",
    ]


def test_addresses_of_both_kinds_and_names_are_origins() -> None:
    both = edge(replace(ARGS, origin=["203.0.113.10", "203.0.113.11", "2001:db8::1"])).of_type(RECORD)
    assert {(each.name, each.inputs["type"]) for each in both if each.inputs["name"] == HOSTS[1]} == {
        ("edge-api-a", "A"),
        ("edge-api-a-1", "A"),
        ("edge-api-aaaa-2", "AAAA"),
    }
    named = edge(replace(ARGS, origin=["lb-1.cloud.example.net"])).of_type(RECORD)
    assert {each.inputs["type"] for each in named} == {"CNAME"}


def test_another_origin_changes_records_and_loses_none() -> None:
    before = {each.urn for each in edge().of_type(RECORD)}
    assert {each.urn for each in edge(replace(ARGS, origin=["203.0.113.99"])).of_type(RECORD)} == before


def test_what_cannot_be_proxied_says_why() -> None:
    mail = Unproxied(
        name="shop.example", type="MX", content="mx.example.net", priority=5, reason="mail is not HTTP"
    )
    proof = Unproxied(name="_x.shop.example", type="TXT", content="v=1", reason="a proof of ownership")
    there = edge(replace(ARGS, unproxied=[mail, proof]))
    found = {each.inputs["type"]: each.inputs for each in there.of_type(RECORD) if not each.inputs["proxied"]}
    assert found["MX"]["priority"] == 5
    assert found["MX"]["comment"] == "mail is not HTTP"
    assert found["TXT"]["content"] == '"v=1"'
    turned = edge(replace(ARGS, unproxied=[proof, mail]))
    assert {each.urn for each in there.of_type(RECORD)} == {each.urn for each in turned.of_type(RECORD)}


def test_the_zone_is_set_for_an_a_plus(made: Recording) -> None:
    found = by_setting(made)
    assert found["ssl"] == "strict"
    assert found["min_tls_version"] == "1.2"
    on = ("tls_1_3", "always_use_https", "http3", "brotli", "websockets", "automatic_https_rewrites")
    assert {found[name] for name in on} == {"on"}
    assert found["0rtt"] == "off"
    assert found["browser_cache_ttl"] == 0
    told = found["security_header"]["strict_transport_security"]
    # In snake_case, or every run would show a change.
    assert told == {
        "enabled": True,
        "max_age": 31_536_000,
        "include_subdomains": True,
        "preload": False,
        "nosniff": True,
    }


def test_settings_that_a_stack_may_choose() -> None:
    found = zone_settings(subdomains=False, preload=False, under_attack=True)
    assert found["security_level"] == "under_attack"
    assert found["security_header"]["strict_transport_security"]["include_subdomains"] is False


@pytest.mark.parametrize("plan", ALL)
def test_a_zone_has_one_ruleset_for_a_phase_and_every_rule_a_name(plan: PlanName) -> None:
    recording = edge(replace(ARGS, shape=of(plan, FULL)))
    found = recording.of_type(RULESET)
    assert len({each.inputs["phase"] for each in found}) == len(found)
    for each in found:
        assert (each.inputs["kind"], each.inputs["zoneId"]) == ("zone", ZONE)
        refs = [rule["ref"] for rule in each.inputs["rules"]]
        assert all(refs)
        assert len(set(refs)) == len(refs)


def test_keys_reach_the_provider_as_it_wants_them() -> None:
    found = phases(edge(replace(ARGS, shape=of("pro"))))
    login = found["http_ratelimit"][0]
    assert login["ratelimit"] == {
        "characteristics": ["cf.colo.id", "ip.src"],
        "period": 60,
        "requestsPerPeriod": 10,
        "mitigationTimeout": 600,
    }
    assert login["actionParameters"]["response"]["statusCode"] == 429
    owasp = found["http_request_firewall_managed"][-1]
    assert owasp["actionParameters"]["overrides"]["rules"][0]["scoreThreshold"] == 40
    assets = found["http_request_cache_settings"][1]
    assert assets["actionParameters"]["cacheKey"] == {"cacheDeceptionArmor": True}
    opener = found["http_response_headers_transform"][0]
    assert opener["actionParameters"]["headers"] == {
        "cross-origin-opener-policy": {"operation": "set", "value": "same-origin"}
    }


def test_nobody_is_led_through_before_the_rules_stand(made: Recording) -> None:
    rules = {each.urn for kind in (RULESET, SETTING) for each in made.of_type(kind)}
    for each in made.of_type(RECORD):
        assert rules <= set(each.options["depends_on"])


@pytest.mark.parametrize(
    ("plan", "kept_off"),
    [
        ("free", {"fight_mode": False, "enable_js": False}),
        (
            "pro",
            {
                "sbfm_definitely_automated": "allow",
                "sbfm_verified_bots": "allow",
                "sbfm_static_resource_protection": False,
                "enable_js": False,
            },
        ),
        ("enterprise", None),
    ],
)
def test_programs_are_not_asked_for_a_browser(plan: PlanName, kept_off: dict[str, Any] | None) -> None:
    assert bot_settings(plan) == kept_off


@pytest.mark.parametrize("plan", ALL)
def test_every_plan_tells_of_a_lost_origin(plan: PlanName) -> None:
    recording = edge(replace(ARGS, shape=of(plan), notified=Notified(emails=["ops@shop.example"])))
    types = {each.inputs["alertType"] for each in recording.of_type(POLICY)}
    assert {"real_origin_monitoring", "dos_attack_l7", "universal_ssl_event_type"} <= types
    for each in recording.of_type(POLICY):
        assert each.inputs["accountId"] == ACCOUNT
        assert each.inputs["mechanisms"] == {"emails": [{"id": "ops@shop.example"}]}


def test_nobody_to_tell_is_no_notification(made: Recording) -> None:
    assert made.of_type(POLICY) == []


def test_a_certificate_that_is_not_there_never_ends() -> None:
    types = {each.type for each in alerts(PLANS["pro"], zone=ZONE, origin_pulls=False)}
    assert "zone_aop_custom_certificate_expiration_type" not in types


def test_the_health_check_goes_through_the_edge_and_is_told_of() -> None:
    check = HealthCheck(host=HOSTS[1], path="/health")
    told = Notified(emails=["ops@shop.example"], webhooks=[ZONE])
    recording = edge(replace(ARGS, shape=of("pro"), health_check=check, notified=told))
    found = recording.one(HEALTH, "edge-health").inputs
    assert (found["address"], found["type"], found["interval"]) == (HOSTS[1], "HTTPS", 60)
    assert found["httpConfig"]["expectedCodes"] == ["200"]
    policy = recording.one(POLICY, "edge-unhealthy").inputs
    assert policy["filters"]["healthCheckIds"] == ["edge-health-id"]
    assert set(policy["mechanisms"]) == {"emails", "webhooks"}


def test_what_the_plan_lacks_is_refused_by_the_component_too() -> None:
    with pytest.raises(ValueError, match="the plan free has no health checks"):
        replace(ARGS, health_check=HealthCheck(host=HOSTS[1], path="/health"))
    with pytest.raises(ValueError, match=r"http_request_firewall_custom\.closed.*4096"):
        replace(ARGS, shape=replace(of("pro"), closed=[f"/{'x' * 60}-{n}" for n in range(60)]))


def test_the_outputs_say_what_the_plan_cannot() -> None:
    (component,) = [each for each in edge().all.values() if each.type == CloudflareEdge.TYPE]
    assert component.outputs is not None
    assert component.outputs["plan"] == "free"
    assert "166 in 10 s" in component.outputs["notes"][0]
    assert "zone setting ssl" in component.outputs["left_behind"]


def test_maintenance_is_a_snippet_where_the_plan_has_one() -> None:
    closed = replace(SHAPE, maintenance=True, open_to=("192.0.2.0/24",))
    recording = edge(replace(ARGS, shape=of("pro", closed)))
    (snippet,) = recording.of_type(SNIPPET)
    assert snippet.inputs["files"][0]["content"] == MAINTENANCE.read_text()
    (rules,) = recording.of_type("cloudflare:index/snippetRules:SnippetRules")
    assert rules.inputs["rules"][0]["expression"].endswith("not ip.src in {192.0.2.0/24}")
    assert edge(replace(ARGS, shape=closed)).of_type(SNIPPET) == []
    # Snippets have 32 KB: https://developers.cloudflare.com/rules/snippets/#limits
    assert len(MAINTENANCE.read_bytes()) < 32_000


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on this machine")
@pytest.mark.parametrize(
    ("accept", "kind", "begins"),
    [("text/html,*/*", "text/html; charset=utf-8", "<!doctype html>"), ("*/*", "application/json", "{")],
)
def test_the_snippet_answers_503_to_browsers_and_programs(accept: str, kind: str, begins: str) -> None:
    ask = (
        f"import('data:text/javascript;base64,' + require('fs').readFileSync({json.dumps(str(MAINTENANCE))},"
        " 'base64')).then(async (module) => {"
        f"const answer = await module.default.fetch(new Request('https://shop.example/', {{headers: {{accept: {json.dumps(accept)}}}}}));"
        "console.log(JSON.stringify({status: answer.status, headers: [...answer.headers], body: await answer.text()}));"
        "});"
    )
    done = subprocess.run(["node", "-e", ask], capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    headers = dict(answer["headers"])
    assert answer["status"] == 503
    assert headers["content-type"] == kind
    assert headers["retry-after"] == "300"
    assert headers["cache-control"] == "no-store"
    assert answer["body"].startswith(begins)


@pytest.fixture(scope="module")
def pulls() -> Recording:
    args = OriginPullsArgs(identity=IDENTITY, namespace="shop-ingress", zone=ZONE)
    return record(lambda: OriginPulls("origin-pulls", args, providers()) and None)


def test_the_edge_shows_our_certificate_before_the_entrance_asks(pulls: Recording) -> None:
    (certificate,) = pulls.of_type(ORIGIN)
    (settings,) = pulls.of_type(ORIGIN_SETTINGS)
    (secret,) = pulls.of_type(SECRET)
    assert settings.inputs == {"zoneId": ZONE, "enabled": True}
    assert certificate.urn in settings.options["depends_on"]
    assert settings.urn in secret.options["depends_on"]
    assert secret.inputs["metadata"]["namespace"] == "shop-ingress"
    assert secret.inputs["immutable"] is True


def test_the_keys_stay_secret_and_nothing_of_them_reaches_the_cluster(pulls: Recording) -> None:
    (certificate,) = pulls.of_type(ORIGIN)
    assert is_pulumi_secret(certificate.inputs["privateKey"])
    (secret,) = pulls.of_type(SECRET)
    assert set(secret.inputs) <= {"apiVersion", "kind", "metadata", "type", "immutable", "stringData"}
    signed = pulls.of_type("tls:index/locallySignedCert:LocallySignedCert")[0].inputs
    assert signed["allowedUses"] == ["digital_signature", "key_encipherment", "client_auth"]
    assert signed["earlyRenewalHours"] < signed["validityPeriodHours"]


def test_each_part_is_made_by_its_own_provider(pulls: Recording) -> None:
    for each in pulls.all.values():
        if each.custom and not each.type.startswith("pulumi:providers:"):
            expected = {"kubernetes": "cluster", "cloudflare": "edge", "tls": "tls"}
            assert provider_name(each) == expected[each.type.split(":")[0]]
