"""checkov, in an environment of its own that is made once under the user's cache."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
_MINUTES = 25


class UnavailableError(Exception):
    """The environment is not there and could not be made; the message says why."""


def environment() -> Path:
    """The folder of the environment: one for each set of requirements and each Python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    made_of = REQUIREMENTS.read_bytes() + sys.version.encode()
    return cache / "fixia" / "cross" / hashlib.sha256(made_of).hexdigest()[:16]


def checkov() -> Path:
    """The program; the first call on a machine takes minutes and needs the package registry.

    Raises:
        UnavailableError: it can't be installed here.
    """
    folder = environment()
    program = folder / "bin" / "checkov"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        try:
            done = subprocess.run(
                [*pip, "-r", str(REQUIREMENTS)],
                capture_output=True,
                text=True,
                timeout=_MINUTES * 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"checkov was not installed within {_MINUTES} minutes") from None
        if done.returncode:
            raise UnavailableError(f"checkov can't be installed: {done.stderr.strip().splitlines()[-1:]}")
        (folder / "complete").touch()
    return program


def failed(folder: Path) -> dict[str, dict[str, set[str]]]:
    """Scan a folder of manifests.

    Args:
        folder: the folder.

    Returns:
        File name to check to the resources that fail it.
    """
    # Nothing is contacted: without a key checkov only reads what is here.
    done = subprocess.run(
        [checkov(), "-d", folder, "--framework", "kubernetes", "-o", "json", "--quiet", "--compact"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"},
    )
    content = json.loads(done.stdout)
    reports: list[dict[str, Any]] = content if isinstance(content, list) else [content]
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for report in reports:
        for check in report.get("results", {}).get("failed_checks", []):
            found[Path(check["file_path"]).name][check["check_id"]].add(check["resource"])
    return {file: dict(checks) for file, checks in found.items()}
