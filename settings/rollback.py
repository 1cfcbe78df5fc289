"""Takes a release back: writes the images of the release before into the stack's file.

`python -m settings.rollback --stack production` changes the images and nothing else, says what it changed,
and ends with 2 if there is nothing to go back to. `pulumi up` then does it. Run again once that is committed,
it goes forward again: for a still older release, write its images into the file.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

USAGE: Final = 2
SEARCHED: Final = 200
"""How many commits of the stack's file are looked at."""


class NoWayBackError(Exception):
    """There is no earlier release to go back to."""


def images(text: str) -> dict[str, str]:
    """Workload -> image, as a stack's file has them."""
    return {name: str(node.value) for name, node in _image_nodes(text)}


def with_images(text: str, wanted: Mapping[str, str]) -> str:
    """The stack's file with other images; everything else, comments too, stays as it is.

    Args:
        text: the file.
        wanted: workload -> image; workloads that the file does not have are passed over.
    """
    nodes = sorted(_image_nodes(text), key=lambda found: found[1].start_mark.index, reverse=True)
    for name, node in nodes:
        if name in wanted:
            text = text[: node.start_mark.index] + wanted[name] + text[node.end_mark.index :]
    return text


def release_before(file: Path) -> tuple[str, dict[str, str]]:
    """The last commit of a stack's file with other images than it has now, and those images.

    Raises:
        NoWayBackError: no such file, no such commit, or no git repository.
    """
    if not file.is_file():
        raise NoWayBackError(f"{file}: there is no such stack file\n  to do:  name a stack that has one")
    now = images(file.read_text(encoding="utf-8"))
    for commit in _git(file, "log", f"--max-count={SEARCHED}", "--format=%H", "--", file.name).split():
        then = images(_git(file, "show", f"{commit}:./{file.name}"))
        if any(then.get(name, image) != image for name, image in now.items()):
            return commit, then
    raise NoWayBackError(
        f"{file}: no commit of this file has other images (looked at {SEARCHED} at most)\n"
        "  to do:  write the image to go back to into the file, then `pulumi up`"
    )


def main(arguments: list[str] | None = None) -> int:
    """Changes the file and says what changed.

    Returns:
        0, or 2 if there is no release to go back to.
    """
    parser = argparse.ArgumentParser(prog="python -m settings.rollback", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--program", type=Path, default=Path.cwd())
    told = parser.parse_args(arguments)
    file = told.program / f"Pulumi.{told.stack}.yaml"
    try:
        commit, earlier = release_before(file)
    except NoWayBackError as error:
        print(error, file=sys.stderr)
        return USAGE
    text = file.read_text(encoding="utf-8")
    for name, image in images(text).items():
        if earlier.get(name, image) != image:
            print(f"{name}: {image} -> {earlier[name]}")
    changed = file.with_suffix(".yaml.new")
    changed.write_text(with_images(text, earlier), encoding="utf-8")
    changed.replace(file)
    print(f"{file.name} has the images of {commit[:12]}; not committed yet")
    return 0


def _image_nodes(text: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, section in _pairs(dict(_pairs(root)).get("config")):
        if key.endswith(":workloads"):
            for name, workload in _pairs(section):
                image = dict(_pairs(workload)).get("image")
                if isinstance(image, yaml.ScalarNode):
                    yield name, image


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _git(file: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoWayBackError(
            f"{file}: git can't tell its history: {done.stderr.strip()}\n"
            "  to do:  run this in a clone with its history"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
