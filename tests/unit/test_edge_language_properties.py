"""What holds of every expression: what is built can be read and means the same, and reading never breaks."""

import re
from collections.abc import Callable
from functools import reduce
from ipaddress import ip_address, ip_network
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from components.edge.expression import (
    COOKIE,
    HEADERS,
    IP,
    QUERY,
    REFERER,
    TLS,
    USER_AGENT,
    VERIFIED_BOT,
    Expression,
    Text,
    wildcard_literal,
)
from components.edge.fields import FIELDS, FUNCTIONS, PHASES, PLANS, Scope
from components.edge.language import MAX_LENGTH, ExpressionFault, check, parse
from components.edge.shape import PlanName
from tests.unit.edge_evaluator import Request, evaluate

SIGNS: Final = 'abAB"\\*#?[](){}.+ \n\t\x00~é☃'
TEXTS: Final = st.text(SIGNS, max_size=6)
ADDRESSES: Final = st.sampled_from(
    ["192.0.2.1", "192.0.2.9", "198.51.100.7", "2001:db8::1", "::ffff:c000:201"]
)
NETWORKS: Final = st.sampled_from(["192.0.2.0/29", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.9"])

Meaning = Callable[[Request], bool]
Pair = tuple[Expression, Meaning]

# A failing example is found again from the same seed, and nothing is kept between runs.
steady = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def header(name: str) -> Callable[[Request], bytes]:
    return lambda request: str(request.headers.get(name, "")).encode()


FIELDS_OF_TEXT: Final[list[tuple[Text, Callable[[Request], bytes]]]] = [
    (QUERY, lambda request: request.query.encode()),
    (USER_AGENT, header("user-agent")),
    (REFERER, header("referer")),
    (COOKIE, header("cookie")),
    (USER_AGENT.lower(), lambda request: header("user-agent")(request).lower()),
    (REFERER.upper(), lambda request: header("referer")(request).upper()),
]


@st.composite
def comparisons(draw: st.DrawFn) -> Pair:
    field, read = draw(st.sampled_from(FIELDS_OF_TEXT))
    value = draw(TEXTS)
    wanted = value.encode()
    others = draw(st.lists(TEXTS, max_size=3))
    members = {each.encode() for each in others} | {wanted}
    size = draw(st.integers(0, 12))
    pairs: list[Pair] = [
        (field.equals(value), lambda request: read(request) == wanted),
        (field.differs(value), lambda request: read(request) != wanted),
        (field.contains(value), lambda request: wanted in read(request)),
        (field.starts_with(value), lambda request: read(request).startswith(wanted)),
        (field.ends_with(value), lambda request: read(request).endswith(wanted)),
        (field.one_of(value, *others), lambda request: read(request) in members),
        (field.length().at_least(size), lambda request: len(read(request)) >= size),
        (field.length().one_of((0, size)), lambda request: len(read(request)) <= size),
    ]
    return draw(st.sampled_from(pairs))


@st.composite
def about_addresses(draw: st.DrawFn) -> Pair:
    networks = draw(st.lists(NETWORKS, min_size=1, max_size=3))

    def within(request: Request) -> bool:
        return any(ip_address(request.address) in ip_network(each) for each in networks)

    return IP.one_of(*networks), within


@st.composite
def about_headers(draw: st.DrawFn) -> Pair:
    value, other = draw(TEXTS), draw(TEXTS)

    def values(request: Request) -> list[bytes]:
        return [each.encode() for each in request.headers.get("x-many", ())]

    def contains(each: Text) -> Expression:
        return each.contains(value) | ~each.lower().equals(other)

    def meant(each: bytes) -> bool:
        return value.encode() in each or each.lower() != other.encode()

    many = HEADERS["x-many"]
    pairs: list[Pair] = [
        (many.any(contains), lambda request: any(meant(each) for each in values(request))),
        (many.all(contains), lambda request: all(meant(each) for each in values(request))),
        (many.first.equals(value), lambda request: values(request)[:1] == [value.encode()]),
        (
            many.first.differs(value),
            lambda request: values(request)[:1] not in ([], [value.encode()]),
        ),
        (
            many.count().less(2),
            lambda request: "x-many" in request.headers and len(values(request)) < 2,
        ),
    ]
    return draw(st.sampled_from(pairs))


def combined(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def both(first: Pair, second: Pair, sign: str) -> Pair:
        (left, means), (right, intends) = first, second
        if sign == "&":
            return left & right, lambda request: means(request) and intends(request)
        if sign == "|":
            return left | right, lambda request: means(request) or intends(request)
        return left ^ right, lambda request: means(request) != intends(request)

    return st.one_of(
        st.builds(both, pairs, pairs, st.sampled_from("&|^")),
        pairs.map(lambda pair: (~pair[0], lambda request: not pair[1](request))),
    )


LEAVES: Final = st.one_of(
    comparisons(),
    about_addresses(),
    about_headers(),
    st.just((TLS, lambda request: request.scheme == "https")),
    st.just((VERIFIED_BOT, lambda request: request.bot)),
)
PAIRS: Final = st.recursive(LEAVES, combined, max_leaves=12)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    headers = st.fixed_dictionaries(
        {},
        optional={
            "user-agent": TEXTS,
            "referer": TEXTS,
            "cookie": TEXTS,
            "x-many": st.lists(TEXTS, min_size=1, max_size=3),
        },
    )
    return Request(
        query=draw(TEXTS),
        headers=draw(headers),
        address=draw(ADDRESSES),
        scheme=draw(st.sampled_from(["http", "https"])),
        bot=draw(st.booleans()),
    )


@steady
@given(PAIRS, requests())
def test_what_is_built_is_read_and_means_what_python_means(pair: Pair, request_: Request) -> None:
    expression, means = pair
    text = str(expression)
    if len(text) <= MAX_LENGTH:
        assert evaluate(parse(text), request_) is means(request_), text


@steady
@given(st.lists(st.one_of(st.just(None), TEXTS), max_size=5), TEXTS, st.booleans())
def test_a_wildcard_means_its_pieces_in_their_order(
    pieces: list[str | None], value: str, strict: bool
) -> None:
    # None is a star; two in a row are one.
    pattern = re.sub(
        r"(?<!\\)((?:\\\\)*)\*{2,}",
        r"\1*",
        "".join("*" if each is None else wildcard_literal(each) for each in pieces),
    )
    found = evaluate(parse(str(QUERY.wildcard(pattern, strict=strict))), Request(query=value))
    assert found is _fits(
        [each if each is None else each.encode() for each in pieces], value.encode(), strict=strict
    )


def _fits(pieces: list[bytes | None], value: bytes, *, strict: bool) -> bool:
    """The same by trying every way; ASCII letters alone have a case."""
    if not strict:
        pieces = [each if each is None else each.lower() for each in pieces]
        value = value.lower()
    places = {0}
    for each in pieces:
        if each is None:
            places = {after for place in places for after in range(place, len(value) + 1)}
        else:
            places = {place + len(each) for place in places if value.startswith(each, place)}
    return len(value) in places


@steady
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8), st.data())
def test_operators_without_parentheses_bind_as_documented(
    atoms: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    words = data.draw(
        st.lists(st.sampled_from(["and", "or", "xor"]), min_size=len(atoms) - 1, max_size=len(atoms) - 1)
    )
    text = ""
    for number, (value, negated) in enumerate(atoms):
        text += (f" {words[number - 1]} " if number else "") + "not " * negated + str(value).lower()
    values: list[bool] = [value is not negated for value, negated in atoms]

    def split(word: str, values: list[bool], words: list[str], inner: Callable[..., bool]) -> list[bool]:
        parts: list[bool] = []
        start = 0
        for place, each in enumerate([*words, word]):
            if each == word:
                parts.append(inner(values[start : place + 1], words[start:place]))
                start = place + 1
        return parts

    def conjunction(values: list[bool], words: list[str]) -> bool:
        return all(values)

    def difference(values: list[bool], words: list[str]) -> bool:
        return reduce(lambda a, b: a is not b, split("xor", values, words, conjunction))

    assert evaluate(parse(text), Request()) is any(split("or", values, words, difference)), text


WORDS: Final = st.one_of(
    st.sampled_from(
        [
            *(
                "and",
                "or",
                "xor",
                "not",
                "&&",
                "||",
                "^^",
                "!",
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
                "[*]",
                ",",
                "..",
                "$a",
            ),
            *(
                "eq",
                "ne",
                "==",
                "<",
                "in",
                "contains",
                "matches",
                "~",
                "wildcard",
                "strict",
                "true",
                "ssl",
                "ip.src",
            ),
            *(
                '"a"',
                '"',
                'r"',
                'r#"a"#',
                '"\\',
                "0x",
                "09",
                "5",
                "-1",
                "192.0.2.1",
                "192.0.2.0/24",
                "::1",
                "1.2.",
            ),
            *('["x"]', "[0]", "http.request.headers", "(?=", "**", "\\", "\t", "\n", "é", "\ud800", "\x00"),
        ]
    ),
    st.sampled_from([*FIELDS]),
    st.sampled_from([f"{name}(" for name in FUNCTIONS]),
)


@settings(steady, max_examples=1000)
@given(
    st.one_of(
        st.lists(WORDS, max_size=14).map(" ".join),
        st.lists(WORDS, max_size=14).map("".join),
        st.text(max_size=60),
    ),
    st.sampled_from([*PHASES]),
    st.sampled_from(PLANS),
)
def test_reading_ends_with_a_tree_or_with_a_fault_of_its_own(text: str, phase: str, plan: PlanName) -> None:
    fault = fault_of(text, Scope(phase, plan))
    assert fault is None or (1 <= fault.position <= len(text) + 1 and fault.reason)


def fault_of(text: str, scope: Scope) -> ExpressionFault | None:
    try:
        check(text, scope)
    except ExpressionFault as fault:
        return fault
    return None


@steady
@given(PAIRS, requests(), st.data())
def test_a_change_of_one_character_is_read_or_refused_and_never_breaks(
    pair: Pair, request_: Request, data: st.DataObject
) -> None:
    text = str(pair[0])
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + data.draw(st.text(SIGNS + "09/:,$<=&|", max_size=1)) + text[place + 1 :]
    fault = fault_of(changed, Scope("http_request_firewall_custom", "enterprise"))
    if fault is None and "$" not in changed:
        assert evaluate(parse(changed), request_) in (True, False)
