"""Settings files that pods read, as they stand in ConfigMaps."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from baseline.model import UNKNOWN, Value
from baseline.subjects import Item
from baseline.tree import MalformedError, Node


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a ConfigMap.

    Attributes:
        item: The ConfigMap.
        name: The entry's key.
        node: The entry.
    """

    item: Item
    name: str
    node: Node

    @property
    def text(self) -> str:
        """Its text; empty if that is not known."""
        return self.node.value if isinstance(self.node.value, str) else ""

    @property
    def unknown(self) -> bool:
        """Whether its text is known only after the update."""
        return self.node.value is UNKNOWN


def is_config_map(item: Item) -> bool:
    """Tell whether an object is a ConfigMap."""
    return item.manifest.kind.is_any(("core", "ConfigMap"))


def files(items: Iterable[Item]) -> Iterator[File]:
    """Find the entries of the ConfigMaps among some objects.

    Args:
        items: The objects.

    Yields:
        The entries; of an unknown ConfigMap one unknown entry without a name.
    """
    for item in items:
        if not is_config_map(item):
            continue
        try:
            data = item.root.at("data")
            names = (
                list(data.value) if isinstance(data.value, dict) else [""] if data.value is UNKNOWN else []
            )
            yield from (File(item, name, data.at(name)) for name in names)
        except MalformedError:
            continue  # Nothing to read; that its shape is wrong is reported where it must have one.


def settings(text: str) -> dict[str, str]:
    """Read a file of ``key = value`` or ``key value`` lines, as PostgreSQL's or Valkey's.

    Of keys that come twice the last one counts.

    Args:
        text: The file's text.

    Returns:
        The settings, without quotes and comments.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"\s*([\w.-]+)\s*(?:=\s*|\s)('(?:[^']|'')*'|[^#;\s]*)", line)
        if match:
            found[match[1].lower()] = match[2].strip("'")
    return found


def sections(text: str) -> dict[str, dict[str, str]]:
    """Read a file with sections in brackets, as PgBouncer's and pgBackRest's.

    Args:
        text: The file's text.

    Returns:
        The lines ``key = value`` by section; a value is the rest of its line.
    """
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        heading = re.fullmatch(r"\s*\[([^\]]+)\]\s*", line)
        if heading:
            section = heading[1].strip()
            found.setdefault(section, {})
            continue
        match = re.match(r"\s*([^=#;\s][^=]*?)\s*=\s*(.*?)\s*$", line)
        if match and not line.lstrip().startswith((";", "#")):
            found.setdefault(section, {})[match[1]] = match[2]
    return found


def documents(text: str) -> list[Any]:
    """Read a text as YAML.

    Args:
        text: The text.

    Returns:
        Its documents; none if it is not YAML.
    """
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError):
        return []


def whole(value: Value) -> int | None:
    """Read a whole number that stands in a text."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None
