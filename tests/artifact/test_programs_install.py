"""A program of the registry on machines with a stand-in for go; every run is a real process."""

import subprocess
from pathlib import Path

import pytest

from tests.artifact import fakes
from tests.artifact.fakes import Machine

RUN = ("-m", "simulator.programs", "traefik")
WRITE = fakes.WRITE_ENGINE.replace("echo v3.256.0", "echo Version: 3.5.3")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def place(machine: Machine) -> Path:
    return machine.cache / "traefik" / "v3.5.3"


def assert_installed(machine: Machine, run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{place(machine) / 'traefik'}\n"
    assert sorted(entry.name for entry in place(machine).iterdir()) == ["lock", "traefik"]


def test_it_is_built_once_and_kept(machine: Machine) -> None:
    machine.go(WRITE)
    assert_installed(machine, machine.run(*RUN))

    again = machine.run(*RUN)

    assert_installed(machine, again)
    assert again.stderr == ""
    assert len(machine.builds) == 1


def test_a_kept_one_that_no_longer_runs_is_made_anew(machine: Machine) -> None:
    place(machine).mkdir(parents=True)
    (place(machine) / "traefik").write_bytes(b"\x7fELF")
    machine.go(WRITE)

    assert_installed(machine, machine.run(*RUN))


@pytest.mark.parametrize("says", ["echo Version: 13.5.3", "echo Version: 3.5.31", "exit 7"])
def test_one_of_another_release_is_not_kept(machine: Machine, says: str) -> None:
    machine.go(WRITE.replace("echo Version: 3.5.3", says))

    run = machine.run(*RUN)

    assert run.returncode == 3
    assert "traefik: " in run.stderr
    assert "a program that says it is v3.5.3" in run.stderr
    assert sorted(entry.name for entry in place(machine).iterdir()) == ["lock"]
