"""The control plane: who may reach it, and that nothing of it stays."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from simulator.faults import INTERRUPTED, Fault
from simulator.node.client import Client
from simulator.node.control_plane import ControlPlane
from simulator.programs.registry import PROGRAMS
from tests.artifact.test_alert_metrics import scraped
from tests.recorder import ROOT
from tests.unit.test_boards import asked

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 20.0
NAMESPACES = "/api/v1/namespaces"


def servers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if child.name() in ("etcd", "kube-apiserver")]


def test_it_is_the_pinned_release(control_plane: ControlPlane) -> None:
    said = control_plane.client.request("GET", "/version").body

    major, minor, _ = PROGRAMS["kube-apiserver"].version.split(".")
    assert said["gitVersion"] == f"v{PROGRAMS['kube-apiserver'].version}"
    assert (said["major"], said["minor"]) == (major, minor)


def test_it_tells_what_the_boards_ask_of_it(control_plane: ControlPlane) -> None:
    metadata = {"name": "confined", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    control_plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "free", "namespace": "confined"},
        "spec": {"containers": [{"name": "free", "image": "free"}]},
    }
    # Who creates it, and no more, would wait for an account that only a controller makes.
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "confined"},
    }
    assert control_plane.client.create(account).accepted
    refused = control_plane.client.create(pod)
    assert "violates PodSecurity" in refused.message

    told = scraped(control_plane.client.request("GET", "/metrics").text)
    wanted = {name for begin in ("apiserver", "pod_security") for name in asked(begin)}
    # A counter with labels is there once it has counted.
    assert wanted - told.keys() == {"apiserver_audit_error_total", "pod_security_errors_total"}
    assert {"decision", "mode", "policy_level", "resource"} <= told["pod_security_evaluations_total"]


def test_it_listens_on_this_machine_only(control_plane: ControlPlane) -> None:
    connections = [
        connection
        for server in servers_of(psutil.Process())
        for connection in server.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]

    assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
    assert control_plane.url in {f"https://127.0.0.1:{connection.laddr.port}" for connection in connections}


def test_only_known_users_with_a_right_to_it_may_ask(control_plane: ControlPlane) -> None:
    with (
        Client(control_plane.url, control_plane.authority.certificate) as nobody,
        control_plane.client_of("somebody") as somebody,
        control_plane.client_of("another", ["system:masters"]) as master,
    ):
        answers = [client.request("GET", NAMESPACES) for client in (nobody, somebody, master)]

    assert [answer.status for answer in answers] == [401, 403, 200]
    assert 'User "somebody" cannot list resource "namespaces"' in answers[1].message


def test_a_server_of_another_authority_is_not_talked_to(
    control_plane: ControlPlane, servers: dict[str, Path]
) -> None:
    with (
        ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as other,
        Client(other.url, control_plane.authority.certificate) as client,
        pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.request("GET", "/version")


def test_a_server_that_does_not_begin_is_quoted(servers: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho an unknown flag\nexit 7\n")
    broken.chmod(0o755)
    before = servers_of(psutil.Process())
    plane = ControlPlane(etcd=servers["etcd"], apiserver=broken)

    with pytest.raises(Fault) as caught:
        plane.__enter__()

    assert "kube-apiserver: it ended with exit code 7" in str(caught.value)
    assert "    an unknown flag" in str(caught.value)
    assert not plane.folder.exists()
    assert servers_of(psutil.Process()) == before


def test_a_program_that_does_not_run_is_a_fault(servers: dict[str, Path], tmp_path: Path) -> None:
    plane = ControlPlane(etcd=servers["etcd"], apiserver=tmp_path / "missing")

    with pytest.raises(Fault, match="kube-apiserver"):
        plane.__enter__()


@contextmanager
def command(servers: dict[str, Path], folder: str) -> Iterator[subprocess.Popen[str]]:
    """A command of ours that has a control plane, and stays until it is ended."""
    text = f"""
        import signal, sys
        from pathlib import Path
        from simulator.node.control_plane import ControlPlane
        from simulator.processes import guarded

        def body():
            with ControlPlane(etcd=Path({str(servers["etcd"])!r}), apiserver=Path({str(servers["kube-apiserver"])!r})):
                print("ready", flush=True)
                signal.pause()

        sys.exit(guarded("command", body))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": folder},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a program with the one that started it")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_however_a_command_ends_its_servers_end(servers: dict[str, Path], number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory() as folder, command(servers, folder) as process:
        running = servers_of(psutil.Process(process.pid))
        assert len(running) == len(servers)

        process.send_signal(number)
        code = process.wait(PATIENCE_SECONDS)

        _, alive = psutil.wait_procs(running, PATIENCE_SECONDS)
        assert alive == []
        if number != signal.SIGKILL:
            assert code == INTERRUPTED
            assert list(Path(folder).iterdir()) == []
