"""What a database is told to be brought back to."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPTS: Final = Path(__file__).parent / "scripts"
REACH: Final = ("reach.jq", "reach.sh")
"""What tells whether a moment can be reached; in the database's pod and in those of the jobs."""

TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r" ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)"
)
LABEL: Final = re.compile(r"[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?")
"""A backup's name, as `pgbackrest info` tells it."""


@dataclass(frozen=True, kw_only=True)
class Restore:
    """One restore, which is done once and never again.

    Attributes:
        id: its number, higher than that of the one before.
        to: `latest`, all that was archived; `backup`, as that backup has it; or a time with its zone, such as
            `2026-11-20 14:03:00+00`.
        set: the backup to begin with; the newest before that time unless told.

    Raises:
        ValueError: one of them is none.
    """

    id: int
    to: str
    set: str | None = None

    def __post_init__(self) -> None:
        if self.id < 1:
            raise ValueError(f"restore {self.id}: the first one is 1")
        if self.to not in ("latest", "backup") and not TIME.fullmatch(self.to):
            raise ValueError(
                f"restore to {self.to!r}: give `latest`, `backup`, or a time with its zone, "
                "such as 2026-11-20 14:03:00+00"
            )
        if self.set is not None and not LABEL.fullmatch(self.set):
            raise ValueError(
                f"restore from {self.set!r}: give a backup's label, such as 20261120-020000F_20261121-020000I"
            )


def environment(restore: Restore | None) -> dict[str, str]:
    """What restore.sh of the database's image is told."""
    if restore is None:
        return {"RESTORE_ID": "0"}
    return {"RESTORE_ID": str(restore.id), "RESTORE_TO": restore.to, "RESTORE_SET": restore.set or ""}


def reach_files() -> dict[str, str]:
    """The scripts that find the way to a moment: name -> text."""
    return {name: (SCRIPTS / name).read_text(encoding="utf-8") for name in REACH}
