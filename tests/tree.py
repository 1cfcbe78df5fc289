"""The program as it lies in the tree, in a folder of its own, where it may be written to."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.recorder import ROOT


def copied(folder: Path, *, wanted: Callable[[Path], bool] = lambda _: True) -> Path:
    """Copy all that git knows or would take, as it is now.

    Args:
        folder: where to.
        wanted: whether a file, by its path within the tree, belongs to it.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for path in map(Path, filter(None, listed.split("\0"))):
        if (ROOT / path).is_file() and wanted(path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


def committed(folder: Path) -> Path:
    """Make a repository of a folder, with one commit."""
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=All of it")):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    return folder
