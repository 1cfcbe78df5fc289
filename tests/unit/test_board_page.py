"""The page of the boards has every one of them, and reads as it was written."""

import re

from components.board import Lines
from tests.unit import board_page
from tests.unit.test_boards import boards


def test_every_panel_of_every_board_is_there() -> None:
    page = board_page.page()
    for board in boards():
        assert f"## {board.title}\n" in page
        for panels in board.rows.values():
            for panel in panels:
                unit = getattr(panel, "unit", "lines" if isinstance(panel, Lines) else "words")
                assert f"| {panel.title} | {unit} | {panel.description} |\n" in page


def test_the_contents_lead_to_headings_that_are_there_once() -> None:
    page = board_page.page()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert re.findall(r"^- \[.+]\(#(.+)\)$", page, re.MULTILINE) == anchors
    assert len(set(anchors)) == len(anchors) == len(boards())


def test_each_row_of_a_table_has_its_three_columns() -> None:
    for line in board_page.page().splitlines():
        if line.startswith("|"):
            assert line.count("|") == 4, line
