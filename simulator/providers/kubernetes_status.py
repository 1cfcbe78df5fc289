"""What a simulated API server and its controllers write into an object: addresses, ids and a healthy status.

Everything is derived from what the object is, so that two runs give the same values.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from simulator.providers.values import Properties, digest, get

CREATED: Final = "2025-01-01T00:00:00Z"
"""One moment for everything: a real one would make two runs differ."""
LOAD_BALANCER: Final = "203.0.113.10"
"""The address of every load balancer, from the range kept for documentation."""


def cluster_ip(name: str) -> str:
    """The address of a service in 10.96.0.0/16, always the same for the same name."""
    number = int(digest("clusterIP", name, length=4), 16)
    return f"10.96.{number >> 8}.{number & 255 or 1}"


def invent(what: str, seed: str) -> str:
    """An id or a time for an object."""
    return CREATED if what == "time" else str(uuid.UUID(hex=digest(what, seed, length=32)))


def status(kind: str, manifest: Properties, generation: int) -> Any | None:
    """The status of an object whose controllers have done all their work, or None for a kind without one."""
    replicas = get(manifest, "spec", "replicas")
    count = replicas if isinstance(replicas, int) else 1
    by_kind: Mapping[str, Any] = {
        "Deployment": _workload(count, generation)
        | {
            "updatedReplicas": count,
            "availableReplicas": count,
            "conditions": [_condition("Available"), _condition("Progressing")],
        },
        "ReplicaSet": _workload(count, generation) | {"availableReplicas": count},
        "StatefulSet": _workload(count, generation)
        | {"updatedReplicas": count, "availableReplicas": count, "currentReplicas": count},
        "DaemonSet": {
            "observedGeneration": generation,
            "currentNumberScheduled": 1,
            "desiredNumberScheduled": 1,
            "numberReady": 1,
            "numberMisscheduled": 0,
        },
        "Job": {"succeeded": 1, "startTime": CREATED, "conditions": [_condition("Complete")]},
        "CronJob": {},
        "Pod": {"phase": "Running", "conditions": [_condition("Ready")]},
        "Namespace": {"phase": "Active"},
        "PersistentVolumeClaim": {
            "phase": "Bound",
            "accessModes": get(manifest, "spec", "accessModes"),
            "capacity": get(manifest, "spec", "resources", "requests"),
        },
        "PersistentVolume": {"phase": "Available"},
        "Service": {"loadBalancer": _load_balancer(get(manifest, "spec", "type") == "LoadBalancer")},
        "Ingress": {"loadBalancer": _load_balancer(True)},
        "CustomResourceDefinition": {"conditions": [_condition("Established")]},
        "HorizontalPodAutoscaler": {"currentReplicas": 1, "desiredReplicas": 1},
        "PodDisruptionBudget": {
            "currentHealthy": 1,
            "desiredHealthy": 1,
            "disruptionsAllowed": 1,
            "expectedPods": 1,
        },
    }
    return by_kind.get(kind)


def _workload(count: int, generation: int) -> dict[str, Any]:
    return {"observedGeneration": generation, "replicas": count, "readyReplicas": count}


def _condition(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "lastTransitionTime": CREATED}


def _load_balancer(present: bool) -> dict[str, Any]:
    return {"ingress": [{"ip": LOAD_BALANCER}]} if present else {}
