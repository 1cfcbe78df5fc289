"""What the resources of a preview take up: from the steps that `pulumi preview --json --show-sames` prints.

Pure functions over its parsed JSON. What is known only after the update is counted as nothing, and named.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from components.quantities import quantity

State = Mapping[str, Any]
"""A resource as the engine knows it: `urn`, `type`, `parent`, `custom` and `inputs`."""

GIB: Final = 2**30
_REPLICATED: Final = ("apps/v1:Deployment", "apps/v1:StatefulSet", "apps/v1:DaemonSet")
_ROOT: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Size:
    """What something takes up all month long, at least and at most.

    Attributes:
        vcpu: cores that its pods request.
        memory: GiB that they request.
        volume: GiB of its volumes.
        buckets: how many buckets keep backups.
        keys: how many encryption keys it has.
        balancers: how many load balancers.
    """

    vcpu: float = 0.0
    memory: float = 0.0
    volume: float = 0.0
    buckets: float = 0.0
    keys: float = 0.0
    balancers: float = 0.0

    def __add__(self, other: Self) -> "Size":
        return Size(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Size)})

    def times(self, count: float) -> "Size":
        """So many of it."""
        return Size(**{f.name: getattr(self, f.name) * count for f in fields(Size)})


@dataclass(frozen=True, kw_only=True)
class Sized:
    """The size of one component.

    Attributes:
        type: its type token.
        name: its name.
        low: with as few pods as it ever has.
        high: with as many.
        unread: its resources whose size is not known before the update.
    """

    type: str
    name: str
    low: Size
    high: Size
    unread: tuple[str, ...] = ()


def states(digest: Mapping[str, Any]) -> tuple[dict[str, State], dict[str, State]]:
    """The resources before and after, by URN.

    Args:
        digest: what the engine printed, parsed. Without `--show-sames` it lacks what does not change.
    """
    before: dict[str, State] = {}
    after: dict[str, State] = {}
    for step in digest.get("steps") or ():
        for side, key in ((before, "oldState"), (after, "newState")):
            if step.get(key):
                side[step["urn"]] = step[key]
    return before, after


def sizes(resources: Mapping[str, State]) -> list[Sized]:
    """What each component takes up, by its type and name; components that take up nothing are left out."""
    grouped: dict[str, list[State]] = {}
    for urn, state in resources.items():
        if state.get("custom"):
            grouped.setdefault(_component(urn, resources), []).append(state)
    found = []
    for urn, own in grouped.items():
        unread = _Unread()
        low, high = Size(), Size()
        scaled = _scaled(own)
        for state in own:
            one = _size(state, unread)
            fewest, most = (
                scaled if scaled and _kind(state) == "apps/v1:Deployment" else (_replicas(state),) * 2
            )
            low, high = low + one.times(fewest), high + one.times(most)
        if low != high or low != Size() or unread.names:
            type_ = resources.get(urn, {}).get("type", _ROOT)
            name = urn.split("::", 3)[-1]
            found.append(Sized(type=type_, name=name, low=low, high=high, unread=tuple(unread.names)))
    return sorted(found, key=lambda each: (each.type, each.name))


class _Unread:
    """Collects what could not be read."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def amount(self, value: Any, where: str) -> float:
        """A quantity as a number; 0 where nothing is asked for or nobody knows yet."""
        if value is None:
            return 0.0
        try:
            return float(quantity(str(value)))
        except ValueError:
            if where not in self.names:
                self.names.append(where)
            return 0.0


def _component(urn: str, resources: Mapping[str, State]) -> str:
    while (state := resources.get(urn)) and state.get("custom"):
        urn = state.get("parent") or ""
    return urn


def _kind(state: State) -> str:
    return str(state["type"]).removeprefix("kubernetes:")


def _size(state: State, unread: _Unread) -> Size:
    """One replica of a resource."""
    kind, inputs = _kind(state), state.get("inputs") or {}
    where = f"{kind.rpartition(':')[2]}/{state['urn'].split('::', 3)[-1]}"
    spec = _mapping(inputs.get("spec"))
    if kind in _REPLICATED:
        claims = [_mapping(each.get("spec")) for each in _mappings(spec.get("volumeClaimTemplates"))]
        stored = Size(volume=sum(_stored(claim, where, unread) for claim in claims))
        return _pod(_mapping(_mapping(spec.get("template")).get("spec")), where, unread) + stored
    if kind == "core/v1:PersistentVolumeClaim":
        return Size(volume=_stored(spec, where, unread))
    if kind == "core/v1:Service":
        return Size(balancers=float(spec.get("type") == "LoadBalancer"))
    if kind == "postgresql.cnpg.io/v1:Cluster":
        volume = unread.amount(_mapping(spec.get("storage")).get("size"), where) / GIB
        return _requested(spec, where, unread) + Size(volume=volume)
    if kind == "postgresql.cnpg.io/v1:Pooler":
        return _pod(_mapping(_mapping(spec.get("template")).get("spec")), where, unread)
    if kind in ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"):
        return Size(buckets=float(not where.endswith("-logs")))
    return Size(keys=float(kind == "aws:kms/key:Key"))


def _pod(spec: Mapping[str, Any], where: str, unread: _Unread) -> Size:
    """What a pod requests: its containers, and the sidecars among those that run before them."""
    lasting = [
        *_mappings(spec.get("containers")),
        *(each for each in _mappings(spec.get("initContainers")) if each.get("restartPolicy") == "Always"),
    ]
    return sum((_requested(container, where, unread) for container in lasting), Size())


def _requested(container: Mapping[str, Any], where: str, unread: _Unread) -> Size:
    requests = _mapping(_mapping(container.get("resources")).get("requests"))
    return Size(
        vcpu=unread.amount(requests.get("cpu"), where),
        memory=unread.amount(requests.get("memory"), where) / GIB,
    )


def _stored(claim: Mapping[str, Any], where: str, unread: _Unread) -> float:
    requests = _mapping(_mapping(claim.get("resources")).get("requests"))
    return unread.amount(requests.get("storage"), where) / GIB


def _replicas(state: State) -> float:
    spec = _mapping((state.get("inputs") or {}).get("spec"))
    if _kind(state).startswith("postgresql.cnpg.io/"):
        return _count(spec.get("instances"))
    return _count(spec.get("replicas")) if _kind(state) in _REPLICATED else 1.0


def _scaled(own: Iterable[State]) -> tuple[float, float] | None:
    """Within what an autoscaler of the same component keeps its Deployment."""
    for state in own:
        if _kind(state) == "autoscaling/v2:HorizontalPodAutoscaler":
            spec = _mapping((state.get("inputs") or {}).get("spec"))
            return _count(spec.get("minReplicas")), _count(spec.get("maxReplicas"))
    return None


def _count(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, or nothing where there is none or it is known only after the update."""
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in (value if isinstance(value, list) else ()) if isinstance(each, Mapping))
