"""Of which revision of this repository a stack is brought up, and whose it is: what git knows."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNKNOWN: Final = "unknown"

PROGRAM: Final = ("__main__.py", "components", "settings", "policies", "Pulumi.yaml")
"""What a stack is made of, beside its own file."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A revision.

    Attributes:
        commit: the first letters of its hash; with `-edited` where files differ from it.
        author: who wrote it.
    """

    commit: str = UNKNOWN
    author: str = UNKNOWN


def revision(program: Path, stack: str) -> Revision:
    """The newest commit that changed what the stack is made of.

    Not the one that is checked out: of words and tests alone nothing is deployed, and an update that would
    change nothing shall change nothing. In a clone without history it is the one checked out.

    Args:
        program: the folder of `Pulumi.yaml`.
        stack: the stack's name.

    Returns:
        What git says; unknown where there is no git, or nothing that it knows.
    """
    files = ("--", *PROGRAM, f"Pulumi.{stack}.yaml")
    commit, _, author = _git(program, "log", "-1", "--abbrev=12", "--format=%h %an", *files).partition(" ")
    if not commit:
        return Revision()
    edited = _git(program, "status", "--porcelain", "--untracked-files=no", *files)
    return Revision(commit=f"{commit}-edited" if edited else commit, author=author)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
