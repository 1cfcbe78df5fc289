"""What a simulated API server refuses that no schema can see: the rules per kind.

The rules run on an object that the schema has accepted, without `Secret` marks, and pass over what is not
known yet. No message repeats a value of a Secret.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from simulator.providers.kubernetes_details import check_details
from simulator.providers.kubernetes_pods import LABEL, check_claim, check_pod
from simulator.providers.kubernetes_syntax import (
    check_labels,
    check_not_above,
    check_port,
    check_quantities,
    entries,
    is_data_key,
    is_label,
    is_qualified,
    is_service_name,
    is_subdomain,
    objects,
    part,
    refuse_unless,
    selects,
    unique,
)
from simulator.providers.typecheck import Failure
from simulator.providers.values import UNKNOWN, Properties, get, join

SUBDOMAIN: Final = "a DNS name (at most 253 of a-z, 0-9, - and .)"
LARGEST_DATA: Final = 1024 * 1024
"""Bytes in a ConfigMap or a Secret."""
CRON_NAME_LENGTH: Final = 52
"""A CronJob's name leaves room for the Jobs that it names."""

GROUPS: Final = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""The groups of the API's own kinds that have rules here."""
NAMES: Final[Mapping[tuple[str, str], tuple[Callable[[str], bool], str]]] = {
    ("", "Namespace"): (is_label, LABEL),
    ("", "Service"): (is_service_name, "a DNS-1035 label (at most 63 of a-z, 0-9 and -, a letter first)"),
}
"""The kinds whose names are narrower than a DNS name."""

POD_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
}
SELECTING: Final = frozenset({"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"})

CHOICES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    ("", "restartPolicy"): ("Always", "Never", "OnFailure"),
    ("", "dnsPolicy"): ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    ("", "protocol"): ("TCP", "UDP", "SCTP"),
    ("", "concurrencyPolicy"): ("Allow", "Forbid", "Replace"),
    ("", "pathType"): ("Exact", "ImplementationSpecific", "Prefix"),
    ("", "podManagementPolicy"): ("OrderedReady", "Parallel"),
    ("", "sessionAffinity"): ("ClientIP", "None"),
    ("", "externalTrafficPolicy"): ("Cluster", "Local"),
    ("", "internalTrafficPolicy"): ("Cluster", "Local"),
    ("", "volumeBindingMode"): ("Immediate", "WaitForFirstConsumer"),
    ("", "reclaimPolicy"): ("Delete", "Retain", "Recycle"),
    ("", "persistentVolumeReclaimPolicy"): ("Delete", "Retain", "Recycle"),
    ("", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
    ("", "terminationMessagePolicy"): ("FallbackToLogsOnError", "File"),
    ("", "policyTypes"): ("Egress", "Ingress"),
    ("", "accessModes"): ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"),
    ("", "mountPropagation"): ("Bidirectional", "HostToContainer", "None"),
    ("", "preemptionPolicy"): ("Never", "PreemptLowerPriority"),
    ("", "unhealthyPodEvictionPolicy"): ("AlwaysAllow", "IfHealthyBudget"),
    ("seccompProfile", "type"): ("Localhost", "RuntimeDefault", "Unconfined"),
    ("strategy", "type"): ("Recreate", "RollingUpdate"),
    ("updateStrategy", "type"): ("OnDelete", "RollingUpdate"),
    ("", "fsGroupChangePolicy"): ("Always", "OnRootMismatch"),
    ("hostPath", "type"): (
        *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate"),
        "Socket",
    ),
    ("metrics", "type"): ("ContainerResource", "External", "Object", "Pods", "Resource"),
    ("onExitCodes", "operator"): ("In", "NotIn"),
    ("onPodConditions", "status"): ("False", "True", "Unknown"),
    ("policies", "type"): ("Percent", "Pods"),
    ("rules", "action"): ("Count", "FailIndex", "FailJob", "Ignore"),
    ("target", "type"): ("AverageValue", "Utilization", "Value"),
    ("tolerations", "operator"): ("Equal", "Exists"),
    ("httpGet", "scheme"): ("HTTP", "HTTPS"),
    ("Service.spec", "type"): ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
}
"""Closed lists of values that neither the SDK nor the schema spells out, by parent and property."""

CRON_FIELDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
CRON_MONTHS: Final = frozenset(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
CRON_DAYS: Final = frozenset(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
CRON_WORDS: Final[Mapping[int, frozenset[str]]] = {12: CRON_MONTHS, 7: CRON_DAYS}
"""The words of the fields that take words, by the field's highest number."""
CRON_MACROS: Final = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)
_CRON_STEP: Final = re.compile(r"(\*|\?|\w+(?:-\w+)?)(?:/(\d+))?")


def check_rules(manifest: Properties) -> Iterator[Failure]:
    """Every rule that a known part of an object breaks."""
    kind = str(manifest.get("kind"))
    if kind.endswith("List"):
        return
    yield from _check_metadata(manifest, kind)
    if _group(manifest) not in GROUPS:
        return  # a custom resource: its kind may be one of ours by chance
    yield from _check_choices(manifest, "", f"{kind}.")
    yield from check_details(manifest)
    yield from _check_template(manifest, kind)
    if kind in KINDS:
        yield from KINDS[kind](manifest)


def _group(manifest: Properties) -> str:
    return str(manifest.get("apiVersion")).rpartition("/")[0]


def _check_metadata(manifest: Properties, kind: str) -> Iterator[Failure]:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return
    name = metadata.get("name")
    if name is None and metadata.get("generateName") is None:
        yield Failure("metadata.name", "missing required property")
    accepts, valid = NAMES.get((_group(manifest), kind), (is_subdomain, SUBDOMAIN))
    if _group(manifest) == "rbac.authorization.k8s.io":
        accepts, valid = (lambda text: bool(text) and not set(text) & {"/", "%"}), "a name without / and %"
    yield from refuse_unless(accepts, name, "metadata.name", valid)
    yield from refuse_unless(is_label, metadata.get("namespace"), "metadata.namespace", LABEL)
    yield from check_labels(metadata.get("labels"), "metadata.labels")
    for path, key, _value in entries(metadata.get("annotations"), "metadata.annotations"):
        if not is_qualified(key):
            yield Failure(path, f"expected an annotation's key, found {key!r}")


def _check_choices(value: Any, path: str, parent: str) -> Iterator[Failure]:
    """Refuse what is outside a closed list, anywhere in an object."""
    for where, key, item in entries(value, path):
        valid = CHOICES.get((parent, key)) or CHOICES.get(("", key))
        for found in (item if isinstance(item, list) else [item]) if valid else []:
            if isinstance(found, str) and found not in (valid or ()):
                yield Failure(where, f"expected one of {', '.join(valid or ())}, found {found!r}")
        # Free keys are nobody's properties.
        if key not in ("labels", "annotations", "matchLabels", "data", "stringData", "parameters"):
            below = f"{parent}{key}" if parent.endswith(".") else key
            yield from _check_choices(item, where, below)
            for inner, thing in objects(item, where):
                yield from _check_choices(thing, inner, key)


def _check_template(manifest: Properties, kind: str) -> Iterator[Failure]:
    if kind == "Pod" and isinstance(manifest.get("spec"), dict):
        yield from check_pod(kind, manifest["spec"], "spec", [])
    keys = POD_TEMPLATES.get(kind)
    template = part(manifest, *keys) if keys else None
    if not keys or not isinstance(template, dict):
        return
    path = ".".join(keys)
    labels = get(template, "metadata", "labels")
    yield from check_labels(labels, f"{path}.metadata.labels")
    if kind in SELECTING:
        selector = part(manifest, "spec", "selector")
        yield from check_labels(part(selector, "matchLabels"), "spec.selector.matchLabels")
        if selector == {}:
            yield Failure("spec.selector", "an empty selector selects everything; say matchLabels")
        elif labels is not UNKNOWN and not selects(selector, labels):
            yield Failure("spec.selector", f"does not match the labels at {path}.metadata.labels")
    claims = part(manifest, "spec", "volumeClaimTemplates")
    names = [get(claim, "metadata", "name") for claim in claims] if isinstance(claims, list) else [claims]
    if template.get("spec") is None:
        yield Failure(f"{path}.spec.containers", "missing required property")
    if isinstance(template.get("spec"), dict):
        yield from check_pod(kind, template["spec"], f"{path}.spec", names)


def _check_service(manifest: Properties) -> Iterator[Failure]:
    spec = part(manifest, "spec")
    if not isinstance(spec, dict):
        return
    ports = list(objects(part(spec, "ports"), "spec.ports"))
    portless = spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None"
    if not spec.get("ports") and not portless:
        yield Failure("spec.ports", "missing required property")
    if part(spec, "type") == "ExternalName" and part(spec, "externalName") is None:
        yield Failure("spec.externalName", "missing required property")
    for path, port in ports:
        yield from check_port(port.get("port"), join(path, "port"))
        yield from check_port(port.get("targetPort"), join(path, "targetPort"))
        yield from refuse_unless(is_label, port.get("name"), join(path, "name"), LABEL)
        if len(ports) > 1 and port.get("name") is None:
            yield Failure(join(path, "name"), "missing required property: several ports need names")
    names = ((join(path, "name"), one["name"]) for path, one in ports if isinstance(one.get("name"), str))
    yield from unique(names, "port name")
    numbers = (
        (path, (one["port"], one.get("protocol") or "TCP"))
        for path, one in ports
        if isinstance(one.get("port"), int)
    )
    yield from unique(numbers, "port")
    yield from check_labels(part(spec, "selector"), "spec.selector")


def _check_autoscaler(manifest: Properties) -> Iterator[Failure]:
    low, high = part(manifest, "spec", "minReplicas"), part(manifest, "spec", "maxReplicas")
    if isinstance(high, int) and high < 1:
        yield Failure("spec.maxReplicas", f"expected at least 1, found {high}")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield Failure("spec.minReplicas", f"expected at most maxReplicas ({high}), found {low}")


def _check_budget(manifest: Properties) -> Iterator[Failure]:
    spec = part(manifest, "spec")
    if part(spec, "minAvailable") is not None and part(spec, "maxUnavailable") is not None:
        yield Failure("spec", "expected minAvailable or maxUnavailable, found both")


def _check_data(manifest: Properties) -> Iterator[Failure]:
    size = 0
    for field in ("data", "stringData", "binaryData"):
        encoded = field == "binaryData" or (field == "data" and manifest["kind"] == "Secret")
        for path, key, value in entries(manifest.get(field), field):
            if not is_data_key(key):
                yield Failure(path, f"expected a key of A-Z, a-z, 0-9, -, _ and ., found {key!r}")
            if isinstance(value, str):
                size += len(value.encode())
                if encoded and not _is_base64(value):
                    yield Failure(
                        path, "expected base64 text (stringData and data of a ConfigMap take plain text)"
                    )
    for path, key, _value in entries(manifest.get("binaryData"), "binaryData"):
        if part(manifest, "data", key) is not None:
            yield Failure(path, "duplicate key: it is in data too")
    if size > LARGEST_DATA:
        yield Failure("data", f"expected at most {LARGEST_DATA} bytes, found {size}")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _check_cron_job(manifest: Properties) -> Iterator[Failure]:
    name = part(manifest, "metadata", "name")
    if isinstance(name, str) and len(name) > CRON_NAME_LENGTH:
        yield Failure("metadata.name", f"expected at most {CRON_NAME_LENGTH} characters, found {len(name)}")
    valid = "a cron schedule such as '*/15 2 * * 1-5'"
    yield from refuse_unless(_is_schedule, part(manifest, "spec", "schedule"), "spec.schedule", valid)


def _is_schedule(text: str) -> bool:
    if text in CRON_MACROS:
        return True
    fields = text.split()
    return len(fields) == len(CRON_FIELDS) and all(
        _is_cron_field(field, *limits) for field, limits in zip(fields, CRON_FIELDS, strict=True)
    )


def _is_cron_field(field: str, low: int, high: int) -> bool:
    for item in field.split(","):
        match = _CRON_STEP.fullmatch(item)
        if match is None or match[2] == "0":
            return False
        bounds = [] if match[1] in ("*", "?") else match[1].split("-")
        numbers = [int(bound) for bound in bounds if bound.isdigit()]
        words = [bound for bound in bounds if not bound.isdigit()]
        if any(word.lower() not in CRON_WORDS.get(high, ()) for word in words):
            return False
        if any(not low <= number <= high for number in numbers) or numbers != sorted(numbers):
            return False
    return True


def _check_ingress(manifest: Properties) -> Iterator[Failure]:
    spec = part(manifest, "spec")
    if isinstance(spec, dict) and not spec.get("rules") and not spec.get("defaultBackend"):
        yield Failure("spec", "expected rules or defaultBackend, found neither")
    for path, rule in objects(part(spec, "rules"), "spec.rules"):
        host = rule.get("host")
        plain = host.removeprefix("*.") if isinstance(host, str) else host
        yield from refuse_unless(is_subdomain, plain, join(path, "host"), SUBDOMAIN)
        for where, item in objects(part(rule, "http", "paths"), f"{path}.http.paths"):
            found, kind = item.get("path"), item.get("pathType")
            if kind in ("Exact", "Prefix") and (
                found is None or (isinstance(found, str) and found[:1] != "/")
            ):
                yield Failure(join(where, "path"), f"expected an absolute path, found {found!r}")


def _check_network_policy(manifest: Properties) -> Iterator[Failure]:
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for path, rule in objects(part(manifest, "spec", direction), f"spec.{direction}"):
            for where, port in objects(rule.get("ports"), join(path, "ports")):
                yield from check_port(port.get("port"), join(where, "port"))
            for where, peer in objects(rule.get(peers), join(path, peers)):
                block = part(peer, "ipBlock", "cidr")
                yield from refuse_unless(
                    _is_network, block, f"{where}.ipBlock.cidr", "a network such as 10.0.0.0/8"
                )
                if len([key for key, value in peer.items() if value is not None]) == 0:
                    yield Failure(where, "expected ipBlock, podSelector or namespaceSelector, found none")
                if part(peer, "ipBlock") is not None and len(peer) > 1:
                    yield Failure(where, "ipBlock stands alone: it goes with no selector")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _check_claim(manifest: Properties) -> Iterator[Failure]:
    spec = part(manifest, "spec")
    if isinstance(spec, dict):
        yield from check_claim(spec, "spec")


def _check_binding(manifest: Properties) -> Iterator[Failure]:
    role = part(manifest, "roleRef", "kind")
    valid = ("ClusterRole",) if manifest["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    if isinstance(role, str) and role not in valid:
        yield Failure("roleRef.kind", f"expected {' or '.join(valid)}, found {role!r}")
    group = _group(manifest)
    yield from refuse_unless(
        lambda found: found == group, part(manifest, "roleRef", "apiGroup"), "roleRef.apiGroup", group
    )
    for path, subject in objects(manifest.get("subjects"), "subjects"):
        kind = subject.get("kind")
        if isinstance(kind, str) and kind not in ("Group", "ServiceAccount", "User"):
            yield Failure(join(path, "kind"), f"expected Group, ServiceAccount or User, found {kind!r}")
        everywhere = manifest["kind"] == "ClusterRoleBinding"
        if everywhere and kind == "ServiceAccount" and subject.get("namespace") is None:
            yield Failure(join(path, "namespace"), "missing required property")


def _check_quota(manifest: Properties) -> Iterator[Failure]:
    yield from check_quantities(part(manifest, "spec", "hard"), "spec.hard")


def _check_limits(manifest: Properties) -> Iterator[Failure]:
    for path, limit in objects(part(manifest, "spec", "limits"), "spec.limits"):
        for name in ("default", "defaultRequest", "max", "min"):
            yield from check_quantities(limit.get(name), join(path, name))
        low = join(path, "min")
        yield from check_not_above(limit.get("min"), limit.get("max"), low, ("min", "max"))
        request = join(path, "defaultRequest")
        yield from check_not_above(
            limit.get("defaultRequest"), limit.get("default"), request, ("defaultRequest", "default")
        )


KINDS: Final[Mapping[str, Callable[[Properties], Iterator[Failure]]]] = {
    "ClusterRoleBinding": _check_binding,
    "ConfigMap": _check_data,
    "CronJob": _check_cron_job,
    "HorizontalPodAutoscaler": _check_autoscaler,
    "Ingress": _check_ingress,
    "LimitRange": _check_limits,
    "NetworkPolicy": _check_network_policy,
    "PersistentVolumeClaim": _check_claim,
    "PodDisruptionBudget": _check_budget,
    "ResourceQuota": _check_quota,
    "RoleBinding": _check_binding,
    "Secret": _check_data,
    "Service": _check_service,
}
