"""How numbers are said."""


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{count:,} {noun}s"
