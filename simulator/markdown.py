"""Pieces of Markdown whose text nobody can break out of: no mention, no link, no closed table or fence."""

import re
from typing import Final

_MESSAGE: Final = 2_000
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


def block(text: str) -> str:
    """Text as a code block whose fence the text can't close."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{_shortened(text)}\n{fence}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]} … ({len(text) - _MESSAGE} more characters)"
