"""The house rules of dashboards: readable by who did not make them, on any Grafana, at any zoom."""

from collections.abc import Iterator
from typing import Any

import pytest

from components.data.dashboard import BOARDS, dashboards

Dashboard = dict[str, Any]


def panels(board: Dashboard) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: Dashboard) -> Iterator[str]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield target["expr"]


every_board = pytest.mark.parametrize("board", dashboards().values(), ids=list(dashboards()))


def test_they_are_found_by_addresses_that_never_change() -> None:
    assert set(dashboards()) == {"fixia-database", "fixia-cache"} == {board.uid for board in BOARDS}
    assert [board["uid"] for board in dashboards().values()] == list(dashboards())
    assert dashboards() == dashboards()


@every_board
def test_nobody_edits_one_by_hand(board: Dashboard) -> None:
    assert board["editable"] is False


@every_board
def test_the_datasource_is_the_viewers_choice(board: Dashboard) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for held in (variables["namespace"], *panels(board)):
        assert held["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_board
def test_each_panel_says_what_it_shows(board: Dashboard) -> None:
    titles = [(panel["title"], panel["description"]) for panel in panels(board)]
    assert all(title and len(description) > 10 for title, description in titles)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels(board))
    assert all(panel["type"] == "timeseries" for panel in panels(board))


@every_board
def test_each_panel_has_a_place_and_a_number_of_its_own(board: Dashboard) -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    numbers = [panel["id"] for panel in panels(board)]
    assert numbers == list(range(1, len(numbers) + 1))


@every_board
def test_each_query_has_a_name_and_a_legend(board: Dashboard) -> None:
    for panel in panels(board):
        assert panel["targets"]
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names)
        assert all(target["legendFormat"] for target in panel["targets"])


@every_board
def test_rates_are_as_wide_as_the_zoom_asks(board: Dashboard) -> None:
    for query in queries(board):
        assert query.count("[") == query.count("[$__rate_interval]")
        assert query.count("rate(") == query.count("[")
        assert "$namespace" in query
