"""A machine that can't carry a node: one line says so, and what would do instead."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.faults import MACHINE, Fault
from simulator.node import machine
from tests.recorder import ROOT


@pytest.mark.parametrize(
    ("found", "platform", "user", "tools"),
    [
        ("this machine runs darwin", "darwin", 0, True),
        ("this user is not root", "linux", 1000, True),
        ("this machine lacks unshare, nsenter", "linux", 0, False),
    ],
)
def test_what_is_missing_is_said_with_the_alternative(
    monkeypatch: pytest.MonkeyPatch, found: str, platform: str, user: int, tools: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if tools else None)

    with pytest.raises(Fault) as caught:
        machine.require()

    first, *others = str(caught.value).splitlines()
    assert first.startswith(f"a Kubernetes node on this machine: {found}")
    for word in ("kind", "k3d", "KUBECONFIG"):
        assert word in "\n".join(others)
    assert caught.value.exit_code == MACHINE


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("command", ["up", "platform", "status", "down"])
def test_each_command_says_so_before_it_does_anything(tmp_path: Path, command: str) -> None:
    """As somebody without rights, who could build nothing and write nowhere."""
    lowered = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    ended = subprocess.run(
        [*lowered, sys.executable, "-m", "simulator", "node", command],
        cwd=ROOT,
        env=env | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == MACHINE, ended.stderr
    assert "this user is not root" in ended.stderr
    assert "KUBECONFIG" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
