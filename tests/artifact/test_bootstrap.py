"""The bootstrap as the Makefile runs it: real Pythons, real pip, a package index on this machine."""

import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.artifact import fakes

PYTHON = getattr(sys, "_base_executable", sys.executable)
MODULES = ("__init__", "bootstrap", "disk", "environment", "faults", "locks", "processes", "progress")


class Project:
    """A project with one requirement, `alpha`, which needs `beta`; both are in a folder of wheels."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.wheels = folder / "wheels"
        self.venv = self.root / ".venv"
        self.bin = folder / "bin"
        for made in (self.root / "simulator", self.wheels, self.bin, folder / "home"):
            made.mkdir(parents=True)
        for module in MODULES:
            shutil.copy(fakes.ROOT / "simulator" / f"{module}.py", self.root / "simulator")
        for version in ("1.0", "2.0"):
            fakes.wheel(self.wheels, "alpha", version, needs="beta")
            fakes.wheel(self.wheels, "beta", version)
        self.require("1.0")
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(folder / "home"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_RETRIES": "1",
        }

    def require(self, version: str) -> None:
        (self.root / "requirements.txt").write_text(f"alpha=={version}\n")
        (self.root / "requirements-dev.txt").write_text("-r requirements.txt\n")
        (self.root / "constraints.txt").write_text(f"alpha=={version}\nbeta=={version}\n")

    def start(self, *arguments: str, python: str = PYTHON) -> AbstractContextManager["subprocess.Popen[str]"]:
        command = [python, *(arguments or ("simulator/bootstrap.py",))]
        return fakes.started(command, self.environment, self.root)

    def run(self, *arguments: str, python: str = PYTHON) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments, python=python) as process:
            return fakes.finish(process)

    def installed(self) -> list[str]:
        found = self.venv.glob("lib/python*/site-packages/[ab]*.dist-info")
        return sorted(path.name.removesuffix(".dist-info") for path in found)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def assert_made(run: "subprocess.CompletedProcess[str]", project: Project, version: str = "1.0") -> None:
    assert run.returncode == 0, run.stderr
    assert project.installed() == [f"alpha-{version}", f"beta-{version}"]
    assert (project.venv / "made-from").exists()


def assert_one_message(run: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.count("bootstrap: ") == 1, run.stderr
    for part in (*parts, "  valid:  ", "  to do:  "):
        assert part in run.stderr


class SlowIndex(http.server.SimpleHTTPRequestHandler):
    """A package index that answers when it is let."""

    asked: threading.Event
    go_on: threading.Event

    def do_GET(self) -> None:
        self.asked.set()
        self.go_on.wait(fakes.PATIENCE_SECONDS)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the tests' output clean."""


@contextmanager
def slow_index(project: Project) -> Iterator[type[SlowIndex]]:
    """Serve the wheels slowly and make it the project's index."""
    for name in ("alpha", "beta"):
        (project.wheels / name).mkdir()
        for wheel in project.wheels.glob(f"{name}-*.whl"):
            shutil.copy(wheel, project.wheels / name)

    class Handler(SlowIndex):
        asked = threading.Event()
        go_on = threading.Event()

    before = dict(project.environment)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(project.wheels))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        del project.environment["PIP_NO_INDEX"], project.environment["PIP_FIND_LINKS"]
        project.environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            yield Handler
        finally:
            Handler.go_on.set()
            server.shutdown()
            project.environment = before


def test_makes_the_environment_once_and_is_silent_after(project: Project) -> None:
    assert_made(project.run(), project)
    probe = project.venv / "probe"
    probe.touch()

    again = project.run()

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert probe.exists()


def test_a_changed_requirement_is_installed_into_the_same_environment(project: Project) -> None:
    project.run()
    probe = project.venv / "probe"
    probe.touch()
    project.require("2.0")

    assert_made(project.run(), project, "2.0")

    assert probe.exists()


def test_an_environment_that_is_not_whole_is_made_anew(project: Project) -> None:
    project.run()
    (project.venv / "made-from").unlink()
    probe = project.venv / "probe"
    probe.touch()

    assert_made(project.run(), project)

    assert not probe.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(project: Project) -> None:
    project.run()
    for link in (project.venv / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/python")

    assert_made(project.run(), project)


def test_runs_from_inside_the_environment_that_it_makes_anew(project: Project) -> None:
    project.run()
    (project.venv / "made-from").unlink()

    assert_made(project.run(python=str(project.venv / "bin" / "python")), project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_is_done_again(project: Project, number: signal.Signals) -> None:
    with slow_index(project) as index, project.start() as process:
        assert index.asked.wait(fakes.PATIENCE_SECONDS)
        process.send_signal(number)
        run = fakes.finish(process)

    assert run.returncode == 130, run.stderr
    assert run.stderr.endswith("bootstrap: interrupted; the next run starts clean\n")
    assert "Traceback" not in run.stderr
    assert not (project.venv / "made-from").exists()

    assert_made(project.run(), project)


def test_two_at_once_make_one(project: Project) -> None:
    with slow_index(project) as index, project.start() as first:
        assert index.asked.wait(fakes.PATIENCE_SECONDS)
        with project.start() as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            index.go_on.set()
            runs = [fakes.finish(first), fakes.finish(second)]

    assert f"another run (process {first.pid}) is at it" in waiting
    for run in runs:
        assert_made(run, project)
    assert "installing" not in runs[1].stderr


def test_no_index_is_one_message(project: Project) -> None:
    del project.environment["PIP_NO_INDEX"], project.environment["PIP_FIND_LINKS"]
    project.environment["PIP_INDEX_URL"] = fakes.NOWHERE

    assert_one_message(
        project.run(),
        "the package index can't be reached: Failed to establish a new connection",
        "check the network",
    )


def test_a_failed_search_for_packages_costs_no_environment(project: Project) -> None:
    project.run()
    probe = project.venv / "probe"
    probe.touch()
    project.require("3.0")
    assert_one_message(project.run(), "alpha==3.0")

    project.require("1.0")
    again = project.run()

    assert (again.returncode, again.stderr) == (0, "")
    assert probe.exists()


def test_a_file_that_is_missing_is_one_message(project: Project) -> None:
    (project.root / "constraints.txt").unlink()

    assert_one_message(project.run(), "constraints.txt", "git checkout -- constraints.txt")


def test_lock_writes_what_the_requirements_resolve_to(project: Project) -> None:
    (project.root / "constraints.txt").write_text("")

    run = project.run("simulator/bootstrap.py", "--lock")

    assert run.returncode == 0, run.stderr
    lines = (project.root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith(("#", "setuptools=="))]
    assert pins == ["alpha==1.0", "beta==2.0"]
    assert "make lock" in "".join(lines)
    assert not project.venv.exists()


def test_a_python_without_ensurepip_is_one_message(project: Project) -> None:
    code = (
        "import sys, runpy; sys.modules['ensurepip'] = None; "
        "runpy.run_path('simulator/bootstrap.py', run_name='__main__')"
    )

    run = project.run("-c", code)

    assert_one_message(run, f"python3.{sys.version_info[1]}-venv", "ensurepip")


@pytest.mark.skipif(not fakes.may_mount(), reason="only root may mount a small disk")
def test_a_full_disk_is_one_message(project: Project) -> None:
    with fakes.tiny_disk(project.venv, megabytes=2):
        run = project.run()

    assert_one_message(run, "the disk is full", "2 GB")


def old_pythons() -> list[str]:
    """Find Pythons 3.6 to 3.10 on PATH and among pyenv's, each of which really runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in range(6, 11):
        candidates = [shutil.which(f"python3.{minor}"), *pyenv.glob(f"3.{minor}.*/bin/python3")]
        for candidate in filter(None, candidates):
            ask = [str(candidate), "-c", "import sys; print(sys.version_info[1])"]
            said = subprocess.run(ask, capture_output=True, text=True, check=False)
            if said.stdout.strip() == str(minor):
                found.append(str(candidate))
                break
    return found


NO_OLD_PYTHON = pytest.param("", marks=pytest.mark.skip(reason="no Python older than 3.11 on this machine"))


@pytest.mark.parametrize("python", old_pythons() or [NO_OLD_PYTHON])
def test_an_old_python_alone_is_one_message(project: Project, python: str) -> None:
    run = project.run(python=python)

    assert_one_message(
        run, f"{python} 3.", "too old", "Python 3.11 or newer", "make PYTHON=/path/to/python3.11"
    )
    assert run.stderr.count("\n") == 3


@pytest.mark.parametrize("python", old_pythons()[:1] or [NO_OLD_PYTHON])
def test_an_old_python_hands_over_to_a_newer_one_on_path(project: Project, python: str) -> None:
    fakes.script(project.bin / "python3.13", "exit 127")  # a shim of a version that is not there
    (project.bin / "python3.11").symlink_to(PYTHON)

    run = project.run(python=python)

    assert_made(run, project)
    assert f"is too old, going on with {project.bin / 'python3.11'}" in run.stderr.splitlines()[0]
    assert project.run(python=python).stderr == ""
