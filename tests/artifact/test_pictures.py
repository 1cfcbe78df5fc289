"""The pictures of the dashboards are what `make pictures` draws: the same data, the same answers, the same lines."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.artifact.pictures import PICTURES, pictures, swaying
from tests.artifact.svg import Series, drawn, readable
from tests.artifact.test_boards import served
from tests.unit.test_boards import BOARDS, panels


def test_they_are_current(tmp_path: Path) -> None:
    with served(swaying(), tmp_path) as server:
        made = dict(pictures(server))
    kept = {path.name: path.read_text(encoding="utf-8") for path in PICTURES.glob("*.svg")}
    assert made.keys() == kept.keys() == {name.replace(".json", ".svg") for name in BOARDS}
    assert [name for name in made if made[name] != kept[name]] == [], "`make pictures` draws them anew"


@pytest.mark.parametrize("name", list(BOARDS))
def test_each_has_all_its_panels_and_none_is_empty(name: str) -> None:
    picture = (PICTURES / name.replace(".json", ".svg")).read_text(encoding="utf-8")
    root = ET.fromstring(picture)  # noqa: S314 it is ours
    boxes = root.findall("{http://www.w3.org/2000/svg}svg")
    assert len(boxes) == len(panels(BOARDS[name]))
    assert "No data" not in picture
    assert "nan" not in re.findall(r'points="[^"]*"', picture)


def test_the_page_shows_every_one() -> None:
    page = (PICTURES / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((fixia-\w+\.svg)\)", page)) == {path.name for path in PICTURES.glob("*.svg")}


def test_a_panel_without_an_answer_says_so_and_text_is_escaped() -> None:
    panel = {
        "id": 1,
        "type": "stat",
        "title": "<b>&",
        "gridPos": {"x": 0, "y": 0, "w": 8, "h": 4},
        "fieldConfig": {"defaults": {"unit": "s"}},
    }
    board = {"title": "T", "panels": [panel]}
    assert "No data" in drawn(board, {}, [])
    picture = drawn(board, {1: [Series("x", {}, {0.0: 90.0})]}, [])
    assert "1.5 min" in picture
    assert "&lt;b&gt;&amp;" in picture


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.1234, "percentunit", "12.3 %"),
        (0.0042, "s", "4.2 ms"),
        (7200, "s", "2 h"),
        (3 * 2**30, "bytes", "3 GiB"),
        (12345, "short", "12.3 K"),
        (2.5e6, "short", "2.5 M"),
        (3, "reqps", "3 req/s"),
    ],
)
def test_numbers_are_readable(value: float, unit: str, said: str) -> None:
    assert readable(value, unit) == said
