"""A tiny application behind the entrance: `python upstream.py <name> <address>` prints its port and serves.

    /            its name and the request's headers, as JSON
    /slow?N      the same, after N seconds
    /text?N      N bytes of text that compresses well
    /events      a stream of one event that never ends by itself
    /ws          upgrades to a WebSocket and echoes; `/ws?N` says "late" after N seconds

At SIGTERM it takes no new connection, answers what it has, and ends.
"""

import asyncio
import base64
import hashlib
import json
import signal
import sys

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Application:
    def __init__(self, name: str) -> None:
        self.name = name
        self.connections: set[Connection] = set()
        self.stopping = asyncio.Event()
        self.empty = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stopping.set)
        server = await loop.create_server(lambda: Connection(self), address, 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await self.stopping.wait()
        server.close()
        for connection in [*self.connections]:
            connection.stop()
        while self.connections:
            self.empty.clear()
            await self.empty.wait()


class Connection(asyncio.Protocol):
    def __init__(self, application: Application) -> None:
        self.application = application
        self.received = b""
        self.busy = False
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.application.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the base class's
        self.application.connections.discard(self)
        self.application.empty.set()

    def stop(self) -> None:
        if not self.busy:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.upgraded:
            self.echo()
        elif not self.busy:
            self.next_request()

    def next_request(self) -> None:
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.received = rest[length:]
        self.busy = True
        path, _, argument = request.split(" ")[1].partition("?")
        if path in ("/slow", "/ws"):
            task = asyncio.create_task(self.later(path, argument, headers))
            self.application.tasks.add(task)
            task.add_done_callback(self.application.tasks.discard)
        else:
            self.answer_to(path, argument, headers)

    async def later(self, path: str, argument: str, headers: dict[str, str]) -> None:
        if path == "/ws":
            key = headers["sec-websocket-key"].encode() + MAGIC
            accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()
            self.upgraded = True
            self.transport.write(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
        if path == "/slow" or argument:
            await asyncio.sleep(float(argument))
        if path == "/slow":
            self.answer_to("/", "", headers)
        elif argument:
            self.transport.write(b"\x81\x04late")

    def answer_to(self, path: str, argument: str, headers: dict[str, str]) -> None:
        if path == "/events":
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"d\r\ndata: hello\n\n\r\n"
            )
        elif path == "/text":
            self.answer(b"lorem ipsum " * (int(argument) // 12), "text/plain")
        else:
            told = json.dumps({"name": self.application.name, "headers": headers})
            self.answer(told.encode(), "application/json")

    def answer(self, body: bytes, content_type: str) -> None:
        stopping = self.application.stopping.is_set()
        self.transport.write(
            f"HTTP/1.1 200 OK\r\nServer: upstream\r\nX-Powered-By: asyncio\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n{'Connection: close' if stopping else 'Connection: keep-alive'}\r\n\r\n".encode()
            + body
        )
        self.busy = False
        if stopping:
            self.transport.close()
        elif self.received:
            self.next_request()

    def echo(self) -> None:
        """Echo short masked text frames."""
        while len(self.received) >= 6 and len(self.received) >= 6 + (self.received[1] & 127):
            length = self.received[1] & 127
            mask, masked = self.received[2:6], self.received[6 : 6 + length]
            self.received = self.received[6 + length :]
            text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.transport.write(bytes((0x81, length)) + text)


if __name__ == "__main__":
    asyncio.run(Application(sys.argv[1]).serve(sys.argv[2]))
