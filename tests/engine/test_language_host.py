"""What the language host does for the engine, with programs that need no provider."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.session import Session

pytestmark = pytest.mark.engine

Run = Callable[..., subprocess.CompletedProcess[str]]
WriteProgram = Callable[..., Path]

COMPONENT = """
    import pulumi

    class Room(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("tiny:rooms:Room", name)
            self.register_outputs({})

    Room("kitchen")
    pulumi.export("greeting", f"hello from {pulumi.get_stack()}")
"""
BUG_OF_A_PLUGIN = ("exited prematurely", "bug in the provider")


@pytest.fixture
def run(session: Session, tmp_path: Path) -> Run:
    """Run the engine on stack `dev` of a program, with a settings file outside of its folder."""
    created: set[Path] = set()

    def run(program: Path, *args: str) -> subprocess.CompletedProcess[str]:
        if program not in created:
            session.init("dev", program)
            created.add(program)
        settings = str(tmp_path / "settings.yaml")
        return session.pulumi(
            *(*args, "--stack", "dev", "--config-file", settings), program=program, capture=True, timeout=120
        )

    return run


def output(done: subprocess.CompletedProcess[str]) -> str:
    text = done.stdout + done.stderr
    for phrase in BUG_OF_A_PLUGIN:
        assert phrase not in text
    assert "KeyboardInterrupt" not in text
    return text


def test_a_stack_lives_from_preview_to_destroy(
    run: Run, session: Session, write_program: WriteProgram
) -> None:
    program = write_program(COMPONENT)
    preview = run(program, "preview")
    assert preview.returncode == 0, output(preview)
    assert "+ 2 to create" in preview.stdout
    assert "warning" not in output(preview)

    up = run(program, "up", "--yes", "--skip-preview")
    assert up.returncode == 0, output(up)
    assert '"hello from dev"' in up.stdout

    again = run(program, "preview", "--expect-no-changes")
    assert again.returncode == 0, output(again)
    refresh = run(program, "refresh", "--yes", "--skip-preview")
    assert refresh.returncode == 0, output(refresh)
    destroy = run(program, "destroy", "--yes", "--skip-preview")
    assert destroy.returncode == 0, output(destroy)
    assert "- 2 deleted" in destroy.stdout


def test_a_program_sees_its_own_folder_and_nothing_of_the_simulator(
    run: Run, write_program: WriteProgram
) -> None:
    program = write_program(
        """
        import os, sys
        import neighbour
        print("folder", os.getcwd(), sys.path[0], sys.argv[0], sep="|")
        print("stdin", repr(sys.stdin.read()))
        print("environment", [name for name in os.environ if "PULUMI_CONFIG" in name or name == "PYTHONPATH"])
        try:
            import simulator
        except ImportError:
            print("no simulator")
        """,
        {"neighbour.py": ""},
    )
    text = output(run(program, "preview"))
    assert f"folder|{program}|{program}|{program}" in text
    assert "stdin ''" in text
    assert "environment ['PULUMI_CONFIG_PASSPHRASE']" in text
    assert "no simulator" in text


def test_an_exception_is_reported_with_the_frames_of_the_program_only(
    run: Run, write_program: WriteProgram
) -> None:
    program = write_program("def lay():\n    raise ValueError('no room')\nlay()\n")
    done = run(program, "preview")
    text = output(done)
    assert done.returncode != 0
    assert "error: Program failed with an unhandled exception:" in text
    assert f'File "{program}/__main__.py", line 2, in lay' in text
    assert "runpy" not in text
    assert "an unhandled error occurred" not in text, "said a second time"


def test_an_exception_inside_an_apply_is_reported(run: Run, write_program: WriteProgram) -> None:
    program = write_program(
        "import pulumi\ndef late(_): raise ValueError('too late')\npulumi.Output.from_input(1).apply(late)\n"
    )
    done = run(program, "preview")
    assert done.returncode != 0
    assert "ValueError: too late" in output(done)


def test_a_run_error_is_reported_as_its_message_alone(run: Run, write_program: WriteProgram) -> None:
    program = write_program("import pulumi\nraise pulumi.RunError('the zone is not delegated')\n")
    done = run(program, "preview")
    text = output(done)
    assert done.returncode != 0
    assert "error: the zone is not delegated" in text
    assert "Traceback" not in text
    assert "exit code" not in text


@pytest.mark.parametrize(
    ("main", "files", "says"),
    [
        ("x = (\n", {}, '__main__.py", line 1'),
        ("import broken\n", {"broken.py": "def f(:\n"}, 'broken.py", line 1'),
        (
            "import not_installed_anywhere\n",
            {},
            "ModuleNotFoundError: No module named 'not_installed_anywhere'",
        ),
    ],
)
def test_a_program_that_cannot_start_says_where(
    run: Run, write_program: WriteProgram, main: str, files: dict[str, str], says: str
) -> None:
    done = run(write_program(main, files), "preview")
    text = output(done)
    assert done.returncode != 0
    assert says in text
    assert "runpy" not in text


def test_a_folder_without_a_program_says_so(run: Run, write_program: WriteProgram) -> None:
    program = write_program("")
    (program / "__main__.py").unlink()
    done = run(program, "preview")
    assert done.returncode != 0
    assert "unable to find main python program `__main__.py`" in output(done)


def test_the_programs_own_output_and_status_reach_the_engine(run: Run, write_program: WriteProgram) -> None:
    program = write_program("import sys\nprint('to out')\nprint('to err', file=sys.stderr)\nsys.exit(3)\n")
    done = run(program, "preview")
    text = output(done)
    assert done.returncode != 0
    assert "to out" in text
    assert "to err" in text
    assert "Program exited with non-zero exit code: 3" in text


def test_a_missing_virtual_environment_says_how_to_make_it(run: Run, write_program: WriteProgram) -> None:
    project = "name: tiny\nruntime: {name: python, options: {virtualenv: nowhere}}\n"
    done = run(write_program(COMPONENT, {"Pulumi.yaml": project}), "preview")
    assert done.returncode != 0
    assert "nowhere, which has no bin/python: create it with `make setup`" in output(done)


PACK = {
    "policies/PulumiPolicy.yaml": "runtime: python\n",
    "policies/__main__.py": """
        from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

        def few(args, report):
            rooms = [each for each in args.resources if each.resource_type == "tiny:rooms:Room"]
            if len(rooms) > 0:
                report("a house without rooms is asked for")

        PolicyPack("rules", policies=[StackValidationPolicy(
            name="no-rooms", description="No rooms.", validate=few,
            enforcement_level=EnforcementLevel.MANDATORY)])
    """,
}


def test_a_mandatory_policy_fails_the_preview_with_its_message(run: Run, write_program: WriteProgram) -> None:
    done = run(write_program(COMPONENT, PACK), "preview", "--policy-pack", "policies")
    text = output(done)
    assert done.returncode != 0
    assert "a house without rooms is asked for" in text
    assert "no-rooms" in text


def test_a_pack_that_finds_nothing_lets_the_preview_pass(run: Run, write_program: WriteProgram) -> None:
    done = run(write_program("import pulumi\n", PACK), "preview", "--policy-pack", "policies")
    assert done.returncode == 0, output(done)
    assert "rules" in output(done)


def test_a_broken_pack_fails_the_preview_with_its_traceback(run: Run, write_program: WriteProgram) -> None:
    broken = {**PACK, "policies/__main__.py": "raise ValueError('no such rule')\n"}
    done = run(write_program(COMPONENT, broken), "preview", "--policy-pack", "policies")
    assert done.returncode != 0
    assert "ValueError: no such rule" in output(done)


def test_about_names_interpreter_and_dependencies(session: Session, write_program: WriteProgram) -> None:
    done = session.pulumi("about", program=write_program(COMPONENT), capture=True, timeout=120)
    assert done.returncode == 0
    assert "This project is written in python: executable=" in done.stdout
    assert "pulumi_random" in done.stdout


def test_install_leaves_the_packages_to_make_setup(session: Session, write_program: WriteProgram) -> None:
    done = session.pulumi("install", program=write_program(COMPONENT), capture=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "`make setup` installs the pinned requirements" in done.stdout + done.stderr


def test_the_host_does_not_offer_what_it_cannot_do(session: Session, write_program: WriteProgram) -> None:
    done = session.pulumi(
        *("package", "gen-sdk", "--language", "python", "random"),
        program=write_program(COMPONENT),
        capture=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "nimplemented" in done.stdout + done.stderr or "not implemented" in done.stdout + done.stderr
