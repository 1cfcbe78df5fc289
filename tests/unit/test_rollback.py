"""Going back to the release before: only the images change."""

import subprocess
from pathlib import Path

import pytest

from settings import rollback
from tests.recorder import ROOT

STAGING = (ROOT / "Pulumi.staging.yaml").read_text()
OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, STAGING)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, text: str) -> None:
    (folder / "Pulumi.staging.yaml").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=change")


def back(folder: Path) -> int:
    return rollback.main(["--stack", "staging", "--program", str(folder)])


def test_only_the_images_go_back(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released = STAGING.replace(OLD, NEW).replace("LOG_LEVEL: debug", "LOG_LEVEL: info")
    commit(repository, released)
    commit(repository, released + "\n# a later change of something else\n")
    assert back(repository) == 0
    text = (repository / "Pulumi.staging.yaml").read_text()
    assert text == released.replace(NEW, OLD) + "\n# a later change of something else\n"
    assert f"api: {NEW} -> {OLD}" in capsys.readouterr().out
    assert not list(repository.glob("*.new"))


def test_an_image_that_is_not_committed_yet_goes_back_too(repository: Path) -> None:
    (repository / "Pulumi.staging.yaml").write_text(STAGING.replace(OLD, NEW))
    assert back(repository) == 0
    assert (repository / "Pulumi.staging.yaml").read_text() == STAGING


def test_a_workload_that_is_new_keeps_its_image(repository: Path) -> None:
    only_new = "    search:\n      image: ghcr.io/fixia/search:1.0.0\n"
    text = STAGING.replace(OLD, NEW).replace("    worker:\n", f"{only_new}    worker:\n")
    commit(repository, text)
    assert back(repository) == 0
    assert (repository / "Pulumi.staging.yaml").read_text() == text.replace(NEW, OLD)


@pytest.mark.parametrize("stack", ["staging", "nowhere"])
def test_with_nothing_to_go_back_to_nothing_changes(
    repository: Path, capsys: pytest.CaptureFixture[str], stack: str
) -> None:
    assert rollback.main(["--stack", stack, "--program", str(repository)]) == rollback.USAGE
    assert "to do:" in capsys.readouterr().err
    assert (repository / "Pulumi.staging.yaml").read_text() == STAGING


def test_outside_of_a_repository_git_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING)
    assert back(tmp_path) == rollback.USAGE
    assert "git can't tell its history" in capsys.readouterr().err
