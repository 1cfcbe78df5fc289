"""The page of every board: what it is for, and what each of its panels shows."""

from components.board import Board, Lines, Panel, Shown
from tests.unit.test_boards import boards

FIRST = ("fixia-operations", "fixia-executive", "fixia-development", "fixia-security", "fixia-slo")
"""What somebody looks for first."""

HEAD = """\
# Boards

Every dashboard that Grafana shows, out of the same data that it reads (`make docs`). They are changed here and nowhere
else; the datasource is chosen at the top of each, times are UTC. No panel of them is empty on a platform that tells what
`tests/artifact/board_series.txt` has: `tests/artifact/test_boards.py`. How they look: [pictures](../pictures/README.md).
"""


def page() -> str:
    """The page, in Markdown."""
    order = {uid: number for number, uid in enumerate(FIRST)}
    ordered = sorted(boards(), key=lambda board: (order.get(board.uid, len(FIRST)), board.title))
    contents = "\n".join(f"- [{board.title}](#{_anchor(board.title)})" for board in ordered)
    return "\n".join([HEAD, contents, "", *(_board(board) for board in ordered)])


def _anchor(title: str) -> str:
    """As GitHub makes them."""
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in " -")
    return kept.replace(" ", "-")


def _board(board: Board) -> str:
    chosen = "".join(f", ${variable.name}" for variable in board.variables)
    said = f"{board.description} " if board.description else ""
    lines = [f"## {board.title}", "", f"{said}Address: `/d/{board.uid}`. Chosen: $datasource{chosen}.", ""]
    for title, panels in board.rows.items():
        lines += [f"### {board.title}: {title}", "", "| panel | unit | what it shows |", "|---|---|---|"]
        lines += [_panel(panel) for panel in panels] + [""]
    return "\n".join(lines)


def _panel(panel: Shown) -> str:
    unit = panel.unit if isinstance(panel, Panel) else "lines" if isinstance(panel, Lines) else "words"
    return f"| {panel.title} | {unit} | {panel.description} |"
