"""When an object works, as pulumi-kubernetes v4 waits for it: pure functions over what the API server says.

Source: https://www.pulumi.com/registry/packages/kubernetes/api-docs/#await and the provider's own checks
(https://github.com/pulumi/pulumi-kubernetes/tree/master/provider/pkg/await)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.node.client import Manifest

TIMEOUT: Final = "pulumi.com/timeoutSeconds"
FORCE: Final = "pulumi.com/patchForce"
DEFAULT_SECONDS: Final = 600.0
SECONDS: Final[Mapping[str, float]] = {"PersistentVolume": 300.0, "PersistentVolumeClaim": 300.0}
"""How long an object of a kind may take, where it is not `DEFAULT_SECONDS`."""


@dataclass(frozen=True)
class Verdict:
    """How an object is.

    Attributes:
        ready: whether it works.
        waiting: what is missing; empty if it works.
        failed: whether waiting longer is of no use.
    """

    ready: bool
    waiting: str = ""
    failed: bool = False


READY: Final = Verdict(ready=True)


def verdict(
    manifest: Manifest, endpoints: Callable[[], bool], waits_for_a_pod: Callable[[], bool]
) -> Verdict:
    """Tell how an object is.

    Args:
        manifest: the object as the API server has it now.
        endpoints: asks whether a Service has any pod that is ready.
        waits_for_a_pod: asks whether a claim gets its volume with the first pod that needs it.
    """
    kind = manifest["kind"]
    if kind == "Service":
        return _service(manifest, endpoints)
    if kind == "PersistentVolumeClaim":
        return _claim(manifest, waits_for_a_pod)
    judge = _JUDGES.get(kind)
    return judge(manifest) if judge else READY


def timeout(manifest: Manifest, given: float = 0.0) -> float:
    """Return the seconds that an object may take to work.

    Args:
        manifest: the object, whose annotation may say so.
        given: what the program says in the resource's options; 0 if it does not.
    """
    if given > 0:
        return given
    said = (manifest["metadata"].get("annotations") or {}).get(TIMEOUT, "")
    return float(said) if said.isdigit() else SECONDS.get(manifest["kind"], DEFAULT_SECONDS)


def _deployment(manifest: Manifest) -> Verdict:
    told = manifest.get("status", {})
    progressing = _condition(manifest, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return _no(f"[ProgressDeadlineExceeded] {progressing.get('message', '')}", failed=True)
    if not _observed(manifest):
        return _no("the controller has not seen it yet")
    wanted = manifest["spec"].get("replicas", 1)
    updated = told.get("updatedReplicas", 0)
    if updated < wanted or told.get("replicas", 0) > updated:
        return _no(f"{updated} of {wanted} pods are of the new version, {told.get('replicas', 0)} in all")
    available = told.get("availableReplicas", 0)
    return READY if available >= wanted else _no(f"{available} of {wanted} pods are available")


def _stateful_set(manifest: Manifest) -> Verdict:
    told = manifest.get("status", {})
    if not _observed(manifest):
        return _no("the controller has not seen it yet")
    wanted = manifest["spec"].get("replicas", 1)
    ready, updated = told.get("readyReplicas", 0), told.get("updatedReplicas", 0)
    if told.get("currentRevision") != told.get("updateRevision") or updated < wanted:
        return _no(f"{updated} of {wanted} pods are of the new version")
    return READY if ready >= wanted else _no(f"{ready} of {wanted} pods are ready")


def _daemon_set(manifest: Manifest) -> Verdict:
    told = manifest.get("status", {})
    wanted, ready = told.get("desiredNumberScheduled", 0), told.get("numberReady", 0)
    if not _observed(manifest) or told.get("updatedNumberScheduled", 0) < wanted or ready < wanted:
        return _no(f"{ready} of {wanted} pods are ready")
    return READY


def _job(manifest: Manifest) -> Verdict:
    failed = _condition(manifest, "Failed")
    if failed.get("status") == "True":
        return _no(f"[{failed.get('reason', '')}] {failed.get('message', '')}", failed=True)
    done = _condition(manifest, "Complete").get("status") == "True" or manifest["spec"].get("suspend")
    return READY if done else _no("the Job has not completed")


def _pod(manifest: Manifest) -> Verdict:
    phase = manifest.get("status", {}).get("phase")
    if phase == "Failed":
        return _no(f"the pod failed: {manifest['status'].get('message', '')}", failed=True)
    if phase == "Succeeded" or _condition(manifest, "Ready").get("status") == "True":
        return READY
    return _no(_condition(manifest, "Ready").get("message") or "the pod is not ready")


def _claim(manifest: Manifest, waits_for_a_pod: Callable[[], bool]) -> Verdict:
    phase = manifest.get("status", {}).get("phase")
    if phase == "Lost":
        return _no("the claim has lost its volume", failed=True)
    return READY if phase == "Bound" or waits_for_a_pod() else _no("the claim has no volume yet")


def _ingress(manifest: Manifest) -> Verdict:
    told = (manifest.get("status") or {}).get("loadBalancer") or {}
    found = any(each.get("ip") or each.get("hostname") for each in told.get("ingress") or [])
    return READY if found else _no("no controller has given the Ingress an address")


def _volume(manifest: Manifest) -> Verdict:
    phase = manifest.get("status", {}).get("phase")
    return READY if phase in ("Available", "Bound") else _no("the volume is not available")


def _service(manifest: Manifest, endpoints: Callable[[], bool]) -> Verdict:
    spec = manifest["spec"]
    if spec.get("type") == "LoadBalancer" and not manifest.get("status", {}).get("loadBalancer"):
        return _no("the load balancer has no address")
    alone = spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector")
    return READY if alone or endpoints() else _no("no pod behind the Service is ready")


def _observed(manifest: Manifest) -> bool:
    generation = manifest["metadata"].get("generation", 0)
    return bool(manifest.get("status", {}).get("observedGeneration", 0) >= generation)


def _condition(manifest: Manifest, kind: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = manifest.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def _no(waiting: str, *, failed: bool = False) -> Verdict:
    return Verdict(ready=False, waiting=waiting, failed=failed)


_JUDGES: Final[Mapping[str, Callable[[Manifest], Verdict]]] = {
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Ingress": _ingress,
    "Job": _job,
    "PersistentVolume": _volume,
    "Pod": _pod,
    "StatefulSet": _stateful_set,
}
