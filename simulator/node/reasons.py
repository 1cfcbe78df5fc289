"""Why an object does not work: what its pods, their events and their last words say.

As the official provider, only of pods that do not work, and little of each.
"""

from collections.abc import Iterator
from typing import Any, Final

from simulator.node.client import Manifest
from simulator.node.cluster import Cluster
from simulator.providers.core import ProviderError

PODS: Final = 3
"""Of how many pods it is told; the newest first."""
EVENTS: Final = 5
LINES: Final = 10
"""The last ones of a log."""
LONGEST: Final = 2000
"""Bytes of a log."""

_BY_SELECTOR: Final = frozenset({"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"})


def reasons(cluster: Cluster, live: Manifest) -> list[str]:
    """Return why an object does not work, as far as the cluster tells.

    Args:
        cluster: where it is.
        live: the object as it is now.
    """
    try:
        return list(dict.fromkeys(_reasons(cluster, live)))
    except ProviderError:
        return []  # no more than the object itself tells


def _reasons(cluster: Cluster, live: Manifest) -> Iterator[str]:
    if "namespace" not in live["metadata"]:
        return
    yield from _events(cluster, live)
    if live["kind"] == "Deployment":
        for made in _newest(cluster, live, "/apis/apps/v1", "replicasets", _selector(live))[:1]:
            yield from _events(cluster, made)
    pods = [live] if live["kind"] == "Pod" else _newest(cluster, live, "/api/v1", "pods", _selector(live))
    for pod in [each for each in pods if not _works(each)][:PODS]:
        if pod is not live:
            yield from _events(cluster, pod)
        yield from _containers(cluster, pod)


def _selector(live: Manifest) -> str:
    """Which pods are an object's, as labels; empty where it has none."""
    name, spec = live["metadata"]["name"], live.get("spec") or {}
    if live["kind"] == "Job":
        return f"batch.kubernetes.io/job-name={name}"
    labels = spec.get("selector") or {} if live["kind"] == "Service" else {}
    if live["kind"] in _BY_SELECTOR:
        labels = (spec.get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _newest(cluster: Cluster, live: Manifest, api: str, plural: str, labels: str) -> list[Manifest]:
    if not labels:
        return []
    path = f"{api}/namespaces/{live['metadata']['namespace']}/{plural}"
    found = cluster.listed(path, labelSelector=labels)
    return sorted(found, key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)


def _works(pod: Manifest) -> bool:
    told = pod.get("status") or {}
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in told.get("conditions") or [])
    return ready or told.get("phase") == "Succeeded"


def _events(cluster: Cluster, live: Manifest) -> Iterator[str]:
    """The last warnings about an object."""
    metadata = live["metadata"]
    found = cluster.listed(
        f"/api/v1/namespaces/{metadata['namespace']}/events",
        fieldSelector=f"involvedObject.uid={metadata['uid']},type=Warning",
    )
    found.sort(key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime")))
    for event in found[-EVENTS:]:
        times = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
        said = f"[{event.get('reason')}] {event.get('message')}{times}"
        yield f"{_kind(live)} {metadata['name']}: {said}"


def _kind(live: Manifest) -> str:
    """The kind of an object; those of a list do not say theirs."""
    return str(live.get("kind") or ("Pod" if "containers" in live.get("spec", {}) else "ReplicaSet"))


def _containers(cluster: Cluster, pod: Manifest) -> Iterator[str]:
    """What became of a pod's containers, and the last words of those that do not work."""
    name, told = pod["metadata"]["name"], pod.get("status") or {}
    for status in [*(told.get("initContainerStatuses") or []), *(told.get("containerStatuses") or [])]:
        if status.get("ready"):
            continue
        state = status.get("state") or {}
        where = f"Pod {name}, container {status['name']}"
        ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
        if waiting := state.get("waiting"):
            message = f": {waiting['message']}" if waiting.get("message") else ""
            yield f"{where}: [{waiting.get('reason')}]{message}"
        if ended and ended.get("exitCode"):
            yield f"{where}: it ended with exit code {ended['exitCode']} ({ended.get('reason')})"
        if ended or "running" in state:
            yield from _last_words(cluster, pod, status, where)


def _last_words(cluster: Cluster, pod: Manifest, status: dict[str, Any], where: str) -> Iterator[str]:
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/log"
    asked = {"container": status["name"], "tailLines": str(LINES), "limitBytes": str(LONGEST)}
    said = cluster.text(path, **asked)
    if not said and status.get("restartCount"):
        said = cluster.text(path, **asked, previous="true")
    if lines := said.strip().splitlines():
        yield f"{where}: its last words:\n" + "\n".join(f"    {line}" for line in lines)
