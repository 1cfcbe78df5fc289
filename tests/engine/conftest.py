"""The real engine over a private session, and little programs for it to run."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.engine import install
from simulator.session import Session

WriteProgram = Callable[..., Path]


@pytest.fixture(scope="session")
def engine() -> Path:
    """The `pulumi` program; the first call on a machine may take minutes."""
    return install.engine()


@pytest.fixture
def session(engine: Path) -> Iterator[Session]:
    """A private session of its own for each test."""
    with Session(engine) as private:
        yield private


@pytest.fixture
def write_program(tmp_path: Path) -> WriteProgram:
    """Write a program's folder and return its path; `files` maps further paths to their text."""

    def write(main: str, files: dict[str, str] | None = None, name: str = "tiny") -> Path:
        folder = tmp_path / name
        contents = {"Pulumi.yaml": f"name: {name}\nruntime: python\n", "__main__.py": main, **(files or {})}
        for path, text in contents.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write
