"""Values for the outputs that only a real cloud could fill, the same in every run."""

from collections.abc import Mapping
from typing import Final

from simulator.providers.sdk import Primitive, ResourceClass, Type
from simulator.providers.values import Properties, Value, digest

CREATED: Final = "2025-01-01T00:00:00Z"
"""One moment for everything: a real one would make two runs differ."""
TIMES: Final = ("At", "Date", "On", "created", "lastUpdated", "modified")
"""How the names of outputs end that hold a moment."""
EMPTY: Final[Mapping[Type, Value]] = {Primitive("bool"): False, Primitive("int"): 0, Primitive("float"): 0}


def invented(known: ResourceClass | None, seed: str, inputs: Properties) -> Properties:
    """Plausible scalars for the outputs of a class that no input can give.

    Args:
        known: the resource's class, if the SDK has one.
        seed: what the values follow from.
        inputs: what is already said.
    """
    if known is None:
        return {}
    found: Properties = {}
    for name in sorted(known.outputs.keys() - known.inputs.keys() - inputs.keys()):
        if name.endswith(TIMES):
            found[name] = CREATED
        elif known.outputs[name] == Primitive("str"):
            found[name] = digest(seed, name, length=32)
        elif known.outputs[name] in EMPTY:
            found[name] = EMPTY[known.outputs[name]]
    return found
