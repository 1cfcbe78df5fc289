"""Print what is installed beside the interpreter that runs this file, as JSON.

The language host starts this file with the interpreter of a program's virtual environment; it needs
nothing but the standard library. The output is one object:

`plugins`       each installed distribution's provider plugin (its `pulumi-plugin.json`)
`distributions` every installed distribution: name, version, and whether another one requires it
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def plugins(installed: list[Distribution]) -> Iterator[dict[str, Any]]:
    """Yield the provider plugins that the installed SDKs need.

    Args:
        installed: the distributions to look through.

    Yields:
        The content of each `pulumi-plugin.json` that stands for a plugin, with name and version filled
        in from the distribution where the file leaves them out.
    """
    for distribution in installed:
        name = distribution.name.replace("-", "_").lower()
        packages = (distribution.read_text("top_level.txt") or "").split() or [name]
        for package in dict.fromkeys([name, *packages]):
            file = Path(str(distribution.locate_file(package))) / "pulumi-plugin.json"
            if not file.is_file():
                continue
            plugin = json.loads(file.read_text(encoding="utf-8"))
            if plugin.get("resource", False):
                fallback = {"name": name.removeprefix("pulumi_"), "version": distribution.version}
                yield fallback | {key: value for key, value in plugin.items() if value}
            break


def required_names(installed: list[Distribution]) -> set[str]:
    """Return the normalised names that any distribution requires outside of its extras."""
    return {
        _normalised(match.group())
        for distribution in installed
        for requirement in distribution.requires or []
        if "extra ==" not in requirement and (match := re.match(r"[\w.-]+", requirement))
    }


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the inventory of this interpreter's environment."""
    unique = {_normalised(each.name): each for each in distributions()}
    installed = [unique[name] for name in sorted(unique)]
    required = required_names(installed)
    inventory = {
        "plugins": list(plugins(installed)),
        "distributions": [
            {"name": each.name, "version": each.version, "required": _normalised(each.name) in required}
            for each in installed
        ],
    }
    json.dump(inventory, sys.stdout)


if __name__ == "__main__":
    main()
