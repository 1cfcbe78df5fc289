import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from simulator import processes
from simulator.faults import Fault
from simulator.processes import Ended


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_gives_the_exit_code_and_both_streams() -> None:
    seen: list[str] = []

    ended = processes.run(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"), on_line=seen.append
    )

    assert ended.code == 4
    assert sorted(ended.lines) == sorted(seen) == ["err", "out"]


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """The child waits for ever on a pipe that nobody writes to."""
    fifo = tmp_path / "fifo"
    code = (
        "import os, subprocess, sys, time; os.mkfifo(sys.argv[1]); "
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; open(sys.argv[1]).read()', sys.argv[1]]); "
        "print(child.pid, flush=True); time.sleep(600)"
    )
    pids: list[str] = []

    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run([*python(code), str(fifo)], timeout=4, on_line=pids.append)

    assert time.monotonic() - began < 60
    child = int(pids[0])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("line", "full"),
    [
        ("write /x: no space left on device", True),
        ("OSError: [Errno 28] No space left on device", True),
        ("disk quota exceeded", True),
        ("no such host", False),
    ],
)
def test_a_full_disk_is_recognised(line: str, full: bool) -> None:
    assert Ended(code=1, lines=("before", line, "after")).disk_full is full


def test_pips_errors_are_told_from_its_chatter() -> None:
    ended = Ended(code=1, lines=("Collecting a", "ERROR: one", "  more", "ERROR: two"))

    assert ended.errors(2).splitlines() == ["    ERROR: one", "      more"]
    assert ended.tail(1) == "    ERROR: two"


def test_an_index_out_of_reach_is_not_told_as_a_conflict() -> None:
    warning = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x at 0x7f>: "
        "Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/pulumi/"
    )

    said = Ended(code=1, lines=(warning, "ERROR: Cannot install pulumi")).errors()

    assert (
        "can't be reached: Failed to establish a new connection: [Errno -2] Name or service not known" in said
    )
    assert "Cannot install" not in said


def test_a_program_that_said_nothing() -> None:
    assert Ended(code=1, lines=()).tail() == "    (it said nothing)"


def test_guarded_gives_zero_when_all_went_well() -> None:
    assert processes.guarded("name", lambda: None) == 0


def test_guarded_prints_a_fault_and_gives_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise Fault(where="here", found="that", valid="this", do="so")

    assert processes.guarded("name", body) == 3
    assert capsys.readouterr().err.startswith("name: here: that\n")


def test_guarded_takes_an_interruption_for_130(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    assert processes.guarded("name", body) == 130
    assert capsys.readouterr().err == "name: interrupted; the next run starts clean\n"
