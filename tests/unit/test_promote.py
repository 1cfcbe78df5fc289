"""The way of a release: which stack takes its images from which, what moves, and who may not be ahead."""

import io
import subprocess
from pathlib import Path

import pytest

from delivery import promote
from delivery.images import images
from simulator.faults import USAGE
from tests.recorder import ROOT

STAGING = (ROOT / "Pulumi.staging.yaml").read_text()
PRODUCTION = (ROOT / "Pulumi.production.yaml").read_text()
OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"
POSTGRES = "ghcr.io/fixia/postgres:17.6-1"
DIGEST = f"{NEW}@sha256:{'a' * 64}"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, staging=STAGING, production=PRODUCTION)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def write(folder: Path, **texts: str) -> None:
    for stack, text in texts.items():
        (folder / f"Pulumi.{stack}.yaml").write_text(text)


def commit(folder: Path, **texts: str) -> None:
    write(folder, **texts)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=change")


def run(folder: Path, *arguments: str) -> int:
    return promote.main([*arguments, "--program", str(folder)])


def forward(folder: Path, *more: str) -> int:
    return run(folder, "--from", "staging", "--to", "production", *more)


def test_this_repositorys_own_stacks_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT, "--check") == 0
    assert "staging -> production" in capsys.readouterr().out


def test_images_are_found_everywhere_in_a_stacks_file() -> None:
    found = images(PRODUCTION)
    assert found["workloads.api.image"] == OLD
    assert found["database.pool.exporterImage"].startswith("ghcr.io/fixia/pgbouncer-exporter:")
    assert {"database.image", "backup.image", "cache.image", "entrance.image"} <= found.keys()
    assert len(found) == PRODUCTION.count("mage: ")


def test_images_move_and_nothing_else_does(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repository, staging=STAGING.replace(OLD, DIGEST).replace("LOG_LEVEL: debug", "LOG_LEVEL: trace"))
    assert forward(repository, "--yes") == 0
    assert (repository / "Pulumi.production.yaml").read_text() == PRODUCTION.replace(OLD, DIGEST)
    said = capsys.readouterr().out
    assert f"workloads.api.image: {OLD} -> {DIGEST}" in said
    assert 'workloads.api.config.LOG_LEVEL: "trace" in staging, "info" in production' in said
    assert not list(repository.glob("*.new"))


def test_only_the_stacks_name_as_an_answer_moves_anything(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, staging=STAGING.replace(OLD, NEW))
    for answer in ("yes\n", "", "staging\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert forward(repository) == USAGE
        assert "nothing was changed" in capsys.readouterr().err
        assert (repository / "Pulumi.production.yaml").read_text() == PRODUCTION
    monkeypatch.setattr("sys.stdin", io.StringIO("production\n"))
    assert forward(repository) == 0
    assert images((repository / "Pulumi.production.yaml").read_text())["workloads.api.image"] == NEW


def test_with_nothing_to_move_nothing_changes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert forward(repository) == 0
    assert "already" in capsys.readouterr().out
    assert (repository / "Pulumi.production.yaml").read_text() == PRODUCTION


def test_what_one_of_the_two_lacks_stays(repository: Path) -> None:
    only_staging = "    search:\n      image: ghcr.io/fixia/search:1.0.0\n    worker:\n"
    commit(repository, staging=STAGING.replace("    worker:\n", only_staging).replace(OLD, NEW))
    assert forward(repository, "--yes") == 0
    assert (repository / "Pulumi.production.yaml").read_text() == PRODUCTION.replace(OLD, NEW)


def test_no_encrypted_value_is_shown(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secure = "cloudflare-edge-token: {value: {secure: v1:c2VjcmV0:Y2lwaGVy}}"
    commit(repository, staging=STAGING.replace("cloudflare-edge-token: {}", secure))
    assert forward(repository) == 0
    said = capsys.readouterr().out
    assert "Y2lwaGVy" not in said
    assert "(encrypted)" in said


@pytest.mark.parametrize(
    ("source", "target"),
    [("production", "staging"), ("local", "production"), ("staging", "nowhere"), ("dev", "staging")],
)
def test_only_neighbours_in_the_order_are_promoted(
    repository: Path, capsys: pytest.CaptureFixture[str], source: str, target: str
) -> None:
    write(repository, local=STAGING)
    assert run(repository, "--from", source, "--to", target) == USAGE
    assert "staging to production" in capsys.readouterr().err


def test_a_third_stage_takes_its_place_as_soon_as_it_has_a_file(repository: Path) -> None:
    assert promote.order(repository) == ["staging", "production"]
    write(repository, dev=STAGING)
    assert promote.order(repository) == ["dev", "staging", "production"]
    assert promote.before(repository, "dev") is None
    assert promote.before(repository, "staging") == "dev"


def test_production_with_what_staging_never_had_is_ahead(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, production=PRODUCTION.replace(POSTGRES, "ghcr.io/fixia/postgres:18.0-1"))
    assert run(repository, "--check") == promote.AHEAD
    assert (
        "database.image of production is ghcr.io/fixia/postgres:18.0-1, which staging never had"
        in capsys.readouterr().err
    )


def test_production_may_have_what_staging_had_before(repository: Path) -> None:
    commit(repository, staging=STAGING.replace(OLD, NEW))
    commit(repository, staging=STAGING.replace(OLD, "ghcr.io/fixia/api:1.2.0"))
    commit(repository, production=PRODUCTION.replace(OLD, NEW))
    assert run(repository, "--check") == 0


def test_a_pull_request_that_changes_both_at_once_is_ahead_of_its_base(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "switch", "--quiet", "--create", "both")
    commit(repository, staging=STAGING.replace(OLD, NEW), production=PRODUCTION.replace(OLD, NEW))
    assert run(repository, "--check") == 0
    assert run(repository, "--check", "--base", "main") == promote.AHEAD
    assert "workloads.api.image of production" in capsys.readouterr().err


def test_what_the_stack_before_lacks_is_not_ahead_of_it(repository: Path) -> None:
    only_here = "    search:\n      image: ghcr.io/fixia/search:1.0.0\n    worker:\n"
    commit(repository, production=PRODUCTION.replace("    worker:\n", only_here))
    assert run(repository, "--check") == 0


def test_without_a_clone_the_files_alone_are_compared(tmp_path: Path) -> None:
    write(tmp_path, staging=STAGING, production=PRODUCTION)
    assert run(tmp_path, "--check") == 0
    write(tmp_path, production=PRODUCTION.replace(OLD, NEW))
    assert run(tmp_path, "--check") == promote.AHEAD


def test_neither_a_check_nor_two_stacks_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        promote.main(["--from", "staging"])
    assert "--to" in capsys.readouterr().err
