"""Containers that are watched and that take no more than their share."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.frameworks import kubernetes
from baseline.manifests import DATABASE_CLUSTER, Kind, Manifest, Pod, has_pods_of
from baseline.model import UNKNOWN, Policy, Violation
from baseline.subjects import ObjectPolicy, PodPolicy
from baseline.tree import Node, must

_HANDLERS: Final = ("httpGet", "exec", "tcpSocket", "grpc")


def probed(pod: Pod) -> list[Node]:
    """List the containers that others depend on: those that listen, or all if none says that it does.

    A sidecar that only keeps something up to date has nothing that a probe could ask.

    Args:
        pod: The pod.

    Returns:
        The containers; none of a pod that ends by itself.
    """
    if pod.finishes:
        return []
    lasting = pod.lasting()
    return [one for one in lasting if one.at("ports").value] or lasting


def _handler(probe: Node) -> Iterator[Violation]:
    given = [probe.at(key).value for key in _HANDLERS]
    if any(value is not None and value is not UNKNOWN for value in given):
        return
    found = UNKNOWN if UNKNOWN in given else probe.value
    yield Violation(probe.path, found, f"a probe with {', '.join(_HANDLERS[:-1])} or {_HANDLERS[-1]}")


def check_readiness(pod: Pod) -> Iterator[Violation]:
    """Require a readiness probe of every container that listens."""
    for container in probed(pod):
        yield from _handler(container.at("readinessProbe"))


def check_liveness(pod: Pod) -> Iterator[Violation]:
    """Require a liveness probe that is not the readiness probe again."""
    for container in probed(pod):
        liveness, readiness = container.at("livenessProbe"), container.at("readinessProbe")
        faults = list(_handler(liveness))
        yield from faults
        if not faults and liveness.value == readiness.value:
            valid = "another probe than readinessProbe, or a more patient one"
            yield Violation(liveness.path, liveness.value, valid)


def check_resources(manifest: Manifest) -> Iterator[Violation]:
    """Require requests of CPU and memory and a limit of memory. Ephemeral containers can have none."""
    if manifest.kind.is_any(DATABASE_CLUSTER):
        yield from _resources(manifest.root.at("spec"))
    for pod in manifest.pods():
        if pod.spec.at("resources").value not in (None, UNKNOWN):
            yield from _resources(pod.spec)  # Of the pod as a whole, which its containers share.
            continue
        for name in ("initContainers", "containers"):
            for container in pod.spec.at(name).items():
                yield from _resources(container)


def _resources(owner: Node) -> Iterator[Violation]:
    resources = owner.at("resources")
    for keys in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        yield from must(
            resources.at(*keys), lambda value: value not in (None, "", 0, "0"), "a quantity above 0"
        )


def runs_containers(kind: Kind) -> bool:
    """Select kinds that run containers, be it through an operator."""
    return has_pods_of(kind) or kind.is_any(DATABASE_CLUSTER)


POLICIES: Final[tuple[Policy, ...]] = (
    PodPolicy(
        name="readiness-probe",
        description="Containers that listen must say when they are ready.",
        remedy="Add a readinessProbe that asks what the container serves.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Probes", "concepts/workloads/pods/probes/"),
        anchors=("CKV_K8S_9", "kube-linter:no-readiness-probe", "polaris:readinessProbeMissing"),
        check=check_readiness,
    ),
    PodPolicy(
        name="liveness-probe",
        description="Containers that listen should have a liveness probe other than the readiness probe.",
        remedy="Add a livenessProbe that only a restart would mend, and that depends on no other service.",
        severity=Severity.LOW,
        framework=kubernetes("Probes", "concepts/workloads/pods/probes/"),
        anchors=("CKV_K8S_8", "kube-score:pod-probes-identical", "kube-linter:no-liveness-probe"),
        level=EnforcementLevel.ADVISORY,
        check=check_liveness,
    ),
    ObjectPolicy(
        name="resource-requests-limits",
        description="Containers must request CPU and memory, and have a limit of memory.",
        remedy="Set resources.requests.cpu, resources.requests.memory and resources.limits.memory.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Resource management", "concepts/configuration/manage-resources-containers/"),
        anchors=("CKV_K8S_10", "CKV_K8S_12", "CKV_K8S_13", "C-0271", "kube-linter:unset-memory-requirements"),
        selects=runs_containers,
        check=check_resources,
    ),
)
