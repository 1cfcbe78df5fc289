"""The real blackbox exporter with the modules of the tree, before servers of this machine."""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from components.base import Identity
from components.monitoring.blackbox import Blackbox, BlackboxArgs
from components.pods import Resources
from tests.artifact.pod import RecordedPod, eventually, free_port, sign
from tests.artifact.prometheus_pod import RESOLVER, Server, names
from tests.recorder import record

PROGRAM = "prometheus-blackbox-exporter"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
"""Where the image keeps whom the world trusts."""


@dataclass
class World:
    port: int
    folder: Path
    authority: Path

    def metrics(self, module: str, target: str) -> dict[str, float]:
        """The metrics of one probe, without labels."""
        url = f"http://127.0.0.1:{self.port}/probe?module={module}&target={quote(target)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        told = [line.rpartition(" ") for line in lines if line.startswith("probe_")]
        return {name.partition("{")[0]: float(value) for name, _, value in told}

    def works(self, module: str, target: str) -> bool:
        return self.metrics(module, target)["probe_success"] == 1

    @contextmanager
    def site(self, name: str, status: int = 200, authority: Path | None = None) -> Iterator[str]:
        """A site of that name by HTTPS, and its URL."""
        tls = self.folder / f"{name}-{status}"
        tls.mkdir(exist_ok=True)
        sign(tls, authority or self.authority, names=[name])
        with Server(lambda _path, _headers: (status, "hello"), tls) as server:
            yield f"https://{name}:{server.port}/"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("blackbox")
    port = free_port()
    args = BlackboxArgs(
        identity=Identity(product="fixia", environment="test", owner="o", cost_centre="c"),
        namespace="fixia-monitoring",
        image="blackbox-exporter",
        resources=Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
        port=port,
    )
    recording = record(lambda: Blackbox("blackbox", args) and None)
    deployment = recording.one("kubernetes:apps/v1:Deployment", "blackbox-deployment").inputs
    (folder / "pod").mkdir()
    pod = RecordedPod(folder / "pod", recording, deployment["spec"]["template"]["spec"])
    made = World(port, folder, folder / "authority")
    (folder / "first").mkdir()
    sign(folder / "first", made.authority)
    container = pod.containers["blackbox"]
    container["args"] = [word.replace("address=:", "address=127.0.0.1:") for word in container["args"]]
    # The world that it trusts is the test's own.
    pod.volumes["trusted"] = made.authority / "ca.crt"
    container["volumeMounts"].append({"name": "trusted", "mountPath": TRUSTED, "readOnly": True})
    known = {
        "site.test": ["127.0.0.1"],
        "kubernetes.default.svc.cluster.local": ["10.96.0.1"],
    }
    with names(folder, known), pod.run("blackbox", command=[PROGRAM]) as running:

        def healthy() -> bool:
            assert running.poll() is None, pod.log("blackbox")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/healthy", timeout=10) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually(healthy, "the exporter answers")
        yield made


def test_a_site_that_answers_by_https_works(world: World) -> None:
    with world.site("site.test") as url:
        told = world.metrics("http_2xx", url)
    assert told["probe_success"] == told["probe_http_ssl"] == 1
    assert told["probe_http_status_code"] == 200
    assert told["probe_ssl_earliest_cert_expiry"] > 1e9


@pytest.mark.parametrize("status", [301, 404, 500])
def test_an_answer_that_is_none_does_not(world: World, status: int) -> None:
    with world.site("site.test", status) as url:
        told = world.metrics("http_2xx", url)
    assert told["probe_success"] == 0
    assert told["probe_http_status_code"] == status


def test_a_certificate_of_somebody_elses_does_not(world: World) -> None:
    with world.site("site.test", 201, authority=world.folder / "another") as url:
        assert not world.works("http_2xx", url)


def test_a_certificate_for_another_name_does_not(world: World) -> None:
    with world.site("other.test", 202) as url:
        assert not world.works("http_2xx", url.replace("other.test", "site.test"))


def test_a_site_without_tls_does_not(world: World) -> None:
    with Server(lambda _path, _headers: (200, "hello")) as server:
        assert not world.works("http_2xx", f"http://site.test:{server.port}/")


def test_a_name_that_nobody_knows_does_not(world: World) -> None:
    assert not world.works("http_2xx", "https://nowhere.test/")


def test_something_that_listens_works_until_it_does_not(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert world.works("tcp", f"127.0.0.1:{port}")
        thread.join(10)
    assert not world.works("tcp", f"127.0.0.1:{port}")


def test_a_server_of_names_is_asked_for_what_every_cluster_has(world: World) -> None:
    assert world.works("dns", f"{RESOLVER}:53")
