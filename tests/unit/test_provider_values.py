"""Plain values, their protobuf form, and which of them differ."""

from typing import Any

import pytest
from google.protobuf import struct_pb2

from simulator.providers.differ import Kind, changes
from simulator.providers.values import (
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_MARKERS,
    Secret,
    Unknown,
    conceal,
    from_struct,
    get,
    holds,
    join,
    merge,
    reveal,
    secret_texts,
    subtract,
    to_struct,
)

ASSET = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "hello"}
REFERENCE = {SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:x"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        "text",
        [],
        {},
        [1, [None], {"a": False}],
        {"deep": {"list": [{"x": "y"}]}},
        UNKNOWN,
        [UNKNOWN],
        ASSET,
        REFERENCE,
        Secret("s"),
        Secret({"a": Secret(UNKNOWN), "b": [1]}),
    ],
)
def test_values_survive_the_protocol(value: Any) -> None:
    there = to_struct({"value": value})
    back = from_struct(struct_pb2.Struct.FromString(there.SerializeToString()))
    assert back == {"value": value}


def test_whole_numbers_arrive_as_integers() -> None:
    struct = struct_pb2.Struct()
    struct.update({"whole": 3.0, "half": 3.5})
    back = from_struct(struct)
    assert (back["whole"], type(back["whole"])) == (3, int)
    assert (back["half"], type(back["half"])) == (3.5, float)


@pytest.mark.parametrize("marker", sorted(UNKNOWN_MARKERS))
def test_every_unknown_marker_is_unknown(marker: str) -> None:
    struct = struct_pb2.Struct()
    struct.update({"value": marker})
    assert from_struct(struct)["value"] is UNKNOWN


def test_output_values_become_secrets_and_unknowns() -> None:
    struct = struct_pb2.Struct()
    marked = {SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
    struct.update({"secret": {**marked, "value": "x", "secret": True}, "computed": marked})
    assert from_struct(struct) == {"secret": Secret("x"), "computed": UNKNOWN}


def test_a_secret_does_not_show_itself() -> None:
    assert "plain" not in repr(Secret("plain"))
    assert "plain" not in repr([{"a": Secret("plain")}])


def test_paths() -> None:
    assert join("", "spec") == "spec"
    assert join("spec", "a.b/c") == 'spec["a.b/c"]'
    assert join("spec.list", 2) == "spec.list[2]"


def test_get_looks_through_secrets_and_stops_at_the_unknown() -> None:
    value = {"a": Secret({"b": Secret("c")}), "u": UNKNOWN, "s": "text"}
    assert get(value, "a", "b") == "c"
    assert get(value, "u", "b") is UNKNOWN
    assert get(value, "s", "b") is None
    assert get(value, "x", "y") is None


def test_merge_and_subtract_are_opposites() -> None:
    inputs = {"metadata": {"name": "web"}, "list": [1]}
    computed = {"metadata": {"uid": "u"}, "status": {"ready": True}}
    outputs = merge(computed, inputs)
    assert outputs == {
        "metadata": {"name": "web", "uid": "u"},
        "list": [1],
        "status": {"ready": True},
    }
    assert subtract(outputs, inputs) == computed


def test_holds_sees_inside_secrets() -> None:
    assert holds({"a": [Secret({"b": UNKNOWN})]}, Unknown)
    assert holds({"a": [Secret(1)]}, Secret)
    assert not holds({"a": [1]}, Unknown)
    assert reveal({"a": [Secret(Secret(1))]}) == {"a": [1]}


def test_conceal_takes_out_every_secret_text() -> None:
    hidden = list(secret_texts({"a": Secret({"b": ["hunter22"]}), "c": "open"}))
    assert hidden == ["hunter22"]
    assert conceal("found 'hunter22', open", hidden) == "found '[secret]', open"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": True}, {"a": 1}, [("a", Kind.UPDATE)]),
        ({"a": 1}, {"a": None}, [("a", Kind.DELETE)]),
        ({}, {"a": 1}, [("a", Kind.ADD)]),
        ({"a": {"b.c": 1}}, {"a": {"b.c": 2}}, [('a["b.c"]', Kind.UPDATE)]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a[1]", Kind.UPDATE), ("a[2]", Kind.ADD)]),
        ({"a": [{"b": 1}]}, {"a": []}, [("a[0]", Kind.DELETE)]),
        ({"a": {"b": 1}}, {"a": "text"}, [("a", Kind.UPDATE)]),
        ({"a": 1}, {"a": UNKNOWN}, [("a", Kind.UPDATE)]),
        ({"a": Secret("x")}, {"a": "x"}, []),
        ({"a": Secret({"b": 1})}, {"a": Secret({"b": 2})}, [("a", Kind.UPDATE)]),
        ({"a": Secret("x")}, {"a": Secret(UNKNOWN)}, [("a", Kind.UPDATE)]),
        ({"__defaults": ["a"]}, {}, []),
    ],
)
def test_changes(old: Any, new: Any, expected: list[tuple[str, Kind]]) -> None:
    assert [(change.path, change.kind) for change in changes(old, new)] == expected


def test_a_rule_touches_what_is_at_below_and_above_it() -> None:
    [change] = changes({"spec": {"selector": {"app": "a"}}}, {"spec": {"selector": {"app": "b"}}})
    assert change.touches("spec", "selector")
    assert change.touches("spec", "selector", "app", "deeper")
    assert not change.touches("spec", "template")
