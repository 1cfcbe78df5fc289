"""Which release of the engine: go.mod names it, and this says how it is built."""

from functools import cache
from pathlib import Path
from typing import Final

from semver import VersionInfo

from simulator.golang.program import Program

FOLDER: Final = Path(__file__).resolve().parent

PROGRAM: Final = Program(
    name="pulumi",
    subject="engine",
    module="github.com/pulumi/pulumi/pkg/v3",
    command="cmd/pulumi",
    folder=FOLDER,
    stamps={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v{version}"},
    minutes="three minutes",
    build_bytes=4 * 10**9,
    kept_bytes=120 * 10**6,
    alternative="put pulumi {version} or newer on PATH",
)
PACKAGE: Final = PROGRAM.package


@cache
def pinned() -> VersionInfo:
    """Return the engine's release.

    Raises:
        ValueError: go.mod does not name one.
    """
    return VersionInfo.parse(PROGRAM.version)
