"""Cases of the pod policies. Paths begin at the pod's specification."""

from baseline.model import UNKNOWN, Value
from tests.policy.cases.builders import ABSENT, Block, Case, Kind, pod_case

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

APP = "containers[0].securityContext"
FIRST = "initContainers[0].securityContext"
DEBUG = "ephemeralContainers[0].securityContext"
EVERY = (FIRST, APP, DEBUG)


def everywhere(key: str, value: Value = ABSENT) -> Block:
    """Say the same of all three containers."""
    return {f"{security}{key}": value for security in EVERY}


NO_CONTEXTS = everywhere("")
NO_POD_CONTEXT: Block = {"securityContext": ABSENT}
UNKNOWN_CONTAINERS: Block = {"containers": UNKNOWN}


def explicit(policy: str, key: str, valid: Value, invalid: Value) -> tuple[Case, ...]:
    """Cases of a field that each container must set by itself."""
    return (
        pod_case(policy, PASS, "set on every container", {f"{APP}.{key}": valid}),
        pod_case(policy, FAIL, "the wrong value", {f"{APP}.{key}": invalid}, {f"{APP}.{key}": invalid}),
        pod_case(policy, FAIL, "a text", {f"{APP}.{key}": str(valid)}, {f"{APP}.{key}": str(valid)}),
        pod_case(
            policy,
            FAIL,
            "the pod's does not count",
            {f"{APP}.{key}": ABSENT, f"securityContext.{key}": valid},
            {f"{APP}.{key}": ABSENT},
        ),
        pod_case(policy, MISSING, "the field", {f"{APP}.{key}": ABSENT}, {f"{APP}.{key}": ABSENT}),
        pod_case(policy, MISSING, "securityContext", NO_CONTEXTS, everywhere(f".{key}")),
        pod_case(policy, UNKNOWN_VALUE, "the field", {f"{APP}.{key}": UNKNOWN}, {f"{APP}.{key}": UNKNOWN}),
        pod_case(policy, UNKNOWN_VALUE, "securityContext", {APP: UNKNOWN}, {f"{APP}.{key}": UNKNOWN}),
        pod_case(
            policy,
            UNKNOWN_VALUE,
            "the list",
            UNKNOWN_CONTAINERS,
            {f"containers[*].securityContext.{key}": UNKNOWN},
        ),
        *each_sort(policy, key, invalid),
    )


def each_sort(policy: str, key: str, invalid: Value) -> tuple[Case, ...]:
    """The same fault in an init container, an ephemeral one and a CronJob."""
    return (
        pod_case(policy, INIT, "the wrong value", {f"{FIRST}.{key}": invalid}, {f"{FIRST}.{key}": invalid}),
        pod_case(
            policy, EPHEMERAL, "the wrong value", {f"{DEBUG}.{key}": invalid}, {f"{DEBUG}.{key}": invalid}
        ),
        pod_case(policy, NESTED, "the wrong value", {f"{APP}.{key}": invalid}, {f"{APP}.{key}": invalid}),
    )


def inherited(policy: str, key: str, valid: Value, invalid: Value) -> tuple[Case, ...]:
    """Cases of a field that the pod hands down."""
    on_pod = f"securityContext.{key}"
    block = key.partition(".")[0]
    no_pod: Block = {f"securityContext.{block}": ABSENT}
    return (
        pod_case(policy, PASS, "the pod's, for all", {}),
        pod_case(policy, PASS, "every container's own", no_pod | everywhere(f".{key}", valid)),
        pod_case(policy, PASS, "both", everywhere(f".{key}", valid)),
        pod_case(
            policy,
            FAIL,
            "a container overrides the pod's",
            {f"{APP}.{key}": invalid},
            {f"{APP}.{key}": invalid},
        ),
        pod_case(policy, FAIL, "the pod's, once for all", {on_pod: invalid}, {on_pod: invalid}),
        pod_case(
            policy,
            FAIL,
            "the pod's, though every container overrides it",
            {on_pod: invalid} | everywhere(f".{key}", valid),
            {on_pod: invalid},
        ),
        pod_case(
            policy,
            FAIL,
            "one container is left out",
            no_pod | {f"{FIRST}.{key}": valid, f"{DEBUG}.{key}": valid},
            {f"{APP}.{key}": ABSENT},
        ),
        pod_case(policy, MISSING, "the pod's securityContext", NO_POD_CONTEXT, everywhere(f".{key}")),
        pod_case(
            policy, MISSING, "every securityContext", NO_POD_CONTEXT | NO_CONTEXTS, everywhere(f".{key}")
        ),
        pod_case(policy, UNKNOWN_VALUE, "the pod's", {on_pod: UNKNOWN}, {on_pod: UNKNOWN}),
        pod_case(
            policy, UNKNOWN_VALUE, "a container's", {f"{APP}.{key}": UNKNOWN}, {f"{APP}.{key}": UNKNOWN}
        ),
        *each_sort(policy, key, invalid),
    )


CASES: tuple[Case, ...] = (
    pod_case("no-privileged-containers", PASS, "false", {f"{APP}.privileged": False}),
    pod_case(
        "no-privileged-containers", FAIL, "true", {f"{APP}.privileged": True}, {f"{APP}.privileged": True}
    ),
    pod_case("no-privileged-containers", FAIL, "0", {f"{APP}.privileged": 0}, {f"{APP}.privileged": 0}),
    pod_case("no-privileged-containers", FAIL, "1", {f"{APP}.privileged": 1}, {f"{APP}.privileged": 1}),
    pod_case("no-privileged-containers", MISSING, "false is the default", NO_CONTEXTS),
    pod_case(
        "no-privileged-containers",
        UNKNOWN_VALUE,
        "beside a known fault",
        {f"{APP}.privileged": UNKNOWN, f"{FIRST}.privileged": True},
        {f"{APP}.privileged": UNKNOWN, f"{FIRST}.privileged": True},
    ),
    pod_case(
        "no-privileged-containers",
        UNKNOWN_VALUE,
        "the list",
        UNKNOWN_CONTAINERS,
        {"containers[*].securityContext.privileged": UNKNOWN},
    ),
    *each_sort("no-privileged-containers", "privileged", True),
    pod_case("no-host-namespaces", PASS, "false", {"hostPID": False, "hostIPC": False, "hostNetwork": False}),
    pod_case(
        "no-host-namespaces",
        FAIL,
        "all three",
        {"hostPID": True, "hostIPC": True, "hostNetwork": True},
        {"hostPID": True, "hostIPC": True, "hostNetwork": True},
    ),
    pod_case(
        "no-host-namespaces",
        FAIL,
        "a pod of Windows HostProcess containers",
        {"securityContext.windowsOptions.hostProcess": True},
        {"securityContext.windowsOptions.hostProcess": True},
    ),
    pod_case("no-host-namespaces", MISSING, "false is the default", NO_POD_CONTEXT | NO_CONTEXTS),
    pod_case("no-host-namespaces", UNKNOWN_VALUE, "hostPID", {"hostPID": UNKNOWN}, {"hostPID": UNKNOWN}),
    *each_sort("no-host-namespaces", "windowsOptions.hostProcess", True),
    *explicit("no-privilege-escalation", "allowPrivilegeEscalation", False, True),
    *inherited("run-as-non-root", "runAsNonRoot", True, False),
    pod_case("run-as-non-root", PASS, "a user", {"securityContext.runAsUser": 10001, f"{APP}.runAsUser": 1}),
    pod_case("run-as-non-root", FAIL, "user 0", {f"{APP}.runAsUser": 0}, {f"{APP}.runAsUser": 0}),
    pod_case("run-as-non-root", INIT, "user 0", {f"{FIRST}.runAsUser": 0}, {f"{FIRST}.runAsUser": 0}),
    pod_case(
        "run-as-non-root",
        FAIL,
        "user 0 at the pod, though every container overrides it",
        {"securityContext.runAsUser": 0} | everywhere(".runAsUser", 10001),
        {"securityContext.runAsUser": 0},
    ),
    pod_case(
        "run-as-non-root",
        UNKNOWN_VALUE,
        "the user",
        {f"{APP}.runAsUser": UNKNOWN},
        {f"{APP}.runAsUser": UNKNOWN},
    ),
    *inherited("seccomp-runtime-default", "seccompProfile.type", "RuntimeDefault", "Unconfined"),
    pod_case(
        "seccomp-runtime-default",
        PASS,
        "a profile of the node's",
        {f"{APP}.seccompProfile": {"type": "Localhost", "localhostProfile": "app.json"}},
    ),
    pod_case(
        "seccomp-runtime-default",
        MISSING,
        "the profile's type",
        {"securityContext.seccompProfile": {}},
        everywhere(".seccompProfile.type"),
    ),
    *explicit("read-only-root-filesystem", "readOnlyRootFilesystem", True, False),
    pod_case(
        "drop-all-capabilities", PASS, "one added back", {f"{APP}.capabilities.add": ["NET_BIND_SERVICE"]}
    ),
    pod_case(
        "drop-all-capabilities", PASS, "more than all", {f"{APP}.capabilities.drop": ["NET_RAW", "ALL"]}
    ),
    pod_case(
        "drop-all-capabilities",
        FAIL,
        "only some dropped",
        {f"{APP}.capabilities.drop": ["NET_RAW"]},
        {f"{APP}.capabilities.drop": ["NET_RAW"]},
    ),
    pod_case(
        "drop-all-capabilities",
        FAIL,
        "added back",
        {f"{APP}.capabilities.add": ["NET_BIND_SERVICE", "SYS_ADMIN"]},
        {f"{APP}.capabilities.add[1]": "SYS_ADMIN"},
    ),
    pod_case(
        "drop-all-capabilities", MISSING, "securityContext", NO_CONTEXTS, everywhere(".capabilities.drop")
    ),
    pod_case(
        "drop-all-capabilities",
        MISSING,
        "drop",
        {f"{APP}.capabilities": {}},
        {f"{APP}.capabilities.drop": ABSENT},
    ),
    pod_case(
        "drop-all-capabilities",
        UNKNOWN_VALUE,
        "one that may be ALL",
        {f"{APP}.capabilities.drop": ["NET_RAW", UNKNOWN]},
        {f"{APP}.capabilities.drop": UNKNOWN},
    ),
    pod_case(
        "drop-all-capabilities", PASS, "an unknown beside ALL", {f"{APP}.capabilities.drop": ["ALL", UNKNOWN]}
    ),
    pod_case(
        "drop-all-capabilities",
        UNKNOWN_VALUE,
        "the block",
        {f"{APP}.capabilities": UNKNOWN},
        {f"{APP}.capabilities.drop": UNKNOWN, f"{APP}.capabilities.add[*]": UNKNOWN},
    ),
    *each_sort("drop-all-capabilities", "capabilities.drop", []),
    pod_case(
        "restricted-volume-types",
        PASS,
        "every type allowed",
        {
            "volumes": [
                {"name": "a", "configMap": {"name": "a"}},
                {"name": "b", "csi": {"driver": "b"}},
                {"name": "c", "downwardAPI": {}},
                {"name": "d", "ephemeral": {}},
                {"name": "e", "persistentVolumeClaim": {"claimName": "e"}},
                {"name": "f", "projected": {}},
                {"name": "g", "secret": {"secretName": UNKNOWN}},
            ]
        },
    ),
    pod_case("restricted-volume-types", PASS, "no type is an emptyDir", {"volumes": [{"name": UNKNOWN}]}),
    pod_case(
        "restricted-volume-types",
        FAIL,
        "a runtime's socket",
        {
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "s", "hostPath": {"path": "/run/docker.sock"}},
            ]
        },
        {"volumes[1].hostPath": {"path": "/run/docker.sock"}},
    ),
    pod_case(
        "restricted-volume-types",
        FAIL,
        "a network volume",
        {"volumes": [{"name": "n", "nfs": {"server": "a"}}]},
        {"volumes[0].nfs": {"server": "a"}},
    ),
    pod_case("restricted-volume-types", MISSING, "no volumes", {"volumes": ABSENT}),
    pod_case(
        "restricted-volume-types",
        UNKNOWN_VALUE,
        "a volume",
        {"volumes": [UNKNOWN, {"name": "h", "hostPath": UNKNOWN}]},
        {"volumes[0].*": UNKNOWN, "volumes[1].hostPath": UNKNOWN},
    ),
    pod_case(
        "restricted-volume-types", UNKNOWN_VALUE, "the list", {"volumes": UNKNOWN}, {"volumes[*].*": UNKNOWN}
    ),
    pod_case(
        "restricted-volume-types",
        NESTED,
        "the node's files",
        {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]},
        {"volumes[0].hostPath": {"path": "/"}},
    ),
    pod_case(
        "no-host-ports", PASS, "0 is none", {"containers[0].ports": [{"containerPort": 80, "hostPort": 0}]}
    ),
    pod_case(
        "no-host-ports",
        FAIL,
        "the second port",
        {"containers[0].ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]},
        {"containers[0].ports[1].hostPort": 81},
    ),
    pod_case("no-host-ports", MISSING, "no ports", {}),
    pod_case(
        "no-host-ports",
        UNKNOWN_VALUE,
        "the port, and the list",
        {"containers[0].ports": [{"hostPort": UNKNOWN}], "initContainers[0].ports": UNKNOWN},
        {"containers[0].ports[0].hostPort": UNKNOWN, "initContainers[0].ports[*].hostPort": UNKNOWN},
    ),
    *(
        pod_case(
            "no-host-ports",
            kind,
            "a port",
            {f"{owner}.ports": [{"hostPort": 80}]},
            {f"{owner}.ports[0].hostPort": 80},
        )
        for kind, owner in (
            (INIT, "initContainers[0]"),
            (EPHEMERAL, "ephemeralContainers[0]"),
            (NESTED, "containers[0]"),
        )
    ),
)
