"""The simulated random provider: really random, as long as asked, and never in plain text."""

import base64
import string
from typing import Any

import pytest

from simulator.providers.core import ProviderError, Resource
from simulator.providers.naming import Naming
from simulator.providers.random import Random
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN, Secret


def resource(kind: str) -> Resource:
    token = f"random:index/{kind[0].lower()}{kind[1:]}:{kind}"
    return Resource(f"urn:pulumi:test::shop::{token}::name", token, "name")


@pytest.fixture
def provider() -> Random:
    return Random(Store())


def create(provider: Random, kind: str, **inputs: Any) -> tuple[str, dict[str, Any]]:
    checked = provider.check(resource(kind), {}, inputs, Naming(seed=b"x"))
    assert checked.failures == []
    return provider.create(resource(kind), checked.inputs)


def test_a_password_is_secret_and_never_the_same(provider: Random) -> None:
    first_id, first = create(provider, "RandomPassword", length=24)
    _, second = create(provider, "RandomPassword", length=24)
    assert first_id == "none"
    assert isinstance(first["result"], Secret)
    assert len(first["result"].value) == 24
    assert isinstance(first["bcryptHash"], Secret)
    assert len(first["bcryptHash"].value) == 60
    assert first["result"] != second["result"]


def test_a_password_has_the_asked_characters(provider: Random) -> None:
    _, outputs = create(
        provider,
        "RandomPassword",
        length=30,
        minLower=5,
        minUpper=5,
        minNumeric=5,
        minSpecial=5,
        overrideSpecial="~",
    )
    result = outputs["result"].value
    for characters in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "~"):
        assert sum(one in characters for one in result) >= 5
    assert set(result) <= set(string.ascii_letters + string.digits + "~")


@pytest.mark.parametrize("number", ["numeric", "number"])
def test_classes_can_be_left_out(provider: Random, number: str) -> None:
    result_id, outputs = create(
        provider, "RandomString", length=200, upper=False, special=False, **{number: False}
    )
    assert set(outputs["result"]) <= set(string.ascii_lowercase)
    assert result_id == outputs["result"]


def test_bytes_and_ids_agree_with_themselves(provider: Random) -> None:
    _, data = create(provider, "RandomBytes", length=16)
    assert base64.b64decode(data["base64"].value).hex() == data["hex"].value
    result_id, outputs = create(provider, "RandomId", byteLength=6, prefix="x-")
    assert outputs["hex"] == "x-" + base64.urlsafe_b64decode(result_id).hex()
    assert outputs["dec"] == f"x-{int(outputs['hex'][2:], 16)}"
    assert outputs["b64Url"] == f"x-{result_id}"


def test_integers_stay_in_range(provider: Random) -> None:
    results = {create(provider, "RandomInteger", min=1, max=3)[1]["result"] for _ in range(200)}
    assert results == {1, 2, 3}
    seeded = [create(provider, "RandomInteger", min=1, max=10**9, seed="s")[1]["result"] for _ in range(2)]
    assert seeded[0] == seeded[1]


def test_shuffles_keep_every_item(provider: Random) -> None:
    items = [str(number) for number in range(20)]
    _, outputs = create(provider, "RandomShuffle", inputs=items)
    assert sorted(outputs["results"]) == sorted(items)
    _, longer = create(provider, "RandomShuffle", inputs=["a", "b"], resultCount=5)
    assert len(longer["results"]) == 5
    _, none = create(provider, "RandomShuffle", inputs=["a", "b"], resultCount=0)
    assert none["results"] == []


def test_uuids_and_pets(provider: Random) -> None:
    result_id, outputs = create(provider, "RandomUuid")
    assert (len(result_id), outputs["result"]) == (36, result_id)
    pet, _ = create(provider, "RandomPet", length=3, prefix="my", separator="_")
    assert pet.startswith("my_")
    assert pet.count("_") == 3
    assert create(provider, "RandomPet", length=1)[0].isalpha()


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("RandomPassword", {"length": 0}, "length: expected at least 1, found 0"),
        ("RandomPassword", {"length": 3, "minLower": 4}, "length: expected at least 4"),
        ("RandomPassword", {}, "length: missing required property"),
        ("RandomPassword", {"length": "8"}, "length: expected an integer"),
        ("RandomId", {"byteLength": 0}, "byteLength: expected at least 1, found 0"),
        ("RandomInteger", {"min": 3, "max": 2}, "min: expected at most max (2), found 3"),
        (
            "RandomString",
            {"length": 3, "lower": False, "upper": False, "numeric": False, "special": False},
            "at least one of lower, upper, numeric and special must be true",
        ),
    ],
)
def test_refusals(provider: Random, kind: str, inputs: dict[str, Any], expected: str) -> None:
    [failure] = provider.check(resource(kind), {}, inputs, Naming()).failures
    assert str(failure).startswith(expected)


def test_any_change_makes_a_new_one(provider: Random) -> None:
    found = provider.diff(resource("RandomPassword"), {"length": 8, "keepers": {"a": "1"}}, {"length": 9})
    assert [change.path for change in found.replaces] == ["keepers", "length"]
    assert not found.delete_first


def test_a_preview_does_not_know_the_result(provider: Random) -> None:
    outputs = provider.preview_create(resource("RandomPassword"), {"length": 8})
    assert outputs == {"length": 8, "result": UNKNOWN, "bcryptHash": UNKNOWN}


def test_the_state_is_the_truth(provider: Random) -> None:
    one = resource("RandomPassword")
    result_id, outputs = create(provider, "RandomPassword", length=8)
    assert provider.read(one, result_id, {"length": 8}, outputs) == (result_id, {"length": 8}, outputs)
    provider.delete(one, result_id, outputs)


def test_a_kind_that_is_not_simulated_says_so(provider: Random) -> None:
    with pytest.raises(ProviderError, match="does not make random:index/randomUuid7:RandomUuid7"):
        provider.create(resource("RandomUuid7"), {})
