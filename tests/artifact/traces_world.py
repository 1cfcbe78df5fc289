"""The real Jaeger behind the real collector, as their pods run them."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from components.monitoring.traces import jaeger_yaml
from simulator.images.container import USER, Bind, Container, run_in
from tests.artifact.logs_world import LogsWorld, program
from tests.artifact.pod import free_port, sign, system


@dataclass
class TracesWorld(LogsWorld):
    """Where everything is. Nothing runs until it is asked to.

    Attributes:
        memory: what Go is told that Jaeger may use.
    """

    memory: str = "230MiB"
    jaeger_ports: dict[str, Any] = field(
        default_factory=lambda: {
            name: free_port()
            for name in ("otlp_port", "query_port", "grpc_port", "metrics_port", "health_port")
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.traces_port = self.jaeger_ports["otlp_port"]
        for name in ("jaeger-data", "jaeger-config"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, USER)
        for name in ("jaeger-tls", "api-tls"):
            (self.folder / name).mkdir()
            sign(self.folder / name, self.folder / "authority")

    @contextmanager
    def jaeger(self) -> Iterator[Container]:
        """Run Jaeger until the body ends; it answers when the body begins."""
        binary = program("jaeger")
        text = jaeger_yaml(3, listen="127.0.0.1", **self.jaeger_ports)
        (self.folder / "jaeger-config" / "jaeger.yaml").write_text(text)
        with run_in(
            system("prometheus"),
            ["/jaeger", "--config=/etc/store/jaeger.yaml"],
            binds=[
                Bind(source=binary, target="/jaeger"),
                Bind(source=self.folder / "jaeger-config", target="/etc/store"),
                Bind(source=self.folder / "jaeger-tls", target="/run/secrets/tls"),
                Bind(source=self.folder / "jaeger-data", target="/data", writable=True),
            ],
            env={"GOMEMLIMIT": self.memory},
            output=self.folder / "jaeger.log",
        ) as running:
            self._up(running, "jaeger", self.jaeger_ports["health_port"], "/status")
            yield running

    def send(
        self,
        *names: str,
        trace: str,
        attributes: Mapping[str, str] | None = None,
        tls: str | None = "api-tls",
        port: int | None = None,
    ) -> int:
        """Send spans of a trace as a workload does, OTLP over HTTP; to the collector unless told.

        Args:
            names: the spans'.
            trace: its id.
            attributes: of each span.
            tls: the folder of the certificate that is shown; None shows none.
            port: where to.

        Returns:
            The HTTP status.

        Raises:
            OSError: nobody takes it.
        """
        content = json.dumps(otlp(names, trace, attributes or {})).encode()
        asked = urllib.request.Request(
            f"https://localhost:{port or self.ports['OTLP_PORT']}/v1/traces",
            content,
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(  # noqa: S310 the same
                asked, timeout=20, context=self.context(tls)
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def query(self, path: str, *, tls: str | None = "api-tls") -> Any:
        """What Jaeger's API answers; None if there is no such thing.

        Args:
            path: the URL's, with its query.
            tls: the folder of the certificate that is shown; None shows none.

        Raises:
            OSError: it refuses to talk.
        """
        url = f"https://localhost:{self.jaeger_ports['query_port']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=20, context=self.context(tls)) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            if refusal.code == 404:
                return None
            raise

    def spans(self, trace: str) -> list[dict[str, Any]]:
        """The spans of a trace that Jaeger has, by name; none if it does not know it."""
        answer = self.query(f"/api/traces/{trace}")
        found: list[dict[str, Any]] = answer["data"][0]["spans"] if answer else []
        return sorted(found, key=lambda span: str(span["operationName"]))


def new_trace() -> str:
    """The id of a trace that nobody has used."""
    return uuid4().hex


def otlp(names: Sequence[str], trace: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    """Spans as a workload exports them. Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding"""
    now = time.time_ns()
    told = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    spans = [
        {
            "traceId": trace,
            "spanId": uuid4().hex[:16],
            "name": name,
            "kind": 2,
            "startTimeUnixNano": str(now - 5_000_000),
            "endTimeUnixNano": str(now),
            "attributes": told,
            "events": [{"timeUnixNano": str(now), "name": "said", "attributes": told}],
        }
        for name in names
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": spans}]}]}
