"""Review and deployment with an account: in which order the engine is asked what, and when it is not asked at all."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from delivery import account, deploy, gate, review
from simulator.faults import MACHINE, USAGE

ENGINE: Final = f"""#!{sys.executable}
# Writes down its arguments, and answers a preview and an update with what lies beside it.
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
told = dict(zip(sys.argv, sys.argv[1:]))
if sys.argv[1] == "preview":
    assert os.environ["PULUMI_DEBUG_COMMANDS"] == "true"
    pathlib.Path(told["--event-log"]).write_text((here / "events").read_text())
    if "--save-plan" in told:
        pathlib.Path(told["--save-plan"]).write_text("a plan")
    print((here / "digest").read_text())
else:
    assert pathlib.Path(told["--plan"]).read_text() == "a plan"
    print((here / "said").read_text())
sys.exit(int((here / sys.argv[1]).read_text()))
"""
URN: Final = "urn:pulumi:staging::fixia::kubernetes:core/v1:PersistentVolumeClaim::database-data"


class World:
    """A program's folder, and an engine on PATH that answers from a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin/pulumi").write_text(ENGINE)
        (folder / "bin/pulumi").chmod(0o755)
        (folder / "Pulumi.yaml").write_text("name: fixia\nruntime: python\n")
        (folder / "policies").mkdir()
        for stack in ("staging", "production"):
            self.stack(stack, "ghcr.io/fixia/api:1.0.0")
            (folder / f"policies/levels.{stack}.json").write_text("{}")
        self.answers(events=[], preview=0, up=0, said="")

    def stack(self, name: str, image: str) -> None:
        text = f"config:\n  fixia:workloads:\n    api:\n      image: {image}\n"
        (self.folder / f"Pulumi.{name}.yaml").write_text(text)

    def answers(self, *, events: list[dict[str, Any]], preview: int = 0, up: int = 0, said: str = "") -> None:
        texts = {
            "events": "".join(f"{json.dumps(event)}\n" for event in events),
            "digest": json.dumps({"steps": [], "config": {}}),
            "preview": str(preview),
            "up": str(up),
            "said": said,
        }
        for name, text in texts.items():
            (self.folder / "bin" / name).write_text(text)

    @property
    def calls(self) -> list[list[str]]:
        file = self.folder / "bin/calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def commands(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return made


def step(operation: str) -> dict[str, Any]:
    type_ = "kubernetes:core/v1:PersistentVolumeClaim"
    state = {"type": type_, "custom": True, "parent": "", "inputs": {}}
    return {
        "resourcePreEvent": {
            "metadata": {"op": operation, "urn": URN, "type": type_, "old": state, "new": None}
        }
    }


def reviewed(world: World, *arguments: str) -> int:
    return review.main(["--stack", "staging", "--program", str(world.folder), *arguments])


def deployed(world: World, stack: str = "staging", *arguments: str) -> int:
    return deploy.main(["--stack", stack, "--program", str(world.folder), *arguments])


def test_a_review_with_an_account_runs_the_pack_at_the_stacks_levels_and_leaves_a_comment(
    world: World,
) -> None:
    world.answers(events=[step("delete")])
    assert reviewed(world, "--account", "--refresh") == 0
    (call,) = world.calls
    assert call[0] == "preview"
    assert {"--refresh", "--json", "--show-sames", "--non-interactive"} <= set(call)
    levels = call[call.index("--policy-pack-config") + 1]
    assert Path(levels) == world.folder / "policies/levels.staging.json"
    text = (world.folder / "build/comment-staging.md").read_text()
    assert "**delete `kubernetes:core/v1:PersistentVolumeClaim` `database-data`**" in text
    assert "stateful-change" in text


def test_a_failed_preview_still_leaves_its_comment(world: World) -> None:
    error = {"diagnosticEvent": {"severity": "error", "message": "no stack named 'staging' found"}}
    world.answers(events=[error], preview=255)
    assert reviewed(world, "--account") == 255
    text = (world.folder / "build/comment-staging.md").read_text()
    assert "the preview failed" in text
    assert "there is no stack staging at this backend" in text


def test_what_an_earlier_review_left_is_gone_first(world: World) -> None:
    build = world.folder / "build"
    build.mkdir()
    for name in ("preview-staging.json", "comment-staging.md"):
        (build / name).write_text("old")
    (world.folder / "bin/pulumi").write_text(f"#!{sys.executable}\nraise SystemExit(4)\n")
    assert reviewed(world, "--account") == 4
    assert "old" not in (build / "comment-staging.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [("--account", "--base", "main"), ("--refresh",), ("--plan", "p"), ("--base", "main", "--refresh")],
)
def test_what_needs_an_account_and_what_needs_none_is_not_mixed(
    world: World, arguments: tuple[str, ...]
) -> None:
    assert reviewed(world, *arguments) == USAGE
    assert world.calls == []


def test_a_stack_that_is_not_there_is_refused_before_anything(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review.main(["--stack", "nowhere", "--account", "--program", str(world.folder)]) == USAGE
    assert "production, staging" in capsys.readouterr().err
    assert world.calls == []


def test_a_deployment_previews_and_does_exactly_that(world: World) -> None:
    assert deployed(world) == 0
    assert world.commands == ["preview", "up"]
    up = world.calls[1]
    assert "--plan" in up
    assert "--policy-pack" in up
    assert "--skip-preview" not in up
    plan = Path(up[up.index("--plan") + 1])
    assert not plan.exists()


@pytest.mark.parametrize(("labels", "commands"), [("", ["preview"]), (gate.LABEL, ["preview", "up"])])
def test_the_gate_stands_before_the_update(
    world: World, capsys: pytest.CaptureFixture[str], labels: str, commands: list[str]
) -> None:
    world.answers(events=[step("delete")])
    assert deployed(world, "staging", "--labels", labels) == (0 if labels else gate.HELD)
    assert world.commands == commands
    assert ("would lose" in capsys.readouterr().err) == (not labels)


def test_a_preview_that_fails_ends_it(world: World) -> None:
    world.answers(events=[], preview=255)
    assert deployed(world) == gate.HELD
    assert world.commands == ["preview"]


def test_an_update_that_stops_says_why_in_one_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"error: resource {URN} violates plan: properties changed: ++spec"
    world.answers(events=[], up=255, said=said)
    assert deployed(world) == 255
    captured = capsys.readouterr()
    assert said in captured.out
    (line,) = [line for line in captured.err.splitlines() if line.startswith("deploy:")]
    assert "out of date at database-data" in line


def test_production_does_not_get_what_staging_never_had(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.stack("production", "ghcr.io/fixia/api:9.9.9")
    assert deployed(world, "production") == gate.HELD
    assert "ghcr.io/fixia/api:9.9.9, which staging never had" in capsys.readouterr().err
    assert world.calls == []


def test_without_a_pulumi_it_says_how_to_get_one(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(world.folder))
    assert reviewed(world, "--account") == MACHINE
    assert "python -m delivery.account" in capsys.readouterr().err


def test_the_makers_own_program_is_got_in_the_pinned_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    got: dict[str, Any] = {}
    monkeypatch.setattr("pulumi.automation.PulumiCommand.install", lambda **told: got.update(told))
    assert account.main(["--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'bin'}\n"
    assert got["root"] == str(tmp_path)
    assert str(got["version"]).startswith("3.256.")


def test_an_installation_that_fails_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("no answer")

    monkeypatch.setattr("pulumi.automation.PulumiCommand.install", fail)
    assert account.main(["--folder", str(tmp_path)]) == MACHINE
    error = capsys.readouterr().err
    assert "can't be installed: no answer" in error
    assert "Traceback" not in error
