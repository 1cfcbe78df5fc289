"""The words of an expression: where each begins, and what it says."""

import re
from ipaddress import ip_address, ip_network
from typing import Final

from components.edge.language_tree import Address, Range

SPACES: Final = " \r\n"
"""Tabs are none: https://github.com/cloudflare/wirefilter/blob/master/engine/src/lex.rs."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_NUMBER: Final = re.compile(r"-?[0-9][0-9A-Za-z]*")
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:./]+")
_LIST: Final = re.compile(r"\$([a-z0-9_]+(?:\.[a-z0-9_]+)*)")
_RAW: Final = re.compile(r'r(#*)"')
_ESCAPED: Final = re.compile(r'\\(?:(["\\])|x([0-9A-Fa-f]{2})|([0-3][0-7]{2}))')

_INT64: Final = range(-(2**63), 2**63)


class ExpressionFault(ValueError):
    """An expression that Cloudflare would refuse.

    Attributes:
        position: the character at which the fault begins, from 1.
        reason: what was found and what would be valid, without a place.
    """

    def __init__(self, text: str, offset: int, reason: str, where: str = "expression") -> None:
        self.position = offset + 1
        self.reason = reason
        around = text[max(offset - 12, 0) : offset] + "⟨here⟩" + text[offset : offset + 28]
        super().__init__(f"{where}: character {self.position}: {reason} (at {' '.join(around.split())})")


class Scanner:
    """A place in a text, and what can be read there; what cannot be read is an `ExpressionFault`."""

    def __init__(self, text: str, where: str = "expression") -> None:
        self.text = text
        self.where = where
        self.offset = 0

    def fault(self, reason: str, offset: int | None = None) -> ExpressionFault:
        """The fault at a place, or here."""
        return ExpressionFault(self.text, self.offset if offset is None else offset, reason, self.where)

    def skip(self) -> int:
        """Go over spaces; the new offset."""
        while self.offset < len(self.text) and self.text[self.offset] in SPACES:
            self.offset += 1
        return self.offset

    @property
    def ended(self) -> bool:
        """Whether nothing is left but spaces."""
        return self.skip() == len(self.text)

    def found(self) -> str:
        """What is here, for a message."""
        if self.ended:
            return "the end"
        word = _NAME.match(self.text, self.offset)
        return repr(word[0] if word else self.text[self.offset])

    def sees(self, sign: str) -> bool:
        """Whether a sign is here."""
        self.skip()
        return self.text.startswith(sign, self.offset)

    def take(self, sign: str) -> bool:
        """Go over a sign if it is here."""
        if self.sees(sign):
            self.offset += len(sign)
            return True
        return False

    def expect(self, sign: str, why: str) -> None:
        """Go over a sign that must be here."""
        if not self.take(sign):
            raise self.fault(f"expected {sign} {why}, found {self.found()}")

    def word(self) -> str | None:
        """The name or word that is here, without going over it."""
        self.skip()
        match = _NAME.match(self.text, self.offset)
        return match[0] if match else None

    def starts_text(self) -> bool:
        """Whether a literal text is here."""
        self.skip()
        return self.text.startswith('"', self.offset) or _RAW.match(self.text, self.offset) is not None

    def literal(self, *, regex: bool = False) -> bytes:
        """A quoted or raw text.

        Args:
            regex: whether it is on the right of `matches`, where the quoted form has other escapes.
        """
        start = self.skip()
        if not self.starts_text():
            raise self.fault(f'expected a text in quotes, "like this", found {self.found()}')
        if match := _RAW.match(self.text, start):
            return self._raw(start, match)
        self.offset += 1
        read = self._quoted_regex(start) if regex else self._quoted(start)
        self.offset += 1
        return read

    def _raw(self, start: int, match: re.Match[str]) -> bytes:
        if len(match[1]) > 255:
            raise self.fault(f"a raw text has at most 255 #, found {len(match[1])}", start)
        end = self.text.find('"' + match[1], match.end())
        if end < 0:
            raise self.fault(f'no "{match[1]} ends the text that begins here', start)
        self.offset = end + 1 + len(match[1])
        return _bytes(self.text[match.end() : end])

    def _quoted(self, start: int) -> bytes:
        read = bytearray()
        while (sign := self._next(start)) != '"':
            if sign != "\\":
                read += _bytes(sign)
                self.offset += 1
                continue
            match = _ESCAPED.match(self.text, self.offset)
            if match is None:
                raise self.fault(
                    'after \\ there is ", \\, x and two digits, or three octal digits;'
                    f" found {self.text[self.offset + 1 : self.offset + 2]!r}."
                    ' A backslash itself is \\\\; r"..." has no escapes'
                )
            self.offset = match.end()
            read += (
                _bytes(match[1]) if match[1] else bytes([int(match[2] or match[3], 16 if match[2] else 8)])
            )
        return bytes(read)

    def _quoted_regex(self, start: int) -> bytes:
        """Only a backslash before a quote is an escape; within `[...]` a quote needs none."""
        read, in_class = "", False
        while (sign := self._next(start)) != '"' or in_class:
            self.offset += 1
            if sign == "\\":
                escaped = self._next(start)
                self.offset += 1
                read += escaped if escaped == '"' and not in_class else sign + escaped
                continue
            in_class = sign != "]" if in_class else sign == "["
            read += sign
        return _bytes(read)

    def _next(self, start: int) -> str:
        if self.offset >= len(self.text):
            raise self.fault("no quote ends the text that begins here", start)
        return self.text[self.offset]

    def number(self) -> int:
        """A whole number: decimal, 0x and hexadecimal, or 0 and octal."""
        start = self.skip()
        match = _NUMBER.match(self.text, start)
        if match is None:
            raise self.fault(f"expected a whole number, found {self.found()}")
        digits = match[0]
        try:
            if digits.startswith("0x"):
                value = int(digits[2:], 16)
            elif digits.startswith("0"):
                value = int(digits, 8)
            else:
                value = int(digits, 10)
        except ValueError:
            raise self.fault(f"{digits} is no whole number (one that begins with 0 is octal)") from None
        if value not in _INT64:
            raise self.fault(f"{digits} is no whole number of 64 bits")
        self.offset = match.end()
        return value

    def numbers(self) -> int | Range:
        """A whole number, or a range of them."""
        start = self.skip()
        first = self.number()
        if not self.text.startswith("..", self.offset):
            return first
        self.offset += 2
        last = self.number()
        if last < first:
            raise self.fault(f"the range {first}..{last} is empty", start)
        return Range(first, last)

    def address(self) -> Address:
        """One address."""
        return self._address(self._addresses())

    def addresses(self) -> Address | Range:
        """An address, a network, or a range of addresses."""
        start = self.skip()
        chunk = self._addresses()
        first, dots, last = chunk.partition("..")
        if dots:
            ends = Range(self._address(first, start), self._address(last, start))
            if ends.first.version != ends.last.version:  # type: ignore[union-attr]
                raise self.fault(f"{chunk} mixes versions of addresses", start)
            if int(ends.last) < int(ends.first):
                raise self.fault(f"the range {chunk} is empty", start)
            return ends
        if "/" not in chunk:
            return self._address(chunk, start)
        try:
            network = ip_network(chunk)
        except ValueError as error:
            raise self.fault(f"{chunk} is no network: {error}; 192.0.2.0/24 is one", start) from None
        return Range(network.network_address, network.broadcast_address)

    def _addresses(self) -> str:
        start = self.skip()
        match = _ADDRESS.match(self.text, start)
        if match is None:
            raise self.fault(f"expected an address without quotes, found {self.found()}")
        self.offset = match.end()
        return match[0]

    def _address(self, text: str, start: int | None = None) -> Address:
        try:
            return ip_address(text)
        except ValueError:
            hint = ": a network needs in {...}" if "/" in text else ""
            place = self.offset - len(text) if start is None else start
            raise self.fault(f"{text!r} is no address{hint}", place) from None

    def list_name(self) -> str:
        """The name of a list, after its `$`."""
        match = _LIST.match(self.text, self.skip())
        if match is None:
            raise self.fault("a list's name is $ and small letters, digits, _ and dots within")
        self.offset = match.end()
        return match[1]


def _bytes(text: str) -> bytes:
    # A surrogate of its own has no UTF-8; it becomes what no request can have.
    return text.encode("utf-8", "surrogatepass")
