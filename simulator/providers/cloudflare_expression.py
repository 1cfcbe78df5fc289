"""Whether a text is an expression of Cloudflare's rules language at all: its grammar, not its fields.

Written apart from the program's own reader of the language, so that each finds the other's mistakes.
Source: https://developers.cloudflare.com/ruleset-engine/rules-language/expressions/
"""

import re
from typing import Final

LONGEST: Final = 4096
"""Characters."""

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<text>r(?P<fence>\#*)".*?"(?P=fence)|"(?:[^"\\]|\\.)*")
    |(?P<list>\$[a-z0-9_.]+)
    |(?P<address>[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:/\d+)?|\d+(?:\.\d+){3}(?:/\d+)?)
    |(?P<range>-?\d+\.\.-?\d+)
    |(?P<number>-?\d+)
    |(?P<name>[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*)
    |(?P<sign>&&|\|\||\^\^|==|!=|<=|>=|[<>~!(){}\[\],*])
    )""",
    re.VERBOSE | re.DOTALL,
)
_LOGIC: Final = frozenset({"and", "or", "xor", "&&", "||", "^^"})
_COMPARISONS: Final = frozenset(
    {"eq", "ne", "lt", "le", "gt", "ge", "==", "!=", "<", "<=", ">", ">=", "contains", "matches", "~"}
    | {"in", "wildcard", "strict"}
)
_NAMESPACES: Final = ("http", "ip", "cf", "ssl", "raw", "icmp", "tcp", "udp")


def fault(text: str) -> str:
    """What is wrong with an expression; empty if nothing is."""
    if len(text) > LONGEST:
        return f"the expression has {len(text)} characters, {LONGEST} are allowed"
    try:
        reader = _Reader(text)
        reader.expression()
        reader.end()
    except _WrongError as error:
        return str(error)
    return ""


class _WrongError(Exception):
    pass


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise _WrongError(f"unexpected {text[place:].strip()[:20]!r}")
            self.tokens.append((found.lastgroup or "", found[0].strip()))
            place = found.end()
        self.tokens = [("text" if kind == "fence" else kind, value) for kind, value in self.tokens]
        self.place = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "the end")

    def next(self) -> tuple[str, str]:
        token = self.peek()
        self.place += 1
        return token

    def need(self, value: str) -> None:
        if self.peek()[1] != value:
            raise _WrongError(f"expected {value!r}, found {self.peek()[1][:20]!r}")
        self.next()

    def end(self) -> None:
        if self.peek()[0] != "end":
            raise _WrongError(f"expected an operator, found {self.peek()[1][:20]!r}")

    def expression(self) -> None:
        self.part()
        while self.peek()[1] in _LOGIC:
            self.next()
            self.part()

    def part(self) -> None:
        while self.peek()[1] in ("not", "!"):
            self.next()
        if self.peek()[1] == "(":
            self.next()
            self.expression()
            self.need(")")
            return
        if self.peek()[1] in ("true", "false"):
            self.next()
            return
        self.operand()
        if self.peek()[1] in _COMPARISONS:
            self.comparison()

    def comparison(self) -> None:
        word = self.next()[1]
        if word == "strict":
            self.need("wildcard")
        if word == "in":
            self.members()
        elif self.peek()[0] in ("text", "number", "address"):
            self.next()
        else:
            self.operand()

    def members(self) -> None:
        if self.peek()[0] == "list":
            self.next()
            return
        self.need("{")
        found = 0
        while self.peek()[0] in ("text", "number", "address", "range"):
            self.next()
            found += 1
        if not found:
            raise _WrongError("an empty set")
        self.need("}")

    def operand(self) -> None:
        kind, name = self.next()
        if kind != "name" or name in _LOGIC | _COMPARISONS:
            raise _WrongError(f"expected a field or a function, found {name[:20]!r}")
        if self.peek()[1] == "(":
            self.next()
            self.arguments()
        elif name.split(".")[0] not in _NAMESPACES:
            raise _WrongError(f"unknown identifier {name!r}")
        while self.peek()[1] == "[":
            self.next()
            kind, value = self.next()
            if kind not in ("text", "number") and value != "*":
                raise _WrongError(f"expected a key or an index, found {value[:20]!r}")
            self.need("]")

    def arguments(self) -> None:
        while self.peek()[1] != ")":
            if self.peek()[0] in ("text", "number", "address"):
                self.next()
            else:
                self.expression()
            if self.peek()[1] != ",":
                break
            self.next()
        self.need(")")
