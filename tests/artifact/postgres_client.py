"""A client of PostgreSQL by the protocol's own words, which sees each of them: who was told what, and when.

Source: https://www.postgresql.org/docs/17/protocol.html
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import unicodedata
from pathlib import Path

PROTOCOL = 196608
TLS_REQUEST = 80877103
PATIENCE_SECONDS = 30.0

Row = tuple[str | None, ...]


class Refused(Exception):
    """The server answered with an error; `code` is its SQLSTATE."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.code = fields.get("C", "")


class NoTls(Exception):
    """The server speaks no TLS."""


class Client:
    """One connection, logged in.

    Args:
        port: of this machine.
        user: the login.
        password: its password.
        database: which one.
        authority: the folder with `ca.crt` to know the server by; None speaks plainly.

    Raises:
        Refused: the login was.
        OSError: the connection broke, or the server is not to be trusted.
    """

    def __init__(
        self, port: int, user: str, password: str, authority: Path | None, *, database: str = "fixia"
    ) -> None:
        self._socket = socket.create_connection(("localhost", port), timeout=PATIENCE_SECONDS)
        self._reader = self._socket.makefile("rb")
        try:
            if authority is not None:
                self._encrypt(authority)
            self._login(user, password, database)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye."""
        try:
            self._send(b"X")
        except OSError:
            pass
        finally:
            self._close()

    def __call__(self, text: str) -> list[Row]:
        """Run a query by the simple protocol; give its rows."""
        self.send(text)
        return self.receive()

    def send(self, text: str) -> None:
        """Ask, and leave the answer for `receive`."""
        self._send(b"Q", _text(text))

    def receive(self) -> list[Row]:
        """The rows of the answer, at the end of which the server is ready again."""
        rows: list[Row] = []
        refusal: Refused | None = None
        while True:
            kind, body = self._read()
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                refusal = Refused(_fields(body))
                if refusal.code in ("57P01", "08P01", "58000"):  # said before hanging up
                    raise refusal
            elif kind == b"Z":
                if refusal:
                    raise refusal
                return rows

    def prepare(self, name: str, text: str) -> None:
        """Prepare a statement under a name, in the protocol and not in SQL."""
        self._send(b"P", _text(name) + _text(text) + struct.pack("!H", 0))
        self._send(b"S")
        self.receive()

    def execute(self, name: str, *values: str) -> list[Row]:
        """Run a prepared statement."""
        given = b"".join(struct.pack("!I", len(value.encode())) + value.encode() for value in values)
        bind = _text("") + _text(name) + struct.pack("!HH", 0, len(values)) + given + struct.pack("!H", 0)
        self._send(b"B", bind)
        self._send(b"E", _text("") + struct.pack("!I", 0))
        self._send(b"S")
        return self.receive()

    def certificate(self) -> bytes:
        """What the server showed."""
        assert isinstance(self._socket, ssl.SSLSocket)
        shown = self._socket.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    def _encrypt(self, authority: Path) -> None:
        self._socket.sendall(struct.pack("!II", 8, TLS_REQUEST))
        if self._socket.recv(1) != b"S":
            raise NoTls
        context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._reader = self._socket.makefile("rb")

    def _login(self, user: str, password: str, database: str) -> None:
        said = b"".join(_text(word) for word in ("user", user, "database", database)) + b"\0"
        self._socket.sendall(struct.pack("!II", len(said) + 8, PROTOCOL) + said)
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        first = f"n=,r={nonce}"
        while True:
            kind, body = self._read()
            if kind == b"E":
                raise Refused(_fields(body))
            if kind == b"Z":
                return
            if kind != b"R":
                continue
            (step,) = struct.unpack_from("!I", body)
            if step == 10:
                start = f"n,,{first}".encode()
                self._send(b"p", _text("SCRAM-SHA-256") + struct.pack("!I", len(start)) + start)
            elif step == 11:
                self._send(b"p", _proof(password, first, body[4:].decode()).encode())
            else:
                assert step in (0, 12), f"the server wants another proof: {step}"

    def _send(self, kind: bytes, body: bytes = b"") -> None:
        self._socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def _read(self) -> tuple[bytes, bytes]:
        head = self._reader.read(5)
        if len(head) < 5:
            raise ConnectionResetError("the connection ended")
        (length,) = struct.unpack("!I", head[1:])
        return head[:1], self._reader.read(length - 4)

    def _close(self) -> None:
        self._reader.close()
        self._socket.close()


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _row(body: bytes) -> Row:
    (count,) = struct.unpack_from("!H", body)
    values: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return tuple(values)


def _fields(body: bytes) -> dict[str, str]:
    return {field[:1].decode(): field[1:].decode() for field in body.split(b"\0") if field}


def _proof(password: str, first: str, challenge: str) -> str:
    """The client's last word of SCRAM-SHA-256. Source: RFC 5802, RFC 7677."""
    told = dict(part.split("=", 1) for part in challenge.split(","))
    known = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", known, base64.b64decode(told["s"]), int(told["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    last = f"c=biws,r={told['r']}"
    signed = hmac.digest(hashlib.sha256(key).digest(), ",".join((first, challenge, last)).encode(), "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signed, strict=True))
    return f"{last},p={base64.b64encode(proof).decode()}"
