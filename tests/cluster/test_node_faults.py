"""What goes wrong on a real node, and what the node, and who brings something up on it, make of that."""

import contextlib
import http.client
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509

from simulator.engine.install import engine
from simulator.faults import INTERRUPTED
from simulator.node import catalogue, credentials, machine, node, programs
from simulator.node.client import Manifest
from simulator.node.pki import Authority
from simulator.node.place import NAME, Place
from simulator.providers.core import NotReadyError
from simulator.providers.store import Store
from tests.artifact.pod import eventually
from tests.cluster.node_program import LONG_SECONDS, Program
from tests.cluster.parity import resource
from tests.cluster.test_node import (
    IMAGE,
    NAMESPACE,
    PATIENCE_SECONDS,
    Cluster,
    free,
    place_of,
    pod_spec,
    require_node,
    service,
    workload,
)
from tests.cluster.test_node_down import processes_of

pytestmark = [pytest.mark.cluster, pytest.mark.node]

PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    require_node()
    with place_of("10.217.0.0/16") as place, ready(place) as found:
        yield found


@contextlib.contextmanager
def ready(place: Place) -> Iterator[Cluster]:
    """A node with the image of the tests and their namespace."""
    node.up(place)
    node.load(place, [catalogue.image(IMAGE)])
    with node.client(place) as client:
        found = Cluster(place, client, programs.programs()["kubectl"])
        found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        yield found


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator["Caller"]:
    """Two pods behind a Service, and somebody who calls it all the time."""
    cluster.apply(workload("Deployment", "served", 2, pod_spec("--save", "", "--dir", "/tmp")))
    cluster.apply(service("served"))
    cluster.await_ready("Deployment", "served")
    with Caller(cluster.get("Service", "served")["spec"]["clusterIP"], 7000) as caller:
        eventually(lambda: caller.answers, "the Service answers", PATIENCE_SECONDS)
        yield caller


class Caller:
    """Calls a Valkey by one connection after the other."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.answers = 0
        self.failures: list[str] = []

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def steady(self) -> None:
        """Wait until call after call is answered."""

        def all_answered() -> bool:
            answers, failures = self.answers, len(self.failures)
            eventually(lambda: self.answers >= answers + 10, "the Service answers", PATIENCE_SECONDS)
            return len(self.failures) == failures

        eventually(all_answered, "every call is answered", PATIENCE_SECONDS)

    def _call(self) -> None:
        while not self._over.wait(0.05):
            try:
                with socket.create_connection(self._where, timeout=20) as connection:
                    connection.sendall(b"PING\r\n")
                    said = connection.recv(100)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            if said == b"+PONG\r\n":
                self.answers += 1
            else:
                self.failures.append(repr(said))


def part(place: Place, name: str) -> dict[str, Any]:
    return next(each for each in node.status(place).parts if each["name"] == name)


def kill(place: Place, name: str) -> dict[str, Any]:
    """End a part of a node with no warning; gives what it was."""
    before: dict[str, Any] = eventually(
        lambda: found if (found := part(place, name))["pid"] else None, f"{name} runs", PATIENCE_SECONDS
    )
    psutil.Process(before["pid"]).kill()
    return before


def await_again(place: Place, before: dict[str, Any]) -> None:
    def again() -> bool:
        now = part(place, before["name"])
        return bool(now["ready"] and now["restarts"] > before["restarts"])

    eventually(again, f"{before['name']} runs again", PATIENCE_SECONDS)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_killed_costs_no_call_and_comes_back(
    cluster: Cluster, served: Caller, name: str
) -> None:
    served.steady()
    answers, failures = served.answers, len(served.failures)
    before = kill(cluster.place, name)
    eventually(lambda: served.answers > answers + 10, "the Service answers meanwhile", PATIENCE_SECONDS)
    await_again(cluster.place, before)

    assert served.failures[failures:] == []

    # It does again what it is for: a pod that goes is replaced, and the new one is reached.
    gone = eventually(lambda: next(iter(pods(cluster)), None), "it tells its pods", PATIENCE_SECONDS)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{gone}"
    eventually(lambda: asked(cluster, "DELETE", path), "a pod goes", PATIENCE_SECONDS)

    def replaced() -> bool:
        told = asked(cluster, "GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/served") or {}
        now = pods(cluster)
        return gone not in now and len(now) == 2 and told["status"].get("availableReplicas") == 2

    eventually(replaced, "another pod serves in its place", PATIENCE_SECONDS)
    served.steady()


def asked(cluster: Cluster, method: str, path: str) -> Manifest | None:
    """What an API server says that may just be starting again."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = cluster.client.request(method, path)
        return answer.body if answer.accepted else None
    return None


def pods(cluster: Cluster) -> list[str]:
    """The names of the pods behind the Service."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    listed = (asked(cluster, "GET", path) or {}).get("items") or []
    return [each["metadata"]["name"] for each in listed if each["metadata"]["labels"].get("app") == "served"]


@pytest.fixture
def require_engine() -> None:
    """The engine is found, or built, before anything waits for it."""
    require_node()
    engine()


@pytest.mark.usefixtures("require_engine")
def test_an_up_goes_on_while_every_part_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    program = Program(tmp_path / "program", cluster.place, namespace="killed")
    with program.running("platform", "--stack", "local") as process:
        eventually(
            lambda: program.there(cluster.client, "killed") or process.poll() is not None,
            "the engine has begun",
            LONG_SECONDS,
        )
        for name in PARTS:
            await_again(cluster.place, kill(cluster.place, name))
        code, said = program.ended(process)

    assert code == 0, said[-4000:]
    code, said = program.up()
    assert code == 0, said[-4000:]
    assert "5 unchanged" in said or "6 unchanged" in said, said[-2000:]


@pytest.mark.usefixtures("require_engine")
@pytest.mark.parametrize("victim", ["engine", "command"])
def test_an_up_that_was_killed_is_taken_up_by_the_next(cluster: Cluster, tmp_path: Path, victim: str) -> None:
    program = Program(tmp_path / "program", cluster.place, namespace=f"taken-up-{victim}")
    with program.running("platform", "--stack", "local") as process:
        eventually(
            lambda: program.there(cluster.client, "step-0") or process.poll() is not None,
            "the first of its objects is there",
            LONG_SECONDS,
        )
        children = psutil.Process(process.pid).children(recursive=True)
        (running,) = [child for child in children if child.name() == "pulumi"]
        (running if victim == "engine" else psutil.Process(process.pid)).kill()
        code, said = program.ended(process)
        assert code != 0
    _, alive = psutil.wait_procs(children, PATIENCE_SECONDS)
    assert alive == []

    code, said = program.up()

    assert code == 0, said[-4000:]
    assert program.there(cluster.client, "step-2")
    code, said = program.up()
    assert code == 0
    assert "unchanged" in said
    assert "created" not in said
    assert "updated" not in said


@pytest.mark.usefixtures("require_engine")
def test_of_two_ups_the_second_waits_and_says_so(cluster: Cluster, tmp_path: Path) -> None:
    program = Program(tmp_path / "program", cluster.place, namespace="twice", waits=2)
    with (
        program.running("platform", "--stack", "local") as first,
        program.running("platform", "--stack", "local") as second,
    ):
        ended = [program.ended(process) for process in (first, second)]

    assert [code for code, _ in ended] == [0, 0], "\n\n".join(said[-2000:] for _, said in ended)
    assert any("another run (process" in said for _, said in ended)
    assert sum("created" in said for _, said in ended) == 1


def test_what_does_not_start_is_told_with_its_last_words(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simulator.node.provider import CLUSTER, ClusterKubernetes

    monkeypatch.setenv(CLUSTER, str(cluster.place.kubeconfig))
    provider = ClusterKubernetes(Store())
    spec = pod_spec("--no-such-setting", "1")
    inputs = workload("Deployment", "broken", 1, spec)
    inputs["metadata"]["annotations"] = {"pulumi.com/timeoutSeconds": "25"}

    with pytest.raises(NotReadyError) as caught:
        provider.create(resource(inputs), inputs)
    provider.close()

    said = "\n".join(caught.value.reasons)
    assert "0 of 1 pods are available" in said
    assert "container main: it ended with exit code 1" in said
    assert "no-such-setting" in said
    assert "[BackOff]" in said


def test_certificates_that_end_soon_are_renewed_by_up(cluster: Cluster) -> None:
    place = cluster.place
    before = [each["pid"] for each in node.status(place).parts]
    node.up(place)
    assert [each["pid"] for each in node.status(place).parts] == before, "none ends soon"
    soon = timedelta(days=10)
    Authority(place.pki, lifetime=soon, kept=True).server("controller-manager-server", ("localhost",))
    assert "ends" in credentials.end_soon(place)

    node.up(place)

    assert credentials.end_soon(place) == ""
    assert node.status(place).ready
    for file in place.pki.rglob("*.crt"):
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        assert ends > datetime.now(UTC) + credentials.LIFETIME - timedelta(days=1)
    cluster.client.close()
    assert cluster.get("Namespace", NAMESPACE)["status"]["phase"] == "Active"


@pytest.mark.usefixtures("require_engine")
@pytest.mark.parametrize("moment", ["boot", "engine"])
def test_a_down_in_the_middle_of_an_up_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with place_of("10.218.0.0/16") as place:
        program = Program(tmp_path / "program", place, namespace="undone")
        with program.running("platform", "--stack", "local") as process:
            if moment == "boot":
                eventually(lambda: machine.running(place), "the node begins", LONG_SECONDS)
            else:
                eventually(lambda: place.kubeconfig.exists(), "the node has keys", LONG_SECONDS)
                with node.client(place) as client:
                    eventually(lambda: program.there(client, "step-0"), "the engine has begun", LONG_SECONDS)
            with program.running("down") as down:
                code, said = program.ended(down)
            assert code == 0, said
            assert "is told to stop" in said
            code, said = program.ended(process)

        assert code == INTERRUPTED, said[-3000:]
        assert processes_of(place) == []
        assert machine.remains(place) == []
        assert not place.folder.exists()


@contextlib.contextmanager
def small_disk(gigabytes: int) -> Iterator[Path]:
    """A filesystem of its own, in a file; the test is skipped where there are no loop devices."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="fixia-disk-") as folder:
        image, mounted = Path(folder) / "image", Path(folder) / "m"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(gigabytes * 10**9)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        done = subprocess.run(
            ["mount", "-o", "loop", image, mounted], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no small disk can be had here: {done.stderr.strip()}")
        try:
            yield mounted
        finally:
            subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_full_disk_stops_new_pods_and_its_end_lets_them_run() -> None:
    """The disk is a real one of 6 GB; the kubelet says by itself that it is too full for more pods."""
    require_node()
    with small_disk(6) as mounted:
        place = free("10.219.0.0/16", mounted / "node")
        try:
            with ready(place) as cluster:
                cluster.apply(workload("Deployment", "crowded", 1, pod_spec("--save", "", "--dir", "/tmp")))
                cluster.await_ready("Deployment", "crowded")
                ballast = mounted / "ballast"
                room = os.statvfs(mounted).f_bavail * os.statvfs(mounted).f_frsize
                with ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, room - 30 * 10**6)

                def pressed() -> str:
                    metadata = {"name": NAME}
                    found = cluster.client.get(
                        {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
                    ).body
                    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
                    return str(conditions.get("DiskPressure"))

                eventually(lambda: pressed() == "True", "the kubelet sees it", LONG_SECONDS)
                assert node.status(place).ready, "what keeps the cluster goes on"
                ballast.unlink()
                eventually(lambda: pressed() == "False", "the kubelet sees that it is over", LONG_SECONDS)
                cluster.await_ready("Deployment", "crowded")
        finally:
            node.down(place)
