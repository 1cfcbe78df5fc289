"""A small program that is brought up on a node by the commands that users type."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from simulator.node.client import Client, Manifest
from simulator.node.place import FOLDER_SETTING, NETWORK_SETTING, Place
from tests.cluster.test_node import IMAGE, pod_spec, workload
from tests.recorder import ROOT

LONG_SECONDS = 600.0
"""For a whole `up` on a machine that is busy."""

PROGRAM = '''\
"""Three workloads, each of which waits for the one before."""
import json
import pathlib
import pulumi
import pulumi_kubernetes as kubernetes

cluster = kubernetes.Provider("cluster")
told = json.loads(pathlib.Path(__file__).with_name("objects.json").read_text())
before = []
for kind, manifest in told:
    module, _, name = kind.rpartition(".")
    made = getattr(__import__(f"pulumi_kubernetes.{module}", fromlist=[name]), name)
    body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    before = [made(
        manifest["kind"].lower() + "-" + manifest["metadata"]["name"],
        opts=pulumi.ResourceOptions(provider=cluster, depends_on=before),
        **body,
    )]
'''


class Program:
    """A small program in a folder of its own, brought up on a node by the commands that users type."""

    def __init__(self, folder: Path, place: Place, *, namespace: str, waits: int = 3) -> None:
        self.folder, self.place, self.namespace = folder, place, namespace
        self.log = folder / "up.log"
        objects: list[tuple[str, Manifest]] = [
            ("core.v1.Namespace", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        ]
        for number in range(waits):
            # Slow enough that something can happen meanwhile.
            spec = pod_spec("--save", "", "--dir", "/tmp")
            spec["containers"][0]["readinessProbe"]["initialDelaySeconds"] = 5
            made = workload("Deployment", f"step-{number}", 1, spec)
            made["metadata"]["namespace"] = namespace
            objects.append(("apps.v1.Deployment", made))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / "objects.json").write_text(json.dumps(objects))
        (folder / "__main__.py").write_text(PROGRAM)
        runtime = "runtime: {name: python, options: {virtualenv: .venv}}"
        (folder / "Pulumi.yaml").write_text(f"name: small\n{runtime}\n")
        (folder / "Pulumi.local.yaml").write_text(f"config:\n  small:image: {IMAGE}\n")

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        env |= {
            FOLDER_SETTING: str(self.place.folder),
            NETWORK_SETTING: str(self.place.network),
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "simulator", "node", *arguments],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that is ended, at the latest, with the test."""
        process = self.command(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=60)
            process.kill()

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        said, _ = process.communicate(timeout=LONG_SECONDS)
        assert "Traceback" not in said, said[-4000:]
        return process.returncode, said

    def up(self) -> tuple[int, str]:
        with self.running("platform", "--stack", "local") as process:
            return self.ended(process)

    def there(self, client: Client, name: str) -> bool:
        """Whether a step has begun."""
        kind = "Namespace" if name == self.namespace else "Deployment"
        metadata = {"name": name} | ({} if kind == "Namespace" else {"namespace": self.namespace})
        version = "v1" if kind == "Namespace" else "apps/v1"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(client.get({"apiVersion": version, "kind": kind, "metadata": metadata}).accepted)
        return False
