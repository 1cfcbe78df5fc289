"""Reading nested properties: paths, and what becomes of absent and unknown values."""

import pytest

from baseline.model import UNKNOWN, Value
from baseline.tree import MalformedError, Node, must, must_be

TREE = Node({"a": {"b.c/d": [{"e": 1}]}, "absent": None, "later": UNKNOWN, "text": "x"})


def test_path_is_written_as_pulumi_writes_it() -> None:
    (item,) = TREE.at("a", "b.c/d").items()
    assert item.at("e") == Node(1, 'a["b.c/d"][0].e')


@pytest.mark.parametrize(("key", "value"), [("absent", None), ("nowhere", None), ("later", UNKNOWN)])
def test_what_is_below_takes_after_what_is_above(key: str, value: Value) -> None:
    assert TREE.at(key, "x", "y") == Node(value, f"{key}.x.y")


def test_absent_has_no_elements_and_unknown_has_one() -> None:
    assert TREE.at("absent").items() == TREE.at("absent").fields() == []
    assert TREE.at("later").items() == [Node(UNKNOWN, "later[*]")]
    assert TREE.at("later").fields() == [Node(UNKNOWN, "later.*")]


def test_fields_are_sorted_and_leave_absent_ones_out() -> None:
    assert [field.key for field in TREE.fields()] == ["a", "later", "text"]


def test_wrong_shapes_are_refused() -> None:
    for read in (lambda: TREE.at("text", "x"), TREE.at("text").items, TREE.at("text").fields):
        with pytest.raises(MalformedError, match='text is "x", expected a'):
            read()


def test_unknown_is_never_accepted() -> None:
    (violation,) = must(TREE.at("later"), lambda _: True, "anything")
    assert violation.undecided


@pytest.mark.parametrize(
    ("value", "valid", "accepted"),
    [
        (True, (True,), True),
        (1, (True,), False),
        (0, (None, False), False),
        (False, (None, 0), False),
        ("true", (True,), False),
        (None, (None, False), True),
    ],
)
def test_types_count(value: Value, valid: tuple[Value, ...], accepted: bool) -> None:
    assert (not list(must_be(Node(value), *valid))) is accepted
