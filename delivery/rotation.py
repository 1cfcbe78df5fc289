"""Which credentials are older than they may be: `python -m delivery.rotation --stack production`.

Ages are those of `delivery/secrets.py`, by the history of the stack's file; limits those of
`delivery/rotation.yaml`. It needs no account and no monitoring: the workflow `rotation` runs it each week,
and keeps an issue open for as long as it ends with 1.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from delivery.wording import plural
from simulator.faults import USAGE, Fault
from simulator.processes import guarded

LIMITS: Final = Path(__file__).with_name("rotation.yaml")
RUNBOOK: Final = "docs/runbooks/rotate-credentials.md"
TOO_OLD: Final = 1
_DAY: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How old credentials may become.

    Attributes:
        kinds: kind -> days; None for what is kept.
        names: name -> days, where it is not its kind's.
        warn_days: how many days before its limit a credential is named.
    """

    kinds: Mapping[str, int | None]
    names: Mapping[str, int | None]
    warn_days: int

    def of(self, name: str, kind: str) -> int | None:
        """The limit of one credential, in days; None if it has none."""
        return self.names[name] if name in self.names else self.kinds.get(kind)


@dataclass(frozen=True, kw_only=True)
class Aged:
    """One credential and its age.

    Attributes:
        name: its name in the stack's file.
        rotation: how it is changed.
        since: since when it is as it is; None where that is not committed.
        limit: days that it may become old; None for as many as it likes.
    """

    name: str
    rotation: str
    since: datetime | None
    limit: int | None

    def days(self, now: datetime) -> int | None:
        """Its age in whole days."""
        return None if self.since is None else int((now - self.since).total_seconds() // _DAY)

    def left(self, now: datetime) -> int | None:
        """Days until its limit, fewer than none once that is passed; None if nothing is due ever."""
        days = self.days(now)
        return None if self.limit is None or days is None else self.limit - days

    def told(self, now: datetime) -> str:
        """Its age as a cell of a table."""
        days = self.days(now)
        if days is None:
            return "not committed"
        if self.limit is None:
            return plural(days, "day")
        text = f"{days:,} of {plural(self.limit, 'day')}"
        return f"**{text}**" if days > self.limit else text


def limits(file: Path = LIMITS) -> Limits:
    """The limits as the file has them."""
    data: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Limits(kinds=data["kinds"], names=data["names"], warn_days=data["warnDays"])


def page(stack: str, credentials: Sequence[Aged], now: datetime, warn_days: int) -> str:
    """What is due, as Markdown; empty where nothing is."""
    due = [(left, each) for each in credentials if (left := each.left(now)) is not None and left <= warn_days]
    if not due:
        return ""
    lines = [f"### Credentials of `{stack}`", "", "| secret | age | | changed by |", "|---|---|---|---|"]
    for left, each in sorted(due, key=lambda pair: (pair[0], pair[1].name)):
        when = f"**{plural(-left, 'day')} too old**" if left < 0 else f"due in {plural(left, 'day')}"
        lines.append(f"| `{each.name}` | {each.told(now)} | {when} | {each.rotation} |")
    return "\n".join([*lines, "", f"Steps for each kind: `{RUNBOOK}`. Limits: `delivery/rotation.yaml`.", ""])


def whole_history(program: Path) -> None:
    """See to it that ages can be told.

    Raises:
        Fault: the clone has no history, or a part of it only, by which everything would look young.
    """
    command = ["git", "rev-parse", "--is-shallow-repository"]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True, check=False)
    if done.stdout.strip() == "false":
        return
    raise Fault(
        where=str(program),
        found="a clone without its whole history" if done.returncode == 0 else "no clone of a repository",
        valid="the whole history: a credential's age is that of the commit that set it",
        do="`git fetch --unshallow`; in a workflow `fetch-depth: 0`",
        exit_code=USAGE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, 1 if a credential is too old, or 2 if ages can't be told.
    """
    from delivery import secrets  # it asks this module for limits

    parser = argparse.ArgumentParser(prog="python -m delivery.rotation", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    late: list[Aged] = []

    def command() -> None:
        found = secrets.aged(given.program, given.stack)
        whole_history(given.program)
        now = datetime.now(UTC)
        late.extend(each for each in found if (left := each.left(now)) is not None and left < 0)
        print(page(given.stack, found, now, limits().warn_days), end="")

    code = guarded("rotation", command)
    for each in late:
        print(f"rotation: {each.name} of stack {given.stack} is too old: {each.rotation}", file=sys.stderr)
    if not code and not late:
        print(f"rotation: no credential of stack {given.stack} is too old", file=sys.stderr)
    return code or (TOO_OLD if late else 0)


if __name__ == "__main__":
    sys.exit(main())
