"""An unexpected error of the real application, as its recorded pod is told, reaches who speaks as Sentry does."""

import http.client
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.artifact import fakes
from tests.artifact.sample_app import AppPod, Copy, application_or_skip, copy_of, deployed, servers
from tests.recorder import Recording

Envelope = list[dict[str, Any]]


class Sentry(http.server.ThreadingHTTPServer):
    """Takes envelopes, and refuses what is none. Source: https://develop.sentry.dev/sdk/foundations/envelopes/"""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[Envelope] = []

    @property
    def dsn(self) -> str:
        return f"http://0123456789abcdef@127.0.0.1:{self.server_port}/7"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        header, item, payload = body.rstrip(b"\n").split(b"\n")
        known = "sentry_key=0123456789abcdef" in self.headers["X-Sentry-Auth"]
        whole = json.loads(item)["length"] == len(payload)
        accepted = known and whole and self.path == "/api/7/envelope/"
        if accepted:
            self.server.taken.append([json.loads(each) for each in (header, item, payload)])
        self.send_response(200 if accepted else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def posted(copy: Copy, path: str, content: object) -> int:
    """Send JSON, and return the answer's code."""
    connection = http.client.HTTPConnection(*copy.pod, timeout=30)
    try:
        connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_request_that_fails_is_reported_with_its_route_and_without_what_it_brought(
    recordings: Mapping[str, Recording], tmp_path: Path
) -> None:
    app = application_or_skip(tmp_path)
    recording = recordings["staging"]
    spec = deployed(recording, "api")
    (container,) = spec["containers"]
    with servers(app) as services, sentry() as server:
        environment = AppPod(tmp_path / "pod", recording, spec, services).environment("api")
        Path(environment["SENTRY_DSN_FILE"]).write_text(f"{server.dsn}\n", encoding="utf-8")
        # Nothing was migrated: there is no table of accounts.
        with copy_of(app, container["args"], environment, address="127.0.0.1", log=tmp_path / "log") as copy:
            account = {"email": "somebody@example.invalid", "password": "correct horse battery"}
            assert posted(copy, "/auth/signup", account) == 500
            fakes.until(lambda: server.taken, "the report")
        ((header, item, event),) = server.taken
    assert item["type"] == "event"
    assert header["event_id"] == event["event_id"]
    assert (event["environment"], event["release"], event["tags"]["role"]) == ("staging", "1.0.0", "api")
    assert (event["tags"]["method"], event["tags"]["route"]) == ("POST", "/auth/signup")
    assert 'relation "users" does not exist' in event["exception"]["values"][-1]["value"]
    for private in account.values():
        assert private not in json.dumps(event)
        assert server.dsn not in (tmp_path / "log").read_text(encoding="utf-8")
