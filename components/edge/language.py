"""Reads Cloudflare's rules language: grammar, types, and what a phase and a plan have.

    check('starts_with(http.request.uri.path, "/admin")', Scope("http_request_firewall_custom", "free"))

The grammar is that of Cloudflare's own open parser where its documentation is silent, without what the
documentation leaves out (`contains {...}`, `bitwise_and`, bytes as `61:62`, words without spaces: `notssl`).

Sources: https://developers.cloudflare.com/ruleset-engine/rules-language/,
https://github.com/cloudflare/wirefilter/tree/master/engine/src
"""

from collections.abc import Mapping
from typing import Final, Literal

from components.edge.fields import FIELDS, FUNCTIONS, Array, Field, Function, Scope, Type
from components.edge.language_checks import (
    accepts,
    bases,
    close,
    count,
    inside,
    regex_fault,
    wanted,
    wildcard_fault,
)
from components.edge.language_scanner import ExpressionFault, Scanner
from components.edge.language_tree import (
    EVERY,
    Argument,
    Call,
    Combined,
    Comparison,
    Condition,
    Constant,
    FieldValue,
    Holds,
    Indexed,
    Key,
    Listed,
    Not,
    Operand,
    Operator,
    Range,
    Value,
    Written,
    at,
    every,
)

__all__ = ["MAX_LENGTH", "ExpressionFault", "check", "parse"]

MAX_LENGTH: Final = 4096
"""Characters: https://developers.cloudflare.com/ruleset-engine/rules-language/expressions/edit-expressions/."""

MAX_NESTING: Final = 64
"""Of parentheses, `not` and functions. Cloudflare's parser has 128; nobody reads half of that."""

_WORDS: Final[Mapping[str, Operator]] = {
    "==": "eq",
    "!=": "ne",
    "<=": "le",
    ">=": "ge",
    "<": "lt",
    ">": "gt",
    "~": "matches",
    "eq": "eq",
    "ne": "ne",
    "le": "le",
    "ge": "ge",
    "lt": "lt",
    "gt": "gt",
    "in": "in",
    "contains": "contains",
    "matches": "matches",
    "wildcard": "wildcard",
}
"""As written -> the operator; two signs are looked for before one."""

_ORDER: Final[tuple[Operator, ...]] = ("eq", "ne", "lt", "le", "gt", "ge")
_OPERATORS: Final[Mapping[Type, tuple[Operator, ...]]] = {
    "String": (*_ORDER, "contains", "wildcard", "strict wildcard", "matches", "in"),
    "Integer": (*_ORDER, "in"),
    "IP address": ("eq", "ne", "in"),
}

_LOGIC: Final[tuple[tuple[Literal["or", "xor", "and"], str], ...]] = (
    ("or", "||"),
    ("xor", "^^"),
    ("and", "&&"),
)
"""From the weakest to the strongest."""


def check(text: str, scope: Scope, where: str = "expression") -> Condition:
    """Read an expression as Cloudflare would, in its phase and plan.

    Args:
        text: the expression.
        scope: where it stands.
        where: what to call it in a message, as `rules.closed-paths`.

    Raises:
        ExpressionFault: where it is wrong, what was found, and what would be valid.
    """
    return _Parser(text, where, scope).whole()


def parse(text: str, where: str = "expression") -> Condition:
    """Read an expression as if every plan and phase had everything.

    Raises:
        ExpressionFault: as `check`.
    """
    return _Parser(text, where, None).whole()


class _Parser:
    def __init__(self, text: str, where: str, scope: Scope | None) -> None:
        if len(text) > MAX_LENGTH:
            reason = f"{len(text)} characters, and Cloudflare takes {MAX_LENGTH}: split the rule"
            raise ExpressionFault(text, MAX_LENGTH, reason, where)
        self.at = Scanner(text, where)
        self.scope = scope
        self.fields = FIELDS if scope is None else scope.fields()
        self.functions = FUNCTIONS if scope is None else scope.functions()
        self.depth = 0

    def whole(self) -> Condition:
        if self.at.ended:
            raise self.at.fault("there is nothing; true is every request")
        start = self.at.offset
        condition = self.logic(0)
        if not self.at.ended:
            raise self.at.fault(
                f"expected and, or, xor or the end, found {self.at.found()}{self.hint(condition)}"
            )
        if condition.type != "Boolean":
            raise self.at.fault(
                "[*] makes an array of answers: any(...) or all(...) makes one of them", start
            )
        return condition

    def hint(self, condition: Condition) -> str:
        """For whoever compares a flag."""
        if isinstance(condition, Holds) and self.operator(peek=True):
            return f": a {condition.type} stands by itself, as ssl and not ssl"
        return ""

    # Conditions

    def logic(self, level: int, first: Condition | None = None) -> Condition:
        """A condition of one precedence and all stronger ones; the first part may have been read already."""
        if level == len(_LOGIC):
            return first or self.simple()
        word, sign = _LOGIC[level]
        items = [self.logic(level + 1, first)]
        while (self.at.word() == word and self.at.take(word)) or self.at.take(sign):
            start = self.at.skip()
            items.append(self.logic(level + 1))
            self.same(items[0], items[-1], start)
        return items[0] if len(items) == 1 else Combined(word, tuple(items))

    def same(self, first: Condition, second: Condition, start: int) -> None:
        if first.type != second.type:
            raise self.at.fault(
                f"{first.type} and {second.type} cannot be combined: mind where [*] is", start
            )
        if first.type != "Boolean" and bases(first) != bases(second):
            raise self.at.fault("within one any() or all(), every [*] is on the same array", start)

    def simple(self) -> Condition:
        if self.at.take("("):
            self.deeper()
            condition = self.logic(0)
            self.at.expect(")", "after the condition")
            self.depth -= 1
            return condition
        if self.at.word() == "not" or (self.at.sees("!") and not self.at.sees("!=")):
            self.at.take("not") or self.at.take("!")
            self.deeper()
            condition = Not(self.simple())
            self.depth -= 1
            return condition
        if self.at.word() in ("true", "false"):
            word = self.at.word() or ""
            self.at.take(word)
            return Holds(Written(word == "true", "Boolean", word))
        if self.at.starts_text():
            raise self.at.fault("a text cannot stand on the left: a field or a function is compared with it")
        return self.comparison(self.value())

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.at.fault(f"more than {MAX_NESTING} parentheses, functions and nots within each other")

    def comparison(self, value: Value) -> Condition:
        flags = value.type == "Boolean" or value.type == Array("Boolean")
        if flags:
            if every(value) and value.type != "Boolean":
                raise self.at.fault("an array of arrays of answers: one [*] is enough")
            return Holds(value)
        start = self.at.skip()
        operator = self.operator()
        valid = _OPERATORS.get(value.type)
        if valid is None:
            raise self.at.fault(f"a value of type {value.type} has no operator: {inside(value.type)}", start)
        if operator is None:
            word = self.at.word()
            hint = f"; {word} is a function: {word}(field, ...)" if word in FUNCTIONS else ""
            expected = f"expected one of {', '.join(valid)} after a value of type {value.type}"
            raise self.at.fault(f"{expected}, found {self.at.found()}{hint}")
        if operator not in valid:
            raise self.at.fault(
                f"{operator} is not for a value of type {value.type}, only {', '.join(valid)}", start
            )
        if operator == "matches" and self.scope and not self.scope.has_plan("business"):
            reason = f"regular expressions need the plan business, this zone's is {self.scope.plan}"
            raise self.at.fault(f"{reason}: starts_with, ends_with, contains and wildcard are there", start)
        return Comparison(value, operator, self.operand(value.type, operator))

    def operator(self, *, peek: bool = False) -> Operator | None:
        start = self.at.skip()
        found: Operator | None = None
        word = self.at.word()
        if word == "strict" and self.at.take(word):
            found = "strict wildcard" if self.at.word() == "wildcard" and self.at.take("wildcard") else None
        elif word:
            found = _WORDS.get(word)
            self.at.take(word) if found else None
        else:
            for sign, operator in _WORDS.items():
                if self.at.take(sign):
                    found = operator
                    break
        if peek or found is None:
            self.at.offset = start
        return found

    # Right of an operator

    def operand(self, type_: Type, operator: Operator) -> Operand:
        if operator == "in":
            return self.listed(type_) if self.at.sees("$") else self.members(type_)
        if type_ == "Integer":
            return self.at.number()
        if type_ == "IP address":
            return self.at.address()
        start = self.at.skip()
        read = self.at.literal(regex=operator == "matches")
        wrong = None
        if operator == "matches":
            wrong = regex_fault(read)
        elif operator in ("wildcard", "strict wildcard"):
            wrong = wildcard_fault(read)
        if wrong:
            raise self.at.fault(wrong, start)
        return read

    def listed(self, type_: Type) -> Listed:
        start = self.at.skip()
        name = self.at.list_name()
        if self.scope and not self.scope.has_plan("enterprise"):
            if name.startswith("cf."):
                raise self.at.fault("Cloudflare's own lists need the plan enterprise", start)
            if type_ != "IP address":
                raise self.at.fault("below enterprise, lists are of addresses: write a set, {...}", start)
        return Listed(name)

    def members(self, type_: Type) -> tuple[Constant | Range, ...]:
        start = self.at.skip()
        self.at.expect("{", "with the members of a set, or a list as $name")
        found: list[Constant | Range] = []
        while not self.at.take("}"):
            if self.at.ended:
                raise self.at.fault("no } ends the set that begins here", start)
            if self.at.sees(","):
                raise self.at.fault("a set's members have spaces between them, no commas")
            found.append(self.member(type_))
        if not found:
            raise self.at.fault("a set of nothing matches nothing", start)
        return tuple(found)

    def member(self, type_: Type) -> Constant | Range:
        if type_ == "Integer":
            return self.at.numbers()
        return self.at.addresses() if type_ == "IP address" else self.at.literal()

    # Left of an operator

    def value(self) -> Value:
        start = self.at.skip()
        name = self.at.word()
        if name is None:
            raise self.at.fault(f"expected a field or a function, found {self.at.found()}")
        self.at.take(name)
        of: FieldValue | Call
        if self.at.sees("("):
            of = self.call(name, self.function(name, start), start)
        else:
            of = FieldValue(name, self.field(name, start).type)
        keys: list[Key] = []
        type_ = of.type
        while self.at.take("["):
            place = self.at.skip()
            key = self.key()
            inner = at(type_, key)
            if inner is None:
                raise self.at.fault(f"a value of type {type_} has no such part: {inside(type_)}", place)
            keys.append(key)
            type_ = inner
            self.at.expect("]", "after the key")
        return Indexed(of, tuple(keys), type_) if keys else of

    def key(self) -> Key:
        if self.at.take("*"):
            return EVERY
        if self.at.starts_text():
            return self.at.literal()
        start = self.at.skip()
        number = self.at.number()
        if number < 0:
            raise self.at.fault("an array is counted from 0", start)
        return number

    def field(self, name: str, start: int) -> Field:
        if name in self.fields:
            return self.fields[name]
        if self.scope and name in FIELDS:
            raise self.at.fault(self.scope.lacks(name, FIELDS[name], self.fields), start)
        if name in FUNCTIONS:
            raise self.at.fault(f"{name} is a function: {name}(...)", start)
        raise self.at.fault(f"there is no field {name}{close(name, self.fields)}", start)

    def function(self, name: str, start: int) -> Function:
        if name in self.functions:
            return self.functions[name]
        if self.scope and name in FUNCTIONS:
            raise self.at.fault(self.scope.lacks(f"{name}()", FUNCTIONS[name], self.functions), start)
        raise self.at.fault(f"there is no function {name}{close(name, self.functions)}", start)

    def call(self, name: str, function: Function, start: int) -> Call:
        self.at.expect("(", "after the function")
        self.deeper()
        arguments: list[Argument] = []
        while not self.at.take(")"):
            if arguments:
                self.at.expect(",", f"or ) in {name}()")
            place = self.at.skip()
            argument = self.argument()
            self.fits(name, function, len(arguments), argument, place)
            arguments.append(argument)
        self.depth -= 1
        least = len(function.parameters) - function.optional
        if len(arguments) < least:
            raise self.at.fault(f"{name}() takes {count(function)}, found {len(arguments)}", start)
        mapped = bool(every(arguments[0]))
        result = function.returns or arguments[0].type
        return Call(name, tuple(arguments), Array(result) if mapped else result, mapped)

    def argument(self) -> Argument:
        if self.at.starts_text():
            start = self.at.skip()
            value = self.at.literal()
            return Written(value, "String", self.at.text[start : self.at.offset])
        start = self.at.skip()
        if self.at.text[start : start + 1].isdigit() or self.at.sees("-"):
            return Written(self.at.number(), "Integer", self.at.text[start : self.at.offset])
        if self.at.sees("(") or self.at.sees("!") or self.at.word() in ("not", "true", "false"):
            return self.logic(0)
        value_ = self.value()
        if value_.type != "Boolean" and value_.type != Array("Boolean") and not self.operator(peek=True):
            return value_
        return self.logic(0, self.comparison(value_))

    def fits(self, name: str, function: Function, place: int, argument: Argument, start: int) -> None:
        """Whether a function takes an argument there."""
        if place >= len(function.parameters) and not function.repeats:
            raise self.at.fault(f"{name}() takes {count(function)}, found more", start)
        parameter = function.parameters[min(place, len(function.parameters) - 1)]
        if place and every(argument):
            raise self.at.fault(f"only the first argument of {name}() may have [*]", start)
        ordinal = f"argument {place + 1} of {name}()"
        if parameter.kind == "literal" and not isinstance(argument, Written):
            raise self.at.fault(f"{ordinal} is written out, it cannot be a field or function", start)
        if parameter.kind == "field" and isinstance(argument, Written):
            raise self.at.fault(f"{ordinal} is a field or a function, it cannot be written out", start)
        if not accepts(parameter, argument.type):
            raise self.at.fault(f"{ordinal} is of type {wanted(parameter)}, found {argument.type}", start)
