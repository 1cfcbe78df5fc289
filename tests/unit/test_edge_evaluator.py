"""What an expression of the rules language means for a request, by the evaluator of the tests."""

import pytest

from components.edge.fields import FUNCTIONS
from components.edge.language import parse
from tests.unit import edge_evaluator
from tests.unit.edge_evaluator import Request, evaluate, normalised

REQUEST = Request(
    method="POST",
    host="Example.com",
    path="/Articles/2008/x.HTML",
    query="a=1&a=22&b=x%2Fy+z",
    headers={"User-Agent": "curl/8", "Accept": ["text/html", "Application/JSON"], "X-Empty": ""},
    address="198.51.100.7",
    country="DE",
)

MEANINGS = {
    'http.request.uri.path eq "/Articles/2008/x.HTML"': True,
    'http.request.uri.path eq "/articles/2008/x.html"': False,
    'lower(http.request.uri.path) == "/articles/2008/x.html"': True,
    'upper(http.host) == "EXAMPLE.COM"': True,
    'http.request.uri.path.extension eq "html"': True,
    'http.host ne "example.com"': True,
    'http.host lt "F" and http.host > "E" and http.host le "Example.com" and http.host >= "Example.com"': True,
    'http.user_agent contains "url"': True,
    'starts_with(http.user_agent, "curl") and ends_with(http.user_agent, "8")': True,
    'http.request.method in {"GET" "POST"}': True,
    'not http.request.method in {"GET" "POST"}': False,
    "ip.src in {198.51.100.0/28}": True,
    "ip.src in {198.51.100.8 198.51.100.1..198.51.100.7}": True,
    "ip.src in {2001:db8::/32 0.0.0.0..9.255.255.255}": False,
    "ip.src eq 198.51.100.7": True,
    'cidr(ip.src, 24, 64) eq 198.51.100.0 and to_string(ssl) eq "true"': True,
    "len(http.host) eq 11 and len(http.host) in {1..5 11}": True,
    'len(http.request.uri.args["a"]) == 2': True,
    'http.request.uri.args["a"][1] == "22"': True,
    'http.request.uri.args["b"][0] == "x%2Fy+z" and url_decode(http.request.uri.args["b"][0]) == "x/y z"': True,
    'any(http.request.headers["accept"][*] == "text/html")': True,
    'any(lower(http.request.headers["accept"][*])[*] == "application/json")': True,
    'all(http.request.headers["accept"][*] contains "/")': True,
    'all(http.request.headers["accept"][*] contains "html")': False,
    'any(not http.request.headers["accept"][*] contains "html")': True,
    'any(http.request.headers["accept"][*] contains "x" and http.request.headers["accept"][*] contains "h")': True,
    'any(http.request.headers["accept"][*] contains "J" and http.request.headers["accept"][*] contains "h")': False,
    'any(starts_with(http.request.headers["accept"][*], "text"))': True,
    "any(len(http.request.headers.values[*])[*] gt 10)": True,
    'http.request.headers["x-empty"][0] == ""': True,
    # What is not there makes every comparison false.
    'http.request.headers["x-none"][0] == "x"': False,
    'http.request.headers["x-none"][0] ne "x"': False,
    'not http.request.headers["x-none"][0] == "x"': True,
    'len(http.request.headers["x-none"]) ge 0': False,
    'http.request.headers["accept"][2] ne ""': False,
    'starts_with(http.request.headers["x-none"][0], "")': False,
    'any(http.request.headers["x-none"][*] ne "x")': False,
    'all(http.request.headers["x-none"][*] eq "x")': True,
    'has_key(http.request.headers, "accept") and not has_key(http.request.headers, "x-none")': True,
    'http.referer == "" and http.cookie eq ""': True,
    'http.request.uri.path wildcard "/articles/*/x.html"': True,
    'http.request.uri.path strict wildcard "/articles/*"': False,
    'http.request.uri.path strict wildcard "/A*"': True,
    'http.request.uri.path wildcard "/articles"': False,
    'http.request.uri.path ~ "^/Articles/200[7-8]/"': True,
    'http.request.uri.path matches r"\\.html$"': False,
    'concat(http.host, "/", http.request.method) == "Example.com/POST"': True,
    'substring(http.host, 0, 3) == "Exa" and substring(http.host, -3) == "com"': True,
    # not binds before and, and before xor, xor before or.
    "not ssl and not ssl or ssl": True,
    "ssl or ssl and not ssl": True,
    "ssl xor ssl or ssl": True,
    "ssl ^^ ssl && not ssl": True,
    "ssl xor ssl and ssl": False,
    "(ssl or ssl) and not ssl": False,
    "true and not false": True,
}


@pytest.mark.parametrize(("text", "meaning"), MEANINGS.items())
def test_an_expression_means_what_the_documentation_says(text: str, meaning: bool) -> None:
    assert evaluate(parse(text), REQUEST) is meaning


def test_a_list_of_the_account_is_asked_by_its_name() -> None:
    office = {"office": ["198.51.100.0/24", "2001:db8::1"], "hosts": ["Example.com"]}
    assert evaluate(parse("ip.src in $office and http.host in $hosts"), REQUEST, office)
    assert not evaluate(parse("ip.src in $office"), Request(address="2001:db8::2"), office)


def test_the_evaluator_has_only_functions_that_there_are() -> None:
    assert edge_evaluator.FUNCTIONS.keys() <= FUNCTIONS.keys()


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/%68ello//pa\\th", "/hello/pa/th"),
        ("/a/./b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("/%2e%2E/%7euser", "/~user"),
        ("/a%2fb%3a", "/a%2Fb%3A"),
        ("/caf\u00e9 x", "/caf%C3%A9%20x"),
        ("/%252e", "/%252e"),
        ("/", "/"),
    ],
)
def test_a_path_is_seen_normalised_and_kept_raw(sent: str, seen: str) -> None:
    assert normalised(sent) == seen
    assert Request(path=sent).fields["http.request.uri.path"] == seen.encode()
    assert Request(path=sent).fields["raw.http.request.uri.path"] == sent.encode()
