"""Credentials that are older than they may be are found by the history of the stack's file alone."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from delivery import promote, rotation, secrets
from simulator.faults import USAGE
from tests.recorder import ROOT, STACKS

STAGING = (ROOT / "Pulumi.staging.yaml").read_text()
NOW = datetime.now(UTC)
RUNBOOK = ROOT / rotation.RUNBOOK


def git(folder: Path, *arguments: str, days_ago: int = 0) -> None:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    time = (NOW - timedelta(days=days_ago)).isoformat()
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_COMMITTER_DATE": time, "GIT_AUTHOR_DATE": time},
    )


def commit(folder: Path, text: str, days_ago: int) -> None:
    (folder / "Pulumi.staging.yaml").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=change", days_ago=days_ago)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "Pulumi.yaml").write_text("name: fixia\nruntime: python\n")
    return tmp_path


def check(folder: Path) -> int:
    return rotation.main(["--stack", "staging", "--program", str(folder)])


def given(text: str, name: str, value: str) -> str:
    assert f"{name}: {{}}" in text
    return text.replace(f"{name}: {{}}", f"{name}: {{value: {{secure: {value}}}}}")


def raised(text: str) -> str:
    """The file with the next epoch of the session's key."""
    (line,) = re.findall(r"    jwt-secret:\n      generate: \d+\n", text)
    return text.replace(line, f"{line}      epoch: 2\n")


def test_young_ones_are_no_news(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repository, STAGING, 100)
    assert check(repository) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no credential of stack staging is too old" in told.err


def test_those_that_are_too_old_or_soon_will_be_are_told_with_what_to_do(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, STAGING, 400)
    text = given(STAGING, "cloudflare-edge-token", "v1:a")
    commit(repository, text, 95)
    text = given(text, "cloudflare-dns-token", "v1:b")
    commit(repository, text, 80)
    commit(repository, raised(text), 10)
    commit(repository, raised(text) + "# a later change of something else\n", 1)
    assert check(repository) == rotation.TOO_OLD
    told = capsys.readouterr()
    rows = {line.split("`")[1]: line for line in told.out.splitlines() if line.startswith("| `")}
    assert "**95 of 90 days** | **5 days too old**" in rows["cloudflare-edge-token"]
    assert "80 of 90 days | due in 10 days" in rows["cloudflare-dns-token"]
    assert "**400 of 180 days**" in rows["redis-password"]
    assert "secrets.redis-password.epoch" in rows["redis-password"]
    assert "jwt-secret" not in rows, "it was rotated ten days ago"
    assert "backup-cipher" not in rows, "it is never changed"
    assert "slack-alerts" not in rows, "what is not set can't be old"
    assert rotation.RUNBOOK in told.out
    assert "rotation: cloudflare-edge-token of stack staging is too old" in told.err
    assert "cloudflare-dns-token" not in told.err
    assert list(rows)[-1] == "cloudflare-dns-token", "the oldest come first"


def test_a_clone_without_its_history_is_refused_and_finds_nothing_young(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, STAGING, 400)
    commit(repository, STAGING + "# a later change of something else\n", 1)
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", repository.as_uri(), shallow],
        check=True,
        capture_output=True,
    )
    assert check(shallow) == USAGE
    assert "fetch-depth: 0" in capsys.readouterr().err
    assert check(repository) == rotation.TOO_OLD


def test_outside_of_a_repository_no_age_is_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING)
    assert check(tmp_path) == USAGE
    assert "no clone of a repository" in capsys.readouterr().err


def test_an_age_is_told_however_often_the_file_has_changed_since(repository: Path) -> None:
    """More often than other commands look back."""
    commit(repository, STAGING, 400)
    stream = ["reset refs/heads/main-next\nfrom HEAD\n"]
    for number in range(210):
        text = f"{STAGING}# change {number}\n"
        parent = "from HEAD\n" if number == 0 else ""
        stream.append(
            f"commit refs/heads/main-next\ncommitter Tester <t@example.org> {int(NOW.timestamp())} +0000\n"
            f"data 1\nx\n{parent}M 100644 inline Pulumi.staging.yaml\ndata {len(text.encode())}\n{text}\n"
        )
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=repository,
        check=True,
        input="".join(stream[1:]),
        text=True,
        capture_output=True,
    )
    git(repository, "reset", "--quiet", "--hard", "main-next")
    ages = {each.name: each.days(NOW) for each in secrets.aged(repository, "staging")}
    assert ages["jwt-secret"] == 400


@pytest.mark.parametrize("stack", STACKS)
def test_every_credential_has_a_limit_or_is_kept(stack: str) -> None:
    found = rotation.limits()
    _, config = secrets.of_program(ROOT, stack)
    for row in secrets.rows(stack, config):
        kind = "given" if row.kind == "missing" else row.kind
        assert kind in found.kinds
        limit = found.of(row.name, kind)
        assert (limit is None) == (row.kind == "kept" or (row.name == "backup-cipher" and limit is None)), (
            row.name
        )


def test_no_limit_is_of_nobody() -> None:
    names = {row.name for stack in STACKS for row in secrets.rows(stack, secrets.of_program(ROOT, stack)[1])}
    assert rotation.limits().names.keys() <= names


def test_the_runbook_has_steps_for_each_that_is_not_a_role_of_the_database() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    for stack in promote.order(ROOT):  # What a machine of one's own has is thrown away with it.
        for row in secrets.rows(stack, secrets.of_program(ROOT, stack)[1]):
            if row.place[0] == "secrets":
                assert f"`{row.name}`" in text, f"{row.name} of {stack}"
    assert "`database.passwordEpoch`" in text
