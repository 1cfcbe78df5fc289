"""A session keeps to itself: the user's own Pulumi, the program's folder, secrets and processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.session import Session
from simulator.stack_file import PLACEHOLDER, with_placeholders

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

SECRETIVE = """
    import pulumi

    class Room(pulumi.ComponentResource):
        def __init__(self, name, code):
            super().__init__("tiny:rooms:Room", name, {"code": code})
            self.code = code
            self.register_outputs({"code": code})

    config = pulumi.Config()
    room = Room("vault", config.require_secret("code"))
    pulumi.export("code", room.code)
    pulumi.export("length", pulumi.Output.unsecret(room.code.apply(len)))
    pulumi.export("nested", config.require_secret_object("door")["lock"])
"""
DEADLINE = 60.0
"""Seconds to wait for what takes a moment; only a failing test waits so long."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet doesn't."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_temporary_session_leaves_nothing(engine: Path) -> None:
    with Session(engine) as session:
        assert session.home.is_dir()
    assert not session.folder.exists()


def test_a_session_in_a_given_folder_stays_and_can_be_opened_again(
    engine: Path, tmp_path: Path, write_program: WriteProgram
) -> None:
    program = write_program("")
    with Session(engine, tmp_path / "mine") as first:
        first.init("dev", program)
    with Session(engine, tmp_path / "mine") as second:
        listed = second.pulumi("stack", "ls", program=program, capture=True, timeout=60)
    assert "dev" in listed.stdout


def test_the_users_own_settings_are_neither_seen_nor_touched(
    engine: Path, tmp_path: Path, write_program: WriteProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "credentials.json").write_text("{}", encoding="utf-8")
    before = tree(own)
    for name in ("PULUMI_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY", "CLOUDFLARE_API_TOKEN", "KUBECONFIG"):
        monkeypatch.setenv(name, "the-users-own")
    monkeypatch.setenv("PULUMI_HOME", str(own))
    monkeypatch.setenv("HOME", str(own))
    program = write_program(
        f"""
        import os
        print([key for key, value in os.environ.items() if value in ("the-users-own", {str(own)!r})])
        """
    )
    with Session(engine) as session:
        session.init("dev", program)
        settings = str(session.folder / "settings.yaml")
        done = session.pulumi(
            *("preview", "--stack", "dev", "--config-file", settings),
            program=program,
            capture=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout
    assert "['HOME']" in done.stdout
    assert tree(own) == before


def test_a_stack_is_created_without_a_trace_in_the_programs_folder(
    session: Session, write_program: WriteProgram
) -> None:
    program = write_program("")
    before = tree(program)
    session.init("dev", program)
    assert tree(program) == before


def test_a_program_that_holds_a_simulator_of_its_own_still_gets_ours(
    session: Session, tmp_path: Path, write_program: WriteProgram
) -> None:
    program = write_program(
        "import pulumi_random as random\nrandom.RandomPet('pet')\n",
        {"simulator/__init__.py": "raise SystemExit('the wrong simulator')\n"},
    )
    session.init("dev", program)
    done = session.pulumi(
        *("preview", "--stack", "dev", "--config-file", str(tmp_path / "settings.yaml")),
        program=program,
        capture=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stack_that_exists_already_is_a_fault(session: Session, write_program: WriteProgram) -> None:
    program = write_program("")
    session.init("dev", program)
    with pytest.raises(Fault, match=r"stack 'dev' of tiny: (?s:.*)already exists"):
        session.init("dev", program)


def test_a_folder_without_a_project_is_a_fault(session: Session, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"Pulumi\.yaml: no project file"):
        session.init("dev", tmp_path)


def test_encrypted_values_become_placeholders_that_need_no_passphrase(
    session: Session, engine: Path, tmp_path: Path, write_program: WriteProgram
) -> None:
    program = write_program(SECRETIVE)
    stack_file = program / "Pulumi.dev.yaml"
    with Session(engine, tmp_path / "owner") as owner:
        owner.init("dev", program)
        for path, value in (("code", "the-real-code"), ("door.lock", "the-real-lock")):
            done = owner.pulumi(
                *("config", "set", "--secret", "--path", path, value),
                *("--stack", "dev", "--config-file", str(stack_file)),
                program=program,
                capture=True,
                timeout=60,
                env={"PULUMI_CONFIG_PASSPHRASE": "known to its owner only"},
            )
            assert done.returncode == 0, done.stderr
    copy = tmp_path / "copy.yaml"
    assert with_placeholders(stack_file, copy) == ["tiny:code", "tiny:door.lock"]

    session.init("dev", program)
    arguments = ("--stack", "dev", "--config-file", str(copy))
    decrypted = session.pulumi("config", "get", "code", *arguments, program=program, capture=True, timeout=60)
    assert decrypted.stdout.strip() == PLACEHOLDER
    done = session.pulumi(
        *("up", "--yes", "--skip-preview", *arguments), program=program, capture=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"length: {len(PLACEHOLDER)}" in done.stdout, "the program reads the placeholder"
    assert done.stdout.count("[secret]") == 2
    assert PLACEHOLDER not in done.stdout + done.stderr
    state = b"".join(tree(session.folder / "state").values())
    assert b"tiny:rooms:Room" in state
    assert PLACEHOLDER.encode() not in state


def test_an_engine_that_takes_too_long_is_ended(
    session: Session, tmp_path: Path, write_program: WriteProgram
) -> None:
    marker = tmp_path / "pid"
    program = write_program(SLOW.format(marker=str(marker)))
    session.init("dev", program)
    with pytest.raises(Fault, match="did not end within 8 s"):
        session.pulumi(
            *("preview", "--stack", "dev", "--config-file", str(tmp_path / "settings.yaml")),
            program=program,
            capture=True,
            timeout=8,
        )
    assert not any(alive(pid) for pid in pids(marker))


SLOW = """
    import os, subprocess, sys, time
    from pathlib import Path

    grandchild = subprocess.Popen(["sleep", "600"])
    ids = [os.getpid(), os.getppid(), os.getsid(0), grandchild.pid]
    Path({marker!r} + ".part").write_text(" ".join(map(str, ids)))
    os.replace({marker!r} + ".part", {marker!r})
    time.sleep(600)
"""
DRIVER = """
import sys
from pathlib import Path
from simulator.processes import guarded
from simulator.session import Session

engine, folder, program, settings = map(Path, sys.argv[1:])

def body():
    with Session(engine, folder) as session:
        session.init("dev", program)
        arguments = ("--stack", "dev", "--config-file", str(settings))
        session.pulumi("up", "--yes", "--skip-preview", *arguments, program=program)

sys.exit(guarded("driver", body))
"""


def pids(marker: Path) -> list[int]:
    """The program, its language host, the engine, and what the program started."""
    return [int(word) for word in marker.read_text().split()]


@pytest.fixture
def slow_run(
    engine: Path, tmp_path: Path, write_program: WriteProgram
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process of its own that is in the middle of `pulumi up`, and the file with what it started."""
    marker = tmp_path / "pids"
    program = write_program(SLOW.format(marker=str(marker)))
    arguments = (engine, tmp_path / "kept", program, tmp_path / "settings.yaml")
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: marker.exists() or driver.poll() is not None, "the program runs")
        assert marker.exists(), driver.communicate()[0]
        yield driver, marker
    finally:
        driver.kill()
        driver.communicate()
        for pid in pids(marker) if marker.exists() else []:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_ends_everything_and_the_next_run_works(
    slow_run: tuple[subprocess.Popen[str], Path],
    number: signal.Signals,
    engine: Path,
    tmp_path: Path,
    write_program: WriteProgram,
) -> None:
    driver, marker = slow_run
    assert all(alive(pid) for pid in pids(marker))
    driver.send_signal(number)
    text, _ = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 130, text
    assert "Traceback" not in text
    assert not any(alive(pid) for pid in pids(marker))

    program = write_program(
        SECRETIVE.replace('config.require_secret("code")', '"open"').split("pulumi.export")[0]
    )
    with Session(engine, tmp_path / "kept") as session:
        again = session.pulumi(
            *("up", "--yes", "--skip-preview", "--stack", "dev"),
            *("--config-file", str(tmp_path / "settings.yaml")),
            program=program,
            capture=True,
            timeout=120,
        )
    assert again.returncode == 0, again.stdout + again.stderr


def test_an_engine_that_was_killed_takes_its_language_host_along(
    slow_run: tuple[subprocess.Popen[str], Path],
) -> None:
    driver, marker = slow_run
    _, _, engine_pid, _ = started = pids(marker)
    os.kill(engine_pid, signal.SIGKILL)
    driver.communicate(timeout=DEADLINE)
    wait_until(lambda: not any(alive(pid) for pid in started), "everything has ended")
