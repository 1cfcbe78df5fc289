"""Preview a stack with the real engine over simulated providers: no account, nothing is contacted.

With a base, the preview is what a pull request changes: the base's program is brought up in the
simulated cloud first, and the working tree is compared with that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator.comment import to_markdown
from simulator.faults import USAGE, Fault
from simulator.processes import uninterrupted
from simulator.report import Report, build, name_of, read_events, to_json
from simulator.session import PROVIDERS, Session
from simulator.stack_file import stacks, unknown_stack, with_placeholders

_TAIL: Final = 60
"""Lines of the engine's output that a failed base is explained with."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What to preview.

    Attributes:
        program: the folder of `Pulumi.yaml`.
        stack: the name of one of its stacks.
        base: a git revision to compare with; without one, everything is a creation.
        extra: more arguments of `pulumi preview`.
    """

    program: Path
    stack: str
    base: str | None = None
    extra: Sequence[str] = ()

    def run(self, find_engine: Callable[[], Path]) -> int:
        """Run the preview and write its report to `build/preview-<stack>.md` and `.json`.

        Args:
            find_engine: returns the `pulumi` program. Called when the stack and the base are known to
                exist: a first call may take minutes.

        Returns:
            The engine's own exit status.

        Raises:
            Fault: the stack or the base doesn't exist, or the base's program can't be brought up.
            KeyboardInterrupt: after the engine has ended.
        """
        if self.stack not in stacks(self.program):
            raise unknown_stack(self._stack_file(self.program))
        commit = _commit(self.program, self.base) if self.base is not None else None
        engine = find_engine()
        _say(f"simulated providers: {', '.join(PROVIDERS)} (no account, nothing is contacted)")
        with Session(engine) as session:
            session.init(self.stack, self.program)
            if commit is not None:
                self._bring_up_base(session, commit)
            settings = self._settings(session, self.program)
            log = session.folder / "events.jsonl"
            done = session.pulumi(
                *("preview", "--stack", self.stack, "--config-file", str(settings)),
                *self._policies(),
                *("--event-log", str(log)),
                *self.extra,
                program=self.program,
                env={"PULUMI_DEBUG_COMMANDS": "true"},  # Else the engine doesn't know --event-log.
            )
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        report = build(self.stack, read_events(lines), succeeded=done.returncode == 0, base=self.base)
        self._write(report)
        return done.returncode

    def policies(self, find_engine: Callable[[], Path]) -> int:
        """Run the program's policy pack on the stack, and print what it found and nothing else.

        Args:
            find_engine: returns the `pulumi` program. Called when the stack is known to exist.

        Returns:
            0 if no mandatory policy is broken, 1 if one is.

        Raises:
            Fault: the stack doesn't exist, the program has no pack, or the preview fails for another reason.
        """
        if self.stack not in stacks(self.program):
            raise unknown_stack(self._stack_file(self.program))
        if not self._policies():
            raise Fault(
                where=str(self.program / "policies"),
                found="no policy pack",
                valid="a folder with a PulumiPolicy.yaml",
                do="run this in the folder of a program that has one",
                exit_code=USAGE,
            )
        with Session(find_engine()) as session:
            session.init(self.stack, self.program)
            log = session.folder / "events.jsonl"
            done = session.pulumi(
                *("preview", "--stack", self.stack),
                *("--config-file", str(self._settings(session, self.program))),
                *self._policies(),
                *("--event-log", str(log)),
                program=self.program,
                capture=True,
                env={"PULUMI_DEBUG_COMMANDS": "true"},
            )
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        report = build(self.stack, read_events(lines), succeeded=done.returncode == 0)
        mandatory = [one for one in report.violations if one.level == "mandatory"]
        if done.returncode and not mandatory:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL:])
            raise Fault(
                where=f"stack {self.stack!r}",
                found=f"its preview fails, so that no policy can be judged:\n{tail}",
                valid="a program whose preview succeeds",
                do=f"make preview STACK={self.stack}",
            )
        print(_findings(report), end="")
        return 1 if mandatory else 0

    def _stack_file(self, program: Path) -> Path:
        return program / f"Pulumi.{self.stack}.yaml"

    def _settings(self, session: Session, program: Path) -> Path:
        """Copy the stack's file into the session, with placeholders, and return the copy."""
        copy = session.folder / f"Pulumi.{self.stack}.yaml"
        replaced = with_placeholders(self._stack_file(program), copy)
        if replaced:
            _say(f"placeholder secrets stand in for: {', '.join(replaced)}")
        return copy

    def _policies(self) -> list[str]:
        """Return the arguments that have the program's policy pack run, if it has one."""
        pack = self.program / "policies"
        if not (pack / "PulumiPolicy.yaml").is_file():
            return []
        levels = pack / f"levels.{self.stack}.json"
        config = ["--policy-pack-config", str(levels)] if levels.is_file() else []
        return ["--policy-pack", str(pack), *config]

    def _bring_up_base(self, session: Session, commit: str) -> None:
        """Create in the simulated cloud what the base's program describes.

        Raises:
            Fault: the base can't be checked out, or its program fails.
        """
        with _checked_out(self.program, commit) as program:
            if not self._stack_file(program).is_file():
                _say(f"{self.base} has no stack {self.stack!r}: everything is a creation")
                return
            _say(f"bringing up {self.base} in the simulated cloud, with the packages installed here")
            settings = self._settings(session, program)
            done = session.pulumi(
                *("up", "--yes", "--skip-preview", "--stack", self.stack, "--config-file", str(settings)),
                program=program,
                capture=True,
            )
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL:])
            raise Fault(
                where=f"stack {self.stack!r} at {self.base}",
                found=f"its program can't be brought up:\n{tail}",
                valid="a base whose own preview succeeds with the packages installed here",
                do="name another base with --base, or leave it out to preview from nothing",
            )

    def _write(self, report: Report) -> None:
        folder = self.program / "build"
        folder.mkdir(exist_ok=True)
        markdown, data = (folder / f"preview-{self.stack}.{suffix}" for suffix in ("md", "json"))
        _write_whole(markdown, to_markdown(report))
        _write_whole(data, to_json(report))
        _say(f"report: {_relative(markdown)}, {_relative(data)}")


def _findings(report: Report) -> str:
    """Write what the pack found: what stops an update comes last, where a terminal shows it."""
    text = ""
    for one in sorted(report.violations, key=lambda one: one.level == "mandatory"):
        resource = f"  ({name_of(one.resource)})" if one.resource else ""
        text += f"[{one.level}]  {one.policy}{resource}\n"
        text += "".join(f"    {line}\n" for line in one.message.splitlines())
    levels = Counter(one.level for one in report.violations)
    said = (
        ", ".join(f"{count} {level}" for level, count in sorted(levels.items(), reverse=True))
        or "nothing found"
    )
    return (
        f"{text}{report.stack}: {sum(report.counts.values())} resources, {report.policies} policies: {said}\n"
    )


def _commit(program: Path, revision: str) -> str:
    """Return the commit that a revision stands for.

    Raises:
        Fault: the folder is in no git repository, or git doesn't know the revision.
    """
    commit = _git(program, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise Fault(
            where=f"--base {revision}",
            found=f"git does not know this revision in {program}",
            valid="a branch, a tag or a commit, like main or origin/main",
            do="fetch it first (in CI: check out with the full history), or correct the name",
            exit_code=USAGE,
        )
    return commit


@contextlib.contextmanager
def _checked_out(program: Path, commit: str) -> Iterator[Path]:
    """Check a commit out beside the working tree, for as long as the block runs.

    Args:
        program: the program's folder, anywhere in its repository.
        commit: a commit of that repository.

    Yields:
        The same folder in the check-out. This interpreter's virtual environment is linked into it.

    Raises:
        Fault: git can't check it out.
    """
    prefix = _git(program, "rev-parse", "--show-prefix") or ""
    with tempfile.TemporaryDirectory(prefix="fixia-base-", ignore_cleanup_errors=True) as temporary:
        checkout = Path(temporary) / "tree"
        try:
            if _git(program, "worktree", "add", "--detach", str(checkout), commit) is None:
                raise Fault(
                    where=str(checkout),
                    found=f"git can't check out {commit} there",
                    valid="a repository whose worktrees git can add to, and free disk space",
                    do=f"try `git worktree add --detach <folder> {commit}` to see git's reason",
                )
            copy = checkout / prefix
            environment = copy / ".venv"
            if copy.is_dir() and not environment.exists():
                environment.symlink_to(sys.prefix, target_is_directory=True)
            yield copy
        finally:
            with uninterrupted():
                _git(program, "worktree", "remove", "--force", str(checkout))


def _git(folder: Path, *args: str) -> str | None:
    """Run git in a folder and return what it prints, or None if it fails."""
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours: git must not leave half a worktree.
        )
    except FileNotFoundError:
        raise Fault(
            where="PATH", found="there is no git", valid="git 2.24 or newer", do="install git"
        ) from None
    return done.stdout.strip() if done.returncode == 0 else None


def _write_whole(file: Path, text: str) -> None:
    """Replace a file at once, so that no reader ever sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.chmod(0o644)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _relative(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _say(line: str) -> None:
    # On stderr, and at once: stdout is the engine's, and the two keep their order on a terminal.
    print(line, file=sys.stderr, flush=True)
