"""A release through the real engine: its steps in order, and what a failure of each leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.session import Session
from tests.engine.platform import Config, Platform, core, operations, program_copy

pytestmark = pytest.mark.engine

OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"
WORKLOADS = ("api", "realtime", "worker")
STEPS = ("release-migrate-job", "release-smoke-job")


@pytest.fixture
def platform(session: Session, tmp_path: Path) -> Platform:
    """The staging stack, up."""
    made = Platform(session, tmp_path)
    session.init(made.stack, made.program)
    done, _ = made.run("up", core())
    assert done.returncode == 0, made.output
    return made


def released(image: str) -> Config:
    settings = core()
    for name in WORKLOADS:
        settings["fixia:workloads"][name]["image"] = image
    return settings


def image(template: dict[str, Any]) -> str:
    return str(template["spec"]["containers"][0]["image"])


def wanted(platform: Platform) -> set[str]:
    """The images that the Deployments ask for."""
    return {image(platform.record("Deployment", name)["spec"]["template"]) for name in WORKLOADS}


def serving(platform: Platform) -> dict[str, str]:
    """The images of the pods that serve, which after a failed rollout are not what the Deployments ask for."""
    found = {}
    for file in platform.session.cloud.rglob("apps.Deployment/*.json"):
        record = json.loads(file.read_text())
        if (name := record["inputs"]["metadata"]["name"]) in WORKLOADS:
            found[name] = image(record["serving"])
    return found


def everywhere(image: str) -> dict[str, str]:
    return dict.fromkeys(WORKLOADS, image)


def unready(platform: Platform) -> dict[str, list[str]]:
    """The resources that the engine knows not to work, with the reasons."""
    return {
        each["urn"].rpartition("::")[2]: each["initErrors"]
        for each in platform.state()
        if each.get("initErrors")
    }


def test_the_steps_of_a_release_run_in_order_and_the_rollout_comes_last(platform: Platform) -> None:
    done, report = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    names = [change.name for change in report.changes]
    rollouts = [names.index(f"{name}-deployment") for name in WORKLOADS]
    assert names.index(STEPS[0]) < names.index(STEPS[1]) < min(rollouts)
    assert serving(platform) == everywhere(NEW)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_the_old_version_and_is_made_anew_by_the_next_try(
    platform: Platform, step: str
) -> None:
    done, _ = platform.run("up", released(NEW), failing=step)
    assert done.returncode != 0
    assert f"simulated failure of kubernetes:batch/v1:Job '{step}'" in done.stdout + done.stderr
    assert wanted(platform) == {OLD}, "no Deployment was told of the new version"
    assert serving(platform) == everywhere(OLD)
    [(name, reasons)] = unready(platform).items()
    assert name == step
    assert "was successfully created, but" in reasons[0]
    _, report = platform.run("preview", released(NEW))
    assert operations(report)[step] == "replace", "a Job that failed stays failed"
    done, _ = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    assert serving(platform) == everywhere(NEW)
    assert unready(platform) == {}
    _, report = platform.run("preview", released(NEW))
    assert operations(report) == {}


def test_without_its_annotation_a_failed_step_would_fail_for_ever(session: Session, tmp_path: Path) -> None:
    """The dead Job is waited for again: this is what `pulumi.com/replaceUnready` is for."""
    program = program_copy(tmp_path / "program")
    module = program / "components/jobs.py"
    text = module.read_text()
    assert "pulumi.com/replaceUnready" in text
    module.write_text(text.replace("pulumi.com/replaceUnready", "example.com/nothing"))
    platform = Platform(session, tmp_path, program)
    session.init(platform.stack, program)
    assert platform.run("up", released(OLD))[0].returncode == 0, platform.output
    assert platform.run("up", released(NEW), failing=STEPS[1])[0].returncode != 0
    for _ in range(2):
        done, report = platform.run("up", released(NEW))
        assert done.returncode != 0
        assert operations(report)[STEPS[1]] == "update"
        assert "failed to fully initialize or become live" in done.stdout + done.stderr
        assert serving(platform) == everywhere(OLD)


def test_a_rollout_that_fails_is_in_the_cluster_while_the_old_version_serves(platform: Platform) -> None:
    done, _ = platform.run("up", released(NEW), failing="api-deployment")
    assert done.returncode != 0
    assert image(platform.record("Deployment", "api")["spec"]["template"]) == NEW
    assert serving(platform)["api"] == OLD
    assert set(unready(platform)) == {"api-deployment"}
    _, report = platform.run("preview", released(NEW))
    assert operations(report)["api-deployment"] == "update", "it is waited for again"
    done, _ = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    assert serving(platform) == everywhere(NEW)


def test_a_rollout_that_fails_can_be_taken_back(platform: Platform) -> None:
    platform.run("up", released(NEW), failing="api-deployment")
    done, _ = platform.run("up", released(OLD))
    assert done.returncode == 0, platform.output
    assert wanted(platform) == {OLD}
    assert serving(platform) == everywhere(OLD)
    assert unready(platform) == {}


def test_a_release_can_be_taken_back_by_the_old_image(platform: Platform) -> None:
    platform.run("up", released(NEW))
    done, report = platform.run("up", released(OLD))
    assert done.returncode == 0, platform.output
    assert serving(platform) == everywhere(OLD)
    assert operations(report)[STEPS[1]] == "replace"


def test_the_same_images_make_no_new_steps(platform: Platform) -> None:
    settings = core()
    settings["fixia:workloads"]["api"]["autoscaling"]["max"] = 2
    _, report = platform.run("preview", settings)
    assert operations(report) == {"api-autoscaler": "update"}
