"""What is wrong between sections that are each valid."""

from typing import NamedTuple


class Disagreement(NamedTuple):
    """Where, what was found, what would be valid."""

    path: str
    found: str
    valid: str
