"""Takes a release back: `python -m delivery.rollback --stack production`, with an account.

It writes the workloads' images of the release before into the stack's file and deploys that, as anything is
deployed: preview, policy pack, gate, migrations, smoke test, then one pod after the other. Nothing else of
the file changes. Run again once that is committed, it goes forward again: for a still older release, write
its images into the file and deploy.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from delivery import deploy, gate, history
from delivery.images import WORKLOADS, file_of, move, moved
from simulator.faults import USAGE, Fault
from simulator.processes import guarded


def release_before(file: Path) -> tuple[datetime, str]:
    """The stack's file as it was at the last commit with other workloads' images, and that commit's time.

    Raises:
        Fault: there is no such commit, or the file has been taken back already.
    """
    text = file.read_text(encoding="utf-8")
    commits = list(history.texts(file))
    if not commits:
        raise Fault(
            where=str(file),
            found="git knows no commit of it",
            valid="a clone with its history",
            do="run this in one (`git fetch --unshallow`)",
            exit_code=USAGE,
        )
    committed = commits[0][0]
    if moved(committed, text, WORKLOADS):  # Not committed yet: a release, or a way back that was begun.
        older = _last_other(commits, committed)
        if older and not moved(older[1], text, WORKLOADS):
            raise Fault(
                where=file.name,
                found=f"it has the images of {older[0]:%Y-%m-%d %H:%M} already, and they are not committed",
                valid="a file as it was deployed last",
                do="`make deploy` tries the same again; commit the file before you go back once more",
                exit_code=USAGE,
            )
    if found := _last_other(commits, text):
        return found
    raise Fault(
        where=str(file),
        found=f"none of its last {len(commits)} commits has other images of workloads",
        valid="a file that has been through a release",
        do="write the image to go back to into the file, then `make deploy`",
        exit_code=USAGE,
    )


def rollback(program: Path, stack: str, labels: frozenset[str], *, sure: bool) -> int:
    """Write the images of the release before, and deploy them.

    Args:
        program: the folder of `Pulumi.yaml`.
        stack: the stack's name.
        labels: as of a pull request, for the gate.
        sure: whether nobody need be asked.

    Returns:
        What the deployment ended with.

    Raises:
        Fault: there is nothing to go back to, nobody agreed, or the deployment can't begin.
    """
    file = file_of(program, stack)
    if not file.is_file():
        raise Fault(
            where=str(file),
            found="there is no such stack file",
            valid="a stack that has one",
            do="name another with STACK=… (`--stack`)",
            exit_code=USAGE,
        )
    time, earlier = release_before(file)
    move(file, stack, moved(earlier, file.read_text(encoding="utf-8"), WORKLOADS), sure=sure)
    print(f"{file.name} has the images of {time:%Y-%m-%d %H:%M}; not committed yet", flush=True)
    code = deploy.deploy(program, stack, labels)
    if code:
        print(
            f"rollback: stack {stack} is not back; {file.name} keeps the older images: mend what is said "
            f"above, then `make deploy STACK={stack}`",
            file=sys.stderr,
        )
    else:
        print(f"rollback: stack {stack} runs them; commit {file.name}")
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        What the deployment ended with, or 2 if there is no release to go back to.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.rollback", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--labels", default="", help="as of a pull request, for the gate")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    code = 0

    def command() -> None:
        nonlocal code
        code = rollback(given.program.resolve(), given.stack, gate.labels_of(given.labels), sure=given.yes)

    return guarded("rollback", command) or code


def _last_other(commits: Sequence[tuple[str, datetime]], text: str) -> tuple[datetime, str] | None:
    """The newest commit whose file has another image for a workload of the given one."""
    for then, time in commits:
        if moved(then, text, WORKLOADS):
            return time, then
    return None


if __name__ == "__main__":
    sys.exit(main())
