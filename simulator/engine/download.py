"""The engine from its makers, by the SDK's own installer.

The installer has no timeout of its own and starts a shell script, so both the question whether its host
answers and the installation run in a child process that can be ended.
"""

import inspect
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final

from semver import VersionInfo

from simulator import processes
from simulator.engine import release
from simulator.progress import Step

CONNECT_SECONDS: Final = 8.0
DOWNLOAD_SECONDS: Final = 300.0
_ROOT: Final = release.FOLDER.parent.parent


class Unavailable(Exception):
    """The engine can't be had this way, here and now."""


def download(version: VersionInfo, work: Path, env: dict[str, str], step: Step) -> Path:
    """Let the SDK install the engine into a folder.

    Args:
        version: the release.
        work: the folder, which is thrown away after.
        env: the environment to do it in.
        step: told how far it is.

    Returns:
        The binary, not yet tried.

    Raises:
        Unavailable: the installer's host does not answer in time, or the installer fails.
    """
    _child(["reach", installer()], env, CONNECT_SECONDS)
    step.status = lambda: f"downloading, {_megabytes(work):.0f} MB so far"
    _child(["install", str(work), str(version)], env, DOWNLOAD_SECONDS)
    return work / "bin" / "pulumi"


def installer() -> str:
    """Return the address that the SDK fetches its installer from, read in the SDK's source.

    Raises:
        Unavailable: the SDK does not say it there any more.
    """
    from pulumi.automation import PulumiCommand  # half a second: only when there is no engine yet

    source = inspect.getsource(PulumiCommand)
    found = re.search(r"""["'](https://[^"']+\.sh)["']""", source)
    if not found:
        raise Unavailable("the SDK does not say where its installer is")
    return found[1]


def _child(arguments: list[str], env: dict[str, str], timeout: float) -> None:
    command = [sys.executable, "-m", "simulator.engine.download", *arguments]
    try:
        ended = processes.run(command, env=env, cwd=_ROOT, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"no answer within {timeout:.0f} seconds") from error
    if ended.code:
        raise Unavailable(ended.lines[-1] if ended.lines else f"exit code {ended.code}")


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _main(action: str, *arguments: str) -> None:
    """Be the child process: `reach <address>` or `install <folder> <version>`."""
    if action == "reach":
        try:
            urllib.request.urlopen(arguments[0], timeout=CONNECT_SECONDS).close()  # noqa: S310 - https, above
        except OSError as error:
            sys.exit(str(getattr(error, "reason", error)))
    else:
        from pulumi.automation import PulumiCommand

        PulumiCommand.install(root=arguments[0], version=VersionInfo.parse(arguments[1]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
