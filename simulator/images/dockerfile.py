"""What an image's Dockerfile says of how it is run: the part of it that is not files.

A registry's image is built from the Dockerfile by a container engine; an image that we pack ourselves runs in
the same way because it is told so by the same lines.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from simulator.faults import USAGE, Fault

_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONTINUED: Final = re.compile(r"\\\n")


def run_settings(dockerfile: Path, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return how the last stage of a Dockerfile is run, as an image's configuration has it.

    Args:
        dockerfile: the file.
        given: the build's arguments, by name; those that are not given are as the file says.

    Returns:
        `Env`, and `User`, `WorkingDir`, `Entrypoint`, `Cmd`, `ExposedPorts` where it says so.

    Raises:
        Fault: a command is not in the form of a list.
    """
    stages: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] = {"Env": [_PATH]}
    arguments: dict[str, str] = {}
    for word, rest in _instructions(dockerfile.read_text(encoding="utf-8")):
        if word == "FROM":
            base, _, name = re.sub(r"(?i)\s+as\s+", " ", rest).partition(" ")
            current = json.loads(json.dumps(stages.get(base, {"Env": [_PATH]})))
            stages[name or str(len(stages))] = current
        elif word == "ARG":
            name, _, default = rest.partition("=")
            arguments[name] = (given or {}).get(name, default)
        elif word == "ENV":
            for pair in rest.split():
                name, _, value = pair.partition("=")
                current["Env"].append(f"{name}={_filled(value, arguments)}")
        elif word in ("ENTRYPOINT", "CMD"):
            current["Entrypoint" if word == "ENTRYPOINT" else "Cmd"] = _listed(dockerfile, word, rest)
        elif word == "USER":
            current["User"] = rest
        elif word == "WORKDIR":
            current["WorkingDir"] = rest
        elif word == "EXPOSE":
            current["ExposedPorts"] = {f"{port}/tcp": {} for port in rest.split()}
    return current


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in _CONTINUED.sub(" ", lines).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest.strip()


def _filled(value: str, arguments: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: arguments.get(found[1], ""), value)


def _listed(dockerfile: Path, word: str, rest: str) -> list[str]:
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
        raise Fault(
            where=f"{dockerfile}: {word}",
            found=rest,
            valid='a list such as ["program", "argument"]: a shell in between would keep signals to itself',
            do="write it as a list",
            exit_code=USAGE,
        )
    return words
