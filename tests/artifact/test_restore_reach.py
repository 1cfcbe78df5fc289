"""How a moment is reached: every way that the repository's contents can lead there, or not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.backup.restore import SCRIPTS
from simulator.images.container import Bind, run_in
from tests.artifact.pod import system

MINUTE, HOUR = 60, 3600
NOW = 1_795_200_000
FIRST = NOW - 10 * HOUR
"""When the first backup ended."""
HEX_PLACE = "{:08X}{:08X}{:08X}"


def segment(timeline: int, place: int) -> str:
    return HEX_PLACE.format(timeline, place // 256, place % 256)


def lsn(place: int, offset: int = 0x100) -> str:
    return f"{place // 256:X}/{(place % 256) * 2**24 + offset:08X}"


def backup(place: int, at: int, *, timeline: int = 1, error: bool = False) -> dict[str, Any]:
    """A backup that lies in one segment and ended at that time."""
    return {
        "label": f"b{at}",
        "error": error,
        "archive": {"start": segment(timeline, place), "stop": segment(timeline, place)},
        "lsn": {"start": lsn(place), "stop": lsn(place, 0x200)},
        "timestamp": {"start": at - 5, "stop": at},
        "info": {"size": 1000},
    }


def wal(timeline: int, places: Sequence[int], began: int) -> dict[str, Any]:
    """Archived segments, one a minute from that time on."""
    return {
        f"{segment(timeline, place)[:16]}/{segment(timeline, place)}-{'a' * 40}.zst": {
            "type": "file",
            "time": began + number * MINUTE,
        }
        for number, place in enumerate(places)
    }


def asked(
    mode: str | int,
    *,
    backups: Sequence[dict[str, Any]],
    files: dict[str, Any],
    histories: dict[str, str] | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    return {
        "info": {"backup": list(backups)},
        "files": files,
        "histories": histories or {},
        "mode": mode if isinstance(mode, str) else "time",
        "to": None if isinstance(mode, str) else mode,
        "set": label,
        "now": NOW,
    }


def plans(folder: Path, *cases: dict[str, Any]) -> list[dict[str, Any]]:
    (folder / "cases").write_text("\n".join(json.dumps(case) for case in cases))
    output = folder / "plans"
    binds = [Bind(source=folder, target="/cases"), Bind(source=SCRIPTS, target="/scripts")]
    folder.chmod(0o755)
    command = ["jq", "-c", "-f", "/scripts/reach.jq", "/cases/cases"]
    with run_in(system("backup"), command, binds=binds, output=output) as running:
        assert running.wait(120) == 0, output.read_text()
    return [json.loads(line) for line in output.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jq").mkdir()
    return tmp_path / "jq"


ONE: dict[str, Any] = {
    "backups": [backup(10, FIRST), backup(130, FIRST + 2 * HOUR)],
    "files": wal(1, range(10, 300), FIRST),
}
"""Two backups and all WAL since the first, over the end of a log of 256 segments."""


def test_a_moment_begins_with_the_newest_backup_before_it(folder: Path) -> None:
    early, late, latest, first, second = plans(
        folder,
        asked(FIRST + HOUR, **ONE),
        asked(FIRST + 3 * HOUR, **ONE),
        asked("latest", **ONE),
        asked("latest", label=f"b{FIRST}", **ONE),
        asked("backup", label=f"b{FIRST}", **ONE),
    )
    assert early["set"] == f"b{FIRST}"
    assert {plan["set"] for plan in (late, latest)} == {f"b{FIRST + 2 * HOUR}"}
    assert {plan["set"] for plan in (first, second)} == {f"b{FIRST}"}
    assert latest["segments"] == 170
    assert latest["rest"][-1]["name"] == segment(1, 299)
    # The last segment that was archived before the moment, and from there on.
    assert early["look"][0]["name"] == segment(1, 10 + 59)
    assert {plan["timeline"] for plan in (early, late, latest, first, second)} == {1}


def test_the_range_ends_where_the_archive_ends(folder: Path) -> None:
    newest = FIRST + 289 * MINUTE
    before, after, future, at_once = plans(
        folder,
        asked(FIRST, **ONE),
        asked(newest + 2, **ONE),
        asked(NOW + HOUR, **ONE),
        asked(FIRST + 1, **ONE),
    )
    assert "before the end of the first backup" in before["error"]
    assert "not in the repository yet; it can be from" in after["error"]
    assert "in the future" in future["error"]
    assert at_once["set"] == f"b{FIRST}"


def test_a_gap_lets_nobody_past_but_stops_nobody_before_it(folder: Path) -> None:
    holed = {**ONE, "files": {k: v for k, v in ONE["files"].items() if segment(1, 200) not in k}}
    latest, before, after = plans(
        folder,
        asked("latest", **holed),
        asked(FIRST + 180 * MINUTE, **holed),
        asked(FIRST + 195 * MINUTE, **holed),
    )
    assert f"WAL segment {segment(1, 200)} is missing" in latest["error"]
    assert before["broken"] == segment(1, 200)
    assert before["set"] == f"b{FIRST + 2 * HOUR}"
    assert f"WAL segment {segment(1, 200)} is missing" in after["error"]


def test_a_backup_with_broken_pages_is_passed_over_unless_it_is_named(folder: Path) -> None:
    broken = {**ONE, "backups": [ONE["backups"][0], {**ONE["backups"][1], "error": True}]}
    other, named = plans(
        folder, asked("latest", **broken), asked("latest", label=f"b{FIRST + 2 * HOUR}", **broken)
    )
    assert other["set"] == f"b{FIRST}"
    assert named["set"] == f"b{FIRST + 2 * HOUR}"


SPLIT = FIRST + 4 * HOUR
LIVES: dict[str, Any] = {
    # The first life went on to segment 250; the second one began in segment 100, when that was written again.
    "backups": [
        backup(10, FIRST),
        backup(200, FIRST + 3 * HOUR),
        backup(150, SPLIT + 1 * HOUR, timeline=2),
    ],
    "files": {
        **wal(1, range(10, 251), FIRST),
        **wal(2, range(100, 200), SPLIT + MINUTE),
        "00000002.history": {"type": "file", "time": SPLIT},
    },
    "histories": {"00000002": f"1\t{lsn(100)}\tbefore 2026-11-20 09:00:00+00\n"},
}
"""A restore to before the second backup, whose successor was backed up again."""


def test_each_moment_is_of_the_life_that_was_lived_then(folder: Path) -> None:
    first, middle, second, latest, stray = plans(
        folder,
        asked(FIRST + HOUR, **LIVES),
        asked(SPLIT - 10 * MINUTE, **LIVES),
        asked(SPLIT + 30 * MINUTE, **LIVES),
        asked("latest", **LIVES),
        asked("latest", label=f"b{FIRST + 3 * HOUR}", **LIVES),
    )
    assert (first["timeline"], first["set"]) == (1, f"b{FIRST}")
    assert (middle["timeline"], middle["set"]) == (1, f"b{FIRST + 3 * HOUR}")
    # The newest backup before it lies past the parting, on the way that was left.
    assert (second["timeline"], second["set"]) == (2, f"b{FIRST}")
    assert (latest["timeline"], latest["set"]) == (2, f"b{SPLIT + HOUR}")
    assert "no backup leads there" in stray["error"]
    parting = [each["name"] for each in second["look"]]
    assert all(name.startswith("00000002") for name in parting)


def test_a_life_that_nothing_was_archived_of_is_where_it_began(folder: Path) -> None:
    young = {
        **LIVES,
        "files": {k: v for k, v in LIVES["files"].items() if not k.startswith("00000002000000")},
    }
    (latest,) = plans(folder, asked("latest", **{**young, "backups": LIVES["backups"][:1]}))
    assert (latest["timeline"], latest["parting"]) == (2, lsn(100))


def test_without_a_backup_there_is_no_way(folder: Path) -> None:
    none, unknown = plans(folder, asked("latest", backups=[], files={}), asked("latest", label="b1", **ONE))
    assert none == {"error": "the repository has no backup yet"}
    assert f"it has: b{FIRST}, b{FIRST + 2 * HOUR}" in unknown["error"]
