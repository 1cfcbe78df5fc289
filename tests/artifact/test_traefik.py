"""What the entrance promises, asked of the real Traefik with the generated configuration and objects."""

import gzip
import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.programs import registry
from tests.artifact import fakes
from tests.artifact.entrance_world import (
    CLIENT,
    ROUTES,
    Upstream,
    World,
    asked,
    certificate,
    free_ports,
    granted,
    kubelet_writes,
    put_endpoints,
    traefik,
    upstream,
    world,
)

EXPECTED_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@pytest.fixture(scope="module")
def program() -> Path:
    return traefik()


@pytest.fixture(scope="module")
def upstreams(program: Path) -> Iterator[list[Upstream]]:
    with upstream("first") as first, upstream("second") as second:
        yield [first, second]


@pytest.fixture(scope="module")
def here(
    program: Path, upstreams: list[Upstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with world(program, tmp_path_factory.mktemp("entrance"), upstreams) as running:
        # Once it has heard of these, in their order, nothing of its start is still on the way: `endpoints` counts.
        put_endpoints(running.api, "site", [])
        fakes.until(lambda: running.ask("site.test").status == 503, "the last of its start")
        put_endpoints(running.api, "site", [one.pod for one in upstreams])
        fakes.until(lambda: running.ask("site.test").status == 200, "what is served")
        yield running


def test_the_build_is_the_pinned_release(program: Path) -> None:
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^Version:\s+{re.escape(registry.PROGRAMS['traefik'].version)}$", said, re.MULTILINE)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_answer_carries_the_security_headers(here: World, route: object) -> None:
    assert hasattr(route, "host")
    headers = here.ask(route.host, client="203.0.113.1").headers

    assert {name: headers[name] for name in EXPECTED_HEADERS} == EXPECTED_HEADERS
    assert "Server" not in headers
    assert "X-Powered-By" not in headers


def test_each_host_has_a_content_security_policy_of_its_own(here: World) -> None:
    assert here.ask("site.test").headers["Content-Security-Policy"] == "default-src 'self'"
    assert (
        "default-src 'none'" in here.ask("api.test", client="203.0.113.1").headers["Content-Security-Policy"]
    )


def burst(here: World, clients: Iterator[str], *, peer: str = "127.0.0.1", count: int = 60) -> list[int]:
    """So many requests to the API, one after the other, as fast as they go."""
    with here.connection("api.test", peer) as connection:
        return [asked(connection, client=next(clients)).status for _ in range(count)]


def assert_limited(statuses: list[int], seconds: float) -> None:
    """Twenty at once, ten a second; a request that would wait less than 50 ms does."""
    let_in = statuses.count(200)
    assert set(statuses) == {200, 429}
    assert statuses[:20] == [200] * 20
    assert 20 <= let_in <= 20 + 10 * seconds + 2


def test_a_client_has_its_burst_and_then_its_rate_while_others_are_served(here: World) -> None:
    began = time.monotonic()
    with here.connection("api.test") as connection:
        answers = [asked(connection, client="203.0.113.10") for _ in range(60)]
    seconds = time.monotonic() - began

    assert here.ask("api.test", client="203.0.113.11").status == 200
    assert_limited([answer.status for answer in answers], seconds)
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert {name: refused.headers[name] for name in EXPECTED_HEADERS} == EXPECTED_HEADERS


def test_a_client_does_not_get_away_by_what_it_says_to_the_proxy(here: World) -> None:
    began = time.monotonic()
    statuses = burst(here, (f"192.0.2.{number % 250}, 203.0.113.12" for number in range(10**6)))

    assert_limited(statuses, time.monotonic() - began)


def test_all_addresses_of_one_ipv6_network_are_one_client(here: World) -> None:
    began = time.monotonic()
    statuses = burst(here, (f"2001:db8::{number:x}" for number in range(1, 10**6)))

    assert_limited(statuses, time.monotonic() - began)
    assert here.ask("api.test", client="2001:db8:0:1::1").status == 200


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": CLIENT}, {"CF-Connecting-IP": CLIENT}])
def test_nobody_comes_in_past_the_proxy(here: World, headers: dict[str, str]) -> None:
    assert here.ask("site.test", peer="127.0.0.2", client=None, headers=headers).status == 403


def test_the_application_hears_of_one_client_and_from_one_header(here: World) -> None:
    forged = {"X-Real-Ip": "192.0.2.1", "CF-Connecting-IP": "192.0.2.2", "True-Client-IP": "192.0.2.3"}
    headers = here.ask("site.test", headers=forged).told["headers"]

    assert headers["x-forwarded-for"] == f"{CLIENT}, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "site.test"
    assert not {"x-real-ip", "cf-connecting-ip", "true-client-ip"} & set(headers)


def test_without_a_proxy_a_client_is_its_own_address_whatever_it_says(
    program: Path, upstreams: list[Upstream], tmp_path: Path
) -> None:
    with world(program, tmp_path, upstreams, direct=True) as here:
        began = time.monotonic()
        statuses = burst(here, (f"192.0.2.{number % 250}" for number in range(10**6)), peer="127.0.0.3")
        seconds = time.monotonic() - began
        forged = {"CF-Connecting-IP": "192.0.2.9", "X-Real-Ip": "192.0.2.9"}

        assert_limited(statuses, seconds)
        answer = here.ask("api.test", peer="127.0.0.4", client="192.0.2.1", headers=forged)
        assert answer.told["headers"]["x-forwarded-for"] == "127.0.0.4"


def test_a_large_body_is_refused_where_there_is_a_limit(here: World) -> None:
    def post(host: str, body: bytes | Iterator[bytes]) -> int:
        headers = {} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
        return here.ask(host, method="POST", body=body, headers=headers, client="203.0.113.20").status

    assert post("api.test", b"x" * 1000) == 200
    assert post("api.test", b"x" * 1001) == 413
    assert post("api.test", iter([b"x" * 600, b"x" * 600])) == 413
    assert post("ws.test", b"x" * 100_000) == 200


def test_plain_http_is_sent_to_https(here: World) -> None:
    answer = here.plain("web", "/a/b?c=d")

    assert answer.status in (301, 308)
    assert answer.headers["Location"] == "https://site.test/a/b?c=d"


def tls(here: World, host: str, **limits: ssl.TLSVersion) -> str | None:
    context = here.context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side would refuse already
    for name, version in limits.items():
        setattr(context, name, version)
    with here.connect(host, context=context) as connection:
        return connection.version()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_begins_at_1_2(here: World) -> None:
    one, two = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2
    assert tls(here, "site.test", maximum_version=two) == "TLSv1.2"
    assert tls(here, "site.test") == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        tls(here, "site.test", minimum_version=one, maximum_version=one)


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_weak_ciphers_are_refused(here: World, cipher: str) -> None:
    context = here.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"), here.connect("site.test", context=context):
        pass


def test_a_host_that_is_not_ours_gets_no_certificate(here: World) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"), here.connect("other.test"):
        pass


def test_a_cookie_keeps_a_client_on_one_copy(here: World) -> None:
    first = here.ask("ws.test")
    cookie = first.headers["Set-Cookie"]
    pair, *attributes = cookie.split("; ")

    assert pair.startswith("entrance=")
    assert {"HttpOnly", "Secure", "SameSite=Lax"} <= set(attributes)
    assert "127.0.0.1" not in cookie
    with_it = {here.ask("ws.test", headers={"Cookie": pair}).told["name"] for _ in range(20)}
    without = {here.ask("ws.test").told["name"] for _ in range(20)}
    assert (with_it, without) == ({first.told["name"]}, {"first", "second"})
    assert "Set-Cookie" not in here.ask("site.test").headers


class WebSocket:
    def __init__(self, here: World, path: str = "/ws") -> None:
        self.socket = here.connect("ws.test")
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: ws.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, text: bytes) -> None:
        self.socket.sendall(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)

    def hear(self) -> bytes:
        head = self.socket.recv(2)
        return self.socket.recv(head[1]) if head else b""


def test_a_websocket_goes_through(here: World) -> None:
    with WebSocket(here) as channel:
        for text in (b"hello", b"again"):
            channel.say(text)
            assert channel.hear() == text


def test_what_is_large_is_compressed(here: World) -> None:
    def text(size: int) -> tuple[str | None, bytes]:
        answer = here.ask("site.test", f"/text?{size}", headers={"Accept-Encoding": "gzip"})
        return answer.headers["Content-Encoding"], answer.body

    encoding, body = text(60_000)
    assert encoding == "gzip"
    assert len(gzip.decompress(body)) == 60_000
    assert len(body) < 6_000
    assert text(600)[0] is None


def test_a_stream_of_events_is_neither_held_nor_compressed(here: World) -> None:
    with here.connect("ws.test") as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: ws.test\r\nAccept-Encoding: gzip\r\n\r\n")
        received = b""
        while b"data: hello" not in received:  # the stream itself never ends
            received += connection.recv(4096)
    assert b"Content-Encoding" not in received


def test_the_access_log_tells_who_and_what_but_no_secret(here: World) -> None:
    secrets = {
        "Authorization": "Bearer tell-nobody",
        "Cookie": "session=tell-nobody",
        "X-Api-Key": "tell-nobody",
        "Referer": "https://site.test/?token=tell-nobody",
        "User-Agent": "log-test",
    }
    here.ask("api.test", "/reset?token=tell-nobody", headers=secrets, client="203.0.113.30")

    def logged() -> list[dict[str, object]]:
        return [entry for entry in here.access_log() if entry.get("request_User-Agent") == "log-test"]

    fakes.until(logged, "the line in the access log")
    (entry,) = logged()
    assert entry["ClientHost"] == "203.0.113.30"
    assert (entry["RequestMethod"], entry["RequestHost"], entry["DownstreamStatus"]) == (
        "GET",
        "api.test",
        200,
    )
    assert entry["RouterName"] == "fixia-app-api-api-test@kubernetes"
    assert "TLSVersion" in entry
    assert "tell-nobody" not in (here.folder / "traefik.log").read_text()


def test_metrics_name_the_routes_and_stand_alone(here: World) -> None:
    here.ask("site.test")
    metrics = here.metrics()

    assert re.search(r'traefik_service_requests_total\{.*service="fixia-app-site-http@kubernetes"', metrics)
    assert re.search(
        r'traefik_router_requests_total\{.*router="fixia-app-site-site-test@kubernetes"', metrics
    )
    assert "traefik_tls_certs_not_after" in metrics
    for entry_point, path in (("metrics", "/ping"), ("ping", "/metrics"), ("ping", "/api/rawdata")):
        assert here.plain(entry_point, path).status == 404
    assert here.plain("ping", "/ping").status == 200


@pytest.mark.parametrize("path", ["/text?5", "/%74ext?5", "/TEXT?5", "/%54e%78T?5", "/site/../text?5"])
def test_a_hidden_path_leads_to_the_first_page_however_it_is_spelt(here: World, path: str) -> None:
    assert set(here.ask("ws.test", path).told) >= {"name", "headers"}


def test_a_path_is_hidden_on_its_own_host_alone(here: World) -> None:
    assert b"headers" not in here.ask("site.test", "/text?1000").body


def test_it_asks_the_api_server_for_exactly_what_it_may(here: World) -> None:
    assert here.api.calls == granted()


def test_nothing_in_the_configuration_is_refused(here: World) -> None:
    text = (here.folder / "traefik.log").read_text()
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    wrong = [entry for entry in entries if entry.get("level") in ("error", "fatal")]
    assert [entry for entry in wrong if "request body" not in entry["message"]] == []


def test_a_renewed_certificate_is_served_without_a_restart(here: World, tmp_path: Path) -> None:
    def served() -> str:
        context = here.context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with here.connect("site.test", context=context) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")

    cert, key = certificate(tmp_path, "renewed", [route.host for route in ROUTES])
    files = {name.name: name.read_text() for name in (here.folder / "dynamic").glob("[!.]*")}
    before = served()
    renewed = {"certificate-0.crt": cert.read_text(), "certificate-0.key": key.read_text()}
    kubelet_writes(here.folder / "dynamic", files | renewed)

    fakes.until(lambda: served() == cert.read_text(), "the renewed certificate")
    assert before != cert.read_text()
    kubelet_writes(here.folder / "dynamic", files)
    fakes.until(lambda: served() == before, "the first certificate again")


def test_a_lone_request_that_meets_a_closed_port_goes_to_the_other_copy(
    here: World, upstreams: list[Upstream]
) -> None:
    (closed,) = free_ports(1)
    here.endpoints("site", [upstreams[0].pod, ("127.0.1.3", closed)])

    for method in ("GET", "POST"):
        statuses = {here.ask("site.test", method=method, body=b"x").status for _ in range(10)}
        assert statuses == {200}, method
    here.endpoints("site", [one.pod for one in upstreams])


def test_a_host_without_pods_is_unavailable_and_not_unknown(here: World, upstreams: list[Upstream]) -> None:
    here.endpoints("site", [])
    assert here.ask("site.test").status == 503
    here.endpoints("site", [one.pod for one in upstreams])
    assert here.ask("site.test").status == 200


def test_slow_answers_and_slow_requests_are_given_up_but_websockets_are_not(
    program: Path, upstreams: list[Upstream], tmp_path: Path
) -> None:
    with (
        world(program, tmp_path, upstreams, timeout_seconds=1) as here,
        WebSocket(here, "/ws?2.5") as channel,
    ):
        assert here.ask("site.test", "/slow?0.2").status == 200
        assert here.ask("site.test", "/slow?20").status == 504
        with here.connect("site.test") as connection:
            began = time.monotonic()
            connection.sendall(b"POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 9\r\n\r\nx")
            received = b""
            while part := connection.recv(4096):
                received += part
            assert time.monotonic() - began < 20
            assert b" 200 " not in received
        assert channel.hear() == b"late"
        channel.say(b"still here")
        assert channel.hear() == b"still here"


def test_a_caller_must_show_a_certificate_where_an_authority_is_named(
    program: Path, upstreams: list[Upstream], tmp_path: Path
) -> None:
    with world(program, tmp_path, upstreams, client_authority=True) as here:
        assert here.ask("site.test").status == 200
        here.client_certificate = None
        with pytest.raises((ssl.SSLError, ConnectionError), match=r"(?i)certificate|reset"):
            here.ask("site.test")
