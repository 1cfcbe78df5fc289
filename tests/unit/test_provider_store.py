"""The simulated cloud's memory: names that collide, secrets that are not written, files that are whole."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulator.providers.store import (
    CHANGED_OUTSIDE,
    AlreadyExistsError,
    Record,
    Store,
    seal,
    unseal,
)
from simulator.providers.values import UNKNOWN, Secret


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path if request.param == "folder" else None)


def record(text: str = "a") -> Record:
    return Record("type", "urn", {"value": text})


def test_a_record_lives_and_ends(store: Store) -> None:
    assert store.read("things", "a/b") is None
    store.create("things", "a/b", record())
    assert store.read("things", "a/b") == record()
    store.update("things", "a/b", record("b"))
    assert store.read("things", "a/b") == record("b")
    assert list(store.records("things")) == [record("b")]
    assert list(store.records("thing")) == []
    store.delete("things", "a/b")
    store.delete("things", "a/b")
    assert store.read("things", "a/b") is None


def test_a_taken_name_is_refused(store: Store) -> None:
    store.create("things", "a", record())
    with pytest.raises(AlreadyExistsError):
        store.create("things", "a", record("b"))
    assert store.read("things", "a") == record()
    store.create("others", "a", record("c"))
    assert store.read("others", "a") == record("c")


def test_one_of_many_at_once_wins(tmp_path: Path) -> None:
    stores = [Store(tmp_path) for _ in range(4)]

    def create(number: int) -> bool:
        try:
            stores[number % 4].create("things", "a", record(str(number)))
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(40))) == 1
    assert [path.name for path in (tmp_path / "things").iterdir()] == ["a.json"]


def test_parts_of_a_cloud_are_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.within("aws", "1").create("things", "a", record())
    assert store.within("aws", "2").read("things", "a") is None
    assert Store(tmp_path).within("aws", "1").read("things", "a") == record()


def test_names_stay_inside_the_folder_and_apart(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud")
    names = ["../../up", "x" * 300, "x" * 299 + "y", "a:b", "A"]
    for name in names:
        store.create("things", name, record(name))
    assert [store.read("things", name) for name in names] == [record(name) for name in names]
    assert [path.name for path in tmp_path.iterdir()] == ["cloud"]


def test_an_edited_file_is_drift(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create("things", "a", record())
    file = tmp_path / "things" / "a.json"
    written = json.loads(file.read_text())
    written["inputs"]["value"] = "edited"
    file.write_text(json.dumps(written))
    assert store.read("things", "a") == record("edited")


def test_no_secret_is_written_and_an_unchanged_one_comes_back() -> None:
    value = {"open": 1, "list": [Secret("hunter22")], "all": Secret({"a": "hunter33"})}
    sealed = seal(value)
    assert "hunter" not in json.dumps(sealed)
    assert sealed["open"] == 1
    assert unseal(sealed, value) == value


def test_the_same_secret_is_sealed_differently_every_time() -> None:
    assert seal(Secret("hunter22")) != seal(Secret("hunter22"))


def test_a_secret_changed_outside_says_so() -> None:
    sealed = seal({"a": Secret("hunter22"), "b": Secret("x")})
    sealed["b"] = "typed in"
    known = {"a": Secret("other"), "b": Secret("x")}
    assert unseal(sealed, known) == {"a": Secret(CHANGED_OUTSIDE), "b": Secret("typed in")}
    assert unseal(sealed, None)["a"] == Secret(CHANGED_OUTSIDE)


def test_a_secret_that_is_not_known_yet_matches_nothing() -> None:
    sealed = seal({"a": Secret("old")})
    assert unseal(sealed, {"a": Secret(UNKNOWN)}) == {"a": Secret(CHANGED_OUTSIDE)}
