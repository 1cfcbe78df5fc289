"""What the provider waits for in front of a real API server: the test does what controllers would."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator.node import readiness
from simulator.node.client import Client, Manifest
from simulator.node.control_plane import ControlPlane
from simulator.node.provider import ClusterKubernetes
from simulator.providers import kubernetes_ready
from simulator.providers.core import NotReadyError, ProviderError, Resource
from tests.artifact.pod import eventually
from tests.cluster.parity import resource
from tests.cluster.test_node_provider import NAMESPACE, config_map, connected

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 30.0


@pytest.fixture
def provider(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ClusterKubernetes:
    return connected(control_plane, tmp_path, monkeypatch)


@pytest.fixture
def client(control_plane: ControlPlane) -> Client:
    return control_plane.client


def manifest(kind: str, name: str, version: str = "v1", **body: Any) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": body.pop("annotations", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def hurried(one: Resource, seconds: float = 1.0) -> Resource:
    return Resource(one.urn, one.type, one.name, seconds)


@contextmanager
def creating(provider: ClusterKubernetes, inputs: Manifest) -> Iterator[list[Any]]:
    """A creation that goes on beside the test; gives what came of it, once it has come."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(provider.create(resource(inputs), inputs)))
    thread.start()
    try:
        yield done
    finally:
        provider.cancelled.set()
        thread.join(PATIENCE_SECONDS)


def live(client: Client, inputs: Manifest) -> Manifest:
    """An object, once it is there."""

    def found() -> Manifest | None:
        answer = client.get(inputs)
        return answer.body if answer.accepted else None

    there: Manifest = eventually(found, "it is there", PATIENCE_SECONDS)
    return there


def becomes(client: Client, inputs: Manifest, status: Manifest) -> None:
    """Say what a controller would say of an object."""
    answer = client.update_status({**live(client, inputs), "status": status})
    assert answer.accepted, answer.message


def settled(done: list[Any]) -> Manifest:
    (came,) = eventually(lambda: done, "it is created", PATIENCE_SECONDS)
    outputs: Manifest = came[1]
    return outputs


SELECTED = {"selector": {"matchLabels": {"app": "a"}}}
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "main", "image": "main:1"}]},
}
READY_PODS = {
    "observedGeneration": 1,
    "replicas": 1,
    "updatedReplicas": 1,
    "readyReplicas": 1,
    "availableReplicas": 1,
}
WAITED: list[tuple[Manifest, Manifest, Manifest]] = [
    (
        manifest("Deployment", "waited", "apps/v1", spec={**SELECTED, "template": TEMPLATE}),
        {**READY_PODS, "readyReplicas": 0, "availableReplicas": 0},
        READY_PODS,
    ),
    (
        manifest("StatefulSet", "waited", "apps/v1", spec={**SELECTED, "serviceName": "a", "template": TEMPLATE}),
        {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 0},
        {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
    ),
    (
        manifest("DaemonSet", "waited", "apps/v1", spec={**SELECTED, "template": TEMPLATE}),
        {"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
         "numberMisscheduled": 0, "numberReady": 0},
        {"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
         "numberMisscheduled": 0, "numberReady": 1, "updatedNumberScheduled": 1},
    ),
    (
        manifest(
            "Ingress", "waited", "networking.k8s.io/v1",
            spec={"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        ),
        {"loadBalancer": {}},
        {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}},
    ),
    (
        manifest(
            "PersistentVolumeClaim", "waited",
            spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        ),
        {"phase": "Pending"},
        {"phase": "Bound"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "begun", "works"), WAITED, ids=[one[0]["kind"] for one in WAITED])
def test_an_object_is_waited_for_until_its_controller_says_so(
    provider: ClusterKubernetes, client: Client, inputs: Manifest, begun: Manifest, works: Manifest
) -> None:
    told: list[str] = []
    provider.tell = lambda _resource, text: told.append(text)
    with creating(provider, inputs) as done:
        becomes(client, inputs, begun)
        eventually(lambda: told, "it is told what is missing", PATIENCE_SECONDS)
        assert not done

        becomes(client, inputs, works)

        assert settled(done)["metadata"]["name"] == "waited"


def test_a_service_is_waited_for_until_a_pod_behind_it_is_ready(
    provider: ClusterKubernetes, client: Client
) -> None:
    inputs = manifest("Service", "served", spec={"selector": {"app": "a"}, "ports": [{"port": 80}]})
    told: list[str] = []
    provider.tell = lambda _resource, text: told.append(text)
    with creating(provider, inputs) as done:
        eventually(lambda: told == ["no pod behind the Service is ready"], "it is told", PATIENCE_SECONDS)
        assert not done
        points = manifest(
            "EndpointSlice",
            "served-1",
            "discovery.k8s.io/v1",
            addressType="IPv4",
            endpoints=[{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        )
        points["metadata"]["labels"] = {"kubernetes.io/service-name": "served"}
        assert client.apply(points, manager="controller").accepted

        assert settled(done)["spec"]["clusterIP"]


def test_a_claim_that_waits_for_its_first_pod_is_not_waited_for(
    provider: ClusterKubernetes, client: Client
) -> None:
    lazy = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "lazy"},
        "provisioner": "example.com/lazy",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    assert client.apply(lazy, manager="test").accepted
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    inputs = manifest("PersistentVolumeClaim", "lazy", spec={**size, "storageClassName": "lazy"})

    outputs = provider.create(resource(inputs), inputs)[1]

    assert outputs["status"]["phase"] == "Pending"


def test_a_field_of_somebody_else_is_named_with_its_owner(
    provider: ClusterKubernetes, client: Client
) -> None:
    inputs = config_map("contested", colour="green")
    made, outputs = provider.create(resource(inputs), inputs)
    theirs = {
        **config_map("contested", colour="blue"),
        "metadata": {"name": "contested", "namespace": NAMESPACE},
    }
    assert client.apply(theirs, manager="somebody-else", force=True).accepted
    ours = config_map("contested", colour="red")

    with pytest.raises(ProviderError) as previewed:
        provider.preview_update(resource(inputs), (inputs, outputs), ours)
    with pytest.raises(ProviderError) as updated:
        provider.update(resource(inputs), made, outputs, ours)

    for caught in (previewed, updated):
        assert 'conflict with "somebody-else": .data.colour' in str(caught.value)
        assert readiness.FORCE in str(caught.value)
    ours["metadata"]["annotations"][readiness.FORCE] = "true"
    assert provider.update(resource(inputs), made, outputs, ours)["data"] == {"colour": "red"}


def test_what_somebody_changed_is_read_as_it_is(provider: ClusterKubernetes, client: Client) -> None:
    inputs = config_map("drifting", colour="green", size="large")
    one = resource(inputs)
    made, outputs = provider.create(one, inputs)
    theirs = {**inputs, "data": {"colour": "blue", "size": "large", "added": "by others"}}
    assert client.apply(theirs, manager="somebody", force=True).accepted

    found = provider.read(one, made, inputs, outputs)[1]

    assert found["data"] == {"colour": "blue", "size": "large"}
    assert [change.path for change in provider.diff(one, found, inputs).changes] == ["data.colour"]


def test_what_a_finalizer_keeps_is_waited_for_and_named(provider: ClusterKubernetes, client: Client) -> None:
    inputs = config_map("kept")
    inputs["metadata"]["finalizers"] = ["example.com/keeper"]
    one = resource(inputs)
    made, outputs = provider.create(one, inputs)

    with pytest.raises(ProviderError, match=r"not gone after 1 s; finalizers: example\.com/keeper"):
        provider.delete(hurried(one), made, outputs)

    freed: list[bool] = []

    def free() -> None:
        body = live(client, inputs)
        body["metadata"]["finalizers"] = []
        freed.append(client.request("PUT", client.path(inputs), body).accepted)

    thread = threading.Timer(1.0, free)
    thread.start()
    provider.delete(one, made, outputs)
    thread.join()
    assert freed == [True]
    assert provider.read(one, made, inputs, outputs)[0] == ""


def test_what_does_not_work_is_kept_and_the_next_run_waits_again(
    provider: ClusterKubernetes, client: Client
) -> None:
    inputs = manifest("Deployment", "late", "apps/v1", spec={**SELECTED, "template": TEMPLATE})
    one = resource(inputs)
    with pytest.raises(NotReadyError) as caught:
        provider.create(hurried(one), inputs)
    assert caught.value.outputs["metadata"]["uid"]
    assert "the controller has not seen it yet" in caught.value.reasons[1]

    becomes(client, inputs, READY_PODS)
    outputs = provider.update(hurried(one), caught.value.resource_id, caught.value.outputs, inputs)

    assert outputs["metadata"]["uid"] == caught.value.outputs["metadata"]["uid"]


def test_a_job_that_failed_is_replaced_where_it_asks_for_that(
    provider: ClusterKubernetes, client: Client
) -> None:
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}  # type: ignore[dict-item]
    asking = {kubernetes_ready.REPLACE_UNREADY: "true"}
    inputs = manifest("Job", "failed", "batch/v1", spec={"template": template}, annotations=asking)
    one = resource(inputs)
    assert client.apply(inputs, manager="pulumi-kubernetes").accepted
    now = "2026-01-01T00:00:00Z"
    failed = [
        {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed 7 times",
         "lastTransitionTime": now, "lastProbeTime": now}
        for kind in ("FailureTarget", "Failed")
    ]  # fmt: skip
    becomes(client, inputs, {"startTime": now, "failed": 7, "conditions": failed})

    with pytest.raises(NotReadyError) as caught:
        provider.update(one, f"{NAMESPACE}/failed", inputs, inputs)
    found = provider.diff(one, inputs, inputs)

    assert "[BackoffLimitExceeded] it failed 7 times" in caught.value.reasons
    assert found.because == (kubernetes_ready.UNREADY_PATH,)
    assert found.delete_first


def test_the_events_of_what_does_not_work_are_told(provider: ClusterKubernetes, client: Client) -> None:
    inputs = manifest(
        "PersistentVolumeClaim",
        "homeless",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    )
    assert client.apply(inputs, manager="pulumi-kubernetes").accepted
    about = live(client, inputs)
    event = manifest(
        "Event",
        "homeless.1",
        involvedObject={"kind": "PersistentVolumeClaim", "uid": about["metadata"]["uid"],
                        "namespace": NAMESPACE, "name": "homeless"},
        type="Warning",
        reason="ProvisioningFailed",
        message="no disk is left",
        count=3,
    )  # fmt: skip
    assert client.create(event).accepted

    with pytest.raises(NotReadyError) as caught:
        provider.create(hurried(resource(inputs)), inputs)

    assert caught.value.reasons[1:] == [
        "the claim has no volume yet",
        "PersistentVolumeClaim homeless: [ProvisioningFailed] no disk is left (x3)",
    ]


@pytest.mark.parametrize(
    ("kind", "annotations", "given", "seconds"),
    [
        ("Deployment", {}, 0.0, 600.0),
        ("PersistentVolumeClaim", {}, 0.0, 300.0),
        ("Deployment", {readiness.TIMEOUT: "42"}, 0.0, 42.0),
        ("Deployment", {readiness.TIMEOUT: "42"}, 7.0, 7.0),
    ],
)
def test_how_long_an_object_may_take(
    kind: str, annotations: dict[str, str], given: float, seconds: float
) -> None:
    assert readiness.timeout(manifest(kind, "any", annotations=annotations), given) == seconds


def test_a_server_that_never_answers_is_given_up_soon(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.node.cluster.UNSEEN_SECONDS", 0.0)
    wrong: Callable[[str], str] = lambda url: f"{url.rpartition(':')[0]}:1"  # noqa: E731
    provider = connected(control_plane, tmp_path, monkeypatch, wrong)

    with pytest.raises(ProviderError, match=r"https://127\.0\.0\.1:1 does not answer: .*refused"):
        provider.read(resource(config_map("any")), f"{NAMESPACE}/any", {}, {})
