"""The images in a stack's file: found by their dotted paths, and changed where they stand.

Going on to the next stack (`delivery/promote.py`) and going back (`delivery/rollback.py`) are both this.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from simulator.faults import USAGE, Fault

WORKLOADS: Final = "workloads"
"""The section of what a release consists of; everything else that has an image is the platform's own."""


def file_of(program: Path, stack: str) -> Path:
    """A stack's file."""
    return program / f"Pulumi.{stack}.yaml"


def images(text: str, section: str = "") -> dict[str, str]:
    """Dotted path -> image, of what runs in a container.

    Args:
        text: a stack's file.
        section: such as `workloads`, to have its images alone.
    """
    return {path: str(node.value) for path, node in _nodes(text, section)}


def with_images(text: str, wanted: Mapping[str, str]) -> str:
    """A stack's file with other images; everything else, comments too, stays as it is.

    Args:
        text: the file.
        wanted: dotted path -> image; paths that the file does not have are passed over.
    """
    nodes = sorted(_nodes(text, ""), key=lambda found: found[1].start_mark.index, reverse=True)
    for path, node in nodes:
        if path in wanted and wanted[path] != node.value:
            text = text[: node.start_mark.index] + wanted[path] + text[node.end_mark.index :]
    return text


def moved(source: str, target: str, section: str = "") -> dict[str, tuple[str, str]]:
    """Dotted path -> the target's image and the source's, of those that differ and that both have.

    Args:
        source: the file that the images come from.
        target: the file that they go to.
        section: such as `workloads`, to move its images alone.
    """
    there = images(source, section)
    return {
        path: (image, there[path])
        for path, image in images(target, section).items()
        if there.get(path, image) != image
    }


def move(file: Path, stack: str, wanted: Mapping[str, tuple[str, str]], *, sure: bool) -> None:
    """Show which images move, ask, and write them into the file.

    Args:
        file: the stack's file.
        stack: its name, which is the answer that does it.
        wanted: dotted path -> the image that is there and the one that comes.
        sure: whether nobody need be asked.

    Raises:
        Fault: nobody agreed.
    """
    print("images that move:")
    for path, (old, new) in wanted.items():
        print(f"  {path}: {old} -> {new}")
    if not sure:
        print(f"Type the stack's name to do it: {stack}", flush=True)
        if sys.stdin.readline().strip() != stack:
            raise Fault(
                where=file.name,
                found="that is not the stack's name: nothing was changed",
                valid=stack,
                do="run it again, or with YES=1 (`--yes`)",
                exit_code=USAGE,
            )
    text = with_images(file.read_text(encoding="utf-8"), {path: new for path, (_, new) in wanted.items()})
    written = file.with_suffix(".yaml.new")
    written.write_text(text, encoding="utf-8")
    written.replace(file)


def _nodes(text: str, section: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, found in _pairs(dict(_pairs(root)).get("config")):
        name = key.partition(":")[2] or key
        if section in ("", name):
            yield from _below(found, name)


def _below(node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    for key, value in _pairs(node):
        if isinstance(value, yaml.ScalarNode) and (key == "image" or key.endswith("Image")):
            yield f"{path}.{key}", value
        else:
            yield from _below(value, f"{path}.{key}")


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []
