"""Decides whether a previewed change may go on: `python -m delivery.gate --stack production --labels "a,b"`.

It ends with 0 where it may, and with 1 and a line for each reason where it may not.
"""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from delivery import messages, recorded, stateful
from simulator.faults import USAGE, Fault
from simulator.processes import guarded
from simulator.report import Report, name_of

LABEL: Final = "stateful-change"
"""What somebody puts on a pull request who has read what would be lost."""

HELD: Final = 1


def reasons(report: Report, labels: Collection[str], said: str = "") -> list[str]:
    """Why a change may not go on, a line each; empty where it may.

    Args:
        report: what its preview found.
        labels: the pull request's labels.
        said: what else the engine printed, where that is known.
    """
    lines = []
    if LABEL not in labels:
        for change, kept in stateful.lost(report.changes):
            lines.append(
                f"{change.operation} of {change.type} {change.name} would lose {kept.what}: "
                f"read {kept.runbook}, then put the label {LABEL} on the pull request"
            )
    for violation in report.violations:
        if violation.level == "mandatory":
            of = f" of {name_of(violation.resource)}" if violation.resource else ""
            first, *_ = violation.message.splitlines() or [""]
            lines.append(f"policy {violation.policy}{of} is broken: {first}")
    if report.succeeded:
        return lines
    said = "\n".join([*(each.message for each in report.diagnostics), said])
    explained = [each.line for each in messages.explain(said, report.stack)]
    return [*explained, *lines] or [f"the preview of stack {report.stack} failed: its messages say why"]


def labels_of(text: str) -> frozenset[str]:
    """Labels as a list of JSON, as GitHub hands them over, or parted by commas.

    Raises:
        Fault: it begins as a list of JSON and is none of names.
    """
    if not text.lstrip().startswith("["):
        return frozenset(name.strip() for name in text.split(",") if name.strip())
    try:
        names = json.loads(text)
    except json.JSONDecodeError:
        names = None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return frozenset(names)
    raise Fault(
        where="--labels",
        found=text,
        valid='names parted by commas, or a list like ["stateful-change"]',
        do="correct it",
        exit_code=USAGE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0 if the change may go on, 1 if not, 2 if there is no preview to judge.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.gate", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--labels", default="", help="the pull request's labels")
    parser.add_argument("--said", type=Path, help="a file with what the engine printed")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    held: list[str] = []

    def command() -> None:
        said = given.said.read_text(encoding="utf-8", errors="replace") if given.said else ""
        held.extend(reasons(recorded.read(given.program, given.stack), labels_of(given.labels), said))

    code = guarded("gate", command)
    for line in held:
        print(f"gate: {line}", file=sys.stderr)
    if not code and not held:
        print(f"gate: stack {given.stack} may go on")
    return code or (HELD if held else 0)


if __name__ == "__main__":
    sys.exit(main())
