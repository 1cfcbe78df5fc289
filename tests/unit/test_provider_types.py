"""The SDKs' own types, read from their source, and what they refuse."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.providers.sdk import (
    Anything,
    Choice,
    Field,
    ListOf,
    MapOf,
    OneOf,
    Primitive,
    Record,
    Sdk,
    Type,
)
from simulator.providers.typecheck import Failure, check_fields, check_value
from simulator.providers.values import UNKNOWN, Secret

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
RULESET = "cloudflare:index/ruleset:Ruleset"


@pytest.fixture(scope="module")
def sdks() -> dict[str, Sdk]:
    return {name: Sdk(name) for name in ("aws", "cloudflare", "kubernetes", "random")}


def failures(sdks: dict[str, Sdk], token: str, properties: Any) -> list[str]:
    known = sdks[token.partition(":")[0]].resource(token)
    assert known is not None
    return [str(failure) for failure in check_fields(properties, known.inputs)]


def deployment(**container: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "web", "image": "web:1", **container}]}
    return {"spec": {"selector": {}, "template": {"spec": pod}}}


def test_a_class_says_its_inputs_outputs_and_secrets(sdks: dict[str, Sdk]) -> None:
    known = sdks["random"].resource("random:index/randomPassword:RandomPassword")
    assert known is not None
    assert known.inputs["length"] == Field(Primitive("int"), required=True)
    assert known.inputs["overrideSpecial"] == Field(Primitive("str"), required=False)
    assert known.inputs["keepers"].type == MapOf(Primitive("str"))
    assert known.outputs["result"] == Primitive("str")
    assert known.secret_outputs == {"result", "bcryptHash"}


def test_types_of_every_shape(sdks: dict[str, Sdk]) -> None:
    ruleset = sdks["cloudflare"].resource(RULESET)
    bucket = sdks["aws"].resource("aws:s3/bucket:Bucket")
    deployed = sdks["kubernetes"].resource(DEPLOYMENT)
    assert ruleset is not None
    assert bucket is not None
    assert deployed is not None
    rules = ruleset.inputs["rules"].type
    assert isinstance(rules, ListOf)
    assert isinstance(rules.item, Record)
    assert "http_ratelimit" in ruleset.inputs["phase"].available
    assert isinstance(bucket.inputs["acl"].type, OneOf)
    assert deployed.inputs["apiVersion"].type == Choice(("apps/v1",))


def test_a_token_that_the_sdk_lacks_is_nothing(sdks: dict[str, Sdk]) -> None:
    assert sdks["kubernetes"].resource("kubernetes:cert-manager.io/v1:Certificate") is None


@pytest.mark.parametrize("package", ["aws", "cloudflare", "kubernetes", "random"])
def test_every_class_of_an_sdk_can_be_read(sdks: dict[str, Sdk], package: str) -> None:
    """A generated source that reads differently must not pass as "anything goes"."""
    sdk, seen = sdks[package], set[Record]()

    def types(one: Type) -> Iterator[Type]:
        yield one
        if isinstance(one, ListOf | MapOf):
            yield from types(one.item)
        elif isinstance(one, OneOf):
            for option in one.options:
                yield from types(option)
        elif isinstance(one, Record) and one not in seen:
            seen.add(one)
            for field in one.fields().values():
                yield from types(field.type)

    total = anything = 0
    for token in sdk._classes:
        known = sdk.resource(token)
        assert known is not None
        for field in known.inputs.values():
            found = list(types(field.type))
            total += len(found)
            anything += sum(isinstance(one, Anything) for one in found)
    assert total > 50
    assert anything <= total / 100


def test_a_misspelt_property_far_down_is_named_with_its_path(sdks: dict[str, Sdk]) -> None:
    assert failures(sdks, DEPLOYMENT, deployment(imagePullPolcy="Always")) == [
        "spec.template.spec.containers[0].imagePullPolcy: unknown property; did you mean imagePullPolicy?"
    ]


def test_an_unknown_property_without_a_likeness_lists_the_valid_ones(sdks: dict[str, Sdk]) -> None:
    [found] = failures(sdks, "random:index/randomUuid:RandomUuid", {"zzz": 1})
    assert found == "zzz: unknown property; valid: keepers"


def test_missing_properties_at_every_level(sdks: dict[str, Sdk]) -> None:
    assert failures(sdks, DEPLOYMENT, {}) == ["spec: missing required property"]
    assert failures(sdks, DEPLOYMENT, {"spec": {"template": {"spec": {"containers": [{}]}}}}) == [
        "spec.template.spec.containers[0].name: missing required property",
        "spec.selector: missing required property",
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"ports": [{"containerPort": "80"}]},
            'ports[0].containerPort: expected an integer, found a string "80"',
        ),
        (
            {"ports": [{"containerPort": True}]},
            "ports[0].containerPort: expected an integer, found a boolean true",
        ),
        (
            {"ports": [{"containerPort": 1.5}]},
            "ports[0].containerPort: expected an integer, found a number 1.5",
        ),
        ({"ports": {}}, "ports: expected a list, found an object"),
        ({"tty": "yes"}, 'tty: expected a boolean, found a string "yes"'),
        ({"command": "run"}, 'command: expected a list, found a string "run"'),
        ({"image": 1}, "image: expected a string, found an integer 1"),
        (
            {"resources": {"limits": {"cpu": 1}}},
            "resources.limits.cpu: expected a string, found an integer 1",
        ),
        ({"livenessProbe": "x"}, 'livenessProbe: expected an object, found a string "x"'),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1.5}}},
            "livenessProbe.tcpSocket.port: expected an integer or a string, found a number 1.5",
        ),
    ],
)
def test_wrong_types(sdks: dict[str, Sdk], changed: dict[str, Any], expected: str) -> None:
    assert failures(sdks, DEPLOYMENT, deployment(**changed)) == [
        f"spec.template.spec.containers[0].{expected}"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"livenessProbe": {"tcpSocket": {"port": 80}}},
        {"livenessProbe": {"tcpSocket": {"port": "http"}}},
        {"image": UNKNOWN},
        {"ports": UNKNOWN},
        {"ports": [UNKNOWN, {"containerPort": UNKNOWN}]},
        {"env": Secret([{"name": "a", "value": Secret("b")}])},
        {"tty": None},
    ],
)
def test_right_and_unknown_values_pass(sdks: dict[str, Sdk], changed: dict[str, Any]) -> None:
    assert failures(sdks, DEPLOYMENT, deployment(**changed)) == []


def test_all_failures_are_found_at_once(sdks: dict[str, Sdk]) -> None:
    found = failures(sdks, RULESET, {"kind": "zne", "phase": 1, "rules": [{"action": "blck"}], "zone": "x"})
    assert {line.partition(":")[0] for line in found} == {
        "kind",
        "phase",
        "rules[0].action",
        "rules[0].expression",
        "zone",
        "name",
    }


def test_a_closed_list_is_told(sdks: dict[str, Sdk]) -> None:
    [found] = failures(sdks, RULESET, {"kind": "zne", "phase": "http_ratelimit", "name": "n"})
    assert found == 'kind: expected one of "managed", "custom", "root", "zone", found a string "zne"'
    assert failures(sdks, DEPLOYMENT, {**deployment(), "kind": "Deploymnt"}) == [
        'kind: expected one of "Deployment", found a string "Deploymnt"'
    ]


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    [found] = check_value(Secret("hunter22"), Primitive("int"), "length")
    assert found == Failure("length", "expected an integer, found a string")


def test_an_integer_is_a_number_and_a_number_no_integer() -> None:
    assert list(check_value(1, Primitive("float"), "x")) == []
    assert len(list(check_value(1.5, Primitive("int"), "x"))) == 1
    assert len(list(check_value(True, Primitive("float"), "x"))) == 1
