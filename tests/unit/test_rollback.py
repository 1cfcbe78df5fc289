"""Going back to the release before: the workloads' images change, nothing else, and a deployment does the rest."""

import io
import subprocess
from pathlib import Path

import pytest

from delivery import deploy, gate, rollback
from simulator.faults import USAGE
from tests.recorder import ROOT

STAGING = (ROOT / "Pulumi.staging.yaml").read_text()
OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"
POSTGRES = "ghcr.io/fixia/postgres:17.6-1"


class Deployments:
    """Stands for the deployment, which has an engine and tests of its own."""

    def __init__(self) -> None:
        self.done: list[tuple[str, frozenset[str], str]] = []
        self.code = 0

    def __call__(self, program: Path, stack: str, labels: frozenset[str]) -> int:
        self.done.append((stack, labels, (program / f"Pulumi.{stack}.yaml").read_text()))
        return self.code


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> Deployments:
    made = Deployments()
    monkeypatch.setattr(deploy, "deploy", made)
    return made


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


def back(folder: Path, *more: str) -> int:
    return rollback.main(["--stack", "staging", "--program", str(folder), "--yes", *more])


def of(folder: Path) -> str:
    return (folder / "Pulumi.staging.yaml").read_text()


def test_only_the_workloads_images_go_back_and_are_deployed(
    repository: Path, deployments: Deployments, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = STAGING.replace(POSTGRES, "ghcr.io/fixia/postgres:17.7-1")
    released = newer.replace(OLD, NEW).replace("LOG_LEVEL: debug", "LOG_LEVEL: info")
    commit(repository, released)
    commit(repository, released + "\n# a later change of something else\n")
    assert back(repository, "--labels", gate.LABEL) == 0
    wanted = released.replace(NEW, OLD) + "\n# a later change of something else\n"
    assert of(repository) == wanted
    assert deployments.done == [("staging", frozenset({gate.LABEL}), wanted)]
    said = capsys.readouterr().out
    assert f"workloads.api.image: {NEW} -> {OLD}" in said
    assert "commit Pulumi.staging.yaml" in said
    assert not list(repository.glob("*.new"))


def test_an_image_that_is_not_committed_yet_goes_back_too(repository: Path, deployments: Deployments) -> None:
    (repository / "Pulumi.staging.yaml").write_text(STAGING.replace(OLD, NEW))
    assert back(repository) == 0
    assert of(repository) == STAGING
    assert len(deployments.done) == 1


def test_a_workload_that_is_new_keeps_its_image(repository: Path, deployments: Deployments) -> None:
    only_new = "    search:\n      image: ghcr.io/fixia/search:1.0.0\n"
    text = STAGING.replace(OLD, NEW).replace("    worker:\n", f"{only_new}    worker:\n")
    commit(repository, text)
    assert back(repository) == 0
    assert of(repository) == text.replace(NEW, OLD)
    assert deployments.done


def test_a_release_of_the_platforms_own_images_is_none_to_go_back_to(
    repository: Path, deployments: Deployments
) -> None:
    newer = STAGING.replace(POSTGRES, "ghcr.io/fixia/postgres:17.7-1")
    commit(repository, newer)
    assert back(repository) == USAGE
    assert of(repository) == newer
    assert not deployments.done


def test_only_the_stacks_name_as_an_answer_does_anything(
    repository: Path, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, STAGING.replace(OLD, NEW))
    command = ["--stack", "staging", "--program", str(repository)]
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert rollback.main(command) == USAGE
    assert of(repository) == STAGING.replace(OLD, NEW)
    assert not deployments.done
    monkeypatch.setattr("sys.stdin", io.StringIO("staging\n"))
    assert rollback.main(command) == 0
    assert of(repository) == STAGING
    assert deployments.done


def test_a_way_back_that_failed_is_never_undone_by_trying_again(
    repository: Path, deployments: Deployments, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, STAGING.replace(OLD, NEW))
    deployments.code = gate.HELD
    assert back(repository) == gate.HELD
    assert "make deploy STACK=staging" in capsys.readouterr().err
    assert of(repository) == STAGING
    assert back(repository) == USAGE
    assert "already" in capsys.readouterr().err
    assert of(repository) == STAGING
    assert len(deployments.done) == 1


@pytest.mark.parametrize("stack", ["staging", "nowhere"])
def test_with_nothing_to_go_back_to_nothing_changes(
    repository: Path, deployments: Deployments, capsys: pytest.CaptureFixture[str], stack: str
) -> None:
    assert rollback.main(["--stack", stack, "--program", str(repository), "--yes"]) == USAGE
    assert "to do:" in capsys.readouterr().err
    assert of(repository) == STAGING
    assert not deployments.done


def test_outside_of_a_repository_git_is_named(
    tmp_path: Path, deployments: Deployments, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.staging.yaml").write_text(STAGING)
    assert back(tmp_path) == USAGE
    assert "git knows no commit of it" in capsys.readouterr().err
    assert not deployments.done
