"""`make silence` before and after it asks: what it takes, what it refuses, what it says; kubectl is a fake."""

import json
import os
import shlex
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from settings import silence
from settings.silence import LONGEST, RefusedError, Silence, duration, main
from tests.recorder import ROOT

ID = "3f2a1b4c-0d5e-4f60-8a71-b2c3d4e5f607"
FIRING = [
    {
        "labels": {
            "alertname": "CacheDown",
            "severity": "P1",
            "namespace": "fixia-data",
            "pod": "cache-0",
            "x": "y",
        }
    }
]
SILENCED = [
    {
        "id": ID,
        "endsAt": "2026-11-20T16:30:00.000Z",
        "createdBy": "ada",
        "comment": "moving its volume",
        "matchers": [
            {"name": "alertname", "value": "CacheDown", "isEqual": True, "isRegex": False},
            {"name": "namespace", "value": "a|b", "isEqual": True, "isRegex": True},
            {"name": "pod", "value": "x", "isEqual": False, "isRegex": False},
            {"name": "node", "value": "n.*", "isEqual": False, "isRegex": True},
        ],
    }
]

FAKE_KUBECTL = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
answers = json.loads(Path(os.environ["ANSWERS"]).read_text())
with Path(os.environ["ASKED"]).open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
for part, (code, said) in answers.items():
    if part in " ".join(sys.argv[1:]):
        print(said, file=sys.stdout if code == 0 else sys.stderr)
        sys.exit(code)
sys.exit("the fake kubectl was asked: " + " ".join(sys.argv[1:]))
"""


class Fakes:
    """A fake kubectl, what it was asked, and a stack's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, tuple[int, str]] = {
            "get statefulset/alertmanager": (0, "production"),
            "alert query": (0, json.dumps(FIRING)),
            "silence add": (0, ID),
            "silence query": (0, json.dumps(SILENCED)),
            "silence expire": (0, ""),
        }
        (folder / "Pulumi.production.yaml").write_text((ROOT / "Pulumi.production.yaml").read_text())

    def run(self, *arguments: str) -> int:
        (self.folder / "answers").write_text(json.dumps(self.answers))
        return main(["--stack", "production", "--program", str(self.folder), *arguments])

    def calls(self) -> list[list[str]]:
        asked = self.folder / "asked"
        return [json.loads(line) for line in asked.read_text().splitlines()] if asked.exists() else []

    def amtool(self) -> list[list[str]]:
        """What amtool was asked in the pod."""
        return [call[call.index("amtool") + 1 :] for call in self.calls() if "amtool" in call]

    def changed(self) -> list[list[str]]:
        return [call for call in self.amtool() if call[:2] in (["silence", "add"], ["silence", "expire"])]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(FAKE_KUBECTL)
    (programs / "kubectl").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return Fakes(tmp_path)


def test_it_says_what_it_silences_before_and_how_to_end_it_after(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC)
    told = (
        "--for",
        "2h",
        "--alert",
        "CacheDown",
        "--namespace",
        "fixia-data",
        "--reason",
        "moving its volume",
    )
    assert fakes.run(*told) == 0
    said = capsys.readouterr().out
    assert "silenced  CacheDown" in said
    assert "within    fixia-data" in said
    assert "firing    1\n          P1 CacheDown namespace=fixia-data pod=cache-0\n" in said
    assert said.index("firing") < said.index(ID)
    assert f"make silence STACK=production END={ID}" in said
    query, add = fakes.amtool()
    matchers = ['alertname="CacheDown"', 'namespace="fixia-data"']
    assert query == ["--output=json", "alert", "query", "--active", *matchers]
    assert add[:2] == ["silence", "add"]
    assert add[-2:] == matchers
    assert "--comment=moving its volume" in add
    (end,) = (each.removeprefix("--end=") for each in add if each.startswith("--end="))
    assert abs(datetime.fromisoformat(end) - before - timedelta(hours=2)) < timedelta(minutes=1)


def test_it_asks_the_pod_of_the_stack_as_kubectl_does(fakes: Fakes) -> None:
    assert fakes.run("--list", "--context", "eu") == 0
    assert {tuple(call[:4]) for call in fakes.calls()} == {
        ("--context", "eu", "--namespace", "fixia-monitoring")
    }
    assert fakes.calls()[-1][4:9] == ["exec", "statefulset/alertmanager", "--container", "alertmanager", "--"]


@pytest.mark.parametrize(
    "names", ["--alert A --alert B --namespace x --namespace y", "--alert 'A B' --namespace x,y"]
)
def test_several_names_are_one_silence(fakes: Fakes, names: str) -> None:
    assert fakes.run("--for", "45m", "--reason", "r", *shlex.split(names)) == 0
    (add,) = fakes.changed()
    assert add[-2:] == ['alertname=~"A|B"', 'namespace=~"x|y"']


def test_everything_is_all_but_the_watchdog(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.answers["alert query"] = (0, "[]")
    assert fakes.run("--for", "1h", "--all", "--reason", "the move") == 0
    (add,) = fakes.changed()
    assert add[-2:] == ['alertname=~".+"', 'alertname!="Watchdog"']
    said = capsys.readouterr().out
    assert "silenced  all but Watchdog\nwithin    every namespace" in said
    assert "firing    nothing of it now" in said


def test_a_namespace_alone_leaves_the_watchdog_out_too() -> None:
    some = Silence(alerts=[], namespaces=["x"], lasts=timedelta(hours=1), reason="r")
    assert some.matchers() == ['alertname=~".+"', 'alertname!="Watchdog"', 'namespace="x"']


WHOLE = "--for 2h --alert CacheDown --reason r"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("--for 2h --alert CacheDown", "why?"),
        ("--for 2h --alert CacheDown --reason ' '", "why?"),
        ("--alert CacheDown --reason r", "for how long?"),
        ("--for 2h --reason r", "silence what?"),
        ("--for 25h --alert A --reason r", "longer than a day"),
        ("--for 24h1m --alert A --reason r", "longer than a day"),
        ("--for 0m --alert A --reason r", "that is no time"),
        ("--for 2 --alert A --reason r", "that is no time"),
        ("--for 2d --alert A --reason r", "that is no time"),
        ("--for 2h --alert Watchdog --reason r", "it always fires"),
        ("--for 2h --alert 'A|B' --reason r", "that is no name"),
        ("--for 2h --alert A --namespace 'x\"y' --reason r", "that is no name"),
        ("--for 2h --alert A --all --reason r", "leave out the one that is not meant"),
        ("--end 5", "that is no id"),
    ],
)
def test_what_is_not_whole_is_refused_and_nothing_changes(
    fakes: Fakes, capsys: pytest.CaptureFixture[str], told: str, says: str
) -> None:
    assert fakes.run(*shlex.split(told)) == silence.USAGE
    said = capsys.readouterr().err
    assert says in said
    assert "nothing was changed" in said
    assert fakes.changed() == []


@pytest.mark.parametrize(
    ("text", "minutes"), [("45m", 45), ("2h", 120), ("1h30m", 90), ("24h", 1440), ("90m", 90)]
)
def test_times_are_hours_and_minutes(text: str, minutes: int) -> None:
    assert duration(text) == timedelta(minutes=minutes) <= LONGEST


@pytest.mark.parametrize("text", ["", "h", "1.5h", "2h2h", "-1h", "1m1h", "99999h"])
def test_other_times_are_none(text: str) -> None:
    with pytest.raises(RefusedError):
        duration(text)


def test_another_cluster_than_the_stacks_is_refused(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.answers["get statefulset/alertmanager"] = (0, "staging")
    assert fakes.run(*shlex.split(WHOLE)) == silence.USAGE
    assert "a cluster of staging, and production is production" in capsys.readouterr().err
    assert fakes.amtool() == []


def test_a_stack_without_a_file_is_refused(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    (fakes.folder / "Pulumi.production.yaml").unlink()
    assert fakes.run(*shlex.split(WHOLE)) == silence.USAGE
    assert "there is no such stack file" in capsys.readouterr().err
    assert fakes.calls() == []


def test_a_file_that_does_not_say_whose_it_is_is_refused(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    (fakes.folder / "Pulumi.production.yaml").write_text("config: {fixia:stack: {product: fixia}}\n")
    assert fakes.run(*shlex.split(WHOLE)) == silence.USAGE
    assert "does not say whose it is" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["alert query", "silence add"])
def test_what_kubectl_says_is_handed_on(fakes: Fakes, capsys: pytest.CaptureFixture[str], part: str) -> None:
    fakes.answers[part] = (1, "error: pods not found")
    assert fakes.run(*shlex.split(WHOLE)) == silence.USAGE
    said = capsys.readouterr().err
    assert "error: pods not found" in said
    assert "kubectl --namespace fixia-monitoring get pods" in said


def test_without_kubectl_it_says_so(
    fakes: Fakes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert fakes.run(*shlex.split(WHOLE)) == silence.USAGE
    assert "install it, or add it to PATH" in capsys.readouterr().err


def test_it_lists_what_is_silenced_and_why(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    assert fakes.run("--list") == 0
    said = capsys.readouterr().out
    assert f"{ID}  until 2026-11-20 16:30 UTC  alertname=CacheDown namespace=~a|b pod!=x node!~n.*\n" in said
    assert "  ada: moving its volume" in said
    assert fakes.changed() == []
    fakes.answers["silence query"] = (0, "")
    assert fakes.run("--list") == 0
    assert "nothing is silenced" in capsys.readouterr().out


def test_it_ends_one(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    assert fakes.run("--end", ID) == 0
    assert fakes.changed() == [["silence", "expire", ID]]
    assert f"silence {ID} has ended" in capsys.readouterr().out


def test_many_that_fire_are_counted_and_some_are_shown(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.answers["alert query"] = (0, json.dumps(FIRING * 50))
    assert fakes.run(*shlex.split(WHOLE)) == 0
    said = capsys.readouterr().out
    assert "firing    50\n" in said
    assert "and 30 more" in said
    assert said.count("P1 CacheDown") == 20
