"""The public status page: how each part of the product answers, by the figures of the probes.

It asks Prometheus every half minute, and shows everybody what it last heard: a page, and the same as JSON.
What is shown are the names that it is told and shares of time; no name of the platform's, no address and no
error. Of the figures nothing is kept here. It runs on Python's standard library alone.

    PROMETHEUS_URL    https://host:port
    PASSWORD_FILE     of the user `platform` there
    CA_FILE           whom its certificate must be of
    SERVICES          JSON: the probe's name -> the name that everybody sees
    TITLE             of the page
    PORT              where it listens; INTERVAL_SECONDS: how often it asks (30)
"""

import base64
import html
import http.server
import json
import os
import signal
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

DAY = 86400
DAYS = 30
WINDOWS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
STALE_SECONDS = 300
"""After so long without an answer nothing is known any more."""
NOW = "5m"
"""Over how long a part's present state is judged: some ten probes."""
ALL, SOME = 0.999, 0.5
"""Of these probes: from the first on it works, from the second on it works in part, below it does not."""
WORDS = {
    "operational": "works",
    "degraded": "works in part",
    "outage": "does not work",
    "unknown": "not known",
}
WORST_FIRST = ("outage", "degraded", "unknown", "operational")

Ask = Callable[[str, float], dict[str, float]]
"""PromQL and a moment -> probe -> value."""


def state(share: float | None) -> str:
    """What a share of good answers means."""
    if share is None:
        return "unknown"
    return "operational" if share >= ALL else "degraded" if share >= SOME else "outage"


def summary(services: Mapping[str, str], ask: Ask, now: float) -> dict[str, Any]:
    """All that is shown.

    Args:
        services: the probe's name -> the name that everybody sees.
        ask: asks Prometheus.
        now: seconds since 1970.
    """
    these = "|".join(services)
    answered = f'probe_success{{probe=~"{these}"}}'

    def share(window: str, at: float = now) -> dict[str, float]:
        return ask(f"avg by (probe) (avg_over_time({answered}[{window}]))", at)

    midnight = int(now // DAY) * DAY
    # Each whole day as it was at its end, and today as far as it has come.
    ends = [midnight - DAY * ago for ago in range(DAYS - 2, -1, -1)]
    days = [(end - DAY, share("1d", end)) for end in ends]
    days.append((midnight, share(f"{max(60, int(now - midnight))}s")))
    present, past = share(NOW), {window: share(window) for window in WINDOWS}
    parts = [
        {
            "name": shown,
            "status": state(present.get(probe)),
            "uptime": {window: past[window].get(probe) for window in WINDOWS},
            "days": [{"date": _date(start), "uptime": told.get(probe)} for start, told in days],
        }
        for probe, shown in services.items()
    ]
    states = {part["status"] for part in parts}
    return {
        "status": next(each for each in WORST_FIRST if each in states),
        "updated": datetime.fromtimestamp(int(now), UTC).isoformat(),
        "services": parts,
    }


def stale(told: Mapping[str, Any]) -> dict[str, Any]:
    """The same once it is too old to say how things are: what was still stands."""
    parts = [{**part, "status": "unknown"} for part in told["services"]]
    return {**told, "status": "unknown", "services": parts}


def page(told: Mapping[str, Any], title: str, template: str) -> str:
    """The page, in HTML.

    Args:
        told: as of `summary`.
        title: of the page.
        template: page.html.
    """
    heads = "".join(f"<th>{words}</th>" for words in WINDOWS.values())
    rows = "".join(
        f'<tr><th scope="row">{html.escape(part["name"])}</th>'
        f'<td class="{part["status"]}">{WORDS[part["status"]]}</td>'
        + "".join(f"<td>{_percent(part['uptime'][window])}</td>" for window in WINDOWS)
        + f'<td class="days">{"".join(map(_bar, part["days"]))}</td></tr>'
        for part in told["services"]
    )
    said = {
        "operational": "Everything works",
        "degraded": "Something works in part",
        "outage": "Something does not work",
        "unknown": "We do not know at the moment",
    }[told["status"]]
    return Template(template).substitute(
        title=html.escape(title),
        status=told["status"],
        said=said,
        heads=heads,
        rows=rows,
        updated=html.escape(told["updated"].replace("T", " ").replace("+00:00", " UTC")),
    )


def _bar(day: Mapping[str, Any]) -> str:
    shade = "unknown" if day["uptime"] is None else state(day["uptime"])
    return f'<span class="{shade}" title="{day["date"]}: {_percent(day["uptime"])}"></span>'


def _percent(share: float | None) -> str:
    # Cut, not rounded: what failed once is not 100 %.
    return "no data" if share is None else f"{int(share * 10000) / 100:.2f} %"


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def prometheus(url: str, password_file: Path, ca_file: Path) -> Ask:
    """Asks the real one; the password and whom it trusts are read anew each time."""

    def ask(expression: str, at: float) -> dict[str, float]:
        context = ssl.create_default_context(cafile=str(ca_file))
        # From Python 3.13 on: formalities of RFC 5280, which who signs for one cluster may leave out.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        query = urllib.parse.urlencode({"query": expression, "time": f"{at:.3f}"})
        shown = f"platform:{password_file.read_text(encoding='utf-8').strip()}"
        token = base64.b64encode(shown.encode()).decode()
        headers = {"Authorization": f"Basic {token}"}
        request = urllib.request.Request(f"{url}/api/v1/query?{query}", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            found = json.load(answer)["data"]["result"]
        return {each["metric"]["probe"]: float(each["value"][1]) for each in found}

    return ask


class Page:
    """What is shown at the moment."""

    def __init__(self, services: Mapping[str, str], title: str, folder: Path) -> None:
        self.services, self.title = services, title
        self.template = (folder / "page.html").read_text(encoding="utf-8")
        self.style = (folder / "style.css").read_bytes()
        nothing: Ask = lambda _expression, _at: {}  # noqa: E731
        self._told, self._heard = summary(services, nothing, time.time()), 0.0

    def renew(self, ask: Ask) -> None:
        """Ask for everything once."""
        now = time.time()
        told = summary(self.services, ask, now)
        self._told, self._heard = told, now

    def told(self) -> dict[str, Any]:
        """All that is shown."""
        told = self._told
        return told if time.time() - self._heard < STALE_SECONDS else stale(told)

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """What a path answers: its type and its content; None where there is nothing."""
        if path == "/":
            return "text/html; charset=utf-8", page(self.told(), self.title, self.template).encode()
        if path == "/status.json":
            return "application/json", json.dumps(self.told()).encode()
        if path == "/style.css":
            return "text/css; charset=utf-8", self.style
        if path == "/health":
            return "text/plain; charset=utf-8", b"ok\n"
        return None


def handler(shown: Page) -> type[http.server.BaseHTTPRequestHandler]:
    """Answers GET and HEAD, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            found = shown.answer(self.path.partition("?")[0])
            kind, content = found or ("text/plain; charset=utf-8", b"not found\n")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "public, max-age=30")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 the base class's

        def version_string(self) -> str:
            return "status"

        def log_message(self, *_: object) -> None:
            """Nothing: the entrance logs requests."""

    return Handler


def ask_forever(shown: Page, ask: Ask, seconds: float) -> None:
    """Keep what is shown new. An error is told by its kind alone, and tried again."""
    while True:
        try:
            shown.renew(ask)
        except Exception as error:  # whatever it is, the page goes on showing what it knows
            print(f"status: Prometheus was not heard: {type(error).__name__}", file=sys.stderr, flush=True)
        time.sleep(seconds)


def main() -> None:
    """Does what the module says, until SIGTERM."""
    told = os.environ
    shown = Page(json.loads(told["SERVICES"]), told["TITLE"], Path(__file__).parent)
    ask = prometheus(told["PROMETHEUS_URL"], Path(told["PASSWORD_FILE"]), Path(told["CA_FILE"]))
    # As the first process of its container it would ignore the signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    seconds = float(told.get("INTERVAL_SECONDS", "30"))
    threading.Thread(target=ask_forever, args=(shown, ask, seconds), daemon=True).start()
    server = http.server.ThreadingHTTPServer((told.get("ADDRESS", ""), int(told["PORT"])), handler(shown))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
