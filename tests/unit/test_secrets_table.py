"""The table of credentials, and the way a new one takes: by no argument and no environment."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from delivery import rotation, secrets
from simulator.faults import USAGE
from tests.recorder import ROOT, STACKS

SECRET = "s3cret-of-the-tests"
STAGING = (ROOT / "Pulumi.staging.yaml").read_text()


def config(text: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(text)["config"]
    return found


def by_name(stack: str) -> dict[str, secrets.Row]:
    return {row.name: row for row in secrets.rows(stack, config((ROOT / f"Pulumi.{stack}.yaml").read_text()))}


@pytest.mark.parametrize("stack", STACKS)
def test_every_declared_secret_and_every_role_of_the_database_is_listed(stack: str) -> None:
    declared = config((ROOT / f"Pulumi.{stack}.yaml").read_text())["fixia:secrets"]
    assert isinstance(declared, dict)
    found = by_name(stack)
    assert declared.keys() <= found.keys()
    assert {"owner-password", "app-password", "replicator-password"} <= found.keys()


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_is_used_by_nobody(stack: str) -> None:
    assert [row.name for row in by_name(stack).values() if not row.users] == []


def test_it_says_who_uses_each_and_how_it_is_rotated() -> None:
    found = by_name("production")
    assert found["jwt-secret"].users == ("api", "realtime")
    assert found["jwt-secret"].rotation.startswith("raise secrets.jwt-secret.epoch")
    assert found["cloudflare-edge-token"].made == "to be given: not set"
    assert "--set cloudflare-edge-token" in found["cloudflare-edge-token"].rotation
    assert "never changed" in found["backup-cipher"].rotation
    assert "--set backup-cipher" in found["backup-cipher"].rotation
    assert by_name("staging")["backup-cipher"].rotation.startswith("never changed")
    assert found["owner-password"].rotation.startswith("raise database.passwordEpoch")
    assert "cache" in found["redis-password"].users


def test_wrong_settings_are_a_fault_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: fixia\nruntime: python\n")
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING.replace("port: 3000", "port: many"))
    assert secrets.main(["--stack", "staging", "--program", str(tmp_path)]) == USAGE
    assert "wrong settings" in capsys.readouterr().err


def test_an_unknown_stack_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert secrets.main(["--stack", "nowhere", "--program", str(ROOT)]) == USAGE
    assert "production" in capsys.readouterr().err


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def with_value(value: str) -> str:
    return STAGING.replace(
        "cloudflare-edge-token: {}", f"cloudflare-edge-token: {{value: {{secure: {value}}}}}"
    )


def test_an_age_counts_from_the_commit_that_set_it_last() -> None:
    place = ("secrets", "cloudflare-edge-token")
    past = [
        (with_value("v1:b") + "# a later change of something else\n", at(9)),
        (with_value("v1:b"), at(7)),
        (with_value("v1:a"), at(3)),
        (STAGING, at(1)),
    ]
    assert secrets.changed(past, with_value("v1:b"), place) == at(7)
    assert secrets.changed(past, with_value("v1:c"), place) is None
    assert secrets.changed(past, with_value("v1:b"), ("secrets", "jwt-secret")) == at(1)
    assert secrets.changed([], STAGING, place) is None


def test_the_table_never_holds_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Pulumi.staging.yaml").write_text(with_value("v1:Y2lwaGVydGV4dA"))
    assert secrets.main(["--stack", "staging", "--program", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Y2lwaGVydGV4dA" not in said
    assert "| `cloudflare-edge-token` | given | edge |" in said
    assert "not committed" in said


def test_ages_are_whole_days() -> None:
    row = by_name("staging")["jwt-secret"]
    aged = rotation.Aged(name=row.name, rotation=row.rotation, since=at(1), limit=180)
    text = secrets.table([row], [aged], at(1) + timedelta(days=40, hours=23))
    assert "| 40 of 180 days |" in text


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A stack's file, and a pulumi that writes down how it was called."""
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING)
    fake = tmp_path / "bin/pulumi"
    fake.parent.mkdir()
    fake.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        "told = {'argv': sys.argv[1:], 'stdin': sys.stdin.read(), 'environ': dict(os.environ), 'cwd': os.getcwd()}\n"
        "pathlib.Path(__file__).with_name('told.json').write_text(json.dumps(told))\n"
    )
    fake.chmod(0o755)
    return tmp_path


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: what a person sees and types, and what a program has."""
    person, end = pty.openpty()
    yield person, end
    os.close(person)
    os.close(end)


def ask(program: Path, name: str, typed: list[str], terminal: tuple[int, int]) -> tuple[int, str]:
    """Run the command on a terminal, answer its questions, and return its end and all that a person sees."""
    person, end = terminal
    command = [sys.executable, "-m", "delivery.secrets", "--stack", "staging", "--set", name]
    running = subprocess.Popen(
        [*command, "--program", str(program)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{program / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.set_blocking(person, False)
    seen, answers, asked = "", list(typed), 0
    try:
        while running.poll() is None:
            if select.select([person], [], [], 0.05)[0]:
                seen += os.read(person, 65536).decode()
            # What is typed before the question is thrown away, as it should be.
            if answers and len(re.findall("value: |once more: ", seen)) > asked:
                os.write(person, f"{answers.pop(0)}\n".encode())
                asked += 1
    finally:
        running.kill()
        running.wait()
    while select.select([person], [], [], 0)[0]:
        seen += os.read(person, 65536).decode()
    return running.returncode, seen


def test_a_secret_goes_to_pulumi_by_its_input_and_nowhere_else(
    program: Path, terminal: tuple[int, int]
) -> None:
    code, seen = ask(program, "cloudflare-edge-token", [SECRET, SECRET], terminal)
    assert code == 0, seen
    assert SECRET not in seen
    told = json.loads((program / "bin/told.json").read_text())
    assert told["stdin"] == SECRET
    assert told["argv"] == [
        "config",
        "set",
        "--secret",
        "--stack",
        "staging",
        "--path",
        "secrets.cloudflare-edge-token.value",
    ]
    assert SECRET not in json.dumps([told["argv"], told["environ"]])
    assert Path(told["cwd"]) == program


@pytest.mark.parametrize("typed", [[SECRET, "other"], ["", ""]], ids=["differ", "nothing"])
def test_two_that_differ_and_nothing_are_refused(
    program: Path, terminal: tuple[int, int], typed: list[str]
) -> None:
    code, seen = ask(program, "cloudflare-edge-token", typed, terminal)
    assert code == USAGE
    assert "nothing was changed" in seen
    assert not (program / "bin/told.json").exists()


@pytest.mark.parametrize(
    ("name", "wanted"), [("jwt-secret", "raise secrets.jwt-secret.epoch"), ("nothing", "no such secret")]
)
def test_what_nobody_gives_is_refused(
    program: Path, terminal: tuple[int, int], name: str, wanted: str
) -> None:
    code, seen = ask(program, name, [], terminal)
    assert code == USAGE
    assert wanted in seen


def test_without_a_terminal_nothing_is_read(program: Path) -> None:
    command = [sys.executable, "-m", "delivery.secrets", "--stack", "staging", "--program", str(program)]
    done = subprocess.run(
        [*command, "--set", "cloudflare-edge-token"],
        cwd=ROOT,
        input=SECRET,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == USAGE
    assert "no terminal" in done.stderr
    assert SECRET not in done.stdout + done.stderr
