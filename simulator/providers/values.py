"""Plain Python values for the simulated providers, and their way to and from the engine.

The engine speaks protobuf `Struct`s in which unknown values, secrets, assets and references are marked by
agreed strings. Inside the simulator a value is a plain Python value, `UNKNOWN`, or a `Secret` around one.
Assets, archives and resource references stay the marked dictionaries that they are: they pass untouched.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's public marker
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"

UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_MARKERS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

SHORTEST_HIDDEN: Final = 4
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][\w$-]*")

type_name: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class Unknown:
    """The one value that is not known before something is created."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> "Unknown":
        return self

    def __deepcopy__(self, _memo: object) -> "Unknown":
        return self


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, repr=False)
class Secret:
    """A value that must never be shown or written down in plain text."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


Value = Any
"""A plain JSON-like value that may hold `UNKNOWN` and `Secret` anywhere."""

Properties = dict[str, Value]


def secret(value: Value) -> Value:
    """Mark a value as secret, once."""
    return value if isinstance(value, Secret) or value is None else Secret(value)


def reveal(value: Value) -> Value:
    """A copy without `Secret` marks, for comparing and checking only."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def secret_texts(value: Value, *, hidden: bool = False) -> Iterator[str]:
    """Every text that stands inside a secret."""
    if isinstance(value, Secret):
        yield from secret_texts(value.value, hidden=True)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from secret_texts(item, hidden=hidden)
    elif hidden and isinstance(value, str):
        yield value


def conceal(message: str, hidden: Iterable[str]) -> str:
    """A message without the given texts; one shorter than four characters would blot out whole words."""
    for found in sorted(hidden, key=len, reverse=True):
        if len(found) >= SHORTEST_HIDDEN:
            message = message.replace(found, "[secret]")
    return message


def holds(value: Value, kind: type) -> bool:
    """Whether a value is, or somewhere contains, an `Unknown` or a `Secret`."""
    if isinstance(value, kind):
        return True
    if isinstance(value, Secret):
        return holds(value.value, kind)
    if isinstance(value, dict):
        return any(holds(item, kind) for item in value.values())
    if isinstance(value, list):
        return any(holds(item, kind) for item in value)
    return False


def get(properties: Value, *path: str) -> Value:
    """The revealed value at a path of keys, None when any step is absent, `UNKNOWN` when one is unknown."""
    value = properties
    for key in path:
        value = value.value if isinstance(value, Secret) else value
        if value is UNKNOWN:
            return UNKNOWN
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return reveal(value)


def text(properties: Properties, *path: str) -> str:
    """The known string at a path, or empty."""
    value = get(properties, *path)
    return value if isinstance(value, str) else ""


def is_known(value: Value) -> bool:
    """Whether a value is known throughout."""
    return not holds(value, Unknown)


def merge(under: Value, over: Value) -> Value:
    """`over` laid on `under`: objects are merged key by key, everything else is taken from `over`."""
    if isinstance(over, Secret) and isinstance(under, Secret):
        return Secret(merge(under.value, over.value))
    if isinstance(under, dict) and isinstance(over, dict):
        return {
            **under,
            **{key: merge(under[key], item) if key in under else item for key, item in over.items()},
        }
    return over


def subtract(whole: Value, part: Value) -> Value:
    """What `whole` says beyond `part`: of a resource's outputs and inputs, what the provider computed."""
    return {
        key: subtract(item, part[key]) if key in part else item
        for key, item in whole.items()
        if key not in part or (isinstance(item, dict) and isinstance(part[key], dict))
    }


def replace_leaves(value: Value, change: Callable[[Value], Value]) -> Value:
    """A copy of a value in which `change` has seen every leaf."""
    if isinstance(value, dict):
        return {key: replace_leaves(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_leaves(item, change) for item in value]
    return change(value)


def join(path: str, key: str | int) -> str:
    """One step further along a property path, in the notation that the engine reads."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def digest(*parts: str, length: int = 64) -> str:
    """The same hexadecimal text for the same parts, so that two runs can be compared."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """The engine's properties as plain values, in an order that is the same in every run."""
    return {key: _from_message(struct.fields[key]) for key in sorted(struct.fields)}


def to_struct(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """Plain values as the engine's properties."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _from_message(message: struct_pb2.Value) -> Value:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if message.string_value in UNKNOWN_MARKERS else message.string_value
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return message.bool_value
    if kind == "list_value":
        return [_from_message(item) for item in message.list_value.values]
    if kind == "struct_value":
        return _unmark(from_struct(message.struct_value))
    return None


def _unmark(fields: Properties) -> Value:
    signature = fields.get(SIGNATURE)
    if signature == SECRET_SIGNATURE:
        return Secret(fields.get("value"))
    if signature == OUTPUT_SIGNATURE:
        value = fields.get("value", UNKNOWN)
        return Secret(value) if fields.get("secret") else value
    return fields


def _fill(message: struct_pb2.Value, value: Value) -> None:
    if value is None:
        message.null_value = struct_pb2.NULL_VALUE
    elif value is UNKNOWN:
        message.string_value = UNKNOWN_STRING
    elif isinstance(value, Secret):
        _fill(message, {SIGNATURE: SECRET_SIGNATURE, "value": value.value})
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, list):
        message.list_value.SetInParent()
        for item in value:
            _fill(message.list_value.values.add(), item)
    else:
        message.struct_value.SetInParent()
        for key, item in value.items():
            _fill(message.struct_value.fields[key], item)
