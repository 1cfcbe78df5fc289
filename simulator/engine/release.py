"""Which release of the engine: read from go.mod, its one place."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from semver import VersionInfo

FOLDER: Final = Path(__file__).resolve().parent
MODULE: Final = "github.com/pulumi/pulumi/pkg/v3"
PACKAGE: Final = f"{MODULE}/cmd/pulumi"


@cache
def pinned() -> VersionInfo:
    """Return the engine's release.

    Raises:
        ValueError: go.mod does not name one.
    """
    return VersionInfo.parse(_go_mod(rf"^\s*{re.escape(MODULE)} v(\S+)"))


@cache
def minimum_go() -> tuple[int, int]:
    """Return the oldest Go that builds it, as major and minor.

    Raises:
        ValueError: go.mod does not name one.
    """
    major, minor = _go_mod(r"^go (\d+\.\d+)").split(".")
    return int(major), int(minor)


def _go_mod(pattern: str) -> str:
    text = (FOLDER / "go.mod").read_text(encoding="utf-8")
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise ValueError(f"{FOLDER / 'go.mod'} has no line like {pattern}")
    return found[1]
