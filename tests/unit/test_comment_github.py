"""Comments and issues at GitHub: a server on this machine that answers as GitHub's API does."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from delivery import github
from delivery.comment import marker
from simulator.faults import MACHINE, USAGE

TOKEN = "token-of-the-tests"
NAME = "fixia/platform"


class Forge:
    """What the server keeps, and what it was asked."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self.writes: list[tuple[str, str, dict[str, Any]]] = []
        self.status = 200


def handler(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = parse_qs(url.query)
            kept = {"comments": forge.comments, "issues": forge.issues, "pulls": forge.pulls}[
                url.path.rpartition("/")[2]
            ]
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            self.answer(kept[size * (page - 1) : size * page])

        def do_POST(self) -> None:
            self.write()

        def do_PATCH(self) -> None:
            self.write()

        def write(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            forge.writes.append((self.command, self.path, body))
            self.answer({"html_url": f"https://forge.test{self.path}"})

        def answer(self, body: Any) -> None:
            good = self.headers["Authorization"] == f"Bearer {TOKEN}"
            data = json.dumps(body).encode()
            self.send_response(forge.status if good else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    return Handler


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    kept = Forge()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(kept))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GITHUB_REPOSITORY", NAME)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    yield kept
    server.shutdown()
    server.server_close()


def run(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return github.main([*arguments])


TEXT = f"{marker('staging')}\nnew\n"


def test_the_first_comment_is_made(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    forge.comments = [{"id": 1, "body": f"{marker('production')}\nold"}]
    assert run(monkeypatch, TEXT, "comment", "--number", "12") == 0
    assert forge.writes == [("POST", f"/repos/{NAME}/issues/12/comments", {"body": TEXT})]


@pytest.mark.parametrize("before", [0, 99, 100, 250])
def test_the_next_one_takes_its_place_wherever_it_stands(
    forge: Forge, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    others = [{"id": n, "body": "something else"} for n in range(before)]
    forge.comments = [*others, {"id": 777, "body": f"{marker('staging')}\r\nold"}]
    assert run(monkeypatch, TEXT, "comment", "--number", "12") == 0
    assert forge.writes == [("PATCH", f"/repos/{NAME}/issues/comments/777", {"body": TEXT})]


def test_an_issue_is_opened_kept_up_and_closed(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    of = ("issue", "--title", "Drift of staging")
    assert run(monkeypatch, "it differs", *of) == 0
    forge.issues = [
        {"number": 3, "title": "Drift of staging", "pull_request": {}},
        {"number": 4, "title": "Drift of staging"},
    ]
    assert run(monkeypatch, "still", *of) == 0
    assert run(monkeypatch, "", *of) == 0
    path = f"/repos/{NAME}/issues"
    assert forge.writes == [
        ("POST", path, {"title": "Drift of staging", "body": "it differs"}),
        ("PATCH", f"{path}/4", {"body": "still"}),
        ("PATCH", f"{path}/4", {"state": "closed"}),
    ]


def test_with_nothing_to_say_no_issue_is_opened(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "", "issue", "--title", "Drift of staging") == 0
    assert forge.writes == []


def test_labels_are_those_of_what_was_merged(
    forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.pulls = [
        {"merged_at": "2026-11-20", "labels": [{"name": "stateful-change"}, {"name": "a"}]},
        {"merged_at": None, "labels": [{"name": "of-another"}]},
    ]
    assert run(monkeypatch, "", "labels", "--commit", "c0ffee") == 0
    assert json.loads(capsys.readouterr().out) == ["a", "stateful-change"]


def test_a_refusal_is_one_message_without_the_token(
    forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "another")
    assert run(monkeypatch, TEXT, "comment", "--number", "12") == MACHINE
    error = capsys.readouterr().err
    assert "GitHub answers 401" in error
    assert "another" not in error.replace("name another", "")
    assert forge.writes == []


def test_a_server_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", NAME)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    assert run(monkeypatch, TEXT, "comment", "--number", "12") == MACHINE
    assert "can't be reached" in capsys.readouterr().err


def test_outside_of_a_workflow_it_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert run(monkeypatch, TEXT, "comment", "--number", "12") == USAGE
    assert "GITHUB_REPOSITORY" in capsys.readouterr().err
