"""Alertmanager's pod without a cluster, and those whom it tells: servers on loopback that speak their protocols."""

import base64
import json
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import yaml

from components.base import Identity
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.routes import Email, PagerDuty, Receivers, Slack, Webhook
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from simulator.images.container import Container
from tests.artifact.pod import PATIENCE_SECONDS, RecordedPod, eventually, free_port, sign
from tests.recorder import record

PASSWORD = "r" * 40
"""What the recorder gives for a generated one."""
MAIL_PASSWORD = "re_the-mail-servers-key"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
RUNBOOKS = "https://code.example/platform/blob/main/"
RUNBOOK = "docs/runbooks/cache-down.md"


@dataclass
class Told:
    """One request or email that somebody got."""

    path: str
    body: dict[str, Any] = field(default_factory=dict)
    mail: EmailMessage = field(default_factory=EmailMessage)

    @property
    def title(self) -> str:
        """What its reader sees first."""
        if self.mail["Subject"]:
            return str(self.mail["Subject"])
        if "payload" in self.body:
            return str(self.body["payload"]["summary"])
        if "attachments" in self.body:
            return str(self.body["attachments"][0]["title"])
        return str(self.body.get("groupLabels", {}))


class Web:
    """Slack, PagerDuty, a program and the dead man's switch, told apart by their paths."""

    def __init__(self) -> None:
        self.got: list[Told] = []
        self.answers: dict[str, int] = {}
        """Path -> status, instead of 200."""
        self.hangs: set[str] = set()
        self.over = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                if self.path in web.hangs:
                    web.over.wait(PATIENCE_SECONDS * 4)
                    return
                status = web.answers.get(self.path, 202 if "enqueue" in self.path else 200)
                if status < 300:
                    web.got.append(Told(path=self.path, body=body))
                self.send_response(status)
                self.end_headers()
                said = b"ok" if status < 300 else b"no_service"
                self.wfile.write(b'{"status": "success"}' if "enqueue" in self.path else said)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Web":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Mail:
    """A mail server that demands STARTTLS and a login. Source: RFC 5321, RFC 3207, RFC 4954."""

    def __init__(self, certificate: Path) -> None:
        self.got: list[Told] = []
        self.refused: list[str] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> "Mail":
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._served, args=(client,), daemon=True).start()

    def _served(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE_SECONDS)
        try:
            self._talk(client)
        except OSError:
            pass
        finally:
            client.close()

    def _talk(self, client: socket.socket) -> None:
        secure, known, to = False, False, ""
        client.sendall(b"220 mail\r\n")
        reader = client.makefile("rb")
        while line := reader.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "EHLO":
                offers = "AUTH PLAIN" if secure else "STARTTLS"
                client.sendall(f"250-mail\r\n250 {offers}\r\n".encode())
            elif verb == "STARTTLS":
                client.sendall(b"220 go on\r\n")
                client = self._context.wrap_socket(client, server_side=True)
                reader, secure = client.makefile("rb"), True
            elif verb == "AUTH" and secure:
                shown = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                known = shown == ["resend", MAIL_PASSWORD]
                client.sendall(b"235 welcome\r\n" if known else b"535 Invalid API key\r\n")
            elif verb == "QUIT":
                client.sendall(b"221 bye\r\n")
                return
            elif not known:
                self.refused.append(line)
                client.sendall(b"530 who are you?\r\n")
            elif verb == "DATA":
                client.sendall(b"354 go on\r\n")
                read = b""
                while not read.endswith(b"\r\n.\r\n"):
                    read += reader.readline()
                whole = read[:-3].replace(b"\r\n..", b"\r\n.")  # a point at a line's beginning is sent twice
                self.got.append(Told(path=to, mail=message_from_bytes(whole, policy=policy.default)))
                client.sendall(b"250 queued\r\n")
                to = ""
            else:
                to += "".join(re.findall(r"TO:<(.+?)>", line))
                client.sendall(b"250 fine\r\n")


class World:
    """Everybody who can be told, and the certificates of those who tell."""

    def __init__(self, folder: Path, web: Web, mail: Mail) -> None:
        self.folder, self.web, self.mail = folder, web, mail
        self.authority = folder / "authority"

    def receivers(self) -> Receivers:
        def at(path: str) -> Credential:
            return Credential(current=pulumi.Output.secret(self.web.url + path))

        return Receivers(
            slack=Slack(channel="#alerts", url=at("/slack")),
            email=Email(
                to=["ops@example.org", "duty@example.org"],
                sender="alerts@example.org",
                password=Credential(current=pulumi.Output.secret(MAIL_PASSWORD)),
                smarthost=f"localhost:{self.mail.port}",
            ),
            pagerduty=PagerDuty(routing_key=Credential(current=pulumi.Output.secret(ROUTING_KEY))),
            webhook=Webhook(url=at("/webhook")),
            dead_mans_switch=at("/switch"),
        )

    def told(self, path: str) -> list[Told]:
        """What came to `/slack`, `/v2/enqueue`, `/webhook` or `/switch`, or by `mail`."""
        return self.mail.got if path == "mail" else [told for told in self.web.got if told.path == path]

    def about(self, alert: str) -> dict[str, int]:
        """How many messages have come of one alert, by where; the dead man's switch is not a place."""
        places = ("/slack", "/v2/enqueue", "/webhook", "mail")
        counts = {place: sum(alert in told.title for told in self.told(place)) for place in places}
        return {place: count for place, count in counts.items() if count}


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start everybody who can be told."""
    certificate = folder / "mail"
    certificate.mkdir()
    sign(certificate, folder / "authority")
    with Web() as web, Mail(certificate) as mail:
        yield World(folder, web, mail)


class AlertmanagerPod(RecordedPod):
    """One Alertmanager's pod, in a hurry: what takes minutes in production takes a moment.

    Args:
        folder: for its volumes and logs.
        world: whom it tells.
        replicas: how many it believes there are.
        changes: what else is different from production in its configuration.
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        *,
        replicas: int = 1,
        changes: Callable[[dict[str, Any]], None] | None = None,
        names: Sequence[str] = ("alertmanager", "localhost"),
    ) -> None:
        folder.mkdir()
        self.port, self.cluster_port = free_port(), free_port()
        self.ca = world.authority / "ca.crt"
        recording = record(lambda: Alertmanager("alertmanager", self._args(world, replicas)) and None)
        stateful_set = recording.one("kubernetes:apps/v1:StatefulSet", "alertmanager-stateful-set").inputs
        super().__init__(folder, recording, stateful_set["spec"]["template"]["spec"])
        sign(self.volumes["tls"], world.authority, names=names)
        self._hasten(world, changes)
        # Nothing here listens for others than this machine.
        self.arguments = self.containers["alertmanager"]["args"]
        self.arguments[:] = [
            re.sub(r"listen-address=(0\.0\.0\.0)?:", "listen-address=127.0.0.1:", each)
            for each in self.arguments
            if "--cluster.peer=" not in each
        ]
        self.arguments += ["--log.level=debug"]

    def _args(self, world: World, replicas: int) -> AlertmanagerArgs:
        identity = Identity(product="fixia", environment="production", owner="o", cost_centre="c")
        return AlertmanagerArgs(
            identity=identity,
            namespace="fixia-monitoring",
            image="alertmanager",
            resources=Resources(cpu="10m", memory="64Mi", memory_limit="64Mi"),
            receivers=world.receivers(),
            authority=Authority("authority", AuthorityArgs(identity=identity)),
            runbooks=RUNBOOKS,
            dashboards="https://grafana.example",
            replicas=replicas,
            port=self.port,
            cluster_port=self.cluster_port,
        )

    @property
    def configuration(self) -> Path:
        return self.volumes["config"] / "alertmanager.yml"

    def _hasten(self, world: World, changes: Callable[[dict[str, Any]], None] | None) -> None:
        told = yaml.safe_load(self.configuration.read_text())
        told["global"]["pagerduty_url"] = f"{world.web.url}/v2/enqueue"
        for route in (told["route"], *told["route"]["routes"]):
            route |= {"group_wait": "200ms", "group_interval": "500ms", "repeat_interval": "1h"}
        for receiver in told["receivers"]:
            for email in receiver.get("email_configs", []):
                email["tls_config"] = {"ca_file": "/run/secrets/tls/ca.crt"}
        (interval,) = told["time_intervals"]
        interval["time_intervals"] = [{"weekdays": ["sunday:saturday"]}]  # any time, unless it is about time
        if changes:
            changes(told)
        self.configuration.write_text(yaml.safe_dump(told))

    def joins(self, *others: "AlertmanagerPod", patience_seconds: int = 1) -> None:
        """Make it look for others, and wait so long for those before it to tell."""
        self.arguments += [f"--cluster.peer=127.0.0.1:{other.cluster_port}" for other in others]
        self.arguments += [f"--cluster.peer-timeout={patience_seconds}s", "--cluster.gossip-interval=50ms"]

    @contextmanager
    def serving(self) -> Iterator[Container]:
        """Run it, ready by its own probe."""
        with self.run("alertmanager", command=["prometheus-alertmanager"]) as running:

            def ready() -> bool:
                assert running.poll() is None, self.log("alertmanager")
                return self.probe("alertmanager", running, "startup")[0] == 0

            eventually(ready, "Alertmanager is ready")
            yield running

    def ask(self, path: str, body: Any = None, password: str | None = PASSWORD) -> str:
        """Ask it by HTTPS, as Prometheus does."""
        headers = {"Content-Type": "application/json"}
        if password is not None:
            token = base64.b64encode(f"platform:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        request = urllib.request.Request(
            f"https://localhost:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
        )
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS, context=context) as answer:  # noqa: S310
            said: str = answer.read().decode()
            return said

    def fires(self, *alerts: dict[str, Any], ended: bool = False) -> None:
        """Tell it of alerts, as Prometheus does again and again."""
        now = datetime.now(UTC)
        ends = now - timedelta(seconds=1) if ended else now + timedelta(minutes=10)
        # What has fired for longer than a group waits, which is told of at once, is not what is new.
        began = (now - timedelta(minutes=5) if ended else now).isoformat()
        self.ask(
            "/api/v2/alerts", [{**each, "startsAt": began, "endsAt": ends.isoformat()} for each in alerts]
        )

    def metrics(self, name: str) -> dict[str, float]:
        """The series of one name: labels -> value."""
        lines = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", self.ask("/metrics"), re.MULTILINE)
        return {labels: float(value) for labels, value in lines}

    def failed(self, integration: str) -> float:
        """How many attempts to tell by one way failed."""
        series = self.metrics("alertmanager_notification_requests_failed_total")
        return sum(value for labels, value in series.items() if f'integration="{integration}"' in labels)

    def looked(self, alert: str) -> int:
        """How often it began to tell of a group, whether it had to or not."""
        lines = self.log("alertmanager").splitlines()
        return sum('"flushing"' in line and alert in line for line in lines)


def alert(name: str, severity: str | None = "P1", **labels: str) -> dict[str, Any]:
    """An alert as one of ours is: with summary and runbook, and the labels that Prometheus adds."""
    more = {"severity": severity} if severity else {}
    return {
        "labels": {
            "alertname": name,
            "namespace": "fixia-data",
            "environment": "production",
            "product": "fixia",
            **more,
            **labels,
        },
        "annotations": {"summary": f"{labels.get('pod', 'it')}: 93% of it is used", "runbook": RUNBOOK},
    }


@contextmanager
def both(*pods: AlertmanagerPod) -> Iterator[list[Container]]:
    """Run several that look for each other, until each has found all."""
    for pod in pods:
        pod.joins(*pods)
    with ExitStack() as stack:
        running = [stack.enter_context(pod.serving()) for pod in pods]
        for pod in pods:
            eventually(
                lambda pod=pod: pod.metrics("alertmanager_cluster_members") == {"": len(pods)},  # type: ignore[misc]
                "they have found each other",
            )
        yield running


def refused(ask: Callable[[], object]) -> int:
    """The status with which a request is refused."""
    try:
        ask()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 0
