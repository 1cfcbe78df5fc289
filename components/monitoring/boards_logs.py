"""What containers write, and how much of it is bad. Loki's component brings it: both stand or neither."""

from typing import Final

from components.board import HERE, Board, Lines, Panel, Search, Variable, files, rate

_CHOSEN: Final = 'workload=~"$workload"'
_BAD: Final = 'level=~"error|fatal"'
_WRITTEN: Final = f"{{{HERE}, {_CHOSEN}}} |~ `(?i)$search`"
"""LogQL takes what is between backticks as it is. Nothing to search for is in every line."""

_COUNTED: Final = (
    Panel(
        title="Lines by level",
        description="Written in a second. A level whose share changes with a release came with it.",
        unit="cps",
        queries={"{{level}}": rate("log_records_total", HERE, _CHOSEN, by="level")},
        width=12,
    ),
    Panel(
        title="Errors by workload",
        description="Lines of the levels error and fatal in a second. None is normal.",
        unit="cps",
        queries={"{{workload}}": rate("log_records_total", HERE, _CHOSEN, _BAD, by="workload")},
        width=12,
    ),
)

_LINES: Final = (
    Lines(
        title="Errors",
        description="The newest thousand lines of the levels error and fatal.",
        query=f"{_WRITTEN} | {_BAD}",
    ),
    Lines(
        title="All",
        description="The newest thousand lines of any level, around what went wrong.",
        query=_WRITTEN,
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-logs",
        title="Logs",
        description="What the workloads of a namespace write: how much, how bad, and the lines.",
        tags=["application", "platform"],
        time="now-1h",
        variables=[
            Variable(name="namespace", metric="log_records_total"),
            Variable(name="workload", metric="log_records_total", many=True),
            Search(name="search"),
        ],
        rows={"How much": _COUNTED, "Lines": _LINES},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
