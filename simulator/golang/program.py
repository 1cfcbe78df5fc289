"""What there is to know of a Go program: where its sources are pinned, and what building it takes."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that is built from a committed go.mod and go.sum.

    Attributes:
        name: the binary's name.
        subject: what it is called in messages; also its folder's name in the cache.
        module: the Go module that it comes from; go.mod names its release, and nothing else does.
        command: the main package's path within the module; `.` if it is the module's root. Empty if the main
            package is in `folder`, which puts it together from what modules bring.
        folder: holds go.mod and go.sum.
        stamps: Go variables that the linker sets; `{version}` in a value is the release without its `v`.
        asks: the arguments by which the program says its version.
        minutes: how long a build takes on two cores, for people.
        build_bytes: free disk space that a build needs.
        kept_bytes: the size of the binary.
        alternative: what else would do, for whoever can't build it, such as `put it on PATH`; `{version}` as
            in `stamps`.
    """

    name: str
    subject: str
    module: str
    command: str
    folder: Path
    stamps: Mapping[str, str] = field(default_factory=dict)
    asks: tuple[str, ...] = ("version",)
    minutes: str
    build_bytes: int
    kept_bytes: int
    alternative: str = ""

    @property
    def package(self) -> str:
        """The import path of its main package."""
        if not self.command:
            return "."
        return posixpath.normpath(f"{self.module}/{self.command}")

    @property
    def version(self) -> str:
        """Its release, such as `3.5.3`.

        Raises:
            ValueError: go.mod does not name one.
        """
        return self._go_mod(rf"^\s*(?:require )?{re.escape(self.module)} v(\S+)")

    @property
    def minimum_go(self) -> tuple[int, int]:
        """The oldest Go that builds it, as major and minor.

        Raises:
            ValueError: go.mod does not name one.
        """
        major, minor = self._go_mod(r"^go (\d+\.\d+)").split(".")
        return int(major), int(minor)

    @property
    def linker_flags(self) -> str:
        """What the linker is told: no symbol table, and the stamps."""
        values = (f"-X {name}={value.format(version=self.version)}" for name, value in self.stamps.items())
        return " ".join(("-s -w", *values))

    @property
    def need(self) -> str:
        """How much disk space it takes, for people."""
        free, kept = self.build_bytes / 10**9, self.kept_bytes / 10**6
        return f"{free:.0f} GB free while {self.subject} is built, {kept:.0f} MB afterwards"

    @property
    def instead(self) -> str:
        """What else would do, as the end of a sentence; empty if there is nothing."""
        return f"; or {self.alternative.format(version=self.version)}" if self.alternative else ""

    def _go_mod(self, pattern: str) -> str:
        text = (self.folder / "go.mod").read_text(encoding="utf-8")
        found = re.search(pattern, text, re.MULTILINE)
        if not found:
            raise ValueError(f"{self.folder / 'go.mod'} has no line like {pattern}")
        return found[1]
