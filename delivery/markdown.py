"""Pieces of Markdown whose text nobody can break out of: no mention, no link, no closed table or fence."""

import re
from typing import Final

_LONGEST: Final = 2_000
"""Characters of one message that are shown."""


def code(text: str) -> str:
    """Text as a code span that can stand in a table's cell."""
    flat = " ".join(_shortened(text).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if "`" in flat else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def cell(text: str) -> str:
    """A message as a table's cell, a code span for each of its lines."""
    return "<br>".join(code(line) for line in _shortened(text).splitlines() if line.strip())


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)"
