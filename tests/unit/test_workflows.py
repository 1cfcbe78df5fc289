"""The workflows: pinned, with the least rights, nothing for forks, and no shell that is not a tested file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from simulator.golang.install import installed, kept
from simulator.programs import registry
from tests.recorder import ROOT

FOLDER: Final = ROOT / ".github"
WORKFLOWS: Final = sorted((FOLDER / "workflows").glob("*.yml"))
SCRIPTS: Final = sorted((FOLDER / "scripts").glob("*.sh"))
PINNED: Final = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
SECRET: Final = re.compile(r"\$\{\{[^}]*\bsecrets\b")
UNTRUSTED: Final = re.compile(
    r"\$\{\{\s*github\.(?:event\.(?:pull_request\.(?:title|body|head\.ref)|issue)|head_ref)"
)
TARGETS: Final = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
FORK: Final = "github.event.pull_request.head.repo.full_name != github.repository"
OURS: Final = "github.event.pull_request.head.repo.full_name == github.repository"

by_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
by_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.stem)


def workflow(file: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = workflow(file)["jobs"]
    return found


def events(file: Path) -> dict[str, Any]:
    told = workflow(file)[True]  # YAML 1.1 reads `on` as true.
    return told if isinstance(told, dict) else dict.fromkeys([told] if isinstance(told, str) else told)


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file).values() for step in job.get("steps", [])]


def tool(name: str) -> str:
    """A linter of the virtual environment."""
    return str(Path(sys.executable).with_name(name))


def actionlint() -> str:
    """The linter that is built from source, if it is there or may be built; else the test is skipped."""
    program = registry.PROGRAMS["actionlint"]
    if found := kept(program):
        return str(found)
    if os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip("no actionlint, and it builds for a minute: make test-build")
    return str(installed(program))


def test_the_workflows_are_there() -> None:
    known = "preview deploy rollback drift rotation security images"
    assert {file.stem for file in WORKFLOWS} == {*known.split()}


@by_workflow
def test_every_action_is_pinned_by_its_commit_and_says_its_release(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        _, _, used = line.partition("uses:")
        name, _, release = used.strip().partition(" ")
        if name.startswith("./"):
            assert (ROOT / name).is_file()
            continue
        assert PINNED.fullmatch(name), line
        assert re.fullmatch(r"# v\d+\.\d+\.\d+", release.strip()), line


@by_workflow
def test_rights_are_none_unless_a_job_says_which(file: Path) -> None:
    assert workflow(file)["permissions"] == {}
    for name, job in jobs(file).items():
        assert "permissions" in job, name
        assert job["permissions"].get("contents", "read") == "read", name
        written = {right for right, how in job["permissions"].items() if how == "write"}
        assert written <= {"id-token", "pull-requests", "issues", "packages"}, name


@by_workflow
def test_no_job_sees_a_stored_secret(file: Path) -> None:
    assert not SECRET.search(file.read_text(encoding="utf-8"))


@by_workflow
def test_nothing_that_a_stranger_writes_gets_into_a_command(file: Path) -> None:
    assert not UNTRUSTED.search(file.read_text(encoding="utf-8"))
    for step in steps(file):
        assert "${{" not in step.get("run", ""), step


@by_workflow
def test_a_strangers_pull_request_never_runs_with_our_rights(file: Path) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & events(file).keys()
    if "pull_request" not in events(file):
        return
    for name, job in jobs(file).items():
        condition = job.get("if", "")
        if condition in (OURS, "github.event_name == 'push'"):
            continue
        text = json.dumps(job)
        assert set(job["permissions"].items()) <= {("contents", "read")}, name
        assert "github.token" not in text, name
        assert "environment" not in job, name
        assert "vars." not in text, name


def test_forks_get_the_simulated_preview_and_our_branches_the_real_one() -> None:
    found = jobs(FOLDER / "workflows/preview.yml")
    assert found["simulated"]["if"] == FORK
    assert found["account"]["if"] == OURS
    simulated, account = (found[name]["steps"][-1]["env"] for name in ("simulated", "account"))
    assert "ACCOUNT" not in simulated
    assert "NUMBER" not in simulated
    assert account["ACCOUNT"] == "true"


@by_workflow
def test_every_command_is_a_make_target_or_a_script_of_the_tree(file: Path) -> None:
    for step in steps(file):
        if run := step.get("run"):
            first, *more = run.split()
            if first == "make":
                assert more[0] in TARGETS, run
                assert len(more) == 1, run
            else:
                assert run == first, run
                assert (ROOT / first) in SCRIPTS, run


@by_workflow
def test_every_job_ends_and_names_its_machine_exactly(file: Path) -> None:
    for name, job in jobs(file).items():
        if "uses" in job:
            continue
        assert job["timeout-minutes"] <= 90, name
        assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"]), name


@by_workflow
def test_a_check_out_leaves_no_token_behind(file: Path) -> None:
    for step in steps(file):
        if str(step.get("uses", "")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_one_stack_is_brought_up_by_one_run_at_a_time_and_none_is_cancelled() -> None:
    found = jobs(FOLDER / "workflows/deploy.yml")
    for stack in ("staging", "production"):
        assert found[stack]["concurrency"] == {"group": f"stack-{stack}", "cancel-in-progress": False}
        assert found[stack]["environment"] == stack
    assert found["production"]["needs"] == "staging"
    (back,) = jobs(FOLDER / "workflows/rollback.yml").values()
    assert back["concurrency"] == {"group": "stack-${{ inputs.stack }}", "cancel-in-progress": False}
    assert back["environment"] == "${{ inputs.stack }}"


@by_workflow
def test_accounts_are_reached_by_the_jobs_own_identity_alone(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(
        r"AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)|CLOUDFLARE_API_TOKEN|PULUMI_ACCESS_TOKEN", text
    )
    for name, job in jobs(file).items():
        uses = any(step.get("run") == ".github/scripts/identity.sh" for step in job.get("steps", []))
        assert uses == (job["permissions"].get("id-token") == "write"), name


@by_script
def test_every_script_is_used_runnable_and_careful(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "set -euo pipefail" in text
    used = [step.get("run") for file in WORKFLOWS for step in steps(file)]
    assert f".github/scripts/{script.name}" in used


def test_the_workflows_keep_to_githubs_own_schema() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_linter_of_workflows_finds_no_weakness() -> None:
    command = [tool("zizmor"), "--offline", "--no-config", "--min-severity=medium", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_no_mistake() -> None:
    done = subprocess.run([actionlint(), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_no_mistake_in_the_scripts() -> None:
    done = subprocess.run(
        [tool("shellcheck"), *map(str, SCRIPTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
