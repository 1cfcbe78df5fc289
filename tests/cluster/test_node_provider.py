"""The kubernetes provider in front of a real API server, without a node behind it."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.node.control_plane import ADMIN, ControlPlane
from simulator.node.provider import CLUSTER, ClusterKubernetes, projected
from simulator.providers.core import NotReadyError, ProviderError, Resource
from simulator.providers.store import CHANGED_OUTSIDE, Store
from simulator.providers.values import UNKNOWN, Secret

pytestmark = pytest.mark.cluster

NAMESPACE = "default"


@pytest.fixture
def provider(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ClusterKubernetes:
    return connected(control_plane, tmp_path, monkeypatch)


def connected(
    control_plane: ControlPlane,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: Callable[[str], str] = str,
) -> ClusterKubernetes:
    """The provider in front of an API server, or of another address than its own."""
    identity = control_plane.authority.client(*ADMIN)
    config = {
        "current-context": "tried",
        "contexts": [{"name": "tried", "context": {"cluster": "tried", "user": "admin"}}],
        "clusters": [
            {
                "name": "tried",
                "cluster": {
                    "server": address(control_plane.url),
                    "certificate-authority": str(control_plane.authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": "admin",
                "user": {
                    "client-certificate": str(identity.certificate),
                    "client-key": str(identity.key),
                },
            }
        ],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv(CLUSTER, str(folder / "kubeconfig"))
    return ClusterKubernetes(Store())


def resource(kind: str, name: str, group: str = "core/v1") -> Resource:
    kind = f"kubernetes:{group}:{kind}"
    return Resource(f"urn:pulumi:local::fixia::{kind}::{name}", kind, name)


def config_map(name: str, **data: str) -> dict[str, Any]:
    # No collector of garbage runs here, which the others wait for.
    annotations = {"pulumi.com/deletionPropagationPolicy": "background"}
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_what_is_created_is_there_and_what_is_deleted_is_gone(
    provider: ClusterKubernetes, control_plane: ControlPlane
) -> None:
    one, inputs = resource("ConfigMap", "life"), config_map("life", colour="green")

    made, outputs = provider.create(one, inputs)
    assert made == f"{NAMESPACE}/life"
    assert outputs["metadata"]["uid"]
    assert control_plane.client.get(inputs).body["data"] == {"colour": "green"}

    changed = provider.update(one, made, outputs, config_map("life", colour="red"))
    assert changed["data"] == {"colour": "red"}
    assert provider.read(one, made, inputs, outputs)[1]["data"] == {"colour": "red"}

    provider.delete(one, made, outputs)
    assert provider.read(one, made, inputs, outputs) == ("", {}, {})
    provider.delete(one, made, outputs)


def test_a_name_that_is_taken_is_refused(provider: ClusterKubernetes) -> None:
    one, inputs = resource("ConfigMap", "taken"), config_map("taken")
    provider.create(one, inputs)

    with pytest.raises(ProviderError, match="already exists"):
        provider.create(one, inputs)


def test_a_preview_asks_the_server_and_changes_nothing(
    provider: ClusterKubernetes, control_plane: ControlPlane
) -> None:
    one, inputs = resource("ConfigMap", "previewed"), config_map("previewed")

    provider.preview_create(one, inputs)
    assert control_plane.client.get(inputs).status == 404

    with pytest.raises(ProviderError, match="previewed"):
        provider.preview_create(one, {**inputs, "metadata": {**inputs["metadata"], "labels": {"a b": "c"}}})
    provider.preview_create(one, {**inputs, "data": {"key": UNKNOWN}})


def test_a_preview_in_a_namespace_that_is_still_to_come_passes(provider: ClusterKubernetes) -> None:
    inputs = config_map("later")
    inputs["metadata"]["namespace"] = "of-the-same-program"

    provider.preview_create(resource("ConfigMap", "later"), inputs)


def test_a_secret_that_somebody_changed_shows_that_it_did(
    provider: ClusterKubernetes, control_plane: ControlPlane
) -> None:
    one = resource("Secret", "kept")
    metadata = {"name": "kept", "namespace": NAMESPACE}
    data = Secret({"key": "value"})
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    made, outputs = provider.create(one, inputs)
    assert isinstance(outputs["data"], Secret)
    assert provider.read(one, made, inputs, outputs)[1]["stringData"] == data

    changed = {**inputs, "stringData": {"key": "another"}}
    assert control_plane.client.apply(changed, manager="somebody", force=True).accepted

    found = provider.read(one, made, inputs, outputs)[1]["stringData"]
    assert found.value["key"].value == CHANGED_OUTSIDE


def test_an_object_is_waited_for_until_it_works(
    provider: ClusterKubernetes, control_plane: ControlPlane
) -> None:
    """Nothing runs behind this API server: the test says that the claim is bound, as a controller would."""
    one = resource("PersistentVolumeClaim", "bound")
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    metadata = {"name": "bound", "namespace": NAMESPACE}
    inputs = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    done: list[Any] = []
    waiting = threading.Thread(target=lambda: done.append(provider.create(one, inputs)))
    waiting.start()
    until = time.monotonic() + 30
    while not (live := control_plane.client.get(inputs)).accepted and time.monotonic() < until:
        time.sleep(0.05)
    assert not done

    control_plane.client.update_status({**live.body, "status": {"phase": "Bound"}})
    waiting.join(30)

    assert done[0][1]["status"]["phase"] == "Bound"


def test_an_object_that_does_not_work_in_time_is_kept_with_the_reason(provider: ClusterKubernetes) -> None:
    one = resource("Pod", "idle")
    container = {"name": "main", "image": "main:1"}
    inputs = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "idle",
            "namespace": NAMESPACE,
            "annotations": {"pulumi.com/timeoutSeconds": "1"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "serviceAccountName": "idle",
            "containers": [container],
        },
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "idle", "namespace": NAMESPACE},
    }
    provider.create(resource("ServiceAccount", "idle"), account)

    with pytest.raises(NotReadyError) as caught:
        provider.create(one, inputs)

    assert caught.value.resource_id == f"{NAMESPACE}/idle"
    assert "not ready" in caught.value.reasons[-1]


def test_what_others_added_is_no_difference() -> None:
    known = {"spec": {"a": 1, "items": [{"name": "x"}]}}
    live = {"spec": {"a": 2, "items": [{"name": "x", "added": True}], "more": 3}, "status": {}}

    assert projected(known, live) == {"spec": {"a": 2, "items": [{"name": "x"}]}}
