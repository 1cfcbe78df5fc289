"""How numbers are said."""


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count:,} {noun.removesuffix('y')}ies"
    return f"{count:,} {noun}s"
