"""The preview command on little programs in git repositories of their own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.session import PROVIDERS

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

ROOMS = """
    import pulumi

    class Room(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("tiny:rooms:Room", name)
            self.register_outputs({{}})

    for name in {names}:
        Room(name)
    pulumi.Config().require_secret("code")
"""
STACK = {"Pulumi.dev.yaml": "config:\n  tiny:code:\n    secure: v1:AAAA:BBBB\n"}


@pytest.fixture(autouse=True)
def _engine_is_there(engine: Path) -> None:
    """Get the engine before any command of ours is timed."""


def git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def preview(program: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "preview", "--program", str(program), *args],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def report(program: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((program / "build/preview-dev.json").read_text(encoding="utf-8"))
    return data


def test_a_preview_writes_its_report_and_names_the_placeholders(write_program: WriteProgram) -> None:
    program = write_program(ROOMS.format(names=["kitchen"]), STACK)
    done = preview(program, "--stack", "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.splitlines() == [
        f"simulated providers: {', '.join(PROVIDERS)} (no account, nothing is contacted)",
        "placeholder secrets stand in for: tiny:code",
        f"report: {program}/build/preview-dev.md, {program}/build/preview-dev.json",
    ]
    assert "+ 2 to create" in done.stdout
    assert report(program)["counts"] == {"create": 2}
    assert sorted(file.name for file in (program / "build").iterdir()) == [
        "preview-dev.json",
        "preview-dev.md",
    ]
    assert (program / "Pulumi.dev.yaml").read_text(encoding="utf-8") == STACK["Pulumi.dev.yaml"]


def test_a_base_makes_the_preview_show_what_changed_since(write_program: WriteProgram) -> None:
    program = write_program(ROOMS.format(names=["kitchen", "cellar"]), STACK)
    git(program, "init", "--quiet", "--initial-branch=main")
    git(program, "add", ".")
    git(program, "commit", "--quiet", "--message=first")
    write_program(ROOMS.format(names=["kitchen", "attic"]), STACK)
    done = preview(program, "--stack", "dev", "--base", "main")
    assert done.returncode == 0, done.stdout + done.stderr
    changes = [(change["operation"], change["name"]) for change in report(program)["changes"]]
    assert sorted(changes) == [("create", "attic"), ("delete", "cellar")]
    markdown = (program / "build/preview-dev.md").read_text(encoding="utf-8")
    assert "- **delete: `tiny:rooms:Room` `cellar`**" in markdown
    assert len(git(program, "worktree", "list").splitlines()) == 1, "the check-out is gone"


def test_a_base_that_fails_is_a_fault_and_leaves_no_worktree(write_program: WriteProgram) -> None:
    program = write_program("raise ValueError('old bug')\n", STACK)
    git(program, "init", "--quiet", "--initial-branch=main")
    git(program, "add", ".")
    git(program, "commit", "--quiet", "--message=first")
    done = preview(program, "--stack", "dev", "--base", "main")
    assert done.returncode == 3
    assert "stack 'dev' at main: its program can't be brought up:" in done.stderr
    assert "ValueError: old bug" in done.stderr
    assert len(git(program, "worktree", "list").splitlines()) == 1


def test_a_base_that_git_does_not_know_is_a_fault(write_program: WriteProgram) -> None:
    program = write_program(ROOMS.format(names=[]), STACK)
    git(program, "init", "--quiet")
    done = preview(program, "--stack", "dev", "--base", "nonesuch")
    assert done.returncode == 2
    assert "--base nonesuch: git does not know this revision" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_stack_names_those_that_exist(write_program: WriteProgram) -> None:
    done = preview(write_program("", STACK), "--stack", "def")
    assert done.returncode == 2
    assert "Pulumi.def.yaml: there is no such stack file" in done.stderr
    assert "a stack of this program (dev)" in done.stderr


def test_a_failed_preview_is_reported_too(write_program: WriteProgram) -> None:
    program = write_program("import pulumi\nraise pulumi.RunError('no delegation')\n", STACK)
    done = preview(program, "--stack", "dev")
    assert done.returncode not in (0, 2, 3, 130)
    assert [each["message"] for each in report(program)["diagnostics"]] == ["no delegation"]
    assert "❌ **The preview failed**: 1 error." in (program / "build/preview-dev.md").read_text(
        encoding="utf-8"
    )


def test_more_arguments_reach_the_engine(write_program: WriteProgram) -> None:
    program = write_program(ROOMS.format(names=["kitchen"]), STACK)
    done = preview(program, "--stack", "dev", "--diff", "--", "--expect-no-changes")
    assert done.returncode not in (0, 2, 3, 130)
    assert "[urn=urn:pulumi:dev::tiny::tiny:rooms:Room::kitchen]" in done.stdout
    assert "no changes were expected" in (done.stdout + done.stderr).lower()
