"""The simulated random provider: real randomness, no cloud.

As with the real one, what it makes lives in the stack's state only: nothing is stored, a refresh finds
nothing changed, and every change of an input that shapes the result makes a new one.
"""
# ruff: noqa: ARG002 - the core's hooks

import base64
import random
import secrets
import string
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

import bcrypt

from simulator.providers.core import Resource
from simulator.providers.state_only import Maker, StateOnly
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, get, reveal

SPECIAL: Final = "!@#$%&*()-_=+[]{}<>:?"
CLASSES: Final[Mapping[str, str]] = {
    "Lower": string.ascii_lowercase,
    "Upper": string.ascii_uppercase,
    "Numeric": string.digits,
    "Special": SPECIAL,
}
"""The characters of a password's classes; `min<Class>` and `<class>` are the inputs that ask for them."""
ADJECTIVES: Final = ("able", "bold", "calm", "eager", "fair", "glad", "keen", "mild", "neat", "proud", "sure")
ADVERBS: Final = ("barely", "boldly", "duly", "fairly", "gladly", "highly", "mostly", "openly", "vastly")
ANIMALS: Final = ("ant", "bee", "crab", "dove", "elk", "finch", "goat", "hare", "lynx", "mole", "newt", "owl")
IN_STATE_ONLY: Final = "none"
"""The id of a result that is secret."""


class Random(StateOnly):
    """The provider of the `random` package."""

    package: ClassVar[str] = "random"

    def makers(self) -> Mapping[str, Maker]:
        """What is made, by the last part of its type."""
        return MAKERS

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """Refuse lengths that cannot be met."""
        plain = reveal(inputs)
        length = plain.get("length", plain.get("byteLength"))
        if isinstance(length, int) and length < 1:
            yield Failure(
                "length" if "length" in plain else "byteLength", f"expected at least 1, found {length}"
            )
        elif isinstance(length, int):
            least = sum(n for name in CLASSES if isinstance(n := plain.get(f"min{name}", 0), int))
            if least > length:
                yield Failure("length", f"expected at least {least}, the sum of the minimums, found {length}")
        low, high = plain.get("min"), plain.get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield Failure("min", f"expected at most max ({high}), found {low}")
        if resource.type.endswith(("Password", "String")) and not any(
            _wanted(plain, name) for name in CLASSES
        ):
            yield Failure("", "at least one of lower, upper, numeric and special must be true")


def _wanted(inputs: Properties, class_name: str) -> bool:
    asked = inputs.get(class_name.lower())
    if asked is None and class_name == "Numeric":
        asked = inputs.get("number")  # the old name, still accepted
    return asked is not False


def _characters(inputs: Properties) -> str:
    """A random string of the asked length and classes of characters."""
    classes = {**CLASSES, "Special": get(inputs, "overrideSpecial") or SPECIAL}
    chosen = [
        secrets.choice(characters)
        for name, characters in classes.items()
        for _ in range(inputs.get(f"min{name}") or 0)
    ]
    alphabet = "".join(characters for name, characters in classes.items() if _wanted(inputs, name))
    chosen += [secrets.choice(alphabet) for _ in range(inputs["length"] - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


ROUNDS: Final = 4
"""The fewest that bcrypt has: a preview's passwords are nobody's."""
MOST_HASHED_BYTES: Final = 72


def _password(inputs: Properties) -> tuple[str, Properties]:
    result = _characters(inputs)
    # Of fewer rounds than the provider's, which nobody who compares has to know; bcrypt reads 72 bytes.
    hashed = bcrypt.hashpw(result.encode()[:MOST_HASHED_BYTES], bcrypt.gensalt(ROUNDS, prefix=b"2a")).decode()
    return IN_STATE_ONLY, {"result": result, "bcryptHash": hashed}


def _string(inputs: Properties) -> tuple[str, Properties]:
    result = _characters(inputs)
    return result, {"result": result}


def _bytes(inputs: Properties) -> tuple[str, Properties]:
    data = secrets.token_bytes(inputs["length"])
    return IN_STATE_ONLY, {"base64": base64.b64encode(data).decode(), "hex": data.hex()}


def _id(inputs: Properties) -> tuple[str, Properties]:
    data = secrets.token_bytes(inputs["byteLength"])
    prefix = inputs.get("prefix") or ""
    url = base64.urlsafe_b64encode(data).decode().rstrip("=")
    return url, {
        "b64Url": prefix + url,
        "b64Std": prefix + base64.b64encode(data).decode(),
        "dec": prefix + str(int.from_bytes(data)),
        "hex": prefix + data.hex(),
    }


def _integer(inputs: Properties) -> tuple[str, Properties]:
    result = _generator(inputs).randint(inputs["min"], inputs["max"])
    return str(result), {"result": result}


def _pet(inputs: Properties) -> tuple[str, Properties]:
    length = inputs.get("length") or 2
    words = [secrets.choice(ADVERBS) for _ in range(length - 2)]
    words += [secrets.choice(ADJECTIVES)] if length > 1 else []
    words = [*filter(None, [inputs.get("prefix")]), *words, secrets.choice(ANIMALS)]
    return (inputs.get("separator") or "-").join(words), {
        "length": length,
        "separator": inputs.get("separator") or "-",
    }


def _shuffle(inputs: Properties) -> tuple[str, Properties]:
    count = inputs.get("resultCount")
    items = list(inputs["inputs"])
    results: list[Any] = []
    generator = _generator(inputs)
    # More results than inputs are a real option: whole rounds, each shuffled.
    while items and len(results) < (len(items) if count is None else count):
        generator.shuffle(items)
        results += items
    return "-", {"results": results[:count]}


def _uuid(_inputs: Properties) -> tuple[str, Properties]:
    result = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    return result, {"result": result}


def _generator(inputs: Properties) -> random.Random:
    """The generator that a `seed` asks for, or the machine's own."""
    seed = inputs.get("seed")
    return random.Random(seed) if seed else secrets.SystemRandom()  # noqa: S311 - the seed is a user's choice


MAKERS: Final[Mapping[str, Maker]] = {
    "RandomPassword": _password,
    "RandomString": _string,
    "RandomBytes": _bytes,
    "RandomId": _id,
    "RandomInteger": _integer,
    "RandomPet": _pet,
    "RandomShuffle": _shuffle,
    "RandomUuid": _uuid,
    "RandomUuid4": _uuid,
}
