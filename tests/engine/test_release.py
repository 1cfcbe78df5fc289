"""A release through the real engine: its steps in order, and what a failure of each leaves behind."""

from pathlib import Path

import pytest

from simulator.session import Session
from tests.engine.platform import Config, Platform, config, operations

pytestmark = pytest.mark.engine

OLD, NEW = "ghcr.io/fixia/api:1.0.0", "ghcr.io/fixia/api:1.1.0"


@pytest.fixture
def platform(session: Session, tmp_path: Path) -> Platform:
    """The staging stack, up."""
    made = Platform(session, tmp_path)
    session.init(made.stack, made.program)
    done, _ = made.run("up", config())
    assert done.returncode == 0, made.output
    return made


def released(image: str) -> Config:
    settings = config()
    for name in ("api", "realtime", "worker"):
        settings["fixia:workloads"][name]["image"] = image
    return settings


def serving(platform: Platform) -> set[str]:
    """The images of the pods that serve."""
    deployments = [platform.record("Deployment", name) for name in ("api", "realtime", "worker")]
    return {each["spec"]["template"]["spec"]["containers"][0]["image"] for each in deployments}


def test_the_steps_of_a_release_run_in_order_and_the_rollout_comes_last(platform: Platform) -> None:
    done, report = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    names = [change.name for change in report.changes]
    rollouts = [names.index(f"{name}-deployment") for name in ("api", "realtime", "worker")]
    assert names.index("release-migrate") < names.index("release-smoke") < min(rollouts)
    assert serving(platform) == {NEW}


@pytest.mark.parametrize("step", ["release-migrate", "release-smoke"])
def test_a_step_that_fails_leaves_the_old_version_serving_and_says_its_name(
    platform: Platform, step: str
) -> None:
    done, _ = platform.run("up", released(NEW), failing=step)
    assert done.returncode != 0
    assert f"simulated failure of kubernetes:batch/v1:Job '{step}'" in done.stdout + done.stderr
    assert serving(platform) == {OLD}
    done, _ = platform.run("up", released(NEW))
    assert done.returncode == 0, platform.output
    assert serving(platform) == {NEW}


def test_a_release_can_be_taken_back_by_the_old_image(platform: Platform) -> None:
    platform.run("up", released(NEW))
    done, report = platform.run("up", released(OLD))
    assert done.returncode == 0, platform.output
    assert serving(platform) == {OLD}
    assert operations(report)["release-smoke"] == "replace"


def test_the_same_images_make_no_new_steps(platform: Platform) -> None:
    settings = config()
    settings["fixia:workloads"]["api"]["autoscaling"]["max"] = 2
    _, report = platform.run("preview", settings)
    assert operations(report) == {"api-autoscaler": "update"}
