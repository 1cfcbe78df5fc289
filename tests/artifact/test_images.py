"""Real root filesystems, and what a program inside one may do."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from simulator.images.container import USER, Bind, run_in
from simulator.images.rootfs import root_filesystem
from simulator.progress import Progress
from tests.artifact.pod import eventually, system


@pytest.fixture(scope="session")
def valkey() -> Path:
    return system("valkey")


def inside(rootfs: Path, shell: str, folder: Path, *binds: Bind) -> tuple[int, str]:
    """A shell command's exit code and output."""
    output = folder / "output"
    output.unlink(missing_ok=True)
    with run_in(rootfs, ["sh", "-c", shell], binds=binds, output=output) as program:
        code = program.wait(30)
    return code, output.read_text()


def test_it_is_whole_and_lean(valkey: Path) -> None:
    assert (valkey / "usr/bin/valkey-server").is_file()
    assert (valkey / "usr/share/doc/valkey-server/copyright").is_file()
    documents = [
        path for path in (valkey / "usr/share/doc").rglob("*") if path.is_file() and not path.is_symlink()
    ]
    assert {path.name for path in documents} == {"copyright"}
    assert list((valkey / "var/lib/apt/lists").glob("*_Packages")) == []
    size = sum(path.lstat().st_blocks * 512 for path in valkey.rglob("*"))
    assert size < 100 * 2**20


def test_asking_again_is_silent_and_immediate(valkey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert root_filesystem("valkey", Progress()) == valkey
    assert time.monotonic() - began < 1
    assert capsys.readouterr() == ("", "")


def test_a_program_has_no_rights(valkey: Path, tmp_path: Path) -> None:
    code, said = inside(valkey, "id; echo $$; cat /proc/self/status", tmp_path)
    assert code == 0
    identity, number, *status = said.splitlines()
    assert identity == f"uid={USER} gid={USER} groups={USER}"
    assert number == "1"
    state = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert {state[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert state["NoNewPrivs"] == "1"


def test_it_writes_only_where_it_may(valkey: Path, tmp_path: Path) -> None:
    for name in ("data", "config"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, USER, USER)
    binds = [
        Bind(source=tmp_path / "data", target="/data", writable=True),
        Bind(source=tmp_path / "config", target="/run/secrets/app"),
    ]
    tries = "for place in / /etc /run /run/secrets/app /usr/bin /data /tmp /dev/shm; do "
    tries += "touch $place/written 2>/dev/null && echo $place; done"
    assert inside(valkey, tries, tmp_path, *binds)[1].split() == ["/data", "/tmp", "/dev/shm"]
    assert (tmp_path / "data" / "written").stat().st_uid == USER
    assert not any((tmp_path / "config").iterdir())
    # Nothing of one program is there for the next.
    assert inside(valkey, "ls -d /data /run/secrets /tmp/written", tmp_path)[1].count("No such file") == 3
    assert not (valkey / "data").exists()


def test_a_single_file_can_be_bound(valkey: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("told")
    bind = Bind(source=tmp_path / "file", target="/var/run/deep/file")  # /var/run leads to /run
    assert inside(valkey, "cat /run/deep/file", tmp_path, bind) == (0, "told")
    assert not Path("/run/deep").exists()


def test_nothing_of_our_environment_is_handed_on(
    valkey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    assert "OUR_SECRET" not in inside(valkey, "env", tmp_path)[1]


def test_its_exit_code_is_handed_on(valkey: Path, tmp_path: Path) -> None:
    assert inside(valkey, "exit 7", tmp_path)[0] == 7
    assert inside(valkey, "no-such-program", tmp_path)[0] == 127


def test_all_that_it_started_ends_with_the_body(valkey: Path, tmp_path: Path) -> None:
    """A child in a session of its own, beside a program that does not heed SIGTERM."""
    mounts = Path("/proc/self/mounts").read_text()
    log = tmp_path / "log"
    shell = "trap '' TERM; setsid sleep 600 & echo ready; while :; do sleep 600; done"
    with run_in(valkey, ["sh", "-c", shell], output=log, grace=0.2) as program:
        eventually(lambda: "ready" in log.read_text(), "it runs")
        started = eventually(lambda: psutil.Process(program.pid).children(recursive=True), "children")
    assert program.poll() is not None
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert Path("/proc/self/mounts").read_text() == mounts


def test_it_ends_with_what_stands_between_us_and_it(valkey: Path, tmp_path: Path) -> None:
    with run_in(valkey, ["sleep", "600"]) as program:
        running = psutil.Process(program.pid)
        running.parent().kill()  # type: ignore[union-attr]
        assert psutil.wait_procs([running], timeout=10)[1] == []


def test_it_is_asked_before_it_is_made_to_end(valkey: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shell = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    with run_in(valkey, ["sh", "-c", shell], output=log) as program:
        eventually(lambda: "ready" in log.read_text(), "it runs")
    assert program.poll() == 0
    assert log.read_text() == "ready\nasked\n"


def test_a_command_beside_it_sees_what_it_sees(valkey: Path, tmp_path: Path) -> None:
    with run_in(valkey, ["sleep", "600"], env={"TOLD": "yes"}, grace=0.2) as program:
        ended = program.execute(["sh", "-c", "id -u; pwd; echo $TOLD; cat /proc/1/comm; exit 3"])
        assert (ended.code, ended.lines) == (3, (str(USER), "/", "yes", "sleep"))
        with pytest.raises(subprocess.TimeoutExpired):
            program.execute(["sleep", "600"], timeout=0.2)
        os.kill(program.pid, signal.SIGKILL)
        program.wait(10)
        with pytest.raises(ProcessLookupError):
            program.execute(["true"])
