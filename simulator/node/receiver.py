"""Who is told of alerts on a node: it answers yes, and writes down what it is told.

    python -m simulator.node.receiver ADDRESS PORT FILE

FILE has the alerts that were told and not taken back, as a JSON list of Alertmanager's own objects.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Final

LARGEST: Final = 4 * 2**20
"""Bytes of a message."""


class Told:
    """The alerts that last, in a file.

    Args:
        file: where they are written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._firing = {alert["fingerprint"]: alert for alert in read(file)}

    def take(self, message: Any) -> None:
        """Take a message of Alertmanager's webhook.

        Args:
            message: as it was sent.

        Raises:
            KeyError: it is none.
            TypeError: it is none.

        Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
        """
        with self._lock:
            for alert in message["alerts"]:
                if alert["status"] == "firing":
                    self._firing[alert["fingerprint"]] = alert
                else:
                    self._firing.pop(alert["fingerprint"], None)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps([*self._firing.values()], indent=2) + "\n", encoding="utf-8")
            new.replace(self._file)


def read(file: Path) -> list[dict[str, Any]]:
    """Return the alerts that a file has; none if there is no file.

    Args:
        file: as `Told` writes it.
    """
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return found


def main(address: str, port: int, file: Path) -> None:
    """Serve for ever.

    Args:
        address: where.
        port: where.
        file: where the alerts are written.
    """
    told = Told(file)

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= LARGEST:
                self.send_error(413)
                return
            try:
                told.take(json.loads(self.rfile.read(length)))
            except (ValueError, KeyError, TypeError):
                self.send_error(400)
                return
            self.send_response(204)
            self.end_headers()

    ThreadingHTTPServer((address, port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
