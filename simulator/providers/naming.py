"""How the simulated providers give physical names, as the real ones do."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from simulator.providers.values import Properties, get

DEFAULTS: Final = "__defaults"
"""Where the inputs say which of them the provider chose, as the real bridged providers do."""


@dataclass(frozen=True)
class Naming:
    """How the engine wants an automatic name to be made.

    Attributes:
        seed: the engine's random seed for this resource; the same seed gives the same name.
        proposed: a name made by the stack's own autonaming configuration, or empty.
        disabled: whether automatic names are forbidden.
    """

    seed: bytes = b""
    proposed: str = ""
    disabled: bool = False

    def name(self, stem: str, digits: int) -> str:
        """The automatic name: the proposed one, or the stem and some hexadecimal digits."""
        if self.proposed:
            return self.proposed
        seed = self.seed or secrets.token_bytes(16)
        return f"{stem}-{hashlib.sha256(seed).hexdigest()[:digits]}"


def named(
    olds: Properties, news: Properties, name: str, naming: Naming, stem: str, digits: int
) -> Properties:
    """The inputs with an automatic name in one property.

    A name that was given automatically before is kept; a name that the program sets is left alone.

    Args:
        olds: the last accepted inputs; empty for a new or a replaced resource.
        news: the program's inputs.
        name: the property that holds the name.
        naming: how to make one.
        stem: what the name starts with.
        digits: how many hexadecimal digits follow.
    """
    if news.get(name) is not None or naming.disabled:
        return news
    kept = olds.get(name) if name in (get(olds, DEFAULTS) or []) else None
    return {**news, name: kept if kept is not None else naming.name(stem, digits), DEFAULTS: [name]}
