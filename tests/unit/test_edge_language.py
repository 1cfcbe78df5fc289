"""Cloudflare's rules language: what can be written, what it means, and what is refused with which words."""

from ipaddress import ip_address
from itertools import pairwise

import pytest

from components.edge import expression
from components.edge.expression import (
    ALWAYS,
    ARGUMENTS,
    ASN,
    COUNTRY,
    HEADER_NAMES,
    HEADERS,
    HOST,
    IP,
    METHOD,
    PATH,
    QUERY,
    TLS,
    USER_AGENT,
    VERIFIED_BOT,
    Expression,
    Flag,
    Text,
    Value,
    every_of,
    one_of,
    wildcard_literal,
)
from components.edge.fields import DDOS, FIELDS, NARROW, PHASES, PLANS, Array, Map, Scope
from components.edge.language import MAX_LENGTH, MAX_NESTING, ExpressionFault, check, parse
from components.edge.language_tree import Comparison, FieldValue, Range
from components.edge.shape import PlanName
from tests.unit.edge_evaluator import Request, evaluate

CUSTOM = "http_request_firewall_custom"


@pytest.mark.parametrize(
    ("english", "signs"),
    [
        ('http.host eq "a"', 'http.host == "a"'),
        ('http.host ne "a"', 'http.host!="a"'),
        ("len(http.host) lt 1", "len(http.host)<1"),
        ("len(http.host) le 1", "len(http.host) <= 1"),
        ("len(http.host) gt 1", "len(http.host) > 1"),
        ("len(http.host) ge 1", "len(http.host) >= 1"),
        ('http.host matches "a"', 'http.host ~ "a"'),
        ("ssl and not ssl", "ssl && !ssl"),
        ("ssl or ssl xor ssl", "ssl||ssl^^ssl"),
        ('http.host eq "a"', 'http.host\r\n  eq\n"a"'),
        ('http.host eq "a"', '((http.host eq r"a"))'),
        ('http.host eq "a\\"b\\\\c"', 'http.host eq r#"a"b\\c"#'),
        ('http.host eq "\\x61\\142"', 'http.host eq "ab"'),
        ("len(http.host) eq 0x1F", "len(http.host) eq 037"),
    ],
)
def test_both_notations_are_read_alike(english: str, signs: str) -> None:
    assert parse(english) == parse(signs)


def test_a_regular_expression_in_quotes_keeps_its_escapes() -> None:
    assert parse(r'http.host matches "a\"b\.c[\"]"') == Comparison(
        FieldValue("http.host", "String"), "matches", rb'a"b\.c[\"]'
    )


def test_members_of_sets_are_read_with_their_ranges() -> None:
    read = parse("ip.src in {192.0.2.0/30 ::1}")
    assert isinstance(read, Comparison)
    assert read.operand == (Range(ip_address("192.0.2.0"), ip_address("192.0.2.3")), ip_address("::1"))


REFUSED = {
    "": (1, "there is nothing; true is every request"),
    "http.host": (
        10,
        "expected one of eq, ne, lt, le, gt, ge, contains, wildcard, strict wildcard, matches, in",
    ),
    "http.host eq": (13, 'expected a text in quotes, "like this", found the end'),
    "http.host eq 5": (14, "expected a text in quotes"),
    'http.host eq "a': (14, "no quote ends the text that begins here"),
    'http.host eq r#"a"': (14, 'no "# ends the text that begins here'),
    'http.host = "a"': (11, "found '='"),
    r'http.host eq "a\n"': (16, "after \\ there is"),
    r'http.host eq "\400"': (15, "after \\ there is"),
    'http.hots eq "a"': (1, "there is no field http.hots: did you mean http.host?"),
    "ssl eq true": (5, "a Boolean stands by itself, as ssl and not ssl"),
    "ssl ssl": (5, "expected and, or, xor or the end, found 'ssl'"),
    'http.request.headers["x"] == "a"': (27, "any(...[*] ...) asks about each"),
    'http.request.headers == "a"': (22, 'a key in quotes, as ["accept"], gives a part'),
    'http.request.headers["x"][*] == "a"': (1, "any(...) or all(...) makes one of them"),
    'http.request.headers[0][0] == "a"': (22, "has no such part"),
    'http.host[0] == "a"': (11, "a value of type String has no such part: it is one value"),
    'http.request.headers["x"][-1] == "a"': (27, "an array is counted from 0"),
    'http.request.headers["x" == "a"': (26, "expected ] after the key"),
    'any(http.request.headers["x"][*] == "a" and ssl)': (45, "cannot be combined"),
    'any(http.request.headers["x"][*] == "a" or http.request.headers["y"][*] == "b")': (44, "same array"),
    "any(ssl)": (5, "argument 1 of any() is of type Array<Boolean>, found Boolean"),
    'starts_with("a", "b")': (13, "argument 1 of starts_with() is a field or a function"),
    "starts_with(http.host, http.host)": (24, "argument 2 of starts_with() is written out"),
    "starts_with(http.host)": (1, "starts_with() takes 2 arguments, found 1"),
    'lower(http.host, "a") eq "a"': (18, "lower() takes 1 arguments, found more"),
    'concat("a" "b") eq "a"': (12, "expected , or ) in concat()"),
    'lower(ip.src) eq "a"': (7, "argument 1 of lower() is of type String, found IP address"),
    'concat(http.host, http.request.headers.names[*]) eq "a"': (19, "only the first argument"),
    'lowercase(http.host) eq "a"': (1, "there is no function lowercase"),
    'lower eq "a"': (1, "lower is a function: lower(...)"),
    'http.request.uri.path ends_with "x"': (23, "ends_with is a function: ends_with(field, ...)"),
    "ip.src eq 192.0.2.0/24": (11, "a network needs in {...}"),
    'ip.src in {"192.0.2.1"}': (12, "expected an address without quotes"),
    "ip.src in {192.0.2.1/24}": (12, "is no network"),
    "ip.src in {192.0.2.1, 192.0.2.2}": (21, "spaces between them, no commas"),
    "ip.src in {192.0.2.9..192.0.2.1}": (12, "is empty"),
    "ip.src in {192.0.2.9..::1}": (12, "mixes versions"),
    "ip.src lt 192.0.2.1": (8, "lt is not for a value of type IP address, only eq, ne, in"),
    'ip.src contains "1"': (8, "contains is not for a value of type IP address"),
    "http.host in {}": (14, "a set of nothing"),
    'http.host in {"a"': (14, "no } ends the set that begins here"),
    'http.host in "a"': (14, "expected { with the members of a set, or a list as $name"),
    "ip.src in $Office": (11, "a list's name is $ and small letters"),
    "len(http.host) in {5..1}": (20, "the range 5..1 is empty"),
    "len(http.host) eq 09": (19, "one that begins with 0 is octal"),
    "len(http.host) eq 9223372036854775808": (19, "is no whole number of 64 bits"),
    'len(http.host) eq "5"': (19, "expected a whole number"),
    "(ssl": (5, "expected ) after the condition, found the end"),
    "ssl)": (4, "expected and, or, xor or the end, found ')'"),
    "ssl and": (8, "expected a field or a function, found the end"),
    "ssl AND ssl": (5, "found 'AND'"),
    "ssl & ssl": (5, "found '&'"),
    '"a" eq http.host': (1, "a text cannot stand on the left"),
    'http.host eq "a" # why': (18, "found '#'"),
    'http.host\teq "a"': (10, "found '\\t'"),
    'http.host matches "a(?=b)"': (19, "Rust's regular expressions have no '(?='"),
    r'http.host matches r"(a)\1"': (19, "Rust's regular expressions have no"),
    'http.host matches "a("': (19, "no regular expression"),
    'http.host wildcard "a**b"': (20, "** is not allowed"),
    r'http.host wildcard r"a\b"': (20, "\\ only escapes * and itself"),
    'http.host wildcard r"' + "a*" * 33 + '"': (20, "33 *"),
    'http.host strict eq "a"': (11, "found 'strict'"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_says_where_it_is_what_was_found_and_what_is_valid(text: str) -> None:
    position, words = REFUSED[text]
    with pytest.raises(ExpressionFault) as fault:
        parse(text, "rules.mine")
    assert fault.value.position == position, fault.value
    assert words in fault.value.reason
    assert str(fault.value).startswith(f"rules.mine: character {position}: ")


@pytest.mark.parametrize(
    ("text", "phase", "plan", "words"),
    [
        (
            'http.request.method eq "GET"',
            "http_ratelimit",
            "free",
            "only cf.client.bot, http.request.uri.path",
        ),
        ('http.host eq "a"', "http_ratelimit", "free", "not in http_ratelimit on the plan free"),
        ("ip.src eq 192.0.2.1", "http_ratelimit", "pro", "there are only cf.client.bot, http.host"),
        ('http.request.headers["a"][0] eq "a"', "http_ratelimit", "business", "not in http_ratelimit"),
        ('http.host matches "a"', CUSTOM, "pro", "need the plan business, this zone's is pro: starts_with"),
        ("cf.bot_management.score lt 30", CUSTOM, "business", "needs the plan enterprise"),
        ('http.request.cookies["a"][0] eq "a"', CUSTOM, "free", "needs the plan pro"),
        ("http.request.body.size gt 1", CUSTOM, "pro", "needs the plan enterprise, this zone's is pro"),
        ("http.response.code eq 500", CUSTOM, "enterprise", f"http.response.code is not in {CUSTOM}"),
        ('http.request.body.mime eq "a"', "ddos_l7", "enterprise", "is not in ddos_l7"),
        ("cidr(ip.src, 24, 64) eq 192.0.2.0", "http_request_cache_settings", "pro", "cidr() is not in"),
        ('regex_replace(http.host, "a", "b") eq "a"', CUSTOM, "enterprise", "regex_replace() is not in"),
        ("ip.src in $cf.vpn", CUSTOM, "business", "Cloudflare's own lists need the plan enterprise"),
        ("http.host in $ours", CUSTOM, "pro", "lists are of addresses"),
    ],
)
def test_what_a_plan_or_phase_lacks_is_refused_with_what_it_has(
    text: str, phase: str, plan: PlanName, words: str
) -> None:
    parse(text)
    with pytest.raises(ExpressionFault) as fault:
        check(text, Scope(phase, plan))
    assert words in fault.value.reason


@pytest.mark.parametrize(
    ("text", "phase", "plan"),
    [
        ('starts_with(http.request.uri.path, "/a") and not cf.client.bot', "http_ratelimit", "free"),
        ('http.host eq "a" and http.request.uri.query contains "b"', "http_ratelimit", "pro"),
        ('http.request.method eq "POST" and ip.src ne 192.0.2.1', "http_ratelimit", "business"),
        ('http.request.headers["a"][0] eq "a"', "http_ratelimit", "enterprise"),
        ('http.host matches "a"', CUSTOM, "business"),
        ("ip.src in $office", CUSTOM, "free"),
        (
            'http.response.code eq 500 and any(http.response.headers["a"][*] eq "b")',
            "http_response_headers_transform",
            "free",
        ),
        ('http.user_agent contains "a"', "ddos_l7", "free"),
    ],
)
def test_what_a_plan_and_phase_have_is_taken(text: str, phase: str, plan: PlanName) -> None:
    check(text, Scope(phase, plan))


def test_a_greater_plan_has_all_that_a_smaller_one_has() -> None:
    for phase in PHASES:
        for smaller, greater in pairwise(PLANS):
            assert Scope(phase, smaller).fields().keys() <= Scope(phase, greater).fields().keys()
            assert Scope(phase, smaller).functions().keys() <= Scope(phase, greater).functions().keys()


def test_the_narrow_lists_name_only_fields_that_there_are() -> None:
    assert set().union(DDOS, *NARROW.values()) <= FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_can_be_compared_by_its_type(name: str) -> None:
    found = FIELDS[name].type
    text = name
    while isinstance(found, Array | Map):
        text += "[0]" if isinstance(found, Array) else '["x"]'
        found = found.of
    parse(
        {"String": f'{text} eq "x"', "Integer": f"{text} eq 1", "IP address": f"{text} eq ::1"}.get(
            found, text
        )
    )


def test_an_unknown_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="no phase http_request_firewall: ddos_l7, "):
        Scope("http_request_firewall", "free")


def test_the_longest_expression_is_taken_and_one_character_more_is_not() -> None:
    text = 'http.host eq "' + "a" * (MAX_LENGTH - 15) + '"'
    assert len(text) == MAX_LENGTH
    parse(text)
    with pytest.raises(ExpressionFault, match="4097 characters, and Cloudflare takes 4096: split the rule"):
        parse(text.replace('"a', '"aa'))


@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("not ", ""), ("!", "")])
def test_nesting_ends_with_a_fault_not_with_the_stack(before: str, after: str) -> None:
    parse(before * MAX_NESTING + "ssl" + after * MAX_NESTING)
    with pytest.raises(ExpressionFault, match=f"more than {MAX_NESTING} parentheses"):
        parse(before * 1000 + "ssl" + after * 1000)


# The builder.


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (HOST.equals("a"), 'http.host eq "a"'),
        (PATH.lower().starts_with("/admin"), 'starts_with(lower(http.request.uri.path), "/admin")'),
        (~METHOD.one_of("GET", "GET", "POST"), 'not http.request.method in {"GET" "POST"}'),
        (IP.one_of("192.0.2.0/24", "2001:DB8::1"), "ip.src in {192.0.2.0/24 2001:db8::1}"),
        (ASN.one_of(7, (1, 5)), "ip.src.asnum in {7 1..5}"),
        (IP.in_list("office"), "ip.src in $office"),
        (
            HEADERS["x-a"].any(lambda each: each.lower().equals("b")),
            'any(lower(http.request.headers["x-a"][*])[*] eq "b")',
        ),
        (
            HEADERS["x-a"].any(lambda each: each.ends_with("b")),
            'any(ends_with(http.request.headers["x-a"][*], "b"))',
        ),
        (
            HEADER_NAMES.all(lambda each: each.length().less(9)),
            "all(len(http.request.headers.names[*])[*] lt 9)",
        ),
        (ARGUMENTS["a"].first.equals("b"), 'http.request.uri.args["a"][0] eq "b"'),
        (ARGUMENTS["a"].count().greater(1), 'len(http.request.uri.args["a"]) gt 1'),
        (QUERY.decoded().contains('"\\'), 'url_decode(http.request.uri.query) contains "\\"\\\\"'),
        (HOST.equals("a\tb\x7f"), 'http.host eq "a\\x09b\\x7f"'),
        (HOST.wildcard('a"#*'), 'http.host wildcard r##"a"#*"##'),
        (PATH.wildcard("/a/*", strict=True), 'http.request.uri.path strict wildcard r"/a/*"'),
        (USER_AGENT.matches(r"^a\.b"), 'http.user_agent matches r"^a\\.b"'),
        (TLS & VERIFIED_BOT & TLS, "ssl and cf.client.bot and ssl"),
        (TLS & (VERIFIED_BOT | TLS), "ssl and (cf.client.bot or ssl)"),
        ((TLS & VERIFIED_BOT) | TLS, "(ssl and cf.client.bot) or ssl"),
        (TLS ^ (VERIFIED_BOT ^ TLS), "ssl xor cf.client.bot xor ssl"),
        (~(TLS & VERIFIED_BOT), "not (ssl and cf.client.bot)"),
        (~~TLS & TLS, "not (not ssl) and ssl"),
        (every_of([TLS]), "ssl"),
        (one_of([TLS, ALWAYS, TLS]), "ssl or true or ssl"),
    ],
)
def test_the_builder_quotes_and_groups(built: Expression, text: str) -> None:
    assert str(built) == text
    parse(text)


def test_a_text_that_tries_to_end_its_quotes_stays_a_text() -> None:
    evil = '" or ssl or http.host eq "'
    assert not evaluate(parse(str(HOST.equals(evil))), Request())
    assert evaluate(parse(str(HOST.equals(evil))), Request(host=evil))
    assert not evaluate(
        parse(str(HOST.wildcard(wildcard_literal('*" or ssl or http.host eq "*')))), Request()
    )


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: bool(TLS),
        lambda: TLS and VERIFIED_BOT,
        lambda: HEADERS["a"].any(lambda _: TLS),
        lambda: HEADERS["a"].any(lambda each: each.equals("b") & TLS),
    ],
)
def test_what_has_no_meaning_cannot_be_built(misuse: object) -> None:
    with pytest.raises(TypeError):
        misuse()  # type: ignore[operator]


@pytest.mark.parametrize(
    "misuse",
    [
        HOST.one_of,
        IP.one_of,
        lambda: IP.one_of("192.0.2.1/24"),
        lambda: IP.equals("here"),
        lambda: ASN.one_of((5, 1)),
    ],
)
def test_what_cloudflare_would_refuse_cannot_be_built(misuse: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        misuse()  # type: ignore[operator]


def test_every_constant_of_the_builder_is_a_field_of_its_type() -> None:
    wanted = {"Text": "String", "Number": "Integer", "Address": "IP address", "Texts": "Array<String>"}
    wanted |= {"TextsByName": "Map<Array<String>>", "Flag": "Boolean"}
    constants = {name: each for name, each in vars(expression).items() if isinstance(each, Value)}
    assert len(constants) >= 20
    for name, each in constants.items():
        assert str(FIELDS[each.text].type) == wanted[type(each).__name__], name
    conditions = {name: each for name, each in vars(expression).items() if isinstance(each, Expression)}
    for name, condition in conditions.items():
        assert condition.text == "true" or FIELDS[condition.text].type == "Boolean", name
    assert str(Flag("ssl").holds()) == "ssl"
    assert str(Text("http.host")) == "http.host"
    assert str(COUNTRY.differs("DE")) == 'ip.src.country ne "DE"'
    assert str(TLS & QUERY.one_of("b", "a", "b")) == 'ssl and http.request.uri.query in {"b" "a"}'
