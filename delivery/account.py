"""The `pulumi` that talks to an account: the makers' own, whole, with its language host beside it.

`python -m delivery.account --folder DIR` gets it by the SDK's own installer, in the release that is pinned,
and prints the folder of the program: what a workflow puts on its PATH.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from simulator.engine import release
from simulator.faults import Fault
from simulator.processes import guarded


def pulumi() -> str:
    """The program on PATH.

    Raises:
        Fault: there is none.
    """
    if found := shutil.which("pulumi"):
        return found
    raise Fault(
        where="PATH",
        found="no program pulumi",
        valid=f"pulumi {release.pinned()}, as its makers give it",
        do="install it, or `python -m delivery.account --folder DIR` and put DIR/bin on PATH",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 3 if it can't be had.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.account", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args(arguments)

    def command() -> None:
        from pulumi.automation import PulumiCommand  # half a second: only here

        try:
            PulumiCommand.install(root=str(given.folder.absolute()), version=release.pinned())
        except Exception as error:  # what an installer raises is not said anywhere
            raise Fault(
                where=str(given.folder),
                found=f"pulumi {release.pinned()} can't be installed: {error}",
                valid="a machine that reaches its makers' download",
                do="try again; or install it by hand and put it on PATH",
            ) from None
        print(given.folder.absolute() / "bin")

    return guarded("account", command)


if __name__ == "__main__":
    sys.exit(main())
