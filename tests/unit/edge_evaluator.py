"""Runs a condition of Cloudflare's rules language on a request, as far as its documentation tells.

Where the documentation is silent, as Cloudflare's own open engine does it: texts are bytes and mind the
case; a part that is not there makes every comparison false, and drops out of what a function makes of an
array; `any` of nothing is false, `all` of nothing is true.

Sources: https://developers.cloudflare.com/ruleset-engine/rules-language/values/,
https://github.com/cloudflare/wirefilter/tree/master/engine/src
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from components.edge.language_tree import (
    Address,
    Argument,
    Call,
    Combined,
    Comparison,
    Condition,
    Constant,
    Every,
    FieldValue,
    Holds,
    Indexed,
    Listed,
    Not,
    Range,
    Value,
    Written,
)

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_OTHER: Final = re.compile(r"[^A-Za-z0-9._~%:/?#\[\]@!$&'()*+,;=-]")


def normalised(path: str) -> str:
    """A path as custom rules see it: what Cloudflare's normalisation of incoming URLs makes of it.

    Source: https://developers.cloudflare.com/rules/normalization/how-it-works/
    """

    def decoded(match: re.Match[str]) -> str:
        byte = int(match[1], 16)
        return chr(byte) if byte in _UNRESERVED else match[0].upper()

    plain = re.sub(r"/{2,}", "/", _ESCAPE.sub(decoded, path).replace("\\", "/"))
    plain = _OTHER.sub(lambda match: quote_from_bytes(match[0].encode("utf-8", "surrogatepass")), plain)
    kept: list[str] = []
    parts = plain.split("/")[1:]
    for number, part in enumerate(parts):
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
        if part in (".", "..") and number == len(parts) - 1:
            kept.append("")
    return "/" + "/".join(kept)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody sends to the edge.

    Attributes:
        method: in capitals.
        host: the name that is asked.
        path: as sent, before Cloudflare normalises it.
        query: without the `?`.
        headers: name -> value or values.
        body: what the managed rules may look at; custom rules below Enterprise can't.
        body_bytes: how long it is, if it is not written out.
        address: who asks.
        country: where Cloudflare thinks that this is.
        bot: whether it is a verified crawler.
        scheme: `https` or `http`.
        second: when, for rates.
        place: the data centre that answers.
        status: of the origin's answer, for rules on responses.
        answered: the headers of that answer.
    """

    method: str = "GET"
    host: str = "example.com"
    path: str = "/"
    query: str = ""
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    body: str = ""
    body_bytes: int = 0
    address: str = "203.0.113.7"
    country: str = "DE"
    bot: bool = False
    scheme: str = "https"
    second: float = 0
    place: str = "FRA"
    status: int = 200
    answered: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return max(self.body_bytes, len(self.body.encode()))

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """What rules see."""
        headers, answered = _by_name(self.headers), _by_name(self.answered)
        first = {name: values[0] for name, values in headers.items()}
        full = f"{self.scheme}://{self.host}".encode()
        return (
            _uri("http.request", full, normalised(self.path), self.query)
            | _uri("raw.http.request", full, self.path, self.query)
            | {
                "http.host": self.host.encode(),
                "http.request.method": self.method.encode(),
                "http.request.version": b"HTTP/2",
                "http.user_agent": first.get(b"user-agent", b""),
                "http.referer": first.get(b"referer", b""),
                "http.cookie": first.get(b"cookie", b""),
                "http.x_forwarded_for": first.get(b"x-forwarded-for", b""),
                "http.request.headers": headers,
                "http.request.headers.names": [name for name in headers for _ in headers[name]],
                "http.request.headers.values": [value for values in headers.values() for value in values],
                "http.request.headers.truncated": False,
                "http.request.body.raw": self.body.encode(),
                "http.request.body.size": self.size,
                "http.response.code": self.status,
                "http.response.headers": answered,
                "http.response.headers.names": [name for name in answered for _ in answered[name]],
                "ip.src": ip_address(self.address),
                "ip.src.country": self.country.encode(),
                "ip.geoip.country": self.country.encode(),
                "cf.client.bot": self.bot,
                "cf.colo.id": self.place.encode(),
                "cf.threat_score": 0,
                "ssl": self.scheme == "https",
            }
        )


def _by_name(headers: Mapping[str, str | Sequence[str]]) -> dict[bytes, list[bytes]]:
    return {
        name.lower().encode(): [
            value.encode("utf-8", "surrogatepass") for value in ([given] if isinstance(given, str) else given)
        ]
        for name, given in headers.items()
    }


def _uri(prefix: str, full: bytes, path: str, query: str) -> dict[str, Any]:
    whole = path + (f"?{query}" if query else "")
    args = [part.partition("=")[::2] for part in query.split("&") if part]
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in args:
        by_name.setdefault(name.encode(), []).append(value.encode())
    last = path.rpartition("/")[2]
    dotted = re.fullmatch(r".+\.([^.]*)", last)
    return {
        f"{prefix}.uri": whole.encode(),
        f"{prefix}.full_uri": full + whole.encode(),
        f"{prefix}.uri.path": path.encode("utf-8", "surrogatepass"),
        f"{prefix}.uri.path.extension": dotted[1].lower().encode() if dotted else b"",
        f"{prefix}.uri.query": query.encode("utf-8", "surrogatepass"),
        f"{prefix}.uri.args": by_name,
        f"{prefix}.uri.args.names": [name.encode() for name, _ in args],
        f"{prefix}.uri.args.values": [value.encode() for _, value in args],
    }


def evaluate(
    condition: Condition, request: Request, lists: Mapping[str, Iterable[str]] | None = None
) -> bool:
    """Whether a request fulfils a condition.

    Args:
        condition: what the parser made.
        request: the request.
        lists: name -> addresses and networks, texts or numbers, for `in $name`.
    """
    return bool(_Run(request, lists or {}).condition(condition))


class _Run:
    def __init__(self, request: Request, lists: Mapping[str, Iterable[str]]) -> None:
        self.request = request
        self.lists = lists

    def condition(self, condition: Condition) -> bool | list[bool]:
        if isinstance(condition, Not):
            found = self.condition(condition.of)
            return [not each for each in found] if isinstance(found, list) else not found
        if isinstance(condition, Combined):
            return self.combined(condition)
        if isinstance(condition, Holds):
            held: bool | list[bool] | None = self.argument(condition.value)
            if held is None:
                return [] if condition.type != "Boolean" else False
            return held
        return self.comparison(condition)

    def combined(self, condition: Combined) -> bool | list[bool]:
        items = [self.condition(item) for item in condition.items]
        if isinstance(items[0], list):
            rows = zip(*(item for item in items if isinstance(item, list)), strict=False)
            return [_joined(condition.operator, row) for row in rows]
        return _joined(condition.operator, [item for item in items if isinstance(item, bool)])

    def comparison(self, condition: Comparison) -> bool | list[bool]:
        value = self.value(condition.value)
        if condition.type != "Boolean":
            return [self.compared(each, condition) for each in value or ()]
        return value is not None and self.compared(value, condition)

    def compared(self, value: Any, condition: Comparison) -> bool:
        operator, operand = condition.operator, condition.operand
        if operator == "in":
            return self.within(value, operand)
        if operator in _ORDER:
            return _ORDER[operator](value, operand)
        assert isinstance(operand, bytes)
        if operator == "contains":
            return operand in value
        if operator == "matches":
            return re.search(operand, value) is not None
        return _wildcard(operand, strict=operator == "strict wildcard").fullmatch(value) is not None

    def within(self, value: Any, operand: Any) -> bool:
        if not isinstance(operand, Listed):
            return any(_member(value, each) for each in operand)
        members = self.lists[operand.name]
        if isinstance(value, IPv4Address | IPv6Address):
            return any(value in ip_network(each) for each in members)
        return value in {each.encode() for each in members}

    def argument(self, argument: Argument) -> Any:
        if isinstance(argument, Written):
            return argument.value
        if isinstance(argument, FieldValue | Call | Indexed):
            return self.value(argument)
        return self.condition(argument)

    def value(self, value: Value) -> Any:
        if isinstance(value, FieldValue):
            return self.request.fields[value.name]
        if isinstance(value, Call):
            return self.call(value)
        whole: Any = self.value(value.of)
        found = list(_parts(whole, value.keys)) if whole is not None else []
        if value.every:
            return found
        return found[0] if found else None

    def call(self, call: Call) -> Any:
        function = FUNCTIONS[call.name]
        arguments = [self.argument(argument) for argument in call.arguments]
        if not call.mapped:
            return None if any(each is None for each in arguments) else function(*arguments)
        return [
            result for each in arguments[0] or () if (result := function(each, *arguments[1:])) is not None
        ]


def _parts(whole: Any, keys: Sequence[Any]) -> Iterator[Any]:
    if not keys:
        yield whole
        return
    key, *rest = keys
    if isinstance(key, Every):
        for each in whole.values() if isinstance(whole, dict) else whole:
            yield from _parts(each, rest)
    elif (key in whole) if isinstance(whole, dict) else key < len(whole):
        yield from _parts(whole[key], rest)


def _joined(operator: str, items: Sequence[bool]) -> bool:
    if operator == "xor":
        return sum(items) % 2 == 1
    return all(items) if operator == "and" else any(items)


def _member(value: Any, member: Constant | Range) -> bool:
    if not isinstance(member, Range):
        return bool(value == member)
    if not isinstance(value, int) and value.version != ip_address(str(member.first)).version:
        return False
    return bool(int(member.first) <= int(value) <= int(member.last))


def _wildcard(pattern: bytes, *, strict: bool) -> re.Pattern[bytes]:
    parts = re.findall(rb"\\[\\*]|[^\\]", pattern, re.DOTALL)
    text = b"".join(b".*" if part == b"*" else re.escape(part[-1:]) for part in parts)
    return re.compile(text, re.DOTALL if strict else re.DOTALL | re.IGNORECASE)


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
}


def _url_decode(text: bytes, options: bytes = b"") -> bytes:
    decoded = unquote_to_bytes(text.replace(b"+", b" "))
    return _url_decode(decoded, options) if b"r" in options and decoded != text else decoded


def _network(address: Address, bits4: int, bits6: int) -> Address:
    bits = bits4 if address.version == 4 else bits6
    return ip_network(f"{address}/{bits}", strict=False).network_address


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "all": all,
    "any": any,
    "cidr": _network,
    "cidr6": lambda address, bits: _network(address, 32, bits),
    "concat": lambda *parts: (
        b"".join(parts) if isinstance(parts[0], bytes) else [each for part in parts for each in part]
    ),
    "ends_with": lambda text, end: text.endswith(end),
    "has_key": lambda map_, key: key in map_,
    "has_value": lambda values, wanted: wanted in (values.values() if isinstance(values, dict) else values),
    "join": lambda items, separator: separator.join(items),
    "len": len,
    "lower": bytes.lower,
    "remove_bytes": lambda text, unwanted: text.translate(None, unwanted),
    "starts_with": lambda text, start: text.startswith(start),
    "substring": lambda text, start, end=None: text[start:end],
    "to_string": lambda value: str(value).lower().encode(),
    "upper": bytes.upper,
    "url_decode": _url_decode,
}
"""Of the documented functions those that can be told without secrets, bodies or chance."""
