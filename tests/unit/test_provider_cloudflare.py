"""The simulated cloudflare provider: ids, collisions and what only a replacement can change."""

from typing import Any

import pytest

from simulator.providers.cloudflare import Cloudflare
from simulator.providers.core import ProviderError, Resource
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN

ZONE = "0123456789abcdef0123456789abcdef"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
RULESET = "cloudflare:index/ruleset:Ruleset"
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
INPUTS: dict[str, dict[str, Any]] = {
    RECORD: {"zoneId": ZONE, "name": "www.example.com", "type": "A", "ttl": 1, "content": "203.0.113.9"},
    RULESET: {"zoneId": ZONE, "name": "limits", "kind": "zone", "phase": "http_ratelimit", "rules": []},
    SETTING: {"zoneId": ZONE, "settingId": "ssl", "value": "strict"},
}


@pytest.fixture
def edge() -> Cloudflare:
    provider = Cloudflare(Store())
    provider.configure({})
    return provider


def resource(token: str, name: str = "one") -> Resource:
    return Resource(f"urn:pulumi:test::shop::{token}::{name}", token, name)


def inputs(token: str, **changes: Any) -> dict[str, Any]:
    return {**INPUTS[token], **changes}


def refused(edge: Cloudflare, token: str, news: dict[str, Any]) -> list[str]:
    return [str(one) for one in edge.check(resource(token), {}, news, Naming(seed=b"x")).failures]


@pytest.mark.parametrize("token", sorted(INPUTS))
def test_good_inputs_pass_unchanged(edge: Cloudflare, token: str) -> None:
    checked = edge.check(resource(token), {}, inputs(token), Naming(seed=b"x"))
    assert (checked.inputs, checked.failures) == (inputs(token), [])


def test_ids_look_real_and_stay_the_same(edge: Cloudflare) -> None:
    first, outputs = edge.create(resource(RECORD), inputs(RECORD))
    assert len(first) == 32
    assert int(first, 16)
    assert outputs["proxiable"] is True
    assert outputs["createdOn"] == "2025-01-01T00:00:00Z"
    again = Cloudflare(Store())
    again.configure({})
    assert again.create(resource(RECORD), inputs(RECORD)) == (first, outputs)


def test_a_preview_does_not_know_what_cloudflare_adds(edge: Cloudflare) -> None:
    outputs = edge.preview_create(resource(RECORD), inputs(RECORD))
    assert outputs["createdOn"] is UNKNOWN
    assert outputs["content"] == "203.0.113.9"
    assert "comment" not in outputs


def test_a_second_ruleset_of_a_phase_is_refused_at_creation_only(edge: Cloudflare) -> None:
    edge.create(resource(RULESET), inputs(RULESET))
    second = resource(RULESET, "two")
    assert refused(edge, RULESET, inputs(RULESET, name="more")) == []
    assert edge.preview_create(second, inputs(RULESET, name="more"))["version"] is UNKNOWN
    with pytest.raises(ProviderError, match="a ruleset of this phase already exists in the zone"):
        edge.create(second, inputs(RULESET, name="more"))
    other_phase = inputs(RULESET, phase="http_request_firewall_custom")
    assert edge.create(second, other_phase)[0]
    assert edge.create(resource(RULESET, "three"), inputs(RULESET, zoneId="f" * 32))[0]


def test_a_rulesets_version_counts(edge: Cloudflare) -> None:
    ruleset_id, outputs = edge.create(resource(RULESET), inputs(RULESET))
    assert outputs["version"] == "1"
    assert edge.update(resource(RULESET), ruleset_id, outputs, inputs(RULESET, name="x"))["version"] == "2"


def test_dns_records_that_stand_in_the_way(edge: Cloudflare) -> None:
    edge.create(resource(RECORD), inputs(RECORD))
    second = resource(RECORD, "two")
    with pytest.raises(ProviderError, match="identical DNS record already exists"):
        edge.create(second, inputs(RECORD))
    with pytest.raises(ProviderError, match="a CNAME stands alone"):
        edge.create(second, inputs(RECORD, type="CNAME", content="example.com"))
    assert edge.create(second, inputs(RECORD, content="203.0.113.10"))[0]
    assert edge.create(resource(RECORD, "three"), inputs(RECORD, zoneId="f" * 32))[0]


def test_a_setting_is_known_by_its_zone_and_its_name(edge: Cloudflare) -> None:
    setting_id, outputs = edge.create(resource(SETTING), inputs(SETTING))
    assert setting_id == "ssl"
    with pytest.raises(ProviderError, match="already exists"):
        edge.create(resource(SETTING, "two"), inputs(SETTING, value="full"))
    other, _ = edge.create(resource(SETTING, "two"), inputs(SETTING, zoneId="f" * 32))
    assert other == "ssl"
    assert edge.read(resource(SETTING), "ssl", inputs(SETTING), outputs) == ("ssl", inputs(SETTING), outputs)
    assert edge.read(resource(SETTING), f"{ZONE}/ssl", {}, {})[:2] == ("ssl", inputs(SETTING))
    edge.delete(resource(SETTING), "ssl", outputs)
    assert edge.read(resource(SETTING), "ssl", {}, outputs)[0] == ""
    assert edge.read(resource(SETTING), f"{'f' * 32}/ssl", {}, {})[0] == "ssl"


def test_an_import_names_the_zone_first(edge: Cloudflare) -> None:
    ruleset_id, outputs = edge.create(resource(RULESET), inputs(RULESET))
    found = edge.read(resource(RULESET, "imported"), f"zones/{ZONE}/{ruleset_id}", {}, {})
    assert found == (ruleset_id, inputs(RULESET), outputs)


@pytest.mark.parametrize(
    ("token", "changed", "replaced"),
    [
        (RECORD, {"zoneId": "f" * 32}, ["zoneId"]),
        (RECORD, {"content": "203.0.113.10"}, []),
        (RULESET, {"phase": "http_request_origin"}, ["phase"]),
        (RULESET, {"kind": "root"}, ["kind"]),
        (RULESET, {"rules": [{"action": "block", "expression": "true"}]}, []),
        (SETTING, {"settingId": "brotli"}, ["settingId"]),
        (SETTING, {"value": "full"}, []),
    ],
)
def test_replacements(edge: Cloudflare, token: str, changed: dict[str, Any], replaced: list[str]) -> None:
    found = edge.diff(resource(token), inputs(token), inputs(token, **changed))
    assert found.changes
    assert [change.path for change in found.replaces] == replaced


def test_the_place_of_a_phase_must_be_free_first(edge: Cloudflare) -> None:
    assert edge.diff(resource(RULESET), inputs(RULESET), inputs(RULESET, kind="root")).delete_first
    other = inputs(RULESET, phase="http_request_origin")
    assert not edge.diff(resource(RULESET), inputs(RULESET), other).delete_first


@pytest.mark.parametrize(
    ("token", "changed", "expected"),
    [
        (RULESET, {"phase": "http_ratelimits"}, 'phase: expected one of "ddos_l4"'),
        (RULESET, {"kind": "zones"}, 'kind: expected one of "managed"'),
        (RULESET, {"rules": [{"action": "deny", "expression": "e"}]}, "rules[0].action: expected one of"),
        (RULESET, {"rules": [{"action": "block"}]}, "rules[0].expression: missing required property"),
        (RECORD, {"ttl": "1"}, 'ttl: expected a number, found a string "1"'),
        (RECORD, {"type": "AAAAA"}, "type: expected one of"),
        (RECORD, {"proxed": True}, "proxed: unknown property; did you mean proxied?"),
    ],
)
def test_refusals(edge: Cloudflare, token: str, changed: dict[str, Any], expected: str) -> None:
    [found] = refused(edge, token, inputs(token, **changed))
    assert found.startswith(expected)


def test_a_type_that_the_sdk_lacks_is_refused(edge: Cloudflare) -> None:
    [found] = refused(edge, "cloudflare:index/zoneSettings:ZoneSettings", {})
    assert found.endswith("has no cloudflare:index/zoneSettings:ZoneSettings")


def test_functions(edge: Cloudflare) -> None:
    ranges = edge.invoke("cloudflare:index/getIpRanges:getIpRanges", {})
    assert "104.16.0.0/13" in ranges["ipv4Cidrs"]
    assert "2606:4700::/32" in ranges["ipv6Cidrs"]
    zone = edge.invoke("cloudflare:index/getZone:getZone", {"filter": {"name": "example.org"}})
    assert (zone["name"], len(zone["zoneId"]), zone["id"]) == ("example.org", 32, zone["zoneId"])
    with pytest.raises(ProviderError, match="does not answer cloudflare:index/getUser:getUser"):
        edge.invoke("cloudflare:index/getUser:getUser", {})
