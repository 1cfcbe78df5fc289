"""What the real engine says when it stops is recognised, in its own words and with a state in files."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery import messages
from simulator.session import Session

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

ROOM = """
    import pulumi

    class Room(pulumi.ComponentResource):
        def __init__(self, name, size, opts=None):
            super().__init__("tiny:rooms:Room", name, {"size": size}, opts)
            self.register_outputs({})
"""
KITCHEN = f"{ROOM}\n    Room('kitchen', 1)\n"
PROTECTED = f"{ROOM}\n    Room('kitchen', 1, pulumi.ResourceOptions(protect=True))\n"
CODE = f"{ROOM}\n    pulumi.Config().require('code')\n"


def begin(session: Session, write_program: WriteProgram, main: str) -> Path:
    program = write_program(main)
    session.init("dev", program)
    return program


def pulumi(session: Session, program: Path, *arguments: str) -> str:
    done = session.pulumi(*arguments, program=program, capture=True)
    return f"{done.stdout}\n{done.stderr}"


def up(session: Session, program: Path, *arguments: str) -> str:
    return pulumi(session, program, "up", "--yes", "--skip-preview", "--stack", "dev", *arguments)


def kind_of(said: str) -> messages.Explained:
    found = messages.explain(said, "dev")
    assert len(found) == 1, said
    return found[0]


def test_a_lock_of_somebody_else(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    lock = session.folder / "state/.pulumi/locks/organization/tiny/dev/other.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = {"pid": 7, "username": "ana", "hostname": "runner", "timestamp": "2026-11-20T12:00:00Z"}
    lock.write_text(json.dumps(holder))
    found = kind_of(up(session, program))
    assert found.kind == "locked"
    assert "ana@runner since 2026-11-20T12:00:00Z" in found.line


def test_a_plan_that_the_program_has_left_behind(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    plan = session.folder / "plan.json"
    pulumi(session, program, "preview", "--stack", "dev", "--save-plan", str(plan))
    assert plan.exists()
    write_program(f"{KITCHEN}\n    Room('cellar', 1)\n")
    said = pulumi(session, program, "up", "--yes", "--stack", "dev", "--plan", str(plan))
    found = messages.explain(said, "dev")
    assert {each.kind for each in found} == {"plan-out-of-date"}, said


def test_a_plan_that_is_kept(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    plan = session.folder / "plan.json"
    pulumi(session, program, "preview", "--stack", "dev", "--save-plan", str(plan))
    said = pulumi(session, program, "up", "--yes", "--stack", "dev", "--plan", str(plan))
    assert "2 created" in said
    assert messages.explain(said, "dev") == []


def test_a_run_that_was_interrupted(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    up(session, program)
    state = session.folder / "state/.pulumi/stacks/tiny/dev.json"
    whole = json.loads(state.read_text())
    latest = whole["checkpoint"]["latest"]
    kitchen = next(each for each in latest["resources"] if each["urn"].endswith("::kitchen"))
    pending = {**kitchen, "urn": kitchen["urn"].replace("kitchen", "cellar")}
    latest["pending_operations"] = [{"resource": pending, "type": "creating"}]
    state.write_text(json.dumps(whole))
    found = kind_of(up(session, program))
    assert found.kind == "interrupted"
    assert "while creating cellar (1 pending)" in found.line


def test_a_secret_that_nobody_set(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, CODE)
    found = kind_of(pulumi(session, program, "preview", "--stack", "dev"))
    assert found.kind == "missing-secret"
    assert "tiny:code" in found.line


@pytest.mark.parametrize(("passphrase", "wanted"), [(None, "no passphrase"), ("another", "wrong passphrase")])
def test_secrets_that_nobody_can_read(
    session: Session, write_program: WriteProgram, engine: Path, passphrase: str | None, wanted: str
) -> None:
    program = begin(session, write_program, CODE)
    pulumi(session, program, "config", "set", "--secret", "--stack", "dev", "code", "1234")
    environment = {
        key: value for key, value in session.environment().items() if key != "PULUMI_CONFIG_PASSPHRASE"
    }
    if passphrase:
        environment["PULUMI_CONFIG_PASSPHRASE"] = passphrase
    done = subprocess.run(
        [engine, "preview", "--non-interactive", "--stack", "dev"],
        cwd=program,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = kind_of(done.stdout + done.stderr)
    assert found.kind == "missing-secret"
    assert wanted in found.line


def test_what_is_protected_and_would_go(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, PROTECTED)
    up(session, program)
    write_program(ROOM)
    found = kind_of(up(session, program))
    assert found.kind == "protected"
    assert found.line.startswith("kitchen of stack dev is protected")


def test_a_drift(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    found = kind_of(pulumi(session, program, "preview", "--stack", "dev", "--expect-no-changes"))
    assert found.kind == "drifted"


def test_a_stack_that_is_not_there(session: Session, write_program: WriteProgram) -> None:
    program = begin(session, write_program, KITCHEN)
    found = messages.explain(pulumi(session, program, "preview", "--stack", "nowhere"), "nowhere")
    assert [each.kind for each in found] == ["unknown-stack"]


def test_a_secret_reaches_the_stacks_file_by_pulumis_input(
    session: Session, write_program: WriteProgram, engine: Path
) -> None:
    program = begin(session, write_program, ROOM)
    key = "secrets.token.value"
    done = subprocess.run(
        [engine, "config", "set", "--secret", "--stack", "dev", "--path", key],
        cwd=program,
        env={**os.environ, **session.environment()},
        input="s3cret",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in (program / "Pulumi.dev.yaml").read_text()
    assert pulumi(session, program, "config", "get", "--stack", "dev", "--path", key).strip() == "s3cret"
