"""A review of a little program, from the real engine's preview to the comment, the gate and the estimate."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery import cost, gate, review

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

PROGRAM = """
    import pulumi
    import pulumi_kubernetes as k8s

    class Store(pulumi.ComponentResource):
        def __init__(self, name, size, count):
            super().__init__("fixia:data:Database", name)
            own = pulumi.ResourceOptions(parent=self)
            k8s.core.v1.PersistentVolumeClaim(
                f"{name}-data",
                metadata={"name": f"{name}-data", "namespace": "data"},
                spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
                opts=own,
            ) if count else None
            self.register_outputs({})

    Store("database", "SIZE", COUNT)
"""


@pytest.fixture(autouse=True)
def _engine_is_there(engine: Path) -> None:
    """Get the engine before any command of ours needs it."""


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def write(write_program: WriteProgram, size: str, count: int) -> Path:
    main = PROGRAM.replace("SIZE", size).replace("COUNT", str(count))
    return write_program(main, {"Pulumi.dev.yaml": "config: {}\n", ".gitignore": "build/\n"})


def reviewed(program: Path) -> str:
    assert review.main(["--stack", "dev", "--base", "HEAD", "--program", str(program)]) == 0
    return (program / "build/comment-dev.md").read_text(encoding="utf-8")


def test_a_change_is_told_priced_and_held_if_it_loses_data(
    write_program: WriteProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    program = write(write_program, "10Gi", 1)
    git(program, "init", "--quiet", "--initial-branch=main")
    git(program, "add", ".")
    git(program, "commit", "--quiet", "--message=base")

    write(write_program, "20Gi", 1)
    text = reviewed(program)
    assert "- update `kubernetes:core/v1:PersistentVolumeClaim` `database-data`" in text
    assert "| `database` | $0.80 | $1.60 | +$0.80 |" in text
    of = ["--stack", "dev", "--program", str(program)]
    assert gate.main(of) == 0
    assert cost.main(of) == 0

    write(write_program, "10Gi", 0)
    text = reviewed(program)
    assert (
        "**delete `kubernetes:core/v1:PersistentVolumeClaim` `database-data`** would lose the database"
        in text
    )
    assert "**-$0.80**" in text
    capfd.readouterr()
    assert gate.main(of) == gate.HELD
    assert "docs/runbooks/restore-the-database.md" in capfd.readouterr().err
    assert gate.main([*of, "--labels", gate.LABEL]) == 0
