"""Brings one stack up as it was reviewed: `python -m delivery.deploy --stack staging`, with an account.

Preview with the policy pack, gate, then `pulumi up` bound to the plan of that very preview: what is not in
the plan is not done. Where it stops it says why in one line.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from delivery import account, gate, messages, promote, recorded
from delivery.review import Review, policy_arguments
from simulator.faults import Fault
from simulator.processes import guarded


def deploy(program: Path, stack: str, labels: frozenset[str]) -> int:
    """Bring a stack up.

    Args:
        program: the folder of `Pulumi.yaml`.
        stack: the stack's name.
        labels: of the pull request whose merge this is.

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
        Review(program=program, stack=stack, account=True, plan=plan).run()
        for line in (held := gate.reasons(recorded.read(program, stack), labels)):
            print(f"deploy: {line}", file=sys.stderr)
        if held:
            return gate.HELD
        return up(
            [account.pulumi(), "up", "--yes", "--non-interactive", "--stack", stack, "--plan", str(plan)],
            program,
            stack,
        )


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
    for each in messages.explain("".join(said), stack):
        print(f"deploy: {each.line}", file=sys.stderr)
    return running.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        The engine's exit status, 1 where the gate holds it, or a fault's.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.deploy", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--labels", default="", help="of the pull request whose merge this is")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    code = 0

    def command() -> None:
        nonlocal code
        code = deploy(given.program.resolve(), given.stack, gate.labels_of(given.labels))

    return guarded("deploy", command) or code


if __name__ == "__main__":
    sys.exit(main())
