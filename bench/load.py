"""A load generator: keep-alive connections in one process, each asking again as soon as it is answered.

It is Python, and its own work is part of what it measures: its figures compare one thing with another on the
same machine in the same run. They are no measure of what a server can do at most.
"""

import asyncio
import ssl
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is asked.

    Attributes:
        address: IP address and TCP port.
        host: the Host header, and the name in the TLS handshake.
        headers: more headers.
        tls: how TLS is spoken; None is plain HTTP.
    """

    address: tuple[str, int]
    host: str
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def request(self) -> bytes:
        """The request's bytes."""
        lines = [f"{name}: {value}" for name, value in {"Host": self.host, **self.headers}.items()]
        return "\r\n".join(("GET / HTTP/1.1", *lines, "", "")).encode()


class Load:
    """A number of requests, shared out over connections and targets.

    Args:
        targets: asked in turn, connection by connection.
        count: requests altogether; more, if what runs beside them takes longer.
    """

    def __init__(self, targets: list[Target], count: int) -> None:
        self._targets = targets
        self._count = count
        self._begun = 0
        self._beside = False
        self._took: list[float] = []
        self.failed = 0

    @property
    def answered(self) -> int:
        """How many answers there were so far."""
        return len(self._took)

    def run(self, meanwhile: Callable[[], None] | None = None) -> dict[str, float]:
        """Asks, and measures.

        Args:
            meanwhile: runs beside it, in a thread of its own; asking goes on until it has ended.

        Returns:
            Requests a second; milliseconds at the 50th, 95th and 99th percentile; how many failed: were
            answered with anything but 200, or not at all.
        """
        began = time.perf_counter()
        asyncio.run(self._all(meanwhile))
        seconds = time.perf_counter() - began
        cuts = statistics.quantiles(self._took, n=100)
        return {
            "requests": self._begun,
            "requests_per_second": self.answered / seconds,
            "p50_ms": 1000 * cuts[49],
            "p95_ms": 1000 * cuts[94],
            "p99_ms": 1000 * cuts[98],
            "failed": self.failed,
        }

    async def _all(self, meanwhile: Callable[[], None] | None) -> None:
        async with asyncio.TaskGroup() as group:
            if meanwhile:
                self._beside = True
                group.create_task(self._run_beside(meanwhile))
            for number in range(CONNECTIONS):
                group.create_task(self._client(self._targets[number % len(self._targets)]))

    async def _run_beside(self, meanwhile: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(meanwhile)
        finally:
            self._beside = False

    def _more(self) -> bool:
        return self._begun < self._count or self._beside

    async def _client(self, target: Target) -> None:
        request = target.request()
        while self._more():
            try:
                await self._connection(target, request)
            except (OSError, EOFError):
                self.failed += 1

    async def _connection(self, target: Target, request: bytes) -> None:
        reader, writer = await asyncio.open_connection(
            *target.address, ssl=target.tls, server_hostname=target.host if target.tls else None
        )
        try:
            while self._more():
                self._begun += 1
                began = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next(line for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                self._took.append(time.perf_counter() - began)
                if b" 200 " not in lines[0]:
                    self.failed += 1
                if b"connection: close" in lines:
                    return
        finally:
            writer.close()
