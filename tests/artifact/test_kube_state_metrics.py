"""The real kube-state-metrics as its pod runs it, before a stand-in for the API server."""

import contextlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.kube_state_metrics import (
    ALERTS,
    LEFT_OUT,
    RESOURCES,
    KubeStateMetrics,
    KubeStateMetricsArgs,
)
from components.network import Addresses
from components.pods import Resources
from simulator.golang.install import installed, kept
from simulator.images.container import Bind, run_in
from simulator.programs import registry
from tests.artifact.pod import PATIENCE_SECONDS, RecordedPod, eventually, free_port, sign, system
from tests.artifact.prometheus_pod import IDENTITY, TOKEN, ApiServer
from tests.artifact.test_alert_metrics import scraped, unseen, wanted
from tests.recorder import Recording, record

PROGRAM = "/kube-state-metrics"
"""Where its image has it, and its entrypoint."""


def program() -> Path:
    """The program, if it is there or may be built; else the test is skipped."""
    wanted = registry.PROGRAMS["kube-state-metrics"]
    if found := kept(wanted):
        return found
    if os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(
            "no kube-state-metrics, and it builds for minutes: "
            "python -m simulator.programs kube-state-metrics"
        )
    return installed(wanted)


@dataclass
class World:
    api: ApiServer
    recording: Recording
    port: int
    telemetry_port: int

    def ask(self, path: str, port: int | None = None) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, ""
        except OSError:
            return 0, ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    binary = program()
    folder = tmp_path_factory.mktemp("kube-state-metrics")
    args = KubeStateMetricsArgs(
        identity=IDENTITY,
        namespace="fixia-monitoring",
        image="prometheus",  # a root filesystem with nothing in its way; the program comes from outside
        resources=Resources(cpu="10m", memory="64Mi", memory_limit="128Mi"),
        api_server=Addresses(name="api-server", cidrs={"10.0.0.1/32": []}, port=6443),
        port=free_port(),
        telemetry_port=free_port(),
    )
    recording = record(lambda: KubeStateMetrics("kube-state-metrics", args) and None)
    deployment = recording.one("kubernetes:apps/v1:Deployment", "kube-state-metrics-deployment").inputs
    (folder / "pod").mkdir()
    pod = RecordedPod(folder / "pod", recording, deployment["spec"]["template"]["spec"])
    tls = folder / "tls"
    tls.mkdir()
    sign(tls, folder / "cluster", names=["127.0.0.1"])
    (pod.volumes["token"] / "ca.crt").write_text((folder / "cluster" / "ca.crt").read_text())
    (pod.volumes["token"] / "token").write_text(TOKEN)
    container = pod.containers["kube-state-metrics"]
    (token,) = [mount for mount in container["volumeMounts"] if mount["name"] == "token"]
    with ApiServer(tls) as api:
        fill(api)
        loopback = ["--host=127.0.0.1", "--telemetry-host=127.0.0.1"]
        with run_in(
            system("prometheus"),
            [PROGRAM, *container["args"], *loopback],
            binds=[
                Bind(source=binary, target=PROGRAM),
                Bind(source=pod.volumes["token"], target=token["mountPath"]),
            ],
            env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)},
            output=folder / "log",
        ) as running:
            made = World(api, recording, args.port, args.telemetry_port)

            def told() -> bool:
                assert running.poll() is None, (folder / "log").read_text()
                text = made.ask("/metrics")[1]
                return all(
                    f"{of}{{" in text for of in ("kube_node_info", "kube_pod_info", "kube_deployment_created")
                )

            eventually(told, "it tells of all that there is", 2 * PATIENCE_SECONDS)
            yield made


def fill(api: ApiServer) -> None:
    """One object of each kind on a bad day, as a real cluster has them after a while."""
    then = "2026-01-01T00:00:00Z"
    of_pods: dict[str, Any] = {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}

    def put(resource: str, kind: str, version: str, **parts: Any) -> None:
        there = {"name": "shop", "namespace": "fixia-app", "uid": "u", "creationTimestamp": then}
        api.put(resource, kind, version, {"metadata": there, **parts})

    def condition(kind: str, status: str, reason: str = "Because") -> dict[str, str]:
        return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": then}

    node = {
        "metadata": {"name": "node-1"},
        "spec": {"unschedulable": True},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
            "conditions": [condition("Ready", "True")],
            "nodeInfo": {"kubeletVersion": "v1.35.0"},
        },
    }
    api.put("nodes", "Node", "v1", node)
    api.put("namespaces", "Namespace", "v1", {"metadata": {"name": "fixia-app"}})
    waiting = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "restartCount": 3,
        "image": "i",
        "imageID": "",
    }
    killed = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    amount = {"cpu": "100m", "memory": "64Mi"}
    pod = {
        "metadata": {"name": "shop-1", "namespace": "fixia-app", "uid": "u", "creationTimestamp": then},
        "spec": {
            "nodeName": "node-1",
            "initContainers": [{"name": "first", "image": "i"}],
            "containers": [
                {"name": "one", "image": "i", "resources": {"limits": amount, "requests": amount}}
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [condition("Ready", "False")],
            "initContainerStatuses": [{"name": "first", **waiting}],
            "containerStatuses": [{"name": "one", **waiting, **killed}],
        },
    }
    api.put("pods", "Pod", "v1", pod)
    stuck = condition("Progressing", "False", "ProgressDeadlineExceeded")
    status: dict[str, Any] = {"replicas": 2, "availableReplicas": 1, "conditions": [stuck]}
    put("deployments", "Deployment", "apps/v1", spec={"replicas": 2, **of_pods}, status=status)
    status = {"replicas": 2, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b"}
    put("statefulsets", "StatefulSet", "apps/v1", spec={"replicas": 2, **of_pods}, status=status)
    status = {"desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 1}
    put("daemonsets", "DaemonSet", "apps/v1", spec=of_pods, status=status)
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    status = {"currentReplicas": 2, "desiredReplicas": 3, "conditions": [condition("ScalingLimited", "True")]}
    spec: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": scaled}
    put("horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling/v2", spec=spec, status=status)
    spec = {"schedule": "0 2 * * *", "suspend": False, "jobTemplate": {"spec": of_pods}}
    status = {"lastSuccessfulTime": then, "lastScheduleTime": then}
    put("cronjobs", "CronJob", "batch/v1", spec=spec, status=status)
    failed = condition("Failed", "True", "BackoffLimitExceeded")
    status = {"startTime": then, "active": 1, "failed": 1, "conditions": [failed]}
    put("jobs", "Job", "batch/v1", spec=of_pods, status=status)
    status = {"expectedPods": 2, "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2}
    put("poddisruptionbudgets", "PodDisruptionBudget", "policy/v1", spec={}, status=status)
    put("persistentvolumeclaims", "PersistentVolumeClaim", "v1", spec={}, status={"phase": "Bound"})
    quota = {"hard": {"pods": "10"}, "used": {"pods": "9"}}
    put("resourcequotas", "ResourceQuota", "v1", spec={"hard": {"pods": "10"}}, status=quota)


def test_it_answers_its_probes(world: World) -> None:
    assert world.ask("/healthz")[0] == 200
    eventually(lambda: world.ask("/readyz", world.telemetry_port)[0] == 200, "it is ready")


def test_it_asks_for_what_it_is_granted_and_nothing_else(world: World) -> None:
    wanted = {(group, resource) for group, resources in RESOURCES.items() for resource in resources}

    def asked() -> set[tuple[str, str]]:
        return {(group, resource) for _, group, resource, _ in world.api.calls}

    eventually(lambda: asked() >= wanted, "it asks for every kind")
    own = {("", "healthz"), ("", "livez"), ("", "readyz"), ("", "api"), ("", "apis")}  # anybody may
    assert asked() - own == wanted
    assert {verb for verb, *_ in world.api.calls} <= {"list", "watch"}


def test_it_tells_of_objects_by_their_own_labels(world: World) -> None:
    text = world.ask("/metrics")[1]
    assert re.search(r'^kube_node_info\{.*node="node-1"', text, re.MULTILINE)
    assert re.search(r'^kube_pod_info\{namespace="fixia-app",pod="shop-1"', text, re.MULTILINE)
    assert 'kube_deployment_spec_replicas{namespace="fixia-app",deployment="shop"} 2' in text


def test_it_leaves_out_what_nothing_asks_for(world: World) -> None:
    told = set(re.findall(r"^(kube_\w+)", world.ask("/metrics")[1], re.MULTILINE))
    assert told & set(LEFT_OUT) == set()
    assert "kube_pod_status_phase" in told


def test_every_metric_that_its_alerts_ask_for_is_there(world: World) -> None:
    asked = {name for alert in ALERTS for name in re.findall(r"\bkube_\w+_\w+", alert.expression)}
    text = world.ask("/metrics")[1] + world.ask("/metrics", world.telemetry_port)[1]
    assert asked <= set(re.findall(r"^(kube_\w+)", text, re.MULTILINE))


def test_all_that_alerts_boards_and_runbooks_ask_of_objects_is_told(world: World) -> None:
    def seen() -> dict[str, set[str]]:
        return scraped(world.ask("/metrics")[1])

    objects = "kube_(?!state_metrics)"
    assert len(wanted(objects)) > 30
    # Kinds are listed one after the other.
    with contextlib.suppress(AssertionError):
        eventually(lambda: not unseen(objects, seen()), "all is told")
    assert unseen(objects, seen()) == []
