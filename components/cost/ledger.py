"""What a program makes, written down while it is made, so that a stack can tell what it costs.

Sizes are known when a resource is declared; nothing is waited for, and a preview tells the same as an update.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi._types import input_type_to_dict, is_input_type

from components.cost.sizes import State

_UNKNOWN: Final = "known after the update"


class Ledger:
    """Keeps account of every resource that is made after it; it changes none."""

    def __init__(self) -> None:
        self.resources: dict[str, State] = {}
        """URN -> resource, with inputs as far as they are known; the URNs are of this ledger alone."""
        pulumi.runtime.register_stack_transformation(self._note)

    def _note(self, args: pulumi.ResourceTransformationArgs) -> None:
        parent = args.opts.parent
        urn = _urn(args.type_, args.name)
        self.resources[urn] = {
            "urn": urn,
            "type": args.type_,
            "parent": _urn(parent.pulumi_resource_type, parent.pulumi_resource_name) if parent else "",
            "custom": isinstance(args.resource, pulumi.CustomResource),
            "inputs": plain(args.props),
        }


def plain(value: Any) -> Any:
    """A resource's inputs as the engine is told them; what is known only later is a text that says so."""
    if isinstance(value, pulumi.Output):
        return _UNKNOWN
    if is_input_type(type(value)):
        value = input_type_to_dict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(below) for key, below in value.items() if below is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(each) for each in value]
    return value


def _urn(type_: str, name: str) -> str:
    return f"urn:pulumi:stack::program::{type_}::{name}"
