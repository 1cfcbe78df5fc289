"""The lowest numbers, the closed lists and the parts of an object that a simulated API server insists on.

A schema says what a property's type is, and no more. `tests/cluster/test_conformance.py` holds these against
a real API server.
"""

import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from simulator.providers.kubernetes_syntax import entries, objects, part, refuse_unless, unique
from simulator.providers.typecheck import Failure
from simulator.providers.values import UNKNOWN, Properties, join

_NOTHING: Final[tuple[Any, ...]] = (None, [], {})
_MISSING: Final = "missing required property"
_PERCENT: Final = re.compile(r"\d+%")
_COUNTS: Final = frozenset({"maxSurge", "maxUnavailable", "minAvailable"})
"""Numbers of pods, which may be said as percentages."""

FREE: Final = frozenset(
    {"annotations", "data", "hard", "labels", "limits", "matchLabels", "nodeSelector", "parameters"}
    | {"requests", "stringData"}
)
"""Properties whose keys are nobody's properties."""

LOWEST: Final[Mapping[tuple[str, str], int]] = {
    **{
        ("", name): 0
        for name in (
            *(
                "activeDeadlineSeconds",
                "backoffLimit",
                "completions",
                "defaultMode",
                "failedJobsHistoryLimit",
            ),
            *("failureThreshold", "fsGroup", "initialDelaySeconds", "maxSurge", "maxUnavailable"),
            *("minAvailable", "minReadySeconds", "parallelism", "periodSeconds", "progressDeadlineSeconds"),
            *("replicas", "revisionHistoryLimit", "runAsGroup", "runAsUser", "stabilizationWindowSeconds"),
            *("startingDeadlineSeconds", "successThreshold", "successfulJobsHistoryLimit", "timeoutSeconds"),
            "ttlSecondsAfterFinished",
        )
    },
    ("", "averageUtilization"): 1,
    ("", "maxSkew"): 1,
    ("", "minReplicas"): 1,
    ("policies", "periodSeconds"): 1,
    ("policies", "value"): 1,
    ("serviceAccountToken", "expirationSeconds"): 600,
    ("StatefulSet.spec", "revisionHistoryLimit"): -(2**31),  # of this kind alone, nobody looks at it
}
"""The lowest number that a property may have, by parent and property; a parent is empty where all have it."""


def check_details(manifest: Properties) -> Iterator[Failure]:
    """Every detail that a known part of one of the API's own objects gets wrong.

    Args:
        manifest: the object, without `Secret` marks, as its schema wants it.
    """
    kind = str(manifest.get("kind"))
    yield from _check_numbers(manifest, "", f"{kind}.")
    if check := _KINDS.get(kind):
        yield from check(manifest)


def _check_numbers(value: Any, path: str, parent: str) -> Iterator[Failure]:
    for where, key, item in entries(value, path):
        lowest = LOWEST.get((parent, key), LOWEST.get(("", key)))
        if isinstance(item, int) and not isinstance(item, bool) and lowest is not None and item < lowest:
            yield Failure(where, f"expected at least {lowest}, found {item}")
        if key in _COUNTS and isinstance(item, str) and not _PERCENT.fullmatch(item):
            yield Failure(where, f"expected a number or a percentage such as 25%, found {item!r}")
        if key not in FREE:
            yield from _check_numbers(item, where, f"{parent}{key}" if parent.endswith(".") else key)
        for inner, thing in objects(item, where):
            yield from _check_numbers(thing, inner, key)


def _check_roles(manifest: Properties) -> Iterator[Failure]:
    for path, rule in objects(manifest.get("rules"), "rules"):
        if rule.get("nonResourceURLs") not in _NOTHING:
            continue
        for name in ("apiGroups", "resources"):
            if rule.get(name) in _NOTHING:
                yield Failure(join(path, name), _MISSING)


def _check_ingress(manifest: Properties) -> Iterator[Failure]:
    if manifest.get("spec") is None:
        yield Failure("spec", "expected rules or defaultBackend, found neither")
    for path, rule in objects(part(manifest, "spec", "rules"), "spec.rules"):
        http = join(path, "http")
        if part(rule, "http", "paths") == []:
            yield Failure(join(http, "paths"), _MISSING)
        for where, item in objects(part(rule, "http", "paths"), join(http, "paths")):
            backend = item.get("backend")
            if not isinstance(backend, dict):
                continue
            inside, service = join(where, "backend"), backend.get("service")
            if service is None and backend.get("resource") is None:
                yield Failure(inside, "expected service or resource, found neither")
            if isinstance(service, dict) and service.get("port") is not UNKNOWN:
                port = service.get("port") or {}
                if port.get("name") is None and port.get("number") is None:
                    yield Failure(f"{inside}.service.port", "expected name or number, found neither")


def _check_service(manifest: Properties) -> Iterator[Failure]:
    if manifest.get("spec") is None:
        yield Failure("spec.ports", _MISSING)
    kind = part(manifest, "spec", "type")
    if part(manifest, "spec", "loadBalancerSourceRanges") and kind not in ("LoadBalancer", UNKNOWN):
        yield Failure("spec.loadBalancerSourceRanges", "goes with type LoadBalancer alone")
    address = part(manifest, "spec", "clusterIP")
    yield from refuse_unless(_is_address, address, "spec.clusterIP", "an IP address, or None")


def _check_autoscaler(manifest: Properties) -> Iterator[Failure]:
    spec = part(manifest, "spec")
    kind = part(spec, "scaleTargetRef", "kind")
    own = kind in ("Deployment", "ReplicaSet", "StatefulSet")
    if own and part(spec, "scaleTargetRef", "apiVersion") is None:
        yield Failure("spec.scaleTargetRef.apiVersion", _MISSING)
    for way in ("scaleDown", "scaleUp"):
        if part(spec, "behavior", way, "policies") == []:
            yield Failure(f"spec.behavior.{way}.policies", "expected at least one policy")
    for path, metric in objects(part(spec, "metrics"), "spec.metrics"):
        kind = metric.get("type")
        source = f"{kind[:1].lower()}{kind[1:]}" if isinstance(kind, str) else ""
        if source and metric.get(source) is None:
            yield Failure(join(path, source), _MISSING)
        target = part(metric, source, "target")
        if isinstance(target, dict) and not target.keys() & {"averageUtilization", "averageValue", "value"}:
            yield Failure(
                f"{path}.{source}.target", "expected averageUtilization, averageValue or value, found none"
            )


def _check_limits(manifest: Properties) -> Iterator[Failure]:
    found = objects(part(manifest, "spec", "limits"), "spec.limits")
    yield from unique(
        ((join(path, "type"), one["type"]) for path, one in found if isinstance(one.get("type"), str)),
        "type",
    )


def _check_network_policy(manifest: Properties) -> Iterator[Failure]:
    types = part(manifest, "spec", "policyTypes")
    if isinstance(types, list) and len(types) > 2:
        yield Failure("spec.policyTypes", f"expected at most two, found {len(types)}")


def _check_cron_job(manifest: Properties) -> Iterator[Failure]:
    zone = part(manifest, "spec", "timeZone")
    if isinstance(zone, str) and not _is_zone(zone):
        yield Failure("spec.timeZone", f"expected a time zone such as Europe/Berlin, found {zone!r}")
    template = part(manifest, "spec", "jobTemplate")
    if isinstance(template, dict) and template.get("spec") is None:
        yield Failure("spec.jobTemplate.spec.template", _MISSING)
    yield from _check_job(template, "spec.jobTemplate.")


def _check_job(manifest: Any, prefix: str = "") -> Iterator[Failure]:
    path = f"{prefix}spec.podFailurePolicy.rules"
    for where, rule in objects(part(manifest, "spec", "podFailurePolicy", "rules"), path):
        ways = [name for name in ("onExitCodes", "onPodConditions") if rule.get(name) not in _NOTHING]
        if len(ways) != 1:
            yield Failure(where, "expected one of onExitCodes and onPodConditions")
        codes = part(rule, "onExitCodes", "values")
        if isinstance(codes, list):
            inside = f"{where}.onExitCodes.values"
            yield from unique(((join(inside, n), code) for n, code in enumerate(codes)), "exit code")


def _is_address(text: str) -> bool:
    if text in ("", "None"):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_zone(name: str) -> bool:
    """Whether a time zone is known; each is, on a machine that knows none."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return not zoneinfo.available_timezones()
    return True


_KINDS: Final[Mapping[str, Callable[[Properties], Iterator[Failure]]]] = {
    "ClusterRole": _check_roles,
    "CronJob": _check_cron_job,
    "HorizontalPodAutoscaler": _check_autoscaler,
    "Ingress": _check_ingress,
    "Job": _check_job,
    "LimitRange": _check_limits,
    "NetworkPolicy": _check_network_policy,
    "Role": _check_roles,
    "Service": _check_service,
}
