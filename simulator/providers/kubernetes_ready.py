"""Objects that the API server took and that never became ready, and what serves meanwhile.

The provider waits for some kinds. If such an object fails, it exists all the same: the engine keeps it with
the reasons, and the next run waits for it again. A Job that failed stays failed; pods may come up later.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from simulator.providers.kubernetes_status import CREATED
from simulator.providers.values import Properties, Secret, Value, get

SKIP_AWAIT: Final = "pulumi.com/skipAwait"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
UNREADY_PATH: Final = f'.metadata.annotations["{REPLACE_UNREADY}"]'
"""What the provider gives as the reason for replacing a Job that is not ready."""

CREATED_ONLY: Final = (
    "resource {} was successfully created, but the Kubernetes API server reported that it failed to fully "
    "initialize or become live"
)
REPORTED: Final = 'the Kubernetes API server reported that "{}" failed to fully initialize or become live'

_ALWAYS: Final = frozenset({"DaemonSet", "Deployment", "Ingress", "Job", "Pod", "Service", "StatefulSet"})
_AT_FIRST: Final = frozenset({"PersistentVolume", "PersistentVolumeClaim", "ReplicationController"})
"""Kinds that are waited for after a change, and taken as they are when they are read."""

WORKLOADS: Final = frozenset({"DaemonSet", "Deployment", "StatefulSet"})
"""Kinds whose pods are replaced by and by: the old ones may serve while the new ones fail."""


def can_fail(kind: str) -> bool:
    """Whether an object of a kind can exist and fail; of any other kind, the server refuses it instead."""
    return kind in _ALWAYS or kind in _AT_FIRST


def is_awaited(kind: str, inputs: Properties, verb: str) -> bool:
    """Whether the provider waits for an object after a `create`, an `update` or a `read`."""
    if _annotation(inputs, SKIP_AWAIT):
        return False
    return kind in _ALWAYS or (kind in _AT_FIRST and verb != "read")


def replaces_unready(kind: str, inputs: Properties) -> bool:
    """Whether an object asks to be replaced where it is not ready; the provider hears that of Jobs only."""
    return kind == "Job" and _annotation(inputs, REPLACE_UNREADY)


def lasting_failure(kind: str, previous: Properties) -> str:
    """Why an object can never become ready: a Job that failed stays so; empty for all others."""
    for condition in get(previous, "status", "conditions") or ():
        if kind == "Job" and condition.get("type") == "Failed" and condition.get("status") == "True":
            return str(condition.get("message", ""))
    return ""


def reason(kind: str, why: str) -> str:
    """The last of the provider's reasons, as its checks word it."""
    code = {"Deployment": "ProgressDeadlineExceeded", "Job": "BackoffLimitExceeded"}.get(kind)
    return f"[{code}] {why}" if code else why


def still_serving(kind: str, manifest: Properties, previous: Properties) -> int:
    """How many pods of before a failing change still serve."""
    if kind == "Deployment" and get(manifest, "spec", "strategy", "type") != "Recreate":
        return _ready(previous)
    if kind != "StatefulSet":
        return 0
    # One pod went before its successor came, which failed, and there the controller stops.
    stopped = _ready(previous) < int(get(previous, "status", "replicas") or 0)
    return _ready(previous) if stopped else max(_ready(previous) - 1, 0)


def template(inputs: Properties) -> Value:
    """A workload's pod template with its secrets marked."""
    spec = inputs.get("spec")
    hidden = isinstance(spec, Secret)
    found = (spec.value if isinstance(spec, Secret) else spec or {}).get("template") or {}
    return Secret(found) if hidden else found


def failed_status(kind: str, manifest: Properties, generation: int, why: str, previous: Properties) -> Any:
    """The status of an object that is not ready, or None for a kind without one."""
    serving = still_serving(kind, manifest, previous)
    replicas = get(manifest, "spec", "replicas")
    count = replicas if isinstance(replicas, int) else 1
    fresh = (
        max(math.ceil(count / 4), 1) if serving else count
    )  # A quarter more pods at a time, or all at once.
    pods = {"observedGeneration": generation, "readyReplicas": serving, "availableReplicas": serving}
    by_kind: Mapping[str, Any] = {
        "Deployment": pods
        | {
            "replicas": serving + fresh,
            "updatedReplicas": fresh,
            "unavailableReplicas": fresh,
            "conditions": [
                _available(bool(serving)),
                _condition("Progressing", False, "ProgressDeadlineExceeded", why),
            ],
        },
        "StatefulSet": pods | {"replicas": serving + 1, "currentReplicas": serving, "updatedReplicas": 1},
        "DaemonSet": {
            "observedGeneration": generation,
            "currentNumberScheduled": 1,
            "desiredNumberScheduled": 1,
            "numberReady": 0,
            "numberMisscheduled": 0,
            "numberUnavailable": 1,
        },
        "Job": {
            "failed": 1,
            "startTime": CREATED,
            "conditions": [_condition("Failed", True, "BackoffLimitExceeded", why)],
        },
        "Pod": {"phase": "Pending", "conditions": [_condition("Ready", False, "ContainersNotReady", why)]},
        "PersistentVolume": {"phase": "Pending"},
        "PersistentVolumeClaim": {"phase": "Pending"},
        "Service": {"loadBalancer": {}},
        "Ingress": {"loadBalancer": {}},
    }
    return by_kind.get(kind)


def _ready(previous: Properties) -> int:
    return int(get(previous, "status", "readyReplicas") or 0)


def _available(present: bool) -> dict[str, Any]:
    reason_ = "MinimumReplicasAvailable" if present else "MinimumReplicasUnavailable"
    return _condition("Available", present, reason_)


def _condition(kind: str, holds: bool, code: str, message: str = "") -> dict[str, Any]:
    condition = {"type": kind, "status": str(holds), "reason": code, "lastTransitionTime": CREATED}
    return condition | ({"message": message} if message else {})


def _annotation(inputs: Properties, name: str) -> bool:
    return bool(get(inputs, "metadata", "annotations", name) == "true")
