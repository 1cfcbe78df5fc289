"""The weekly dump and what comes back from it, as the jobs run them, against a real PostgreSQL and an S3."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.artifact.backup_world import BUCKET, BackupWorld
from tests.artifact.past import AWKWARD_TABLE, Past, serving
from tests.artifact.s3_proxy import Rule

pytestmark = pytest.mark.heavy

DAMAGED, SETTINGS, TRY_AGAIN = 65, 78, 75


@pytest.fixture
def world(tmp_path: Path, shop: Past) -> Iterator[BackupWorld]:
    with shop.world(tmp_path) as made:
        yield made


@pytest.fixture
def taken(shop: Past) -> str:
    """The time of the dump that is there."""
    return shop.then


def stored(world: BackupWorld) -> dict[str, Path]:
    return {key: file for key, file in world.store.objects(BUCKET).items() if key.startswith("dump/")}


def dumps(world: BackupWorld) -> set[str]:
    return {key.split("/")[2] for key in stored(world)}


def test_a_dump_has_every_table_with_its_rows_and_nothing_of_it_can_be_read_in_the_bucket(
    world: BackupWorld, taken: str
) -> None:
    result = world.result("dump")
    assert (result["success"], result["dumps"]) == (1, 1)
    assert result["rows"] >= 5004
    assert all(key.startswith(f"dump/fixia/{taken}/") for key in stored(world))
    for file in stored(world).values():
        content = file.read_bytes()
        assert content.startswith(b"RCLONE\x00\x00")
        assert b"buyer" not in content
        assert b"orders" not in content


def test_one_table_comes_back_beside_the_live_one_and_nothing_is_overwritten(
    world: BackupWorld, taken: str
) -> None:
    pod = world.database
    with serving(pod) as server:
        pod.sql(server, "DELETE FROM public.orders WHERE id > 10", role="owner")
        ended = world.job("restore-table", TABLE="public.orders", SCHEMA="back")
        assert ended.code == 0, ended.text
        assert ended.of("finished")[0]["message"] == f"public.orders of {taken} is back.orders now"
        counts = pod.sql(
            server,
            "SELECT count(*), sum(paid) FROM back.orders",
            "SELECT count(*) FROM public.orders",
            role="owner",
        )
        assert counts == [f"5000|{sum(round(i / 7.0, 2) for i in range(1, 5001)):.2f}", "10"]
        pod.sql(server, "DELETE FROM back.orders WHERE id > 1", role="owner")
        again = world.job("restore-table", TABLE="public.orders", SCHEMA="back")
        assert again.code == SETTINGS, again.text
        assert "schema back is there already" in again.of("exists")[0]["message"]
        assert pod.sql(server, "SELECT count(*) FROM back.orders", role="owner") == ["1"]


def test_a_table_with_a_name_that_needs_quotes_comes_back(world: BackupWorld) -> None:
    pod = world.database
    with serving(pod) as server:
        pod.sql(server, f"DROP TABLE {AWKWARD_TABLE}", role="owner")
        ended = world.job("restore-table", TABLE=AWKWARD_TABLE, SCHEMA="back")
        assert ended.code == 0, ended.text
        asked = 'SELECT id, state, data, raw FROM back."Order; items" ORDER BY 1'
        assert pod.sql(server, asked, role="owner") == ['1|sent|{"a": [1, null]}|\\x00ff', "2|||"]


def test_a_table_of_a_role_that_is_gone_comes_back_as_the_owners(world: BackupWorld) -> None:
    pod = world.database
    with serving(pod) as server:
        pod.root(server, "DROP TABLE public.legacy", "DROP ROLE departed")
        ended = world.job("restore-table", TABLE="public.legacy", SCHEMA="back")
        assert ended.code == 0, ended.text
        assert pod.sql(server, "SELECT * FROM back.legacy", role="owner") == ["7|left"]


def test_rows_that_are_hidden_from_everybody_are_dumped_too(world: BackupWorld) -> None:
    pod = world.database
    with serving(pod) as server:
        ended = world.job("restore-table", TABLE="public.secret", SCHEMA="back")
        assert ended.code == 0, ended.text
        assert pod.sql(server, "SELECT id FROM back.secret", role="owner") == ["1"]


@pytest.mark.parametrize(
    ("told", "event", "why"),
    [
        ({"TABLE": "public.nothing"}, "no_table", "public.orders"),
        ({"TABLE": "orders"}, "no_table", "give it with its schema"),
        ({"TABLE": "public.orders", "DUMP": "20210101T000000Z"}, "no_dump", "{taken}"),
        ({"TABLE": "public.orders", "SCHEMA": "a;b"}, "no_schema", "is no plain name"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    world: BackupWorld, taken: str, told: dict[str, Any], event: str, why: str
) -> None:
    ended = world.job("restore-table", **told)
    assert ended.code == SETTINGS, ended.text
    assert why.format(taken=taken) in ended.of(event)[0]["message"]


@pytest.mark.parametrize("noticed", [True, False])
def test_a_byte_that_flipped_in_the_bucket_never_becomes_a_table(world: BackupWorld, noticed: bool) -> None:
    """Whether the storage can tell, by its own checksums, or the dump's encryption must."""
    for key, file in stored(world).items():
        if ".dat.zst" in key:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
            if not noticed:
                os.setxattr(
                    file, "user.etag", f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'.encode()
                )
                os.removexattr(file, "user.checksums")
    pod = world.database
    with serving(pod) as server:
        ended = world.job("restore-table", TABLE="public.orders", SCHEMA="back")
        assert ended.code == DAMAGED, ended.text
        assert "take another one" in ended.of("damaged")[0]["message"]
        assert pod.sql(server, "SELECT to_regnamespace('back') IS NULL") == ["t"]


def test_a_file_that_is_missing_in_the_bucket_never_becomes_a_table(world: BackupWorld) -> None:
    for key, file in stored(world).items():
        if ".dat.zst" in key:
            file.unlink()
    ended = world.job("restore-table", TABLE="public.orders")
    assert ended.code == DAMAGED, ended.text
    assert "is missing" in ended.of("damaged")[0]["message"]


def test_a_storage_that_breaks_off_is_asked_again_another_time(world: BackupWorld) -> None:
    with world.store.fault(Rule(action="s3:GetObject", key=".dat.zst", cut=True)) as rule:
        ended = world.job("restore-table", TABLE="public.orders")
    assert rule.struck
    assert ended.code == TRY_AGAIN, ended.text
    assert '"storage gone"' in ended.of("failed")[0]["message"]


def test_another_passphrase_than_the_dumps_own_is_told(world: BackupWorld) -> None:
    ended = world.job(
        "restore-table", TABLE="public.orders", repository=world.repository_with(cipher="another one")
    )
    assert ended.code == SETTINGS, ended.text
    assert '"wrong key"' in ended.of("failed")[0]["message"]


def test_old_dumps_go_but_never_the_newest_whole_one(world: BackupWorld, taken: str) -> None:
    place = world.store.path(BUCKET) / "dump" / "fixia"
    # As if it were of two months ago, and one of last week that a kill has left without a manifest.
    (place / taken).rename(place / "20260901T000000Z")
    half = place / "20261101T000000Z"
    half.mkdir()
    (half / "toc.dat.bin").write_bytes(b"RCLONE")
    with serving(world.database):
        ended = world.job("dump")
    assert ended.code == 0, ended.text
    assert dumps(world) == {world.result("dump")["dump"]}


def test_a_dump_that_fails_leaves_the_one_before_and_says_so(world: BackupWorld, taken: str) -> None:
    with serving(world.database):
        ended = world.job("dump", repository=world.repository_with(dump="another secret"))
    assert ended.code == SETTINGS, ended.text
    assert "the storage refuses" in ended.of("failed")[0]["message"]
    assert dumps(world) == {taken}
