"""AWS policy documents: JSON in a text, or the same as a block."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from baseline.model import UNKNOWN, Value
from baseline.tree import MalformedError, Node


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy document.

    Attributes:
        path: The property path of the document, and which statement it is.
        fields: The statement's fields.
    """

    path: str
    fields: dict[str, Any]

    def texts(self, key: str) -> list[str]:
        """Read a field that may be one text or a list of them."""
        value = self.fields.get(key)
        values = value if isinstance(value, list) else [value]
        return [one for one in values if isinstance(one, str)]

    @property
    def allows(self) -> bool:
        """Whether it allows, rather than denies."""
        return self.fields.get("Effect") == "Allow"

    def principals(self) -> list[tuple[str, str]]:
        """List who it is about, as kind and name; an asterisk alone is anybody, of kind ``*``."""
        value = self.fields.get("Principal")
        if value == "*":
            return [("*", "*")]
        if not isinstance(value, dict):
            return []
        return [
            (kind, name)
            for kind, names in value.items()
            for name in (names if isinstance(names, list) else [names])
            if isinstance(name, str)
        ]

    def conditions(self) -> Iterator[tuple[str, str, list[str]]]:
        """List its conditions.

        Yields:
            Operator, key in lower case, and values as texts.
        """
        block = self.fields.get("Condition")
        for operator, keys in block.items() if isinstance(block, dict) else ():
            for key, values in keys.items() if isinstance(keys, dict) else ():
                among = values if isinstance(values, list) else [values]
                yield (
                    operator,
                    key.lower(),
                    [str(one) if not isinstance(one, bool) else str(one).lower() for one in among],
                )


def statements(document: Node) -> list[Statement]:
    """Read a policy document.

    Args:
        document: The property that holds it, which is known.

    Returns:
        Its statements.

    Raises:
        MalformedError: It is neither JSON nor a block.
    """
    content: Value | Any = document.value
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            raise MalformedError(document, "a policy document in JSON") from None
    if not isinstance(content, dict):
        raise MalformedError(document, "a policy document")
    found = content.get("Statement")
    listed = found if isinstance(found, list) else [found]
    return [
        Statement(f"{document.path}: Statement[{index}]", one)
        for index, one in enumerate(listed)
        if isinstance(one, dict)
    ]


def is_unknown(document: Node) -> bool:
    """Tell whether a document, or a part of a block, is known only after the update."""
    return _has_unknown(document.value)


def _has_unknown(value: Value) -> bool:
    if isinstance(value, dict):
        return any(_has_unknown(one) for one in value.values())
    if isinstance(value, list):
        return any(_has_unknown(one) for one in value)
    return value is UNKNOWN
