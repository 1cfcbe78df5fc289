"""A stack's file at each of its commits."""

import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

SEARCHED: Final = 200
"""How many commits of a file are looked at, unless all are."""


def texts(file: Path, base: str | None = None, most: int | None = SEARCHED) -> Iterator[tuple[str, datetime]]:
    """A file's text and the time of each of its commits, the newest first; nothing where git knows none.

    Args:
        file: a file in a clone with its history.
        base: the revision to begin at; what is checked out if left out.
        most: how many commits to look at; None for all.
    """
    revision = [base] if base else []
    count = [] if most is None else [f"--max-count={most}"]
    log = ("log", *count, "--format=%H %cI", *revision, "--", file.name)
    for line in _git(file.parent, *log).splitlines():
        commit, _, time = line.partition(" ")
        yield _git(file.parent, "show", f"{commit}:./{file.name}"), datetime.fromisoformat(time)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
