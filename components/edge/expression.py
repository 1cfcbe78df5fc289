"""The conditions of Cloudflare's rules, built from typed parts, so that text is always quoted and grouped.

    PATH.lower().starts_with("/admin") & ~IP.one_of("192.0.2.0/24")

gives `starts_with(lower(http.request.uri.path), "/admin") and not ip.src in {192.0.2.0/24}`. What is built
here is always well formed; which plan and which phase have a field is `components.edge.language`'s to say.

Source: https://developers.cloudflare.com/ruleset-engine/rules-language/
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["atom", "not", "and", "xor", "or"]
"""What holds an expression together at its outside."""

_ARRAY: Final = "every part of a condition in any() or all() is about its element"


@dataclass(frozen=True)
class Expression:
    """A condition.

    Python's `&`, `|`, `^` and `~` combine conditions; `and`, `or` and `not` can't, and say so.

    Attributes:
        text: as Cloudflare writes it.
        level: its outermost operator.
        each: whether it is about one element of an array, so that it only stands within `any` and `all`.
    """

    text: str
    level: Level = "atom"
    each: bool = False

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: "Expression") -> "Expression":
        return self._combined("and", other)

    def __or__(self, other: "Expression") -> "Expression":
        return self._combined("or", other)

    def __xor__(self, other: "Expression") -> "Expression":
        return self._combined("xor", other)

    def __invert__(self) -> "Expression":
        inner = self.text if self.level == "atom" else f"({self.text})"
        return Expression(f"not {inner}", "not", self.each)

    def __bool__(self) -> bool:
        raise TypeError("a condition is known only at the edge: combine with &, | and ~, not and, or and not")

    def _combined(self, operator: Level, other: "Expression") -> "Expression":
        if self.each is not other.each:
            raise TypeError(f"{_ARRAY}: {self.text} {operator} {other.text}")
        parts = (
            # Cloudflare's precedence is known, but whoever reads the rule in the dashboard need not know it.
            part.text if part.level in ("atom", "not", operator) else f"({part.text})"
            for part in (self, other)
        )
        return Expression(f" {operator} ".join(parts), operator, self.each)


def every_of(conditions: Iterable[Expression]) -> Expression:
    """All of one or more conditions."""
    return _joined(conditions, Expression.__and__)


def one_of(conditions: Iterable[Expression]) -> Expression:
    """At least one of one or more conditions."""
    return _joined(conditions, Expression.__or__)


def _joined(
    conditions: Iterable[Expression], join: Callable[[Expression, Expression], Expression]
) -> Expression:
    first, *rest = conditions
    for each in rest:
        first = join(first, each)
    return first


ALWAYS: Final = Expression("true")
"""Every request."""


def quoted(value: str) -> str:
    r"""A text as a literal; control characters are `\xHH`, which the basic escaping rules read."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", plain) + '"'


def raw(value: str) -> str:
    """A text as a raw literal, in which nothing is escaped: for regular expressions and wildcards."""
    runs = [len(found) for found in re.findall(r'"(#*)', value)]
    fence = "#" * (max(runs) + 1 if runs else 0)
    return f'r{fence}"{value}"{fence}'


def wildcard_literal(value: str) -> str:
    """A text that stands for itself within a wildcard's pattern."""
    return value.replace("\\", "\\\\").replace("*", "\\*")


def _set(literals: Iterable[str]) -> str:
    found = list(dict.fromkeys(literals))
    if not found:
        raise ValueError("a set of nothing matches nothing: leave the condition out")
    return "{" + " ".join(found) + "}"


@dataclass(frozen=True)
class Value:
    """Something that a request has.

    Attributes:
        text: as Cloudflare writes it.
        each: whether it is one element of an array.
    """

    text: str
    each: bool = False

    def __str__(self) -> str:
        return self.text

    def _compared(self, operator: str, literal: str) -> Expression:
        return Expression(f"{self.text} {operator} {literal}", each=self.each)

    def _called(self, name: str, *rest: str) -> str:
        return f"{name}({', '.join((self.text, *rest))})"

    def in_list(self, name: str) -> Expression:
        """It is in an account's list: the name is without the `$`."""
        return self._compared("in", f"${name}")


@dataclass(frozen=True)
class Flag(Value):
    """Something that is so or not."""

    def holds(self) -> Expression:
        """It is so."""
        return Expression(self.text, each=self.each)


@dataclass(frozen=True)
class Number(Value):
    """A whole number."""

    def equals(self, value: int) -> Expression:
        """The number is this one."""
        return self._compared("eq", str(value))

    def differs(self, value: int) -> Expression:
        """The number is another."""
        return self._compared("ne", str(value))

    def less(self, value: int) -> Expression:
        """The number is smaller."""
        return self._compared("lt", str(value))

    def at_most(self, value: int) -> Expression:
        """The number is this one or smaller."""
        return self._compared("le", str(value))

    def greater(self, value: int) -> Expression:
        """The number is greater."""
        return self._compared("gt", str(value))

    def at_least(self, value: int) -> Expression:
        """The number is this one or greater."""
        return self._compared("ge", str(value))

    def one_of(self, *values: int | tuple[int, int]) -> Expression:
        """One of the numbers; a pair is a range with both its ends."""
        return self._compared("in", _set(_number_or_range(value) for value in values))


def _number_or_range(value: int | tuple[int, int]) -> str:
    if isinstance(value, int):
        return str(value)
    first, last = value
    if first > last:
        raise ValueError(f"a range from {first} to {last} is empty")
    return f"{first}..{last}"


@dataclass(frozen=True)
class Address(Value):
    """An address, of either version."""

    def equals(self, address: str) -> Expression:
        """The address is this one."""
        return self._compared("eq", str(ip_address(address)))

    def one_of(self, *addresses: str) -> Expression:
        """In one of the addresses and networks (`192.0.2.0/24`).

        Raises:
            ValueError: one is neither, or has bits set beyond its network.
        """
        return self._compared("in", _set(_address_or_network(each) for each in addresses))


def _address_or_network(text: str) -> str:
    return str(ip_network(text) if "/" in text else ip_address(text))


@dataclass(frozen=True)
class Text(Value):
    """A text; all comparisons but `wildcard` mind the case."""

    def equals(self, value: str) -> Expression:
        """The text is this one."""
        return self._compared("eq", quoted(value))

    def differs(self, value: str) -> Expression:
        """The text is another; false where there is none (of a header, say), so `~x.equals(...)` is wider."""
        return self._compared("ne", quoted(value))

    def contains(self, value: str) -> Expression:
        """The text has this one within."""
        return self._compared("contains", quoted(value))

    def starts_with(self, value: str) -> Expression:
        """The text begins so."""
        return Expression(self._called("starts_with", quoted(value)), each=self.each)

    def ends_with(self, value: str) -> Expression:
        """The text ends so."""
        return Expression(self._called("ends_with", quoted(value)), each=self.each)

    def one_of(self, *values: str) -> Expression:
        """The text is one of these."""
        return self._compared("in", _set(quoted(value) for value in values))

    def wildcard(self, pattern: str, *, strict: bool = False) -> Expression:
        """The whole text fits; `*` is anything, and what stands for itself is a `wildcard_literal`.

        Args:
            pattern: with at most 32 `*`, never two in a row.
            strict: whether the case counts.
        """
        return self._compared("strict wildcard" if strict else "wildcard", raw(pattern))

    def matches(self, pattern: str) -> Expression:
        """A regular expression (Rust's) is found in the text: Business and Enterprise."""
        return self._compared("matches", raw(pattern))

    def lower(self) -> "Text":
        """With A to Z made small."""
        return Text(self._called("lower") + "[*]" * self.each, self.each)

    def upper(self) -> "Text":
        """With a to z made large."""
        return Text(self._called("upper") + "[*]" * self.each, self.each)

    def decoded(self) -> "Text":
        """With `%2F` and the like, and `+`, decoded once."""
        return Text(self._called("url_decode") + "[*]" * self.each, self.each)

    def length(self) -> Number:
        """How many bytes the text has."""
        return Number(self._called("len") + "[*]" * self.each, self.each)


@dataclass(frozen=True)
class Texts(Value):
    """An array of texts."""

    @property
    def first(self) -> Text:
        """The first; a comparison with it is false where there is none."""
        return Text(f"{self.text}[0]")

    def count(self) -> Number:
        """How many there are; a comparison with it is false where a map has no such key."""
        return Number(self._called("len"))

    def any(self, condition: Callable[[Text], Expression]) -> Expression:
        """At least one fulfils the condition; false where there is none."""
        return self._quantified("any", condition)

    def all(self, condition: Callable[[Text], Expression]) -> Expression:
        """Each fulfils the condition; true where there is none."""
        return self._quantified("all", condition)

    def _quantified(self, name: str, condition: Callable[[Text], Expression]) -> Expression:
        inner = condition(Text(f"{self.text}[*]", each=True))
        if not inner.each:
            raise TypeError(f"{_ARRAY}: {inner.text}")
        return Expression(f"{name}({inner.text})")


@dataclass(frozen=True)
class TextsByName(Value):
    """A map from names to arrays of texts."""

    def __getitem__(self, name: str) -> Texts:
        return Texts(f"{self.text}[{quoted(name)}]")


HOST: Final = Text("http.host")
PATH: Final = Text("http.request.uri.path")
"""Normalised, without the query."""
RAW_PATH: Final = Text("raw.http.request.uri.path")
"""As it was sent; the origin gets it so, unless URLs are normalised to the origin, too."""
EXTENSION: Final = Text("http.request.uri.path.extension")
"""What follows the last dot of the path's last part, in small letters, without the dot."""
QUERY: Final = Text("http.request.uri.query")
"""Without the `?`."""
URI: Final = Text("http.request.uri")
"""Path and query."""
FULL_URI: Final = Text("http.request.full_uri")
METHOD: Final = Text("http.request.method")
"""In capitals."""
HTTP_VERSION: Final = Text("http.request.version")
USER_AGENT: Final = Text("http.user_agent")
REFERER: Final = Text("http.referer")
COOKIE: Final = Text("http.cookie")
HEADERS: Final = TextsByName("http.request.headers")
"""Name in small letters -> values."""
HEADER_NAMES: Final = Texts("http.request.headers.names")
ARGUMENTS: Final = TextsByName("http.request.uri.args")
"""Name in the query -> values."""
IP: Final = Address("ip.src")
COUNTRY: Final = Text("ip.src.country")
"""Two capitals; `T1` is Tor."""
CONTINENT: Final = Text("ip.src.continent")
ASN: Final = Number("ip.src.asnum")
TLS: Final = Flag("ssl").holds()
"""The client came by HTTPS."""
VERIFIED_BOT: Final = Flag("cf.client.bot").holds()
"""A crawler that Cloudflare knows and has verified."""
CLIENT_CERTIFICATE: Final = Flag("cf.tls_client_auth.cert_verified").holds()
BOT_SCORE: Final = Number("cf.bot_management.score")
BODY_SIZE: Final = Number("http.request.body.size")
STATUS: Final = Number("http.response.code")
RESPONSE_HEADERS: Final = TextsByName("http.response.headers")
"""Name in small letters -> values."""
