"""What goes wrong, said in one message.

A `Fault` is a user's mistake or a limit of the machine. Commands print it and end with its exit code;
nobody is ever shown a traceback for one.
"""

from typing import Final

USAGE: Final = 2
"""The command was called wrongly, or a stack's settings are wrong: edit and try again."""

MACHINE: Final = 3
"""This machine cannot do it as it is: a tool, a registry, a port or disk space is missing."""

INTERRUPTED: Final = 130
"""Ctrl-C or SIGTERM: nothing half-made is left behind, the next run starts clean."""


class Fault(Exception):
    """A condition the user can act on.

    Args:
        where: the file, path, address or setting it is about.
        found: what was found there.
        valid: what would have been valid.
        do: what to do now.
        exit_code: one of the constants above.
    """

    def __init__(self, *, where: str, found: str, valid: str, do: str, exit_code: int = MACHINE) -> None:
        super().__init__(f"{where}: {found}\n  valid:  {valid}\n  to do:  {do}")
        self.exit_code = exit_code
