"""Workloads that outlive a pod, a node and a zone."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.frameworks import kubernetes, soc2
from baseline.manifests import DATABASE_CLUSTER, Manifest, has_pods, is_kind
from baseline.model import UNKNOWN, Policy, Unknown, Value, Violation
from baseline.selectors import Names, Pods, is_empty, namespace_of
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, each, kinds
from baseline.tree import Node, Truth, must, same, some

_DEPLOYMENT: Final = (("apps", "Deployment"), ("extensions", "Deployment"))
_STATEFUL_SET: Final = ("apps", "StatefulSet")
_SCALED: Final = (*_DEPLOYMENT, _STATEFUL_SET, ("apps", "ReplicaSet"), ("core", "ReplicationController"))
_AUTOSCALER: Final = ("autoscaling", "HorizontalPodAutoscaler")
_BUDGET: Final = ("policy", "PodDisruptionBudget")
_OPERATED: Final = (DATABASE_CLUSTER, ("postgresql.cnpg.io", "Pooler"))

_ENOUGH: Final = 2


def _of(items: Sequence[Item], *names: tuple[str, str]) -> list[Item]:
    return [one for one in items if one.manifest.kind.is_any(*names) and not one.manifest.kind.patch]


def _target(autoscaler: Item) -> tuple[Value, Value, Value]:
    reference = autoscaler.root.at("spec", "scaleTargetRef")
    return namespace_of(autoscaler), reference.at("kind").value, reference.at("name").value


def _scales(autoscaler: Item, workload: Item) -> Truth:
    namespace, kind, name = _target(autoscaler)
    own = workload.manifest.name.value
    facts = [same(namespace, namespace_of(workload)), same(kind, workload.manifest.kind.name)]
    facts.append(same(name, UNKNOWN if own is None else own))
    return False if False in facts else (UNKNOWN if UNKNOWN in facts else True)


class _Autoscalers:
    """The autoscalers of a stack, to be found by what they scale."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._by_name: dict[str, list[Item]] = {}
        self._unsure: list[Item] = []
        for one in _of(items, _AUTOSCALER):
            name = _target(one)[2]
            if isinstance(name, str):
                self._by_name.setdefault(name, []).append(one)
            else:
                self._unsure.append(one)

    def of(self, workload: Item) -> tuple[Truth, Item | None]:
        """Tell whether a workload is autoscaled, and by which autoscaler."""
        name = workload.manifest.name.value
        if isinstance(name, str):
            among = [*self._by_name.get(name, []), *self._unsure]
        else:
            among = [*(one for ones in self._by_name.values() for one in ones), *self._unsure]
        facts = [(_scales(one, workload), one) for one in among]
        sure = next((one for fact, one in facts if fact is True), None)
        return some(fact for fact, _ in facts), sure


def _at_least(number: int, node: Node) -> Iterator[Violation]:
    valid = f"a number of {number} or more"
    yield from must(node, lambda value: _is_number(value) and value >= number, valid)  # type: ignore[operator]


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_min_replicas(items: Sequence[Item]) -> Iterator[Violation]:
    """Require two pods of what can have two: Deployments, and what operators scale."""
    autoscalers = _Autoscalers(items)

    def check(item: Item) -> Iterator[Violation]:
        spec = item.root.at("spec")
        if item.manifest.kind.is_any(*_OPERATED):
            yield from _at_least(_ENOUGH, spec.at("instances"))
            return
        scaled, autoscaler = autoscalers.of(item)
        if autoscaler is not None:
            yield from each([autoscaler], lambda one: _at_least(_ENOUGH, one.root.at("spec", "minReplicas")))
        elif scaled is UNKNOWN:
            yield Violation(spec.at("replicas").path, UNKNOWN, "2 or more, or an autoscaler's")
        else:
            yield from _at_least(_ENOUGH, spec.at("replicas"))

    yield from each(_of(items, *_DEPLOYMENT, *_OPERATED), check)


def _several(item: Item, autoscalers: _Autoscalers) -> Truth:
    """Tell whether a workload has, or may be scaled to, more than one pod."""
    scaled, autoscaler = autoscalers.of(item)
    node = item.root.at("spec", "replicas")
    if autoscaler is not None:
        node = autoscaler.root.at("spec", "maxReplicas")
    elif scaled is UNKNOWN:
        return UNKNOWN
    value = node.value
    if value is UNKNOWN:
        return UNKNOWN
    return isinstance(value, int | float) and value > 1


def check_budget_exists(items: Sequence[Item]) -> Iterator[Violation]:
    """Require a disruption budget for each workload of more than one pod."""
    autoscalers = _Autoscalers(items)
    workloads = _of(items, *_DEPLOYMENT, _STATEFUL_SET)
    pods = Pods(workloads)
    covered: dict[int, Truth] = {}
    for budget in _of(items, _BUDGET):
        selector = budget.root.at("spec", "selector")
        if selector.value is None:
            continue  # It selects nothing.
        for one, fact in pods.found(selector, budget):
            covered[id(one.item)] = some([fact, covered.get(id(one.item), False)])

    def check(item: Item) -> Iterator[Violation]:
        several, fact = _several(item, autoscalers), covered.get(id(item), False)
        if several is False or fact is True:
            return
        labels = next(item.manifest.pods()).labels
        found = UNKNOWN if UNKNOWN in (several, fact) else labels.value
        yield Violation(labels.path, found, "labels that a PodDisruptionBudget of this namespace selects")

    yield from each(workloads, check)


def check_budget_allows(items: Sequence[Item]) -> Iterator[Violation]:
    """Require that each disruption budget lets one pod go, or no node could ever be emptied."""
    autoscalers = _Autoscalers(items)
    pods = Pods(_of(items, *_SCALED))

    def check(item: Item) -> Iterator[Violation]:
        spec = item.root.at("spec")
        allowed, needed = spec.at("maxUnavailable"), spec.at("minAvailable")
        yield from must(allowed, lambda value: value not in (0, "0", "0%"), "absent or more than 0")
        yield from must(needed, lambda value: value != "100%", "absent or less than all pods")
        if not _is_number(needed.value):
            return
        for one, fact in pods.found(spec.at("selector"), item):
            least = _least(one.item, autoscalers)
            if least is UNKNOWN or fact is UNKNOWN:
                yield Violation(needed.path, UNKNOWN, "less than the pods that it is about")
            elif isinstance(least, int | float) and needed.value >= least:  # type: ignore[operator]
                yield Violation(needed.path, needed.value, f"less than the {least} pods that it is about")

    yield from each(_of(items, _BUDGET), check)


def _least(item: Item, autoscalers: _Autoscalers) -> int | float | Unknown:
    scaled, autoscaler = autoscalers.of(item)
    if autoscaler is None and scaled is UNKNOWN:
        return UNKNOWN
    node = item.root.at("spec", "replicas")
    if autoscaler is not None:
        node = autoscaler.root.at("spec", "minReplicas")
    value = node.value
    if value is None:
        return 1
    return value if isinstance(value, int | float) else UNKNOWN


def check_spread(manifest: Manifest) -> Iterator[Violation]:
    """Advise to spread pods over nodes and zones, where there can be several."""
    replicas = manifest.root.at("spec", "replicas").value
    if (
        manifest.kind.patch
        or replicas in (0, 1)
        or (replicas is None and manifest.kind.name == "StatefulSet")
    ):
        return
    for pod in manifest.pods():
        constraints = pod.spec.at("topologySpreadConstraints")
        if pod.spec.at("affinity", "podAntiAffinity").value:
            continue
        yield from must(constraints, bool, "a list of constraints, over zones and nodes")


def check_autoscaler(items: Sequence[Item]) -> Iterator[Violation]:
    """Require that an autoscaler scales something, and that nothing else sets the number of its pods."""
    workloads = {kind: _of(items, ("apps", kind)) for kind in ("Deployment", "ReplicaSet", "StatefulSet")}
    names = {kind: Names(found) for kind, found in workloads.items()}
    autoscalers = _Autoscalers(items)

    def check(item: Item) -> Iterator[Violation]:
        spec = item.root.at("spec")
        namespace, kind, name = _target(item)
        reference = spec.at("scaleTargetRef", "name")
        if kind is UNKNOWN or name is UNKNOWN:
            yield Violation(reference.path, UNKNOWN, "the name of a workload of the stack")
        elif isinstance(kind, str) and kind in names:
            exists = names[kind].have(namespace, name)
            if exists is not True:
                found = UNKNOWN if exists is UNKNOWN else name
                yield Violation(
                    reference.path, found, f"the name of a {kind} of the stack, in this namespace"
                )
        elif kind is None or name is None:
            yield Violation(spec.at("scaleTargetRef").path, spec.at("scaleTargetRef").value, "kind and name")
        least, most = spec.at("minReplicas"), spec.at("maxReplicas")
        yield from _at_least(1, most)
        if _is_number(least.value) and _is_number(most.value) and least.value > most.value:  # type: ignore[operator]
            yield Violation(least.path, least.value, f"at most maxReplicas, which is {most.value}")

    def check_target(item: Item) -> Iterator[Violation]:
        scaled, _ = autoscalers.of(item)
        replicas = item.root.at("spec", "replicas")
        if scaled is True:
            yield from must(replicas, lambda value: value is None, "absent: the autoscaler sets it")

    yield from each(_of(items, _AUTOSCALER), check)
    yield from each([one for found in workloads.values() for one in found], check_target)


def check_selectors(items: Sequence[Item]) -> Iterator[Violation]:
    """Require that Services and network policies select pods of the stack."""
    pods = Pods(items)

    def check(item: Item) -> Iterator[Violation]:
        plain = item.manifest.kind.name == "Service"
        selector = item.root.at("spec", "selector" if plain else "podSelector")
        nothing = UNKNOWN if selector.value is UNKNOWN else not selector.value
        # Without a selector somebody else says where a Service leads; an empty one is of all pods.
        if (nothing if plain else is_empty(selector)) is True:
            return
        selected = pods.selected(selector, item, plain=plain)
        if selected is not True:
            found = UNKNOWN if selected is UNKNOWN else selector.value
            yield Violation(selector.path, found, "labels of a pod of the stack, in this namespace")

    yield from each(_of(items, ("core", "Service"), ("networking.k8s.io", "NetworkPolicy")), check)


_DISRUPTIONS: Final = kubernetes("Disruptions", "concepts/workloads/pods/disruptions/")

POLICIES: Final[tuple[Policy, ...]] = (
    ObjectsPolicy(
        name="min-replicas",
        description="Deployments, poolers and operated databases must have two pods at least, counting an "
        "autoscaler's minimum. How a StatefulSet replicates is its program's matter.",
        remedy="Set replicas to 2 or more, or the autoscaler's minReplicas.",
        severity=Severity.HIGH,
        framework=soc2("A1.1"),
        anchors=("polaris:deploymentMissingReplicas", "kube-linter:minimum-three-replicas", "SOC2-A1.1"),
        production_only=True,
        selects=lambda token: is_kind(token, *_DEPLOYMENT, *_OPERATED, _AUTOSCALER),
        check=check_min_replicas,
    ),
    ObjectsPolicy(
        name="pdb-per-workload",
        description="Workloads of several pods must have a disruption budget.",
        remedy="Add a PodDisruptionBudget with the workload's labels and maxUnavailable: 1.",
        severity=Severity.MEDIUM,
        framework=_DISRUPTIONS,
        anchors=("polaris:missingPodDisruptionBudget", "kube-score:deployment-has-poddisruptionbudget"),
        production_only=True,
        selects=lambda token: is_kind(token, *_DEPLOYMENT, _STATEFUL_SET, _AUTOSCALER, _BUDGET),
        check=check_budget_exists,
    ),
    ObjectsPolicy(
        name="pdb-allows-eviction",
        description="Disruption budgets must let one pod go at a time.",
        remedy="Set maxUnavailable to 1, and minAvailable not at all.",
        severity=Severity.MEDIUM,
        framework=_DISRUPTIONS,
        anchors=(
            *("polaris:pdbDisruptionsIsZero", "kube-linter:pdb-min-available"),
            "kube-linter:pdb-max-unavailable",
        ),
        selects=lambda token: is_kind(token, *_SCALED, _AUTOSCALER, _BUDGET),
        check=check_budget_allows,
    ),
    ObjectPolicy(
        name="topology-spread",
        description="Workloads of several pods should be spread over nodes and zones.",
        remedy="Add topologySpreadConstraints over topology.kubernetes.io/zone and kubernetes.io/hostname.",
        severity=Severity.LOW,
        framework=kubernetes("Topology spread", "concepts/scheduling-eviction/topology-spread-constraints/"),
        anchors=("kube-linter:no-anti-affinity", "polaris:topologySpreadConstraint"),
        level=EnforcementLevel.ADVISORY,
        selects=kinds(*_DEPLOYMENT, _STATEFUL_SET),
        check=check_spread,
    ),
    ObjectsPolicy(
        name="hpa-valid",
        description="Autoscalers must scale a workload of the stack that has no replicas of its own. "
        "That they begin at two pods is min-replicas'.",
        remedy="Name the workload in scaleTargetRef, and leave replicas out of it.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Autoscaling", "tasks/run-application/horizontal-pod-autoscale/"),
        anchors=(
            *(
                "kube-linter:dangling-horizontalpodautoscaler",
                "kube-score:horizontalpodautoscaler-has-target",
            ),
            "kube-score:deployment-targeted-by-hpa-does-not-have-replicas-configured",
        ),
        selects=lambda token: is_kind(token, *_SCALED, _AUTOSCALER),
        check=check_autoscaler,
    ),
    ObjectsPolicy(
        name="selectors-resolve",
        description="Services and network policies must select pods of the stack.",
        remedy="Give the selector the labels of the pod template, in the same namespace.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Labels and selectors", "concepts/overview/working-with-objects/labels/"),
        anchors=("kube-linter:dangling-service", "kube-linter:dangling-networkpolicy"),
        selects=lambda token: (
            has_pods(token)
            or is_kind(token, DATABASE_CLUSTER, ("core", "Service"), ("networking.k8s.io", "NetworkPolicy"))
        ),
        check=check_selectors,
    ),
)
