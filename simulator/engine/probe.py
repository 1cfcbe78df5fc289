"""Asking a `pulumi` binary what it is."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from semver import VersionInfo

from simulator import processes

TIMEOUT_SECONDS: Final = 30.0


class Unusable(Exception):
    """A binary that does not run or does not say its version."""


def version_of(binary: Path) -> VersionInfo:
    """Run `pulumi version`, without asking for updates and without touching the user's `~/.pulumi`.

    Args:
        binary: the engine.

    Returns:
        What it says.

    Raises:
        Unusable: it does not run, or says something else.
    """
    with tempfile.TemporaryDirectory() as pulumi_home:
        env = {**os.environ, "PULUMI_HOME": pulumi_home, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        try:
            ended = processes.run([binary, "version"], env=env, timeout=TIMEOUT_SECONDS)
        except OSError as error:
            raise Unusable(error.strerror or str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise Unusable(f"no answer to `version` within {TIMEOUT_SECONDS:.0f} seconds") from error
    said = ended.lines[-1].strip() if ended.lines else ""
    if ended.code:
        raise Unusable(f"`version` ended with exit code {ended.code}: {said or '(it said nothing)'}")
    try:
        return VersionInfo.parse(said.removeprefix("v"))
    except ValueError as error:
        raise Unusable(f"`version` said {said!r}") from error
