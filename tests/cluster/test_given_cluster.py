"""A cluster that KUBECONFIG names is used instead of a node."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.engine.install import engine
from simulator.faults import USAGE
from tests.cluster.platform import Platform
from tests.recorder import ROOT

pytestmark = pytest.mark.cluster

PROGRAM = """\
import pulumi, pulumi_kubernetes as k8s
config = pulumi.Config("fixia")
k8s.core.v1.ConfigMap(
    "given",
    metadata={"name": "given", "namespace": "default"},
    data={"backup": str(config.get_object("backup")), "word": config.require("word")},
)
"""
GET = ("-n", "default", "get", "configmap", "given", "-o", "json")
NOWHERE = Path("/var/tmp/fixia-no-node")
STACK = 'config:\n  fixia:word: "hello"\n  fixia:backup: {image: "none"}\n'


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    (folder / "Pulumi.local.yaml").write_text(STACK)
    (folder / "__main__.py").write_text(PROGRAM)
    return folder


def make(program: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    engine()
    return subprocess.run(
        [sys.executable, "-m", "simulator", "node", *command],
        cwd=program,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.platform
def test_the_stack_goes_up_there_without_what_is_not_beside_it_and_comes_down_again(
    up: Platform, program: Path, tmp_path: Path
) -> None:
    shutil.copy(up.place.kubeconfig, tmp_path / "kubeconfig")
    given = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "FIXIA_NODE": str(NOWHERE)}
    brought_up = make(program, "platform", **given)
    try:
        assert brought_up.returncode == 0, brought_up.stdout + brought_up.stderr
        assert "fixia:backup is left out: no S3 is known beside it" in brought_up.stderr
        found = json.loads(up.said(*GET))
        assert found["data"] == {"backup": "None", "word": "hello"}
        again = make(program, "platform", "--", "--expect-no-changes", **given)
        assert again.returncode == 0, again.stdout + again.stderr
    finally:
        down = make(program, "down", **given)
    assert down.returncode == 0, down.stdout + down.stderr
    assert up.kubectl(*GET).returncode
    assert "is not up there" in make(program, "down", **given).stderr
    assert not NOWHERE.exists()


def test_a_kubeconfig_that_is_none_is_told_in_one_message(program: Path, tmp_path: Path) -> None:
    ended = make(program, "platform", KUBECONFIG=str(tmp_path / "nothing"))
    assert ended.returncode == USAGE
    assert "KUBECONFIG" in ended.stderr
    assert "is no file" in ended.stderr
    assert "Traceback" not in ended.stderr
