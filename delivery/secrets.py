"""A stack's credentials, as a table: `python -m delivery.secrets --stack production`.

Who uses each, how it is made and rotated, how old it is by the history of the stack's file and how old it
may become (`delivery/rotation.yaml`); never a value. `--set NAME` asks for one that somebody has to give, on
a terminal and unseen, and hands it to pulumi by its standard input: it is in no argument, no environment and
no history of a shell.
"""

import argparse
import functools
import getpass
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import ValidationError

from components.data.postgres_config import GROUPS, SINGLE_ROLES
from delivery import account, history, rotation
from settings.data import CLOUDNATIVE_PG
from settings.model import Settings
from settings.workload import CACHE
from simulator.faults import USAGE, Fault
from simulator.processes import guarded
from simulator.stack_file import stacks, unknown_stack

_STAND_IN: Final = "x" * 40
"""For a value that is encrypted, or not set: the model wants one, and nobody sees it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One credential.

    Attributes:
        name: its name in the stack's file.
        kind: `generated` by the stack, `given` by somebody else, `kept` forever, or `missing` still.
        made: by whom, and whether it is set.
        users: who reads it, by their names in the settings.
        rotation: how it is changed.
        place: its path in the stack's file, from which its age is told.
    """

    name: str
    kind: Literal["generated", "given", "kept", "missing"]
    made: str
    users: tuple[str, ...]
    rotation: str
    place: tuple[str, ...]


def rows(stack: str, config: Mapping[str, Any]) -> list[Row]:
    """The credentials of a stack, by name.

    Args:
        stack: the stack's name.
        config: `config` of the stack's file, parsed.

    Raises:
        Fault: its settings are wrong.
    """
    settings = _settings(stack, config)
    declared = _section(config, "secrets")
    users: dict[str, list[str]] = {name: [] for name in settings.secrets}
    for name, user in _users(settings):
        users.setdefault(name, []).append(user)
    found = []
    for name, secret in settings.secrets.items():
        given = secret.generate is None
        kind: Literal["generated", "given", "kept", "missing"] = "generated"
        if not given:
            made, rotation = (
                f"here, epoch {secret.epoch}",
                f"raise secrets.{name}.epoch by one; by three after a leak",
            )
        else:
            kind, made = ("given", "given") if declared.get(name) else ("missing", "to be given: not set")
            rotation = f"python -m delivery.secrets --stack {stack} --set {name}"
        if settings.backup and name == settings.backup.cipher:
            once = f"set once: {rotation}; " if given else ""
            rotation = f"{once}never changed: the backups of before could not be read any more"
            kind = "missing" if kind == "missing" else "kept"
        found.append(
            Row(
                name=name,
                kind=kind,
                made=made,
                users=tuple(dict.fromkeys(users[name])),
                rotation=rotation,
                place=("secrets", name),
            )
        )
    if settings.database and settings.database.engine != CLOUDNATIVE_PG:
        epoch = f"here, epoch {settings.database.password_epoch}"
        found += [
            Row(
                name=f"{role}-password",
                kind="generated",
                made=epoch,
                users=("database",),
                rotation="raise database.passwordEpoch by one; by three after a leak",
                place=("database", "passwordEpoch"),
            )
            for role in (*GROUPS, *SINGLE_ROLES)
        ]
    return sorted(found, key=lambda row: row.name)


def _users(settings: Settings) -> Iterator[tuple[str, str]]:
    """Secret -> who reads it, one pair each: every setting that holds the name of a secret names a reader."""

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping):
            for key, below in value.items():
                yield from walk(below, (*path, str(key)))
        elif isinstance(value, list):
            for below in value:
                yield from walk(below, path)
        elif isinstance(value, str) and value in settings.secrets:
            yield value, path[1] if path[0] == "workloads" else path[0]

    yield from walk(settings.model_dump(exclude={"secrets"}), ())
    if settings.cache:
        callers = (name for name, workload in settings.workloads.items() if CACHE in workload.talks_to)
        yield from ((settings.cache.password, name) for name in callers)
    if settings.monitoring and settings.monitoring.errors:
        errors = settings.monitoring.errors
        yield from ((errors.dsn, name) for name in errors.workloads)


def changed(texts: Sequence[tuple[str, datetime]], now: str, place: Sequence[str]) -> datetime | None:
    """When what stands at a place of a stack's file came to be as it is.

    Args:
        texts: the file at each of its commits and their times, the newest first.
        now: the file as it lies there.
        place: section and keys.

    Returns:
        The time of the commit that made it so; None where it is not committed, or git knows nothing.
    """
    current, since = _at(now, place), None
    for text, time in texts:
        if _at(text, place) != current:
            break
        since = time
    return since


def table(found: Sequence[Row], ages: Sequence[rotation.Aged], now: datetime) -> str:
    """The rows as Markdown.

    Args:
        found: the credentials.
        ages: theirs, in the same order.
        now: from when ages are counted.
    """
    lines = ["| secret | made | used by | rotated by | age |", "|---|---|---|---|---|"]
    for row, aged in zip(found, ages, strict=True):
        users = ", ".join(row.users) or "nobody"
        lines.append(f"| `{row.name}` | {row.made} | {users} | {row.rotation} | {aged.told(now)} |")
    return "\n".join(lines) + "\n"


def of_program(program: Path, stack: str) -> tuple[str, Mapping[str, Any]]:
    """A stack's file, and `config` in it, parsed.

    Raises:
        Fault: there is no such stack.
    """
    file = program / f"Pulumi.{stack}.yaml"
    if stack not in stacks(program):
        raise unknown_stack(file)
    text = file.read_text(encoding="utf-8")
    return text, (yaml.safe_load(text) or {}).get("config") or {}


def aged(program: Path, stack: str, found: Sequence[Row] | None = None) -> list[rotation.Aged]:
    """The ages of a stack's credentials, by name.

    Args:
        program: the folder of the stack's file.
        stack: its name.
        found: the credentials, where they are known already.

    Raises:
        Fault: there is no such stack, or its settings are wrong.
    """
    text, config = of_program(program, stack)
    earlier = list(history.texts(program / f"Pulumi.{stack}.yaml", most=None))
    limits = rotation.limits()
    return [
        rotation.Aged(
            name=row.name,
            rotation=row.rotation,
            since=changed(earlier, text, row.place),
            limit=limits.of(row.name, row.kind) if row.kind != "missing" else None,
        )
        for row in found or rows(stack, config)
    ]


def set_secret(program: Path, stack: str, name: str, config: Mapping[str, Any]) -> int:
    """Ask for a credential and have pulumi keep it, encrypted, in the stack's file.

    Returns:
        What pulumi ended with.

    Raises:
        Fault: it is not one that somebody gives, there is no terminal, or the two entries differ.
    """
    declared = _section(config, "secrets")
    if name not in declared or "generate" in (declared[name] or {}):
        given = sorted(each for each, how in declared.items() if "generate" not in (how or {}))
        raise Fault(
            where=f"--set {name}",
            found="the stack makes it itself" if name in declared else "no such secret in the stack's file",
            valid=f"one that somebody gives: {', '.join(given) or 'there is none'}",
            do=f"raise secrets.{name}.epoch to rotate it" if name in declared else "declare it as `{}` first",
            exit_code=USAGE,
        )
    if not sys.stdin.isatty():
        raise Fault(
            where="standard input",
            found="no terminal",
            valid="a terminal, where it is typed or pasted unseen",
            do="run this by hand",
            exit_code=USAGE,
        )
    print(f"{name} of stack {stack}: it is not shown while you type or paste it")
    value = getpass.getpass("value: ")
    if not value or value != getpass.getpass("once more: "):
        raise Fault(
            where=name,
            found="nothing" if not value else "the two differ",
            valid="the same twice",
            do="run it again; nothing was changed",
            exit_code=USAGE,
        )
    key = f"secrets.{name}.value"
    command = [account.pulumi(), "config", "set", "--secret", "--stack", stack, "--path", key]
    done = subprocess.run(command, cwd=program, input=value, text=True, check=False)
    if done.returncode == 0:
        print(f"Pulumi.{stack}.yaml has it, encrypted; commit it")
    return done.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 2 if it refuses, or what pulumi ended with.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.secrets", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--set", dest="name", metavar="NAME", help="ask for this one, and keep it encrypted")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    code = 0

    def command() -> None:
        nonlocal code
        _, config = of_program(given.program, given.stack)
        if given.name:
            code = set_secret(given.program, given.stack, given.name, config)
            return
        found = rows(given.stack, config)
        print(table(found, aged(given.program, given.stack, found), datetime.now(UTC)), end="")

    return guarded("secrets", command) or code


def _settings(stack: str, config: Mapping[str, Any]) -> Settings:
    """The stack's settings, with stand-ins for what is encrypted.

    Raises:
        Fault: they are wrong.
    """
    data = {key.partition(":")[2]: value for key, value in config.items() if not key.startswith("pulumi:")}
    data["secrets"] = {
        name: {**(how or {}), "value": _STAND_IN} if "generate" not in (how or {}) else how
        for name, how in (data.get("secrets") or {}).items()
    }
    try:
        return Settings.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise Fault(
            where=f"Pulumi.{stack}.yaml",
            found=f"{error.error_count()} wrong settings",
            valid="settings that a preview accepts",
            do=f"make preview STACK={stack} names each",
            exit_code=USAGE,
        ) from None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((value or {} for key, value in config.items() if key.endswith(f":{name}")), {})


@functools.cache
def _config(text: str) -> Mapping[str, Any]:
    """`config` of a stack's file; a history has hundreds, and each is asked about every credential."""
    # The loader in C is ten times as fast, where there is one.
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return (loaded or {}).get("config") or {}


def _at(text: str, place: Sequence[str]) -> Any:
    value: Any = _section(_config(text), place[0])
    for key in place[1:]:
        value = value.get(key) if isinstance(value, Mapping) else None
    # What the engine writes for an encrypted value differs each time it is set: that is what tells its age.
    return json.dumps(value, sort_keys=True, default=str)


if __name__ == "__main__":
    sys.exit(main())
