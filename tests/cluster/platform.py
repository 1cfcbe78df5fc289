"""The whole platform on a node of the tests' own, as `make up` brings it up.

with platform() as up:
    up.status()                                # as `make status` shows it
    up.ask("api.fixia.test", "/health")        # over HTTPS, through the entrance
    up.prometheus("up == 0")                   # what Prometheus knows: [(labels, value)]
    up.kubectl("-n", "fixia-data", "get", "pods")
    up.trigger("fixia-data", "backups-backup") # a CronJob, now; what its pod said

FIXIA_TEST_NODE names the folder of a node that is up, to be used and left as it is: for who writes tests.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from simulator.node import programs
from simulator.node.place import FOLDER_SETTING, NETWORK_SETTING, Place
from tests.artifact.entrance_world import Answer, asked
from tests.artifact.pod import eventually
from tests.cluster.test_node import place_of, require_node
from tests.recorder import ROOT

PATIENCE_SECONDS: Final = 300.0
NETWORK: Final = "10.217.0.0/16"
JSON: Final = {"Content-Type": "application/json"}


@dataclass
class Platform:
    """One that is up."""

    place: Place

    def make(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of the node's commands, as the Makefile does."""
        return subprocess.run(
            [sys.executable, "-m", "simulator", "node", *command],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """What leads a command to this node."""
        told = {FOLDER_SETTING: str(self.place.folder), NETWORK_SETTING: str(self.place.network)}
        return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"} | told

    def status(self) -> dict[str, Any]:
        ended = self.make("status", "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def kubectl(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        kubectl = str(programs.programs()["kubectl"])
        command = [kubectl, f"--kubeconfig={self.place.kubeconfig}", *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False)

    def said(self, *arguments: str, given: str | None = None) -> str:
        ended = self.kubectl(*arguments, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def objects(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.said("get", kind, "--all-namespaces", "-o", "json"))[
            "items"
        ]
        return found

    def address(self) -> str:
        """Where the entrance is."""
        (found,) = [each for each in self.objects("services") if each["metadata"]["name"] == "entrance"]
        return str(found["spec"]["clusterIP"])

    def ask(self, host: str, path: str = "/", **request: Any) -> Answer:
        """One request over HTTPS, on a connection of its own."""
        context = ssl.create_default_context(cafile=str(self.place.public_authority))
        plain = socket.create_connection((self.address(), 443), timeout=30)
        connection = http.client.HTTPConnection(host)
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        with contextlib.closing(connection):
            return asked(connection, path, client=None, **request)

    def post(self, host: str, path: str, body: object, **headers: str) -> Answer:
        return self.ask(
            host, path, method="POST", body=json.dumps(body).encode(), headers={**JSON, **headers}
        )

    def prometheus(self, query: str) -> list[tuple[dict[str, str], float]]:
        """What Prometheus answers now."""
        config = "--http.config.file=/etc/prometheus/client.yml"
        ask = ("exec", "prometheus-0", "--", "promtool", "query", "instant", config, "-o", "json")
        said = self.said("-n", "fixia-monitoring", *ask, "https://localhost:9090", query)
        return [(each["metric"], float(each["value"][1])) for each in json.loads(said)]

    def trigger(self, namespace: str, name: str, **env: str) -> str:
        """Start a CronJob's job now, and wait until it has succeeded.

        Args:
            namespace: the CronJob's.
            name: the CronJob's.
            **env: what its containers are told otherwise.

        Returns:
            What its pods said.
        """
        job = f"tried-{name}"
        self.kubectl("-n", namespace, "delete", "job", job, "--ignore-not-found", "--wait")
        created = ("create", "job", job, f"--from=cronjob/{name}", "--dry-run=client", "-o", "json")
        manifest = json.loads(self.said("-n", namespace, *created))
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            told: list[Mapping[str, Any]] = container.get("env", [])
            container["env"] = [
                {"name": each["name"], "value": env[each["name"]]} if each["name"] in env else each
                for each in told
            ]
        self.said("-n", namespace, "create", "-f", "-", given=json.dumps(manifest))

        def ended() -> str:
            status = json.loads(self.said("-n", namespace, "get", "job", job, "-o", "json")).get("status", {})
            conditions = status.get("conditions") or []
            return next((c["type"] for c in conditions if c["type"] in ("Complete", "Failed")), "")

        eventually(lambda: bool(ended()), f"{name} has ended", PATIENCE_SECONDS)
        words = self.kubectl("-n", namespace, "logs", f"job/{job}", "--all-containers").stdout
        assert ended() == "Complete", words
        return words


@contextmanager
def platform(network: str = NETWORK) -> Iterator[Platform]:
    """Bring it up; nothing of it is left afterwards."""
    require_node()
    if given := os.environ.get("FIXIA_TEST_NODE"):
        place = Place(folder=Path(given))
        record = json.loads(place.record.read_text())
        yield Platform(Place(folder=Path(given), network=IPv4Network(record["network"])))
        return
    with place_of(network) as place:
        found = Platform(place)
        ended = found.make("platform")
        assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-4000:]
        yield found
