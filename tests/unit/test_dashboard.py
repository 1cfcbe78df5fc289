"""What is particular to the data tier's boards; what is true of every board is `tests.unit.test_boards`."""

from components.data.dashboard import BOARDS, dashboards
from tests.unit.test_boards import panels, queries

__all__ = ["panels", "queries"]


def test_they_are_found_by_addresses_that_never_change() -> None:
    assert set(dashboards()) == {"fixia-database", "fixia-cache"} == {board.uid for board in BOARDS}
    assert [board["uid"] for board in dashboards().values()] == list(dashboards())
    assert dashboards() == dashboards()


def test_each_shows_one_namespace_that_the_viewer_chooses() -> None:
    for board in dashboards().values():
        variables = [variable["name"] for variable in board["templating"]["list"]]
        assert variables == ["datasource", "namespace"]
        assert all('namespace="$namespace"' in query for query in queries(board))


def test_everything_is_seen_over_time() -> None:
    for board in dashboards().values():
        assert {panel["type"] for panel in panels(board)} == {"timeseries"}
