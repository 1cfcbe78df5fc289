"""A real node: what is deployed to it runs, and what it was told about safety holds."""

import contextlib
import dataclasses
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.statefulsets import mending
from simulator.faults import Fault
from simulator.node import catalogue, cgroups, machine, node, programs
from simulator.node.client import Client, Manifest
from simulator.node.parts import INSIDE
from simulator.node.place import NAME, Place
from tests.artifact.pod import eventually
from tests.recorder import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.node]

NAMESPACE = "tried"
IMAGE = "docker.io/valkey/valkey:8.1.4"
PATIENCE_SECONDS = 120.0
CALL = """\
exec 3<>"/dev/tcp/$0/$1"
printf '%s\\r\\n' "$2" >&3
read -r -t 3 line <&3
case $line in '$'*) read -r -t 3 line <&3 ;; esac
echo "$line"
"""
"""Asks a Valkey something; the image has a shell and no client."""
SECRET = "never-in-plain-text-8d1f"
OPEN = "found-in-plain-text-27aa"


def require_node() -> None:
    """Skip where a node can't be, or its programs would take minutes to build."""
    try:
        machine.require()
    except Fault as fault:
        pytest.skip(str(fault))
    probe = subprocess.run(
        ["unshare", *machine.NAMESPACES, "--fork", "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no namespaces can be made here: {probe.stderr.strip()}")
    closed = [str(group) for group in cgroups.hierarchies() if not os.access(group, os.W_OK)]
    if closed or not cgroups.hierarchies():
        pytest.skip(f"no control groups can be made here: {', '.join(closed) or 'there are none'}")
    missing = programs.missing()
    if missing and os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(f"no {', '.join(missing)}, and making them takes minutes: `make test-cluster`")


def free(network: str, folder: Path) -> Place:
    """A node's place in a network, or in the next one that nobody on this machine uses."""
    first = int(IPv4Network(network).network_address)
    for number in range(40):
        address = first + (number << 16)
        if machine.taken(place := Place(folder=folder, network=IPv4Network((address, 16)))) == []:
            return place
    raise AssertionError("this machine uses every network")


@contextlib.contextmanager
def place_of(network: str) -> Iterator[Place]:
    """A place that nobody else's node has; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fixia-node-", dir="/var/tmp"))
    place = free(network, folder)
    try:
        yield place
    finally:
        node.down(place)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


class Cluster:
    """A node with a namespace for tests."""

    def __init__(self, place: Place, client: Client, kubectl: Path) -> None:
        self.place = place
        self.client = client
        self._kubectl = kubectl

    def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            answer = self.client.apply(manifest, manager="test")
            assert answer.accepted, answer.message
            assert answer.warnings == ()

    def get(self, kind: str, name: str, version: str = "v1") -> Manifest:
        metadata = {"name": name, "namespace": NAMESPACE}
        return self.client.get({"apiVersion": version, "kind": kind, "metadata": metadata}).body

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._kubectl, f"--kubeconfig={self.place.kubeconfig}", f"--namespace={NAMESPACE}", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def said(self, *arguments: str) -> str:
        ended = self.kubectl(*arguments)
        return ended.stdout.strip() if ended.returncode == 0 else ""

    def asked(self, pod: str, host: str, port: int, command: str) -> str:
        """What a Valkey answers to a pod; nothing if it does not."""
        call = ("exec", pod, "--", "timeout", "5", "bash", "-c", CALL, host, str(port), command)
        return self.said(*call).strip().removeprefix("+")

    def await_ready(self, kind: str, name: str) -> None:
        def ready() -> bool:
            found = self.get(kind, name, "apps/v1")
            told = found.get("status", {})
            return bool(
                told.get("observedGeneration") == found["metadata"]["generation"]
                and told.get("availableReplicas") == found["spec"]["replicas"]
            )

        try:
            eventually(ready, f"{kind} {name} is available", PATIENCE_SECONDS)
        except AssertionError as error:
            pods = self.kubectl("describe", "pods").stdout
            raise AssertionError(f"{error}\n{pods[-6000:]}") from None


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    require_node()
    with place_of("10.214.0.0/16") as place:
        node.up(place)
        node.load(place, [catalogue.image(IMAGE)])
        with node.client(place) as client:
            found = Cluster(place, client, programs.programs()["kubectl"])
            found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            yield found


def pod_spec(*arguments: str, **more: Any) -> dict[str, Any]:
    """What the platform's pods are, in short: restricted, with a read-only root."""
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["valkey-server", "--protected-mode", "no", *arguments],
        "ports": [{"containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **more.pop("container", {}),
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        **more,
    }


def workload(kind: str, name: str, replicas: int, spec: dict[str, Any], **more: Any) -> Manifest:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **more}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": body}


def service(name: str) -> Manifest:
    spec = {"selector": {"app": name}, "ports": [{"port": 7000, "targetPort": 6379}]}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> str:
    """Two pods behind a Service."""
    spec = pod_spec("--save", "", "--dir", "/tmp")
    cluster.apply(workload("Deployment", "pair", 2, spec), service("pair"))
    cluster.await_ready("Deployment", "pair")
    return "pair"


def test_the_node_is_ready_with_all_its_parts(cluster: Cluster) -> None:
    state = node.status(cluster.place)

    assert state.ready
    assert all(part["ready"] and psutil.pid_exists(part["pid"]) for part in state.parts), state.parts
    names = {Path(psutil.Process(part["pid"]).exe()).name for part in state.parts}
    assert names >= {"etcd", "kube-apiserver", "containerd", *INSIDE}
    assert {pod["namespace"] for pod in state.pods if not pod["ready"]} <= {NAMESPACE}


def test_every_process_listens_for_this_machine_alone(cluster: Cluster) -> None:
    """The node's network is its own: what it listens on, nobody reaches but through the cable."""
    ours = Path("/proc/self/ns/net").readlink()
    first = machine.first_process(cluster.place)

    assert Path(f"/proc/{first}/ns/net").readlink() != ours
    addresses = psutil.net_if_addrs()[cluster.place.mark]
    assert str(cluster.place.machine) in {address.address for address in addresses}


def test_a_service_answers_through_the_proxy(cluster: Cluster, pair: str) -> None:
    address = cluster.get("Service", pair)["spec"]["clusterIP"]

    def answer() -> bytes:
        with contextlib.suppress(OSError), socket.create_connection((address, 7000), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)
        return b""

    assert eventually(answer, "the Service answers", PATIENCE_SECONDS) == b"+PONG\r\n"


def test_a_pod_finds_a_service_by_name(cluster: Cluster, pair: str) -> None:
    """The name through the cluster's DNS, the connection through the proxy, the command by exec."""
    host = f"{pair}.{NAMESPACE}.svc.cluster.local"

    def answer() -> str:
        return cluster.asked(f"deployment/{pair}", host, 7000, "PING")

    assert eventually(answer, "a pod reaches the Service", PATIENCE_SECONDS) == "PONG"


def test_who_enters_a_pod_sees_nothing_of_the_machine(cluster: Cluster, pair: str) -> None:
    """A container made within a chroot would be entered at the machine's root."""
    seen = cluster.said(
        "exec", f"deployment/{pair}", "--", "ls", "-d", "/proc/self", str(cluster.place.folder)
    )
    mounts = cluster.said("exec", f"deployment/{pair}", "--", "cat", "/proc/self/mounts")

    assert seen == ""
    assert mounts.startswith("overlay / overlay ro,")


def test_what_a_pod_says_can_be_read(cluster: Cluster, pair: str) -> None:
    assert "Ready to accept connections" in cluster.said("logs", f"deployment/{pair}")


def test_data_outlive_a_pod_and_their_claim_can_grow(cluster: Cluster) -> None:
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    spec = pod_spec("--appendonly", "yes", "--appendfsync", "always", "--dir", "/data", container=mounts)
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kept = workload("StatefulSet", "kept", 1, spec, serviceName="kept", volumeClaimTemplates=[claim])
    cluster.apply(service("kept"), kept)
    cluster.await_ready("StatefulSet", "kept")
    assert cluster.asked("kept-0", "127.0.0.1", 6379, "SET colour green") == "OK"
    before = cluster.get("Pod", "kept-0")["metadata"]["uid"]

    assert cluster.kubectl("delete", "pod", "kept-0").returncode == 0
    eventually(
        lambda: cluster.get("Pod", "kept-0").get("metadata", {}).get("uid", before) != before,
        "another pod",
        PATIENCE_SECONDS,
    )
    cluster.await_ready("StatefulSet", "kept")

    def colour() -> str:
        return cluster.asked("kept-0", "127.0.0.1", 6379, "GET colour")

    assert eventually(colour, "the pod answers", PATIENCE_SECONDS) == "green"
    larger = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    assert cluster.kubectl("patch", "pvc", "data-kept-0", "--patch", json.dumps(larger)).returncode == 0
    eventually(
        lambda: cluster.get("PersistentVolumeClaim", "data-kept-0")["status"]["capacity"]["storage"] == "3Gi",
        "the claim has grown",
        PATIENCE_SECONDS,
    )


def test_a_release_that_mends_the_one_pod_of_a_stateful_set_replaces_it(cluster: Cluster) -> None:
    unavailable = mending().rolling_update.max_unavailable  # type: ignore[union-attr]
    told = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}}
    more = {"serviceName": "mended", "podManagementPolicy": "Parallel", "updateStrategy": told}
    cluster.apply(workload("StatefulSet", "mended", 1, pod_spec("--no-such-setting"), **more))

    def broken() -> bool:
        found = cluster.get("Pod", "mended-0")  # or why there is none
        told = found["status"].get("containerStatuses") or [] if found["kind"] == "Pod" else []
        return any(each["restartCount"] for each in told)

    eventually(broken, "the pod ends again and again", PATIENCE_SECONDS)
    cluster.apply(workload("StatefulSet", "mended", 1, pod_spec("--save", "", "--dir", "/tmp"), **more))
    cluster.await_ready("StatefulSet", "mended")


def test_what_nobody_claims_any_more_is_removed(cluster: Cluster) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    metadata = {"name": "passing", "namespace": NAMESPACE}
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec},
    )
    volume = eventually(
        lambda: cluster.get("PersistentVolumeClaim", "passing")["spec"].get("volumeName"), "it is bound"
    )
    folder = cluster.place.volumes / volume
    assert folder.is_dir()

    assert cluster.kubectl("delete", "pvc", "passing").returncode == 0

    eventually(lambda: not folder.exists(), "its folder is gone", PATIENCE_SECONDS)


def test_a_network_policy_is_a_wall_until_it_lets_somebody_through(cluster: Cluster, pair: str) -> None:
    spec = pod_spec("--save", "", "--dir", "/tmp")
    cluster.apply(workload("Deployment", "guarded", 1, spec), service("guarded"))
    cluster.await_ready("Deployment", "guarded")

    def answer() -> str:
        return cluster.asked(f"deployment/{pair}", "guarded", 7000, "PING")

    eventually(lambda: answer() == "PONG", "it is open at first", PATIENCE_SECONDS)
    metadata = {"name": "guarded", "namespace": NAMESPACE}
    wall: Manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": {"matchLabels": {"app": "guarded"}}, "policyTypes": ["Ingress"]},
    }

    cluster.apply(wall)
    eventually(lambda: answer() == "", "the wall stands", PATIENCE_SECONDS)
    door = {"from": [{"podSelector": {"matchLabels": {"app": pair}}}], "ports": [{"port": 6379}]}
    cluster.apply({**wall, "spec": {**wall["spec"], "ingress": [door]}})

    eventually(lambda: answer() == "PONG", "the door is open", PATIENCE_SECONDS)
    # The kubelet asks from the node, which no policy keeps out.
    assert cluster.get("Deployment", "guarded", "apps/v1")["status"]["availableReplicas"] == 1


def test_the_metrics_that_autoscalers_ask_for_are_served(cluster: Cluster) -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/nodes/{NAME}"

    def usage() -> dict[str, str] | None:
        return cluster.client.request("GET", path).body.get("usage")

    assert set(eventually(usage, "the node's usage", PATIENCE_SECONDS)) == {"cpu", "memory"}


def test_secrets_are_stored_encrypted(cluster: Cluster) -> None:
    metadata = {"name": "stored", "namespace": NAMESPACE}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": SECRET}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": OPEN}},
    )

    store = cluster.place.folder / "etcd" / "data"
    stored = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert OPEN.encode() in stored
    assert SECRET.encode() not in stored
    assert SECRET not in (cluster.place.logs / "audit.log").read_text()


def test_who_looked_into_a_pod_is_written_down(cluster: Cluster, pair: str) -> None:
    cluster.kubectl("exec", f"deployment/{pair}", "--", "true")

    def found() -> bool:
        lines = (cluster.place.logs / "audit.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if '"exec"' in line]
        return any(event["user"]["username"] == "admin" for event in events)

    eventually(found, "the audit log has it", PATIENCE_SECONDS)


def test_a_namespace_that_says_nothing_takes_restricted_pods_only(cluster: Cluster) -> None:
    spec = pod_spec(hostNetwork=True)
    metadata = {"name": "reaching", "namespace": NAMESPACE}
    answer = cluster.client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    assert answer.status == 403
    assert 'violates PodSecurity "restricted' in answer.message


@pytest.mark.parametrize("port", [6443, 10250], ids=["apiserver", "kubelet"])
def test_nobody_without_a_certificate_is_answered(cluster: Cluster, port: int) -> None:
    context = ssl.create_default_context(cafile=str(cluster.place.pki / "ca.crt"))
    path = "/api/v1/pods" if port == 6443 else "/pods"

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"https://{cluster.place.node}:{port}{path}", context=context, timeout=10)

    assert caught.value.code == 401


def test_a_part_that_dies_is_started_again(cluster: Cluster) -> None:
    def scheduler() -> dict[str, Any]:
        return next(p for p in node.status(cluster.place).parts if p["name"] == "kube-scheduler")

    before = scheduler()
    assert before["pid"]
    psutil.Process(before["pid"]).kill()

    def again() -> bool:
        now = scheduler()
        return bool(now["pid"] and now["pid"] != before["pid"] and now["ready"])

    eventually(again, "the scheduler runs again", PATIENCE_SECONDS)
    assert scheduler()["restarts"] == before["restarts"] + 1
    assert scheduler()["lastEnd"] == "was ended by SIGKILL"


def test_bringing_up_what_is_up_changes_nothing(cluster: Cluster) -> None:
    before = node.status(cluster.place)

    node.up(cluster.place)

    assert [part["pid"] for part in node.status(cluster.place).parts] == [
        part["pid"] for part in before.parts
    ]


def test_the_stand_ins_are_named(cluster: Cluster) -> None:
    assert "Debian" in node.status(cluster.place).stand_ins[IMAGE]


def test_the_command_shows_all_of_it(cluster: Cluster) -> None:
    env = {
        **os.environ,
        "FIXIA_NODE": str(cluster.place.folder),
        "FIXIA_NODE_NETWORK": str(cluster.place.network),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "simulator", "node", "status"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    for word in ("ready", "kube-apiserver", "kube-system/coredns", "stand-in", str(cluster.place.kubeconfig)):
        assert word in ended.stdout
    assert dataclasses.asdict(node.status(cluster.place))["running"]
