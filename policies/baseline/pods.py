"""Pods at the "restricted" level of the Kubernetes Pod Security Standards, and a little beyond it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, and for what a pod hands down
to its containers the code of the admission plugin, ``k8s.io/pod-security-admission/policy``.
"""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.frameworks import cis_kubernetes
from baseline.manifests import Pod
from baseline.model import UNKNOWN, Policy, Value, Violation
from baseline.subjects import ContainerPolicy, PodPolicy
from baseline.tree import Node, must, must_be

VOLUME_TYPES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


LEAST_USER: Final = 10000


def _security(owner: Node, *keys: str) -> Node:
    return owner.at("securityContext", *keys)


def _inherited(pod: Pod, keys: tuple[str, ...], *valid: Value) -> Iterator[Violation]:
    """Check a field that a pod hands down to the containers that don't set it themselves.

    A bad value at the pod is reported once and not again for each heir. It counts even where every
    container overrides it: the admission plugin refuses it, and the next container would inherit it.
    """
    on_pod = _security(pod.spec, *keys)
    if on_pod.value is not None:
        yield from must_be(on_pod, *valid)
    for container in pod.containers():
        own = _security(container, *keys)
        if own.value is not None or on_pod.value is None:
            yield from must_be(own, *valid)


def check_privileged(container: Node) -> Iterator[Violation]:
    """Refuse ``privileged``."""
    yield from must_be(_security(container, "privileged"), None, False)


def check_host_namespaces(pod: Pod) -> Iterator[Violation]:
    """Refuse the node's process, IPC and network namespaces, and Windows HostProcess containers."""
    for key in ("hostPID", "hostIPC", "hostNetwork"):
        yield from must_be(pod.spec.at(key), None, False)
    for owner in (pod.spec, *pod.containers()):
        yield from must_be(_security(owner, "windowsOptions", "hostProcess"), None, False)


def check_privilege_escalation(container: Node) -> Iterator[Violation]:
    """Require an explicit false: the default is true."""
    yield from must_be(_security(container, "allowPrivilegeEscalation"), False)


def check_non_root(pod: Pod) -> Iterator[Violation]:
    """Require ``runAsNonRoot`` for every container, and refuse user 0 anywhere."""
    yield from _inherited(pod, ("runAsNonRoot",), True)
    for owner in (pod.spec, *pod.containers()):
        yield from must(_security(owner, "runAsUser"), _is_not_root, "absent or a user ID above 0")


def _is_not_root(user: Value) -> bool:
    return user is None or (isinstance(user, int) and not isinstance(user, bool) and user > 0)


def check_user_id(pod: Pod) -> Iterator[Violation]:
    """Advise a user ID that no node and no common image uses: outside the container it is nobody's."""
    valid = f"a user ID of {LEAST_USER} or more"

    def high(user: Value) -> bool:
        return isinstance(user, int) and not isinstance(user, bool) and user >= LEAST_USER

    on_pod = _security(pod.spec, "runAsUser")
    if on_pod.value is not None:
        yield from must(on_pod, high, valid)
    for container in pod.containers():
        own = _security(container, "runAsUser")
        if own.value is not None or on_pod.value is None:
            yield from must(own, high, valid)


def check_capabilities(container: Node) -> Iterator[Violation]:
    """Require all capabilities dropped, and at most NET_BIND_SERVICE added back."""
    capabilities = _security(container, "capabilities")
    dropped = capabilities.at("drop")
    names = [item.value for item in dropped.items()]
    if "ALL" not in names:
        # One unknown name among the known ones may still turn out to be ALL.
        found = UNKNOWN if UNKNOWN in names else dropped.value
        yield Violation(dropped.path, found, 'a list with "ALL"')
    for added in capabilities.at("add").items():
        yield from must_be(added, "NET_BIND_SERVICE")


def check_seccomp(pod: Pod) -> Iterator[Violation]:
    """Require the runtime's system call filter, or one of the node's own, for every container."""
    yield from _inherited(pod, ("seccompProfile", "type"), "RuntimeDefault", "Localhost")


def check_read_only_root(container: Node) -> Iterator[Violation]:
    """Require an explicit true: the default is false."""
    yield from must_be(_security(container, "readOnlyRootFilesystem"), True)


def check_volumes(pod: Pod) -> Iterator[Violation]:
    """Refuse volumes that reach the node: hostPath, and with it every container runtime's socket."""
    valid = f"a volume of type {', '.join(sorted(VOLUME_TYPES))}"
    for volume in pod.spec.at("volumes").items():
        for source in volume.fields():
            if source.key != "name" and source.key not in VOLUME_TYPES:
                yield Violation(source.path, source.value, valid)


def check_host_ports(container: Node) -> Iterator[Violation]:
    """Refuse ports on the node."""
    for port in container.at("ports").items():
        yield from must_be(port.at("hostPort"), None, 0)


POLICIES: Final[tuple[Policy, ...]] = (
    ContainerPolicy(
        name="no-privileged-containers",
        description="Containers must not be privileged.",
        remedy="Remove privileged; ask for the one capability or device plugin that the program needs.",
        severity=Severity.CRITICAL,
        framework=cis_kubernetes("5.2.2"),
        anchors=("CKV_K8S_16", "kube-linter:privileged-container", "CIS-5.2.2", "C-0057"),
        check=check_privileged,
    ),
    PodPolicy(
        name="no-host-namespaces",
        description="Pods must not share the node's process, IPC or network namespace.",
        remedy="Remove the field; reach the node's services over the network, through a Service.",
        severity=Severity.CRITICAL,
        framework=cis_kubernetes("5.2.3"),
        anchors=(
            *("CKV_K8S_17", "CKV_K8S_18", "CKV_K8S_19"),
            *("CIS-5.2.3", "CIS-5.2.4", "CIS-5.2.5", "CIS-5.2.10"),
            *("C-0038", "C-0041"),
        ),
        check=check_host_namespaces,
    ),
    ContainerPolicy(
        name="no-privilege-escalation",
        description="Containers must forbid gaining privileges, such as through setuid programs.",
        remedy="Set securityContext.allowPrivilegeEscalation to false on the container.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.2.6"),
        anchors=("CKV_K8S_20", "CIS-5.2.6", "C-0016"),
        check=check_privilege_escalation,
    ),
    PodPolicy(
        name="run-as-non-root",
        description="Containers must not run as root.",
        remedy="Set runAsNonRoot to true on the pod, and use an image or runAsUser with another user.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.2.7"),
        anchors=("CKV_K8S_23", "CIS-5.2.7", "C-0013"),
        check=check_non_root,
    ),
    PodPolicy(
        name="high-user-id",
        description="Containers should run as a user that the node does not know.",
        remedy="Set runAsUser to 10000 or more on the pod.",
        severity=Severity.LOW,
        framework=cis_kubernetes("5.2.7"),
        anchors=("CKV_K8S_40", "kube-score:container-security-context-user-group-id"),
        level=EnforcementLevel.ADVISORY,
        check=check_user_id,
    ),
    ContainerPolicy(
        name="drop-all-capabilities",
        description="Containers must drop all capabilities, and may add back NET_BIND_SERVICE only.",
        remedy='Set securityContext.capabilities.drop to ["ALL"] and listen on a port above 1023.',
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.2.9"),
        anchors=("CKV_K8S_28", "CKV_K8S_37", "CIS-5.2.8", "CIS-5.2.9", "C-0046"),
        check=check_capabilities,
    ),
    PodPolicy(
        name="seccomp-runtime-default",
        description="Containers must run under the container runtime's seccomp profile, or a stricter one.",
        remedy="Set securityContext.seccompProfile.type to RuntimeDefault on the pod.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.6.2"),
        anchors=("CKV_K8S_31", "CIS-5.6.2", "C-0055"),
        check=check_seccomp,
    ),
    ContainerPolicy(
        name="read-only-root-filesystem",
        description="Containers must not write to their image's filesystem.",
        remedy="Set readOnlyRootFilesystem to true and mount an emptyDir where the program writes.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.6.3"),
        anchors=("CKV_K8S_22", "kube-linter:no-read-only-root-fs", "C-0017"),
        check=check_read_only_root,
    ),
    PodPolicy(
        name="restricted-volume-types",
        description="Pods must not mount the node's filesystem or legacy network volumes.",
        remedy="Use a persistentVolumeClaim for data and an emptyDir for scratch space.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.2.11"),
        anchors=("CKV_K8S_27", "CIS-5.2.11"),
        check=check_volumes,
    ),
    ContainerPolicy(
        name="no-host-ports",
        description="Containers must not take ports of the node.",
        remedy="Remove hostPort and put a Service in front of the pods.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.2.12"),
        anchors=("CKV_K8S_26", "CIS-5.2.12", "C-0044"),
        check=check_host_ports,
    ),
)
