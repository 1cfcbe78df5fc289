"""HTTPS before an S3 on the loopback: it writes down each call, and fails as it is told.

It forwards bytes as they are, the Host header too, because requests are signed over it. It also stands for
AWS where keys are temporary: it answers as the token service does that gives them to a web identity, and
checks the tokens that came with them; see `s3_signature`.
"""

import contextlib
import http.client
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from tests.artifact.s3_signature import Refused, Request, resigned

CHUNK_BYTES = 2**18
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        user: the access key that signed it; empty for none.
        action: the permission that S3 asks for it, such as `s3:PutObject`.
        bucket: the bucket.
        key: the object's key; of a listing its prefix.
        status: what was answered; 0 when the connection was cut.
        checked: whether a checksum of the body came with it.
    """

    user: str
    action: str
    bucket: str
    key: str
    status: int
    checked: bool = False


@dataclass(eq=False)
class Rule:
    """A fault: what it strikes, and how. Whatever is not told fits everything.

    Attributes:
        action: the call's action, such as `s3:PutObject`.
        key: a pattern that is searched in the object's key.
        user: the access key.
        status: what is answered instead, such as 503 or 403.
        code: S3's word for it, such as `SlowDown` or `ExpiredToken`.
        delay: seconds to wait before.
        rate: bytes per second that the body is slowed down to.
        cut: the connection is cut instead of an answer.
        skip: how many calls it lets pass first.
        times: how many calls it strikes; all unless told.
        struck: how many it has struck so far.
        gate: waited for before the call is forwarded; see `S3.held`.
    """

    action: str | None = None
    key: str = ""
    user: str | None = None
    status: int | None = None
    code: str = "InternalError"
    delay: float = 0
    rate: int | None = None
    cut: bool = False
    skip: int = 0
    times: int | None = None
    struck: int = 0
    gate: threading.Event | None = None

    def strikes(self, call: Call) -> bool:
        """Whether this call is one of those; counts it."""
        fits = (
            self.action in (None, call.action)
            and self.user in (None, call.user)
            and re.search(self.key, call.key) is not None
        )
        if not fits:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True


@dataclass
class Traffic:
    """What the proxy knows.

    Attributes:
        upstream: the S3's port on the loopback.
        calls: every call so far.
        rules: the faults that hold.
        roles: ARN of a role -> the access key and secret that its token gets.
        tokens: the web identity tokens that were shown.
        sessions: session token -> the access key and secret that it was given with.
    """

    upstream: int
    calls: list[Call] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def judged(self, call: Call) -> Rule | None:
        """The first fault that strikes a call."""
        with self.lock:
            return next((rule for rule in self.rules if rule.strikes(call)), None)

    def note(self, call: Call) -> None:
        """Write a call down."""
        with self.lock:
            self.calls.append(call)


@contextmanager
def proxy(traffic: Traffic, tls: Path, *, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Run it; gives its port.

    Args:
        traffic: what it forwards to, and writes down.
        tls: folder with tls.crt and tls.key.
        address: where it listens, on the loopback.
        port: a free one unless told.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    server = _Server((address, port), _Handler, context, traffic)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: Any, context: ssl.SSLContext, traffic: Traffic
    ) -> None:
        super().__init__(address, handler)
        self.context, self.traffic = context, traffic

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a handshake that hangs holds up nobody else."""
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request.settimeout(300)
        with contextlib.suppress(OSError):
            wrapped = self.context.wrap_socket(request, server_side=True)
            self.RequestHandlerClass(wrapped, client_address, self)  # type: ignore[arg-type]
            # Clients take an end without this for an attack: "unexpected eof".
            wrapped.unwrap().close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is nobody's failure."""


class _Cut(Exception):
    """The connection is to end without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _connection: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        if self._connection:
            self._connection.close()

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (_Cut, OSError, http.client.HTTPException):
            self.close_connection = True

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Host", "").startswith("sts."):
            self._assume(self.rfile.read(length).decode())
            return
        call = asked(self.command, self.path, dict(self.headers.items()))
        rule = self.server.traffic.judged(call)
        if rule and rule.gate:
            rule.gate.wait(300)
        if rule and rule.delay:
            time.sleep(rule.delay)
        if rule and (rule.cut or rule.status):
            self._note(call, 0 if rule.cut else rule.status or 0)
            if rule.cut:
                raise _Cut
            self._drain(length)
            assert rule.status is not None
            self._answer(rule.status, _error(rule.code))
            return
        self._forward(call, length, rule.rate if rule else None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 as http.server calls them

    def _note(self, call: Call, status: int) -> None:
        self.server.traffic.note(replace(call, status=status))

    def _drain(self, length: int) -> None:
        while length > 0:
            read = self.rfile.read(min(length, CHUNK_BYTES))
            if not read:
                raise _Cut
            length -= len(read)

    def _forward(self, call: Call, length: int, rate: int | None) -> None:
        headers: Mapping[str, str] = dict(self.headers.items())
        try:
            sent = Request(self.command, self.path, {name.lower(): value for name, value in headers.items()})
            headers = resigned(sent, self.server.traffic.sessions) or headers
        except Refused as refused:
            self._note(call, 403)
            self._drain(length)
            self._answer(403, _error(str(refused)))
            return
        connection = self._connection
        if connection is None:
            connection = self._connection = http.client.HTTPConnection(
                "127.0.0.1", self.server.traffic.upstream, timeout=300
            )
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in ("connection", "expect"):
                connection.putheader(name, value)
        connection.endheaders()
        _copy(self.rfile.read, connection.send, length, rate)
        answer = connection.getresponse()
        self._note(call, answer.status)
        self.send_response_only(answer.status, answer.reason)
        given = answer.getheader("Content-Length")
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "keep-alive"):
                self.send_header(name, value)
        if self.command == "HEAD" or answer.status in (204, 304):
            self.end_headers()
            answer.read()
        elif given is not None:
            self.end_headers()
            _copy(answer.read, self.wfile.write, int(given), rate)
            answer.read()  # its end, so that the connection can be used again
        else:
            body = answer.read()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        if answer.will_close:
            connection.close()
            self._connection = None

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _assume(self, body: str) -> None:
        """As AWS STS: AssumeRoleWithWebIdentity."""
        told = {name: values[0] for name, values in parse_qs(body or urlsplit(self.path).query).items()}
        traffic = self.server.traffic
        call = Call("", f"sts:{told.get('Action')}", "", told.get("RoleArn", ""), 200)
        rule = traffic.judged(call)
        keys = traffic.roles.get(call.key)
        if rule or keys is None:
            self._note(call, 403)
            error = f"<Error><Type>Sender</Type><Code>{rule.code if rule else 'AccessDenied'}</Code></Error>"
            self._answer(403, f"<ErrorResponse>{error}</ErrorResponse>".encode())
            return
        self._note(call, 200)
        session = secrets.token_urlsafe(48)
        with traffic.lock:
            traffic.tokens.append(told.get("WebIdentityToken", ""))
            traffic.sessions[session] = keys
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + DAY_SECONDS))
        self._answer(
            200,
            f"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>{keys[0]}</AccessKeyId><SecretAccessKey>{keys[1]}</SecretAccessKey>
<SessionToken>{session}</SessionToken><Expiration>{until}</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""".encode(),
        )


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], Any], length: int, rate: int | None) -> None:
    chunk = CHUNK_BYTES if rate is None else max(1, min(CHUNK_BYTES, rate // 10))
    while length > 0:
        data = read(min(length, chunk))
        if not data:
            raise _Cut
        write(data)
        length -= len(data)
        if rate is not None:
            time.sleep(len(data) / rate)


def _error(code: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>{code}, as the test wants it</Message></Error>"
    return ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode()


def asked(method: str, path: str, headers: Mapping[str, str]) -> Call:
    """What a request asks for, by the permission that S3 wants to see.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    lower = {name.lower(): value for name, value in headers.items()}
    signed = lower.get("authorization", "") or query.get("X-Amz-Credential", "")
    user = re.search(r"(?:Credential=)?([^/=\s]+)/\d{8}/", signed)
    action = _object_action(method, query) if key else _bucket_action(method, query)
    checked = any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in lower)
    # Parts are checked when they are put together; that itself has no body to check.
    checked = checked or "uploads" in query or (method == "POST" and "uploadId" in query)
    return Call(user[1] if user else "", action, bucket, key or query.get("prefix", ""), 0, checked)


def _object_action(method: str, query: Mapping[str, str]) -> str:
    upload = "uploadId" in query
    if method in ("GET", "HEAD"):
        if upload:
            return "s3:ListMultipartUploadParts"
        return "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
    if method == "DELETE":
        if upload:
            return "s3:AbortMultipartUpload"
        return "s3:DeleteObjectVersion" if "versionId" in query else "s3:DeleteObject"
    return "s3:PutObject"


def _bucket_action(method: str, query: Mapping[str, str]) -> str:
    if method == "POST" and "delete" in query:
        return "s3:DeleteObject"
    if method in ("PUT", "DELETE"):
        return "s3:CreateBucket" if method == "PUT" else "s3:DeleteBucket"
    named = {
        "location": "s3:GetBucketLocation",
        "versions": "s3:ListBucketVersions",
        "uploads": "s3:ListBucketMultipartUploads",
        "versioning": "s3:GetBucketVersioning",
        "object-lock": "s3:GetBucketObjectLockConfiguration",
    }
    return next((action for name, action in named.items() if name in query), "s3:ListBucket")
