"""One at a time, and who is told to stop."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator import locks
from simulator.progress import Progress
from tests.recorder import ROOT

HOLDER = """\
import pathlib, signal, sys
from simulator.locks import exclusive
from simulator.progress import Progress
with exclusive(pathlib.Path(sys.argv[1]), Progress(), "test"):
    print("held", flush=True)
    signal.pause()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who holds a lock is looked up in /proc")


@contextmanager
def holder(path: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lock; its command line says whose it is."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_run_of_ours_is_told_to_stop_and_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with holder(tmp_path / "lock", "simulator") as process:
        locks.interrupt(tmp_path / "lock", Progress(), "node")

        assert process.wait(20) == -signal.SIGINT
        assert f"another run (process {process.pid}) is at it, and is told to stop" in capsys.readouterr().err


def test_a_process_that_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.5)
    with holder(tmp_path / "lock", "another") as process:
        locks.interrupt(tmp_path / "lock", Progress(), "node")

        assert process.poll() is None


def test_a_lock_that_nobody_holds_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locks.interrupt(tmp_path / "none", Progress(), "node")
    (tmp_path / "left").write_text("1\n")
    locks.interrupt(tmp_path / "left", Progress(), "node")

    assert capsys.readouterr().err == ""
    assert not (tmp_path / "none").exists()
