"""What a simulated API server refuses in a pod that no schema can see."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.providers.kubernetes_syntax import (
    check_not_above,
    check_port,
    check_quantities,
    entries,
    is_label,
    is_qualified,
    objects,
    part,
    refuse_unless,
    unique,
)
from simulator.providers.quantities import quantity
from simulator.providers.typecheck import Failure
from simulator.providers.values import UNKNOWN, Properties, Value, get, join

CONTAINERS: Final = ("containers", "initContainers")
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
HANDLERS: Final = ("exec", "grpc", "httpGet", "tcpSocket")
GRACE_SECONDS: Final = 30
"""How long a pod has to end, unless it says."""
_MISSING: Final = "missing required property"
LABEL: Final = "a DNS label (at most 63 of a-z, 0-9 and -)"

RESTART_POLICIES: Final[Mapping[str, tuple[str, ...]]] = {
    "DaemonSet": ("Always",),
    "Deployment": ("Always",),
    "ReplicaSet": ("Always",),
    "StatefulSet": ("Always",),
    "Job": ("Never", "OnFailure"),
    "CronJob": ("Never", "OnFailure"),
}
"""The restart policies of a controller's pods; the default is Always."""


def check_pod(kind: str, spec: Properties, path: str, claims: list[Value]) -> Iterator[Failure]:
    """The failures of a pod's specification.

    Args:
        kind: the kind of the object that holds it.
        spec: the pod's specification.
        path: where it stands.
        claims: the names of the volumes that a StatefulSet's claim templates declare.
    """
    yield from _check_restart_policy(kind, spec, path)
    volumes = spec.get("volumes")
    yield from _check_volumes(volumes, join(path, "volumes"))
    items = volumes if isinstance(volumes, list) else [volumes]
    names = [*claims, *(get(volume, "name") for volume in items)]
    # With one name unknown, every mount may be right.
    known = not any(name is UNKNOWN for name in names)
    declared = frozenset(name for name in names if isinstance(name, str)) if known else None
    containers = [found for name in CONTAINERS for found in objects(spec.get(name), join(path, name))]
    if spec.get("containers") == []:
        yield Failure(join(path, "containers"), "expected at least one container")
    yield from unique(
        ((join(where, "name"), one["name"]) for where, one in containers if isinstance(one.get("name"), str)),
        "container name",
    )
    for where, container in objects(spec.get("initContainers"), join(path, "initContainers")):
        stays = container.get("restartPolicy") in ("Always", UNKNOWN)
        for name in () if stays else (*PROBES, "lifecycle"):
            if container.get(name) is not None:
                yield Failure(join(where, name), "expected restartPolicy Always in an initContainer with it")
    for where, container in containers:
        yield from _check_container(container, where, declared)
        yield from _check_pause(container, spec.get("terminationGracePeriodSeconds", GRACE_SECONDS), where)
    yield from _check_placement(spec, path)


def _check_restart_policy(kind: str, spec: Properties, path: str) -> Iterator[Failure]:
    valid = RESTART_POLICIES.get(kind)
    found = spec.get("restartPolicy", "Always")
    if valid and isinstance(found, str) and found not in valid:
        yield Failure(
            join(path, "restartPolicy"), f"expected {' or '.join(valid)} in a {kind}, found {found!r}"
        )


def _check_volumes(volumes: Any, path: str) -> Iterator[Failure]:
    found = list(objects(volumes, path))
    yield from unique(
        ((join(where, "name"), one["name"]) for where, one in found if isinstance(one.get("name"), str)),
        "volume name",
    )
    for where, volume in found:
        yield from refuse_unless(is_label, volume.get("name"), join(where, "name"), LABEL)
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        # One without any is an emptyDir.
        if len(sources) > 1:
            yield Failure(where, f"expected exactly one volume source, found {', '.join(sources)}")
        yield from _check_source(volume, where)


def _check_source(volume: Properties, path: str) -> Iterator[Failure]:
    """What a volume's source must say."""
    for source, name in (("configMap", "name"), ("secret", "secretName")):
        if isinstance(volume.get(source), dict) and not volume[source].get(name):
            yield Failure(f"{path}.{source}.{name}", _MISSING)
    yield from check_quantities({"sizeLimit": part(volume, "emptyDir", "sizeLimit")}, join(path, "emptyDir"))
    inside = join(join(path, "projected"), "sources")
    paths = []
    for where, projection in objects(part(volume, "projected", "sources"), inside):
        for source in ("configMap", "secret"):
            if isinstance(projection.get(source), dict) and not projection[source].get("name"):
                yield Failure(f"{where}.{source}.name", _MISSING)
            items = objects(part(projection, source, "items"), f"{where}.{source}.items")
            paths += [(join(item, "path"), one["path"]) for item, one in items if "path" in one]
    yield from unique(((place, file) for place, file in paths if isinstance(file, str)), "path")
    claim = part(volume, "ephemeral", "volumeClaimTemplate", "spec")
    if isinstance(claim, dict):
        yield from check_claim(claim, f"{path}.ephemeral.volumeClaimTemplate.spec")


def check_claim(spec: Properties, path: str) -> Iterator[Failure]:
    """What a claim of a volume must say.

    Args:
        spec: the claim's specification.
        path: where it stands.
    """
    if not spec.get("accessModes"):
        yield Failure(join(path, "accessModes"), _MISSING)
    requests, where = part(spec, "resources", "requests"), f"{path}.resources.requests"
    size = part(requests, "storage")
    if size is None and requests is not UNKNOWN and spec.get("resources") is not UNKNOWN:
        yield Failure(f"{where}.storage", _MISSING)
    elif isinstance(size, str) and (number := quantity(size)) is not None and number <= 0:
        yield Failure(f"{where}.storage", f"expected more than nothing, found {size!r}")
    yield from check_quantities(requests, where)


def _check_placement(spec: Properties, path: str) -> Iterator[Failure]:
    """Where a pod may be: its tolerations, and how it is spread."""
    for where, toleration in objects(spec.get("tolerations"), join(path, "tolerations")):
        if toleration.get("key") is None and toleration.get("operator") not in ("Exists", UNKNOWN):
            yield Failure(join(where, "operator"), "expected Exists where there is no key")
    spread = list(objects(spec.get("topologySpreadConstraints"), join(path, "topologySpreadConstraints")))
    for where, constraint in spread:
        if constraint.get("matchLabelKeys") and constraint.get("labelSelector") is None:
            yield Failure(join(where, "labelSelector"), "missing required property: matchLabelKeys needs it")
    yield from unique(
        (
            (where, (one["topologyKey"], one["whenUnsatisfiable"]))
            for where, one in spread
            if all(isinstance(one.get(key), str) for key in ("topologyKey", "whenUnsatisfiable"))
        ),
        "constraint",
    )


def _check_container(container: Properties, path: str, volumes: frozenset[str] | None) -> Iterator[Failure]:
    yield from refuse_unless(is_label, container.get("name"), join(path, "name"), LABEL)
    if container.get("image") in (None, ""):
        yield Failure(join(path, "image"), "missing required property")
    yield from _check_ports(container.get("ports"), join(path, "ports"))
    yield from _check_environment(container.get("env"), join(path, "env"))
    for where, source in objects(container.get("envFrom"), join(path, "envFrom")):
        named = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        if len(named) != 1:
            yield Failure(where, "expected exactly one of configMapRef and secretRef")
        for name in named:
            if isinstance(source[name], dict) and not source[name].get("name"):
                yield Failure(f"{where}.{name}.name", _MISSING)
    yield from _check_mounts(container.get("volumeMounts"), join(path, "volumeMounts"), volumes)
    yield from _check_resources(container.get("resources"), join(path, "resources"))
    for name in PROBES:
        yield from _check_probe(name, container.get(name), join(path, name))
    security = container.get("securityContext")
    if part(security, "privileged") is True and part(security, "allowPrivilegeEscalation") is False:
        yield Failure(
            join(join(path, "securityContext"), "allowPrivilegeEscalation"), "a privileged container needs it"
        )


def _check_pause(container: Properties, grace: Any, path: str) -> Iterator[Failure]:
    """A pause before a container's end, which is within the pod's grace."""
    pause = part(container, "lifecycle", "preStop", "sleep", "seconds")
    if isinstance(pause, int) and isinstance(grace, int) and not 0 <= pause <= grace:
        where = join(path, "lifecycle")
        yield Failure(f"{where}.preStop.sleep.seconds", f"expected from 0 to {grace}, found {pause}")


def _check_ports(ports: Any, path: str) -> Iterator[Failure]:
    found = list(objects(ports, path))
    for where, port in found:
        for name in ("containerPort", "hostPort", "name"):
            yield from check_port(port.get(name), join(where, name))
    named = (
        (join(where, "name"), port["name"]) for where, port in found if isinstance(port.get("name"), str)
    )
    yield from unique(named, "port name")
    numbers = (
        (where, (port["containerPort"], port.get("protocol") or "TCP"))
        for where, port in found
        if isinstance(port.get("containerPort"), int)
    )
    yield from unique(numbers, "port")


def _check_environment(variables: Any, path: str) -> Iterator[Failure]:
    found = list(objects(variables, path))
    # Server-side apply keys the list by name, so a second one is refused.
    named = ((join(where, "name"), one["name"]) for where, one in found if isinstance(one.get("name"), str))
    yield from unique(named, "environment variable")
    for where, variable in found:
        if variable.get("value") not in (None, "") and variable.get("valueFrom") is not None:
            yield Failure(where, "expected value or valueFrom, found both")
        source = variable.get("valueFrom")
        if isinstance(source, dict) and sum(value is not None for value in source.values()) != 1:
            yield Failure(join(where, "valueFrom"), "expected exactly one source")


def _check_mounts(mounts: Any, path: str, volumes: frozenset[str] | None) -> Iterator[Failure]:
    found = list(objects(mounts, path))
    for where, mount in found:
        name = mount.get("name")
        if isinstance(name, str) and volumes is not None and name not in volumes:
            known = ", ".join(sorted(volumes)) or "none"
            yield Failure(join(where, "name"), f"no volume is named {name!r}; declared: {known}")
        if isinstance(mount.get("mountPath"), str) and ":" in mount["mountPath"]:
            yield Failure(
                join(where, "mountPath"), f"expected a path without ':', found {mount['mountPath']!r}"
            )
    paths = (
        (join(where, "mountPath"), one["mountPath"])
        for where, one in found
        if isinstance(one.get("mountPath"), str)
    )
    yield from unique(paths, "mount path")


def _check_resources(resources: Any, path: str) -> Iterator[Failure]:
    requests, limits = part(resources, "requests"), part(resources, "limits")
    for name, amounts in (("requests", requests), ("limits", limits)):
        where = join(path, name)
        yield from check_quantities(amounts, where)
        for entry, key, _value in entries(amounts, where):
            standard = key in ("cpu", "memory", "ephemeral-storage") or key.startswith("hugepages-")
            if not standard and ("/" not in key or not is_qualified(key)):
                yield Failure(entry, f"expected cpu, memory, ephemeral-storage or a domain's, found {key!r}")
    yield from check_not_above(requests, limits, join(path, "requests"), ("request", "limit"))


def _check_probe(name: str, probe: Any, path: str) -> Iterator[Failure]:
    if not isinstance(probe, dict):
        return
    handlers = [handler for handler in HANDLERS if probe.get(handler) is not None]
    if len(handlers) != 1:
        yield Failure(
            path, f"expected exactly one of {', '.join(HANDLERS)}, found {', '.join(handlers) or 'none'}"
        )
    if isinstance(probe.get("exec"), dict) and not probe["exec"].get("command"):
        yield Failure(f"{path}.exec.command", _MISSING)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        yield from check_port(part(probe, handler, "port"), join(join(path, handler), "port"))
    threshold = probe.get("successThreshold")
    if name != "readinessProbe" and isinstance(threshold, int) and threshold != 1:
        yield Failure(join(path, "successThreshold"), f"expected 1 in a {name}, found {threshold}")
