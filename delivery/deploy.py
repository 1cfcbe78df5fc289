"""Brings one stack up as it was reviewed: `python -m delivery.deploy --stack staging`, with an account.

Preview with the policy pack, gate, then `pulumi up` bound to the plan of that very preview: what is not in
the plan is not done. Where it stops it says why in one line. The engine compares with what it remembers; with
`--refresh` it asks first what really stands, and so takes back what was changed by hand.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from delivery import account, gate, messages, promote, recorded
from delivery.review import Review, policy_arguments
from simulator.faults import Fault
from simulator.processes import guarded

AT_A_TIME: Final = 100
"""Operations of the engine; it would begin four for each processor of this machine."""


def deploy(program: Path, stack: str, labels: frozenset[str], *, refresh: bool = False) -> int:
    """Bring a stack up.

    Args:
        program: the folder of `Pulumi.yaml`.
        stack: the stack's name.
        labels: of the pull request whose merge this is.
        refresh: whether to take back what was changed behind the engine's back.

    Returns:
        The engine's exit status, or 1 where the gate holds it.

    Raises:
        Fault: the stack doesn't exist, or is ahead of the one before it.
    """
    if ahead := promote.ahead(program, stack):
        raise Fault(
            where=f"stack {stack}",
            found="; ".join(ahead),
            valid="images that the stack before it has had",
            do="bring the stack before it up first, then `python -m delivery.promote`",
            exit_code=gate.HELD,
        )
    with tempfile.TemporaryDirectory(prefix="fixia-deploy-") as folder:
        plan = Path(folder) / "plan.json"  # Secrets in it are encrypted by the stack's own key.
        Review(program=program, stack=stack, account=True, refresh=refresh, plan=plan).run()
        for line in (held := gate.reasons(recorded.read(program, stack), labels)):
            print(f"deploy: {line}", file=sys.stderr)
        if held:
            return gate.HELD
        command = [
            account.pulumi(),
            "up",
            "--yes",
            "--non-interactive",
            "--stack",
            stack,
            "--plan",
            str(plan),
            # Of a few at a time, all would be pods that wait for certificates which nobody has begun.
            f"--parallel={AT_A_TIME}",
        ]
        return up([*command, *(("--refresh",) if refresh else ())], program, stack)


def up(command: Sequence[str], program: Path, stack: str) -> int:
    """Run the engine, pass its output through, and explain how it ended."""
    said = []
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [*command, *policy_arguments(program, stack)]
    with subprocess.Popen(
        command,
        cwd=program,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout is not None  # noqa: S101 - asked for above
        for line in running.stdout:
            print(line, end="", flush=True)
            said.append(line)
    explained = [each.line for each in messages.explain("".join(said), stack)]
    if running.returncode and not explained:
        explained = [f"the update of stack {stack} failed: the engine's messages above say why"]
    for line in explained:
        print(f"deploy: {line}", file=sys.stderr)
    return running.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        The engine's exit status, 1 where the gate holds it, or a fault's.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.deploy", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--labels", default="", help="of the pull request whose merge this is")
    parser.add_argument("--refresh", action="store_true", help="take back what was changed by hand")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    code = 0

    def command() -> None:
        nonlocal code
        labels = gate.labels_of(given.labels)
        code = deploy(given.program.resolve(), given.stack, labels, refresh=given.refresh)

    return guarded("deploy", command) or code


if __name__ == "__main__":
    sys.exit(main())
