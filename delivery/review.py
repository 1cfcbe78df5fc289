"""Previews a stack for review, and keeps what the comment, the gate and the estimate are made of.

`python -m delivery.review --stack staging --base origin/main` compares with a revision, over simulated
providers and without any account. `--account` previews what really stands instead, with the account that is
logged in; `--refresh` asks it first what has changed behind the engine's back, `--plan FILE` keeps the plan.
It leaves `build/preview-<stack>.json`, `build/steps-<stack>.json` and `build/comment-<stack>.md`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from delivery import account, comment, recorded
from simulator.faults import MACHINE, USAGE, Fault
from simulator.processes import guarded
from simulator.report import Event, build, read_events, to_json
from simulator.stack_file import stacks, unknown_stack

_REPOSITORY: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Review:
    """What to preview.

    Attributes:
        program: the folder of `Pulumi.yaml`.
        stack: the stack's name.
        base: the revision to compare with, without an account.
        account: whether to ask the account that is logged in.
        refresh: whether to ask it what it really has.
        plan: where to keep the plan, with an account.
    """

    program: Path
    stack: str
    base: str | None = None
    account: bool = False
    refresh: bool = False
    plan: Path | None = None

    def run(self) -> int:
        """Preview, and write the comment.

        Returns:
            The engine's exit status.

        Raises:
            Fault: the stack doesn't exist, or the preview left nothing to tell of.
        """
        if self.stack not in stacks(self.program):
            raise unknown_stack(self.program / f"Pulumi.{self.stack}.yaml")
        report, steps, text = recorded.files(self.program, self.stack)
        for file in (report, steps, text):
            file.unlink(missing_ok=True)
        steps.parent.mkdir(exist_ok=True)
        with steps.open("w", encoding="utf-8") as out:
            code = self._account(out.fileno(), report) if self.account else self._simulated(out.fileno())
        if not report.exists():
            return code or MACHINE  # Its own message says why.
        text.write_text(comment.of_review(self.program, self.stack), encoding="utf-8")
        print(f"comment: {text}", file=sys.stderr)
        return code

    def _simulated(self, out: int) -> int:
        base = ["--base", self.base] if self.base else []
        command = [sys.executable, "-m", "simulator", "preview", "--stack", self.stack, *base]
        # Everything, changed or not: the estimate is of the whole stack.
        command += ["--program", str(self.program), "--", "--json", "--show-sames"]
        return self._run(command, out, _REPOSITORY, {})

    def _account(self, out: int, report: Path) -> int:
        pulumi = account.pulumi()
        with tempfile.TemporaryDirectory(prefix="fixia-review-") as folder:
            log = Path(folder) / "events.jsonl"
            code = self._run(
                [
                    *(pulumi, "preview", "--non-interactive", "--stack", self.stack),
                    *policy_arguments(self.program, self.stack),
                    *("--json", "--show-sames", "--event-log", str(log)),
                    *(("--refresh",) if self.refresh else ()),
                    *(("--save-plan", str(self.plan)) if self.plan else ()),
                ],
                out,
                self.program,
                {"PULUMI_DEBUG_COMMANDS": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"},
            )
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        events = [event for event in read_events(lines) if not _asked_only(event)]
        found = build(self.stack, events, succeeded=code == 0)
        report.write_text(to_json(found), encoding="utf-8")
        return code

    @staticmethod
    def _run(command: Sequence[str], out: int, folder: Path, extra: Mapping[str, str]) -> int:
        environment = {**os.environ, **extra}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=out, stdin=subprocess.DEVNULL, check=False
        )
        return done.returncode


def _asked_only(event: Event) -> bool:
    """Whether an event only tells that a resource was asked for, as each is with `--refresh`, drifted or not.

    What came of it is told by the step that follows: nothing, or what the program would do about it.
    """
    step = event.get("resourcePreEvent", {}).get("metadata", {})
    return bool(step.get("op") == "refresh")


def policy_arguments(program: Path, stack: str) -> list[str]:
    """The engine's arguments by which it runs the policy pack at the stack's levels."""
    levels = program / "policies" / f"levels.{stack}.json"
    return ["--policy-pack", "policies", *(["--policy-pack-config", str(levels)] if levels.is_file() else [])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        The engine's exit status, or a fault's.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.review", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--base", help="compare with this revision; not with --account")
    parser.add_argument("--account", action="store_true", help="ask the account that is logged in")
    parser.add_argument("--refresh", action="store_true", help="with --account: ask what really stands")
    parser.add_argument("--plan", type=Path, help="with --account: keep the plan in this file")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    code = 0

    def command() -> None:
        nonlocal code
        if given.base if given.account else (given.refresh or given.plan):
            raise Fault(
                where="the command's arguments",
                found="what needs an account, and what needs none, together",
                valid="--base alone, or --account with --refresh or --plan",
                do="leave one out",
                exit_code=USAGE,
            )
        code = Review(
            program=given.program.resolve(),
            stack=given.stack,
            base=given.base or None,
            account=given.account,
            refresh=given.refresh,
            plan=given.plan and given.plan.absolute(),
        ).run()

    return guarded("review", command) or code


if __name__ == "__main__":
    sys.exit(main())
