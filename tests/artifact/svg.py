"""Dashboards as pictures: a small renderer of the kinds of panels that ours have. It is not Grafana's.

It takes a board as Grafana reads it and what a Prometheus answered, and draws places, titles, lines, numbers,
tables and words where Grafana would. Fonts are the viewer's. The same answers make the same picture.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape

WIDTH: Final = 1440
GRID: Final = 24
CELL: Final = WIDTH / GRID
ROW: Final = 32
GAP: Final = 4
HEAD: Final = 26
LINES: Final = (
    "#73bf69",
    "#f2cc0c",
    "#8ab8ff",
    "#ff780a",
    "#f2495c",
    "#5794f2",
    "#b877d9",
    "#705da0",
    "#37872d",
)
COLOURS: Final = {"green": "#2f7d3a", "red": "#c4162a", "orange": "#d9730d", "text": "#22252b"}
INK, PALE, PAPER, BOX, BORDER = "#d8d9da", "#8e9196", "#111217", "#181b1f", "#2c3235"
LEGENDS: Final = 8
"""More lines than that are not named."""


@dataclass(frozen=True)
class Series:
    """One answer of one query.

    Attributes:
        name: its legend.
        labels: its labels.
        points: moment -> value; of a number and a table one.
    """

    name: str
    labels: Mapping[str, str]
    points: Mapping[float, float]


def readable(value: float, unit: str) -> str:
    """A number with its unit, about as Grafana writes it."""
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for size, name in ((31536000, "years"), (604800, "weeks"), (86400, "days"), (3600, "h"), (60, "min")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1000:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    if unit in {"bytes", "Bps"}:
        of = 0
        while abs(value) >= 1024 and of < 4:
            value, of = value / 1024, of + 1
        return f"{value:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[of]}{'/s' if unit == 'Bps' else ''}"
    after = {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")
    for least, power, name in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " K")):
        if abs(value) >= least:
            return f"{value / power:.3g}{name}{after}"
    return f"{value:.3g}{after}"


def drawn(board: Mapping[str, Any], answers: Mapping[int, Sequence[Series]], marks: Sequence[float]) -> str:
    """A board as SVG.

    Args:
        board: as Grafana reads it.
        answers: a panel's number -> what was answered.
        marks: moments at which something was deployed.
    """
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = bottom * ROW + 48
    parts = [_text(12, 31, board["title"], size=20)]
    for panel in board["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * CELL + GAP, place["y"] * ROW + 48
        wide, high = place["w"] * CELL - 2 * GAP, place["h"] * ROW - 2 * GAP
        if panel["type"] == "row":
            parts.append(_text(left + 4, top + 20, f"▾ {panel['title']}", size=15))
            continue
        inside = _inside(panel, answers.get(panel.get("id", 0), ()), marks, wide, high)
        parts.append(
            f'<svg x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{high:.0f}">'
            f'<rect width="100%" height="100%" rx="3" fill="{BOX}" stroke="{BORDER}"/>{inside}</svg>'
        )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Inter, Helvetica, Arial, sans-serif">\n'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )


def _inside(
    panel: Mapping[str, Any], found: Sequence[Series], marks: Sequence[float], wide: float, high: float
) -> str:
    title = _text(10, 18, _cut(panel["title"], wide - 16, 13), size=13)
    if panel["type"] == "text":
        return title + _words(panel["options"]["content"], wide, high)
    if panel["type"] == "logs":
        (asked,) = panel["targets"]
        return title + _words(f"Lines of Loki, which is not asked for pictures:\n{asked['expr']}", wide, high)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if not found:
        return title + _text(wide / 2, high / 2, "No data", size=14, ink=PALE, middle=True)
    if panel["type"] == "stat":
        return _numbers(panel, found, unit, wide, high) + title
    if panel["type"] == "table":
        return title + _table(found, unit, wide, high)
    return title + _chart(panel, found, marks, unit, wide, high)


def _chart(
    panel: Mapping[str, Any],
    found: Sequence[Series],
    marks: Sequence[float],
    unit: str,
    wide: float,
    high: float,
) -> str:
    left, top, right, below = 78.0, HEAD + 6.0, wide - 10, high - 42
    times = sorted({at for each in found for at in each.points})
    values = [value for each in found for value in each.points.values() if math.isfinite(value)]
    first, last = times[0], max(times[-1], times[0] + 1)
    most = panel["fieldConfig"]["defaults"].get("max") or max([*values, 0.0]) * 1.1 or 1.0
    least = min([*values, 0.0])

    def x(at: float) -> float:
        return left + (right - left) * (at - first) / (last - first)

    def y(value: float) -> float:
        return below - (below - top) * (min(value, most) - least) / (most - least)

    parts = []
    for number in range(5):
        value = least + (most - least) * number / 4
        parts.append(_line(left, y(value), right, y(value), BORDER))
        parts.append(_text(left - 6, y(value) + 4, readable(value, unit), size=10, ink=PALE, end=True))
    for number in range(5):
        at = first + (last - first) * number / 4
        clock = f"{int(at // 3600 % 24):02}:{int(at // 60 % 60):02}"
        parts.append(_text(x(at), below + 14, clock, size=10, ink=PALE, middle=True))
    parts += [_line(x(at), top, x(at), below, "#5794f2", dashed=True) for at in marks if first <= at <= last]
    named = 10.0
    for number, each in enumerate(found):
        ink = LINES[number % len(LINES)]
        line = " ".join(
            f"{x(at):.1f},{y(value):.1f}" for at, value in sorted(each.points.items()) if math.isfinite(value)
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{ink}" stroke-width="1.5"/>')
        if number < LEGENDS and named < wide - 60:
            shown = _cut(each.name, 170, 10)
            parts.append(f'<rect x="{named:.0f}" y="{high - 16:.0f}" width="10" height="3" fill="{ink}"/>')
            parts.append(_text(named + 14, high - 11, shown, size=10))
            named += 28 + len(shown) * 5.8
    return "".join(parts)


def _numbers(panel: Mapping[str, Any], found: Sequence[Series], unit: str, wide: float, high: float) -> str:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    parts = []
    each_wide = wide / len(found)
    for number, each in enumerate(found):
        value = list(each.points.values())[-1]
        reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
        fill = COLOURS.get(reached[-1], BOX) if reached and reached[-1] != "text" else None
        middle = each_wide * (number + 0.5)
        if fill:
            place = f'x="{each_wide * number:.0f}" width="{each_wide:.0f}" height="{high:.0f}"'
            parts.append(f'<rect {place} rx="3" fill="{fill}"/>')
        shown = readable(value, unit)
        size = min(34.0, high / 3, 1.6 * each_wide / max(4, len(shown)))
        parts.append(_text(middle, high / 2 + 14, shown, size=size, middle=True))
        if len(found) > 1:
            name = _cut(each.name, each_wide - 8, 11)
            parts.append(_text(middle, high - 10, name, size=11, ink=PALE, middle=True))
    return "".join(parts)


def _table(found: Sequence[Series], unit: str, wide: float, high: float) -> str:
    labels = sorted({label for each in found for label in each.labels if label != "__name__"})
    legends = list(dict.fromkeys(each.name for each in found))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for each in found:
        key = tuple(each.labels.get(label, "") for label in labels)
        rows.setdefault(key, {})[each.name] = readable(list(each.points.values())[-1], unit)
    columns = [*labels, *legends]
    step = (wide - 20) / max(1, len(columns))
    parts = [
        _text(10 + step * number, HEAD + 18, _cut(column, step - 8, 11), size=11, ink="#6e9fff")
        for number, column in enumerate(columns)
    ]
    for down, (key, told) in enumerate(rows.items()):
        at = HEAD + 40 + 22 * down
        if at > high - 8:
            break
        cells = [*key, *(told.get(legend, "") for legend in legends)]
        parts.append(_line(8, at - 15, wide - 8, at - 15, BORDER))
        parts += [
            _text(10 + step * number, at, _cut(cell, step - 8, 11), size=11)
            for number, cell in enumerate(cells)
        ]
    return "".join(parts)


def _words(markdown: str, wide: float, high: float) -> str:
    plain = re.sub(r"[*`]|\[([^]]*)]\([^)]*\)", r"\1", markdown)
    most = int((wide - 24) / 6.2)
    lines: list[str] = []
    for paragraph in plain.splitlines():
        line = ""
        for word in paragraph.split(" "):
            if len(line) + len(word) > most:
                lines, line = [*lines, line], "  "
            line += word + " "
        lines.append(line)
    shown = lines[: max(1, int((high - HEAD - 8) / 16))]
    return "".join(_text(12, HEAD + 16 + 16 * number, line, size=12) for number, line in enumerate(shown))


def _cut(text: str, wide: float, size: float) -> str:
    most = max(3, int(wide / (size * 0.56)))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _line(x: float, y: float, to_x: float, to_y: float, ink: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{ink}"{dashes}/>'


def _text(
    x: float, y: float, text: str, *, size: float, ink: str = INK, middle: bool = False, end: bool = False
) -> str:
    anchor = ' text-anchor="middle"' if middle else ' text-anchor="end"' if end else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size:.0f}" fill="{ink}"{anchor}>{escape(text)}</text>'
