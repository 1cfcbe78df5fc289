"""`make pictures`: every dashboard as a picture below docs/pictures/, from what a real Prometheus answers.

The Prometheus has scraped `board_series.txt`, a small platform on a bad day, at a fixed noon of 2026; so that
there is something to see, what rises there rises in waves, and what stands sways. Who draws is `svg.py`, and not
Grafana, whose server can't be had where this is made.
"""

import json
import math
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from components.monitoring.deployed import EVENTS, INFO
from tests.artifact import test_boards
from tests.artifact.svg import Series, drawn
from tests.artifact.test_boards import MINUTE, NOW, WINDOWS, Server, filled, served, told
from tests.recorder import ROOT
from tests.unit.test_boards import BOARDS, charts

PICTURES: Final = ROOT / "docs" / "pictures"
HOUR: Final = 3600
WAVE: Final = 45 * MINUTE
DEPLOYED: Final = NOW - 25 * MINUTE
STILL: Final = ("up", "ALERTS", "probe_", "certmanager_", "slo:", "kube_", "backup_", "platform_", "app_info")
"""What is a count of objects, a state or a promise, and does not sway."""


def swaying() -> str:
    """What is told, in OpenMetrics, in waves."""
    lines = []
    for each in told():
        # All of a histogram together: its buckets never cross.
        phase = zlib.crc32(f"{each.name}{each.labels}".encode()) % 628 / 100
        for name, labels, value in each.series():
            still = each.name.startswith(STILL) or value.startswith("@") or float(value) in {0.0, 1.0}
            for start, end in WINDOWS:
                for at in range(start, end + 1, MINUTE):
                    number = test_boards.sample(value, at)
                    wave = math.sin(2 * math.pi * at / WAVE + phase)
                    if value.startswith("+") and not value.startswith("+0"):
                        # Never falling: its rate goes up and down by half.
                        number += float(value) * 0.5 * WAVE / (2 * math.pi * MINUTE) * (wave + 1)
                    elif not still:
                        number *= 1 + 0.15 * wave
                    if each.name == INFO and at < DEPLOYED:
                        continue
                    lines.append(f"{name}{{{labels}}} {number:.6g} {at}")
    before = f'{INFO}{{stack="production",version="0.9.3",commit="fedcba987654",author="Grace Hopper"}} 1'
    lines += [f"{before} {at}" for at in range(NOW - 90 * MINUTE, DEPLOYED, MINUTE)]
    return "\n".join([*lines, "# EOF\n"])


def pictures(server: Server) -> Iterator[tuple[str, str]]:
    """File name -> the picture, of every board."""
    marks = sorted(at for each in _asked(server, EVENTS, lines=True) for at in each.points if at > NOW - HOUR)
    for file, board in BOARDS.items():
        yield file.replace(".json", ".svg"), drawn(board, dict(_answers(server, board)), marks)


def _answers(server: Server, board: Mapping[str, Any]) -> Iterator[tuple[int, list[Series]]]:
    for panel in charts(dict(board)):
        found = [
            Series(_legend(target["legendFormat"], each.labels), each.labels, each.points)
            for target in panel["targets"]
            for each in _asked(
                server, filled(target["expr"], dict(board)), lines=panel["type"] == "timeseries"
            )
        ]
        # In an order that is the same each time; Prometheus' own is sorted where the query sorts.
        yield panel["id"], found if panel["type"] == "table" else sorted(found, key=lambda each: each.name)


def _legend(form: str, labels: Mapping[str, str]) -> str:
    """As Grafana writes it; a label that a series has not is nothing."""
    return re.sub(r"\{\{(\w+)}}", lambda match: labels.get(match[1], ""), form)


def _asked(server: Server, expression: str, *, lines: bool) -> list[Series]:
    if lines:
        span = {"start": str(NOW - HOUR), "end": str(NOW), "step": str(MINUTE)}
        answer = json.loads(server.get("/api/v1/query_range", query=expression, **span))
    else:
        answer = json.loads(server.get("/api/v1/query", query=expression, time=str(NOW)))
    assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
    return [
        Series(
            "",
            each["metric"],
            {float(at): float(value) for at, value in each.get("values") or [each["value"]]},
        )
        for each in sorted(answer["data"]["result"], key=lambda one: _order(one, expression))
    ]


def _order(found: Mapping[str, Any], expression: str) -> str:
    # `sort` and `topk` have said it already; `sorted` is stable.
    return "" if expression.startswith(("sort", "topk")) else json.dumps(found["metric"], sort_keys=True)


def main() -> None:
    """Draws all of them."""
    with (
        tempfile.TemporaryDirectory(prefix="fixia-pictures-") as folder,
        served(swaying(), Path(folder)) as server,
    ):
        for name, picture in pictures(server):
            (PICTURES / name).write_text(picture, encoding="utf-8")
            print(f"pictures: docs/pictures/{name}", file=sys.stderr)


if __name__ == "__main__":
    main()
