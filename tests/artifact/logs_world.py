"""The real collector and the real Loki, as their pods run them, on a folder that stands for a node's logs."""

import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from components.monitoring import collector
from components.monitoring.logs import loki_yaml
from simulator.golang.install import installed, kept
from simulator.images.container import USER, Bind, Container, run_in
from simulator.programs import registry
from tests.artifact.pod import PATIENCE_SECONDS, eventually, free_port, sign, system

OWN_NAMESPACE: Final = "fixia-collector"
POD: Final = "api-7d9f8c6b5d-x2kzq"
"""As a Deployment names one."""

NANOSECONDS: Final = 10**9


def program(name: str) -> Path:
    """A program, if it is there or may be built; else the test is skipped."""
    wanted = registry.PROGRAMS[name]
    if found := kept(wanted):
        return found
    if os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(f"no {name}, and it builds for minutes: python -m simulator.programs {name}")
    return installed(wanted)


@dataclass
class LogsWorld:
    """Where everything is. Nothing runs until it is asked to.

    Attributes:
        folder: holds all of it.
        retention_days: how long Loki keeps a line.
        loki_flags: what else Loki is told.
    """

    folder: Path
    retention_days: int = 30
    loki_flags: tuple[str, ...] = ()
    loki_port: int = field(default_factory=free_port)
    status_port: int = field(default_factory=free_port)
    ports: dict[str, int] = field(
        default_factory=lambda: {
            name: free_port() for name in ("METRICS_PORT", "COUNTS_PORT", "HEALTH_PORT", "OTLP_PORT")
        }
    )
    traces_port: int | None = None

    def __post_init__(self) -> None:
        self.nodes_logs = self.folder / "pods"
        self.nodes_logs.mkdir()
        for name in ("loki-data", "collector-data", "config"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, USER)
        for name in ("loki-tls", "collector-tls"):
            (self.folder / name).mkdir()
            sign(self.folder / name, self.folder / "authority")
        (self.folder / "stranger-tls").mkdir()
        sign(self.folder / "stranger-tls", self.folder / "somebody-else")

    @contextmanager
    def loki(self) -> Iterator[Container]:
        """Run Loki until the body ends; it answers when the body begins."""
        binary = program("loki")
        text = loki_yaml(self.retention_days, port=self.loki_port, status_port=self.status_port)
        grpc = {"9095": str(free_port()), "9096": str(free_port())}
        for fixed, free in grpc.items():
            text = text.replace(f"grpc_listen_port: {fixed}", f"grpc_listen_port: {free}")
        (self.folder / "config" / "loki.yaml").write_text(text)
        loopback = ["-server.http-listen-address=127.0.0.1", "-internal-server.http-listen-address=127.0.0.1"]
        with run_in(
            system("prometheus"),
            ["/usr/bin/loki", "-config.file=/etc/store/loki.yaml", *loopback, *self.loki_flags],
            binds=[
                Bind(source=binary, target="/usr/bin/loki"),
                Bind(source=self.folder / "config", target="/etc/store"),
                Bind(source=self.folder / "loki-tls", target="/run/secrets/tls"),
                Bind(source=self.folder / "loki-data", target="/data", writable=True),
            ],
            env={"GOMEMLIMIT": "460MiB"},
            output=self.folder / "loki.log",
        ) as running:
            self._up(running, "loki", self.status_port, "/ready")
            yield running

    @contextmanager
    def collector(self, *, data: str = "collector-data") -> Iterator[Container]:
        """Run the collector until the body ends; it is up when the body begins.

        Args:
            data: the folder that is its own disk; another one is that of a new pod.
        """
        binary = program("otelcol")
        config = self.folder / "collector-config"
        config.mkdir(exist_ok=True)
        files = collector.files(traces=self.traces_port is not None)
        for name, content in files.items():
            (config / name).write_text(content)
        (self.folder / data).mkdir(exist_ok=True)
        os.chown(self.folder / data, USER, USER)
        env = {
            "LISTEN": "127.0.0.1",
            "LOGS_URL": f"https://localhost:{self.loki_port}",
            "LOGS_FOLDER": collector.LOGS_FOLDER,
            "OWN_NAMESPACE": OWN_NAMESPACE,
            "TLS_FOLDER": "/run/secrets/tls",
            "DATA_FOLDER": collector.DATA_FOLDER,
            "GOMEMLIMIT": "230MiB",
            **{name: str(port) for name, port in self.ports.items()},
        }
        if self.traces_port is not None:
            env["TRACES_URL"] = f"https://localhost:{self.traces_port}"
        with run_in(
            system("prometheus"),
            ["/otelcol", *(f"--config={collector.CONFIG_FOLDER}/{name}" for name in files)],
            binds=[
                Bind(source=binary, target="/otelcol"),
                Bind(source=config, target=collector.CONFIG_FOLDER),
                Bind(source=self.folder / "collector-tls", target="/run/secrets/tls"),
                Bind(source=self.nodes_logs, target=collector.LOGS_FOLDER),
                Bind(source=self.folder / data, target=collector.DATA_FOLDER, writable=True),
            ],
            env=env,
            output=self.folder / "collector.log",
        ) as running:
            self._up(running, "collector", self.ports["HEALTH_PORT"], "/")
            yield running

    def _up(self, running: Container, name: str, port: int, path: str) -> None:
        def answers() -> bool:
            assert running.poll() is None, (self.folder / f"{name}.log").read_text()[-4000:]
            return plain(port, path)[0] == 200

        eventually(answers, f"{name} is up: {self.folder}/{name}.log", 4 * PATIENCE_SECONDS)

    def write(
        self,
        *lines: str,
        namespace: str = "fixia-app",
        pod: str = POD,
        container: str = "api",
        stream: str = "stdout",
        at: float | None = None,
    ) -> None:
        """Let a container write lines, as the container runtime puts them into the node's files.

        Args:
            lines: what it writes.
            namespace: the pod's.
            pod: its name.
            container: which of its containers.
            stream: stdout or stderr.
            at: when, in seconds since 1970; now unless told.

        Source: https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
        """
        folder = self.nodes_logs / f"{namespace}_{pod}_0b1c2d3e-1111-2222-3333-444455556666" / container
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns() if at is None else int(at * NANOSECONDS)
        with (folder / "0.log").open("a") as file:
            for number, line in enumerate(lines):
                seconds, rest = divmod(now + number, NANOSECONDS)
                moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
                file.write(f"{moment}.{rest:09d}Z {stream} F {line}\n")

    def ask(self, path: str, *, tls: str | None = "collector-tls", **query: str) -> Any:
        """What Loki answers over TLS.

        Args:
            path: the URL's.
            tls: the folder of the certificate that is shown; None shows none.
            query: the parameters.

        Raises:
            OSError: it refuses to talk.
        """
        url = f"https://localhost:{self.loki_port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20, context=self.context(tls)) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def context(self, tls: str | None) -> ssl.SSLContext:
        """As a client shows a certificate, or none."""
        made = ssl.create_default_context(cafile=str(self.folder / "authority" / "ca.crt"))
        if tls is not None:
            made.load_cert_chain(self.folder / tls / "tls.crt", self.folder / tls / "tls.key")
        return made

    def found(self, query: str, *, hours: float = 2) -> list[tuple[Mapping[str, str], str]]:
        """The lines that a LogQL query finds, each with the labels that it has, the oldest first."""
        start = str(int((time.time() - hours * 3600) * NANOSECONDS))
        end = str(int((time.time() + 60) * NANOSECONDS))
        answer = self.ask(
            "/loki/api/v1/query_range", query=query, start=start, end=end, limit="5000", direction="forward"
        )
        lines = [
            (int(value[0]), stream["stream"], value[1])
            for stream in answer["data"]["result"]
            for value in stream["values"]
        ]
        return [(labels, line) for _, labels, line in sorted(lines, key=lambda each: each[0])]


def plain(port: int, path: str) -> tuple[int, str]:
    """What a port without TLS answers; 0 if nothing does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, ""
    except OSError:
        return 0, ""
