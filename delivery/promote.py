"""Brings the images of one stack to the next: `python -m delivery.promote --from staging --to production`.

It shows which images differ and which settings do, asks, and writes the images into the stack's file; nothing
else of the file changes, not even a comment. Settings are not moved: they differ on purpose. `--check` says
whether any stack is ahead of the one before it, and ends with 1 if one is.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from delivery import history
from delivery.images import file_of, images, move, moved
from simulator.faults import USAGE, Fault
from simulator.processes import guarded

STAGES: Final = Path(__file__).with_name("stages.yaml")
AHEAD: Final = 1
_SHOWN: Final = 60


def order(program: Path, stages: Path = STAGES) -> list[str]:
    """The stacks that have a file, in the order of a release."""
    listed: list[str] = yaml.safe_load(stages.read_text(encoding="utf-8"))["order"]
    return [stack for stack in listed if file_of(program, stack).is_file()]


def before(program: Path, stack: str) -> str | None:
    """The stack that a release reaches before this one; None for the first, and for what is no stage."""
    stages = order(program)
    place = stages.index(stack) if stack in stages else 0
    return stages[place - 1] if place else None


def settings(source: str, target: str) -> dict[str, tuple[str, str]]:
    """Dotted path -> the source's value and the target's, of all other settings that differ; `-` for none."""
    there, here = _flat(source), _flat(target)
    skipped = {*images(source), *images(target)}
    paths = sorted((there.keys() | here.keys()) - skipped)
    return {
        path: (there.get(path, "-"), here.get(path, "-"))
        for path in paths
        if there.get(path) != here.get(path)
    }


def ahead(program: Path, stack: str, base: str | None = None) -> list[str]:
    """What a stack runs that the stack before it never had, a line each.

    Args:
        program: the folder of the stacks' files.
        stack: the stack's name.
        base: the revision up to which the history of the stack before it counts, for a pull request that
            changes both at once; its file as it lies there counts too if left out.
    """
    earlier = before(program, stack)
    if earlier is None:
        return []
    had: dict[str, set[str]] = {}
    texts = [] if base else [file_of(program, earlier).read_text(encoding="utf-8")]
    for text in [*texts, *(text for text, _ in history.texts(file_of(program, earlier), base))]:
        for path, image in images(text).items():
            had.setdefault(path, set()).add(image)
    return [
        f"{path} of {stack} is {image}, which {earlier} never had"
        for path, image in images(file_of(program, stack).read_text(encoding="utf-8")).items()
        if path in had and image not in had[path]
    ]


def promote(program: Path, source: str, target: str, *, sure: bool) -> None:
    """Show what differs, ask, and write the images.

    Raises:
        Fault: the two are not neighbours, or nobody agreed.
    """
    stages = order(program)
    if before(program, target) != source:
        pairs = ", ".join(f"{one} to {other}" for one, other in itertools.pairwise(stages))
        raise Fault(
            where=f"--from {source} --to {target}",
            found="no stack is passed over on the way of a release",
            valid=pairs or "two stacks of delivery/stages.yaml that have a file",
            do="promote to the stack between first",
            exit_code=USAGE,
        )
    file = file_of(program, target)
    there, here = (file_of(program, stack).read_text(encoding="utf-8") for stack in (source, target))
    differ = settings(there, here)
    print(f"settings that differ, and stay: {len(differ)}")
    for path, (left, right) in differ.items():
        print(f"  {path}: {_short(left)} in {source}, {_short(right)} in {target}")
    wanted = moved(there, here)
    if not wanted:
        print(f"{target} has the images of {source} already; nothing was changed")
        return
    move(file, target, wanted, sure=sure)
    print(f"{file.name} has the images of {source}; not committed yet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, 1 if a stack is ahead, or 2 if it refuses.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.promote", description=__doc__)
    parser.add_argument("--from", dest="source")
    parser.add_argument("--to", dest="target")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--check", action="store_true", help="is any stack ahead of the one before it?")
    parser.add_argument("--base", help="with --check: the revision that a pull request goes to")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    if not given.check and not (given.source and given.target):
        parser.error("either --check, or --from and --to")
    found: list[str] = []

    def command() -> None:
        if given.check:
            for stack in order(given.program):
                found.extend(ahead(given.program, stack, given.base or None))
        else:
            promote(given.program, given.source, given.target, sure=given.yes)

    code = guarded("promote", command)
    for line in found:
        print(f"promote: {line}: promote it there first", file=sys.stderr)
    if given.check and not code and not found:
        print(f"promote: no stack is ahead ({' -> '.join(order(given.program))})")
    return code or (AHEAD if found else 0)


def _flat(text: str) -> dict[str, str]:
    """Dotted path -> value as JSON, of every setting but secrets' values."""
    found: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value and "secure" not in value:
            for key, below in value.items():
                walk(below, f"{path}.{key}" if path else str(key))
        else:
            secret = isinstance(value, Mapping) and "secure" in value
            found[path] = "(encrypted)" if secret else json.dumps(value, default=str)

    config = (yaml.safe_load(text) or {}).get("config") or {}
    walk({key.partition(":")[2] or key: value for key, value in config.items()}, "")
    return found


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


if __name__ == "__main__":
    sys.exit(main())
