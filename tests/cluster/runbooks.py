"""The runbooks' commands, executed as they stand on the page against the platform on a node.

    page = Page.of("restore-the-database")
    operator.does(page, "make restore STACK=production TO=latest", given="local\n")
    assert operator.left(page) == {...}     # what was not executed, and the test says why

A command is found by how it begins, and must be on the page. What a page leaves open (JOB, a moment) is
filled in by the test; `STACK=production` becomes the node's stack, and nothing else is changed.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulator.node.place import FOLDER_SETTING, NETWORK_SETTING, Place
from tests.recorder import ROOT

STACK: Final = "local"
PROGRAMS: Final = ("kubectl", "make", "pgbackrest", "/usr/lib/postgresql")
PATIENCE_SECONDS: Final = 1500.0
PSQL: Final = ("-n", "fixia-data", "exec", "-i", "database-0", "-c", "postgresql", "--",
               "psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "fixia")  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A runbook: its commands in order, a block of several lines being one."""

    name: str
    commands: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> "Page":
        """Read one.

        Args:
            name: the file's, without its end.
        """
        text = (ROOT / "docs/runbooks" / f"{name}.md").read_text(encoding="utf-8")
        found: list[str] = []
        for match in re.finditer(
            r"^ *```sh\n(.*?)^ *```|(?<!`)`([^`\n]+)`(?!`)", text, re.DOTALL | re.MULTILINE
        ):
            if match[1]:
                found += _lines(match[1])
            elif match[2].startswith(PROGRAMS) and " " in match[2]:
                found.append(match[2])
        return cls(name, tuple(found))

    def command(self, beginning: str) -> str:
        """The first command that begins like that.

        Raises:
            LookupError: the page has none.
        """
        for command in self.commands:
            if command.startswith(beginning):
                return command
        raise LookupError(f"{self.name}.md tells nobody to type `{beginning}`; it has: {self.commands}")


def _lines(block: str) -> list[str]:
    """A block's commands: each line by itself, but all of it where a line sets what another one uses."""
    lines = [re.sub(r"\s+# .*", "", line).strip() for line in block.strip().splitlines()]
    if any(re.match(r"[A-Z]+=", line) for line in lines):
        return ["\n".join(lines)]
    return [line for line in lines if line and not line.startswith("#")]


@dataclass
class Operator:
    """Who is woken, before a terminal.

    Attributes:
        place: where the node is.
        program: a copy of the program; its stack's file is written to.
        done: what was executed so far, by page.
    """

    place: Place
    program: Path
    done: dict[str, set[str]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The terminal's."""
        return os.environ | {
            "KUBECONFIG": str(self.place.kubeconfig),
            FOLDER_SETTING: str(self.place.folder),
            NETWORK_SETTING: str(self.place.network),
        }

    def does(
        self,
        page: Page,
        beginning: str,
        *,
        given: str = "",
        code: int | None = 0,
        filled: Mapping[str, str] | None = None,
    ) -> str:
        """Execute a command of a page.

        Args:
            page: the page.
            beginning: how the command begins there.
            given: what is typed where it asks.
            code: what it ends with; None for anything.
            filled: what stands on the page -> what the operator types there.

        Returns:
            What it printed, complaints too.
        """
        command = page.command(beginning)
        self.done.setdefault(page.name, set()).add(command)
        typed = command.replace("STACK=production", f"STACK={STACK}")
        for placeholder, value in (filled or {}).items():
            assert placeholder in typed, f"{page.name}.md: `{command}` has no {placeholder}"
            typed = typed.replace(placeholder, value)
        return self.types(typed, given=given, code=code)

    def types(self, command: str, *, given: str = "", code: int | None = 0) -> str:
        """Execute any command.

        Args:
            command: for bash.
            given: what it reads.
            code: what it ends with; None for anything.
        """
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.program,
            env=self.environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said = ended.stdout
        print(f"$ {command}\n{said[-4000:]}", flush=True)
        assert code in (None, ended.returncode), f"`{command}` ended with {ended.returncode}:\n{said[-4000:]}"
        return said

    def left(self, page: Page) -> set[str]:
        """The commands of a page that were not executed."""
        return set(page.commands) - self.done.get(page.name, set())

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Ask or change something that no page tells to.

        Raises:
            subprocess.CalledProcessError: it ended with another code than 0.
        """
        ended = subprocess.run(
            ["kubectl", *arguments],
            env=self.environment, input=given, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if ended.returncode:
            raise subprocess.CalledProcessError(ended.returncode, arguments, ended.stdout, ended.stderr)
        return ended.stdout.strip()

    def sql(self, *statements: str) -> list[str]:
        """Ask the live database as the superuser."""
        told = [word for statement in statements for word in ("-c", statement)]
        return self.kubectl(*PSQL, *told).splitlines()

    def succeeds(self, namespace: str, job: str, seconds: float = 600) -> str:
        """Wait until a Job has succeeded; its log."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            shown = "jsonpath={.status.conditions[?(@.status=='True')].type}"
            conditions = self.kubectl("-n", namespace, "get", "job", job, "-o", shown).split()
            if "Complete" in conditions or "Failed" in conditions:
                log = self.kubectl("-n", namespace, "logs", f"job/{job}")
                assert "Complete" in conditions, log
                return log
            time.sleep(1)
        raise AssertionError(f"job {job} has not ended within {seconds:.0f} s")

    def up(self, *more: str) -> None:
        """Bring the platform up as its stack's file says."""
        self.types(" ".join((sys.executable, "-m", "simulator", "node", "platform", *more)))

    def serving(self, seconds: float = 300) -> None:
        """Wait until the database takes writes."""
        until = time.monotonic() + seconds
        while True:
            try:
                self.sql("SELECT platform.beat()")
            except subprocess.CalledProcessError as error:
                if time.monotonic() > until:
                    raise AssertionError(f"the database does not serve: {error.stderr}") from None
                time.sleep(1)
            else:
                return


@dataclass
class Writer:
    """Writes orders one after the other, and remembers when each was acknowledged."""

    operator: Operator
    acknowledged: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while the body runs, or until the database has gone."""
        sql = (
            "INSERT INTO public.orders (note) SELECT md5(i::text) FROM generate_series(1, 50) i RETURNING id;"
        )
        writer = subprocess.Popen(
            ["kubectl", *PSQL],
            env=self.operator.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert writer.stdin
        assert writer.stdout
        stdin, stdout = writer.stdin, writer.stdout
        stop = threading.Event()

        def listen() -> None:
            for line in stdout:
                if line.strip().isdigit():
                    self.acknowledged[int(line)] = time.time()

        def talk() -> None:
            try:
                while not stop.wait(0.05):
                    stdin.write(sql + "\n")
                    stdin.flush()
            except OSError:
                return

        threads = [threading.Thread(target=listen, daemon=True), threading.Thread(target=talk, daemon=True)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            threads[1].join(10)
            writer.kill()
            writer.wait(10)
            threads[0].join(10)

    def lost(self, kept: set[int], disaster: float) -> float:
        """Seconds before the disaster from which on an acknowledged order is missing; 0 if none is."""
        missing = [at for number, at in self.acknowledged.items() if number not in kept]
        return max(disaster - min(missing), 0.0) if missing else 0.0
