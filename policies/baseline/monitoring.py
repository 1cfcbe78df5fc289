"""What is watched: every workload is scraped and alerted on, and every alert says what to do."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy import Severity

from baseline.files import documents, files
from baseline.frameworks import soc2
from baseline.images import parse
from baseline.manifests import Manifest, has_pods, is_kind
from baseline.model import UNKNOWN, Policy, Violation
from baseline.selectors import matches, namespace_of
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, each, kinds
from baseline.tree import Node, Truth, some

_RULES: Final = ("monitoring.coreos.com", "PrometheusRule")
_MONITORS: Final = (("monitoring.coreos.com", "PodMonitor"), ("monitoring.coreos.com", "ServiceMonitor"))
_WORKLOADS: Final = (("apps", "DaemonSet"), ("apps", "Deployment"), ("apps", "StatefulSet"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One alerting rule.

    Attributes:
        node: Where it stands: the rule itself, or the file that holds it.
        name: The alert's name.
        expression: Its PromQL.
        runbook: What says what to do; empty if nothing does.
    """

    node: Node
    name: str
    expression: str
    runbook: str


def rules(manifest: Manifest) -> Iterator[Rule]:
    """Find the alerting rules of a ConfigMap with files of rules, or of a PrometheusRule.

    Args:
        manifest: The object.

    Yields:
        The rules.
    """
    if manifest.kind.is_any(_RULES):
        for group in manifest.root.at("spec", "groups").items():
            for rule in group.at("rules").items():
                if isinstance(rule.value, dict) and "alert" in rule.value:
                    yield _rule(rule, rule.value)
    if manifest.kind.is_any(("core", "ConfigMap")):
        for entry in manifest.root.at("data").fields():
            if isinstance(entry.value, str) and "groups:" in entry.value:
                for one in _rules_of(documents(entry.value)):
                    yield _rule(entry, one)


def _rules_of(texts: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for document in texts:
        groups = document.get("groups") if isinstance(document, dict) else None
        for group in groups if isinstance(groups, list) else ():
            own = group.get("rules") if isinstance(group, dict) else None
            for rule in own if isinstance(own, list) else ():
                if isinstance(rule, dict) and "alert" in rule:
                    yield rule


def _rule(node: Node, rule: dict[str, Any]) -> Rule:
    annotations = rule.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    given = [annotations.get(key) for key in ("runbook", "runbook_url", "runbookUrl")]
    runbook = next((text for text in given if isinstance(text, str) and text.strip()), "")
    if UNKNOWN in given or rule.get("annotations") is UNKNOWN:
        node, runbook = Node(UNKNOWN, node.path), ""
    expression = rule.get("expr")
    return Rule(node, str(rule["alert"]), expression if isinstance(expression, str) else "", runbook)


def check_runbooks(manifest: Manifest) -> Iterator[Violation]:
    """Require a runbook of every alert."""
    for rule in rules(manifest):
        if not rule.runbook:
            path = f"{rule.node.path}: alert {rule.name}: annotations.runbook"
            yield Violation(
                path, UNKNOWN if rule.node.value is UNKNOWN else None, "a page that says what to do"
            )


def _is_prometheus(item: Item) -> bool:
    return any(
        isinstance(image := container.at("image").value, str) and parse(image).base == "prometheus"
        for pod in item.manifest.pods()
        for container in pod.containers()
    )


def _label(item: Item) -> str:
    name = next(item.manifest.pods()).labels.at("app.kubernetes.io/name").value
    own = name if isinstance(name, str) else item.manifest.name.value
    return own if isinstance(own, str) else ""


def check_monitored(items: Sequence[Item]) -> Iterator[Violation]:
    """Require that each workload is scraped and has an alert, where the stack has a Prometheus.

    A workload is scraped if its pods ask for it by annotation, if a monitor of the operator selects it, or if
    a job of the scrape configuration names it or finds pods by themselves. It has an alert if one names it,
    or watches all targets or workloads alike.
    """
    workloads = [
        one for one in items if one.manifest.kind.is_any(*_WORKLOADS) and not one.manifest.kind.patch
    ]
    if not any(_is_prometheus(one) for one in workloads):
        return
    known = list(files(items))
    jobs = [
        job
        for file in known
        for document in documents(file.text if "scrape_configs" in file.text else "")
        if isinstance(document, dict)
        for job in document.get("scrape_configs") or ()
        if isinstance(job, dict)
    ]
    alerts = [rule.expression for item in items for rule in rules(item.manifest)]
    monitors = [one for one in items if one.manifest.kind.is_any(*_MONITORS)]
    unsure = any(file.unknown for file in known)

    def check(item: Item) -> Iterator[Violation]:
        pod = next(item.manifest.pods())
        name = _label(item)
        scraped = some(
            [
                pod.root.at("metadata", "annotations", "prometheus.io/scrape").value == "true",
                *(_selects(monitor, item, pod.labels) for monitor in monitors),
                any(_scrapes(job, name, item, pod.spec) for job in jobs),
                UNKNOWN if unsure else False,
            ]
        )
        if scraped is not True:
            found = UNKNOWN if scraped is UNKNOWN else name
            yield Violation(pod.labels.path, found, "the labels of something that Prometheus scrapes")
        if not any(_watches(expression, name) for expression in alerts):
            found = UNKNOWN if unsure else name
            yield Violation(item.manifest.name.path, found, "the name of something that an alert is about")

    yield from each(workloads, check)


def _selects(monitor: Item, item: Item, labels: Node) -> Truth:
    spec = monitor.root.at("spec")
    selected = spec.at("namespaceSelector", "matchNames")
    among = [one.value for one in selected.items()] or [namespace_of(monitor)]
    if spec.at("namespaceSelector", "any").value is not True and namespace_of(item) not in among:
        return False
    return matches(spec.at("selector"), labels)


def _scrapes(job: dict[str, Any], name: str, item: Item, spec: Node) -> bool:
    """Tell whether a scrape job is about a workload: by its name, or by finding pods through the API."""
    text = str(job)
    if name and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
        return True
    for discovery in job.get("kubernetes_sd_configs") or ():
        if not isinstance(discovery, dict) or discovery.get("role") not in (
            "pod",
            "endpoints",
            "endpointslice",
        ):
            continue
        among = discovery.get("namespaces")
        names = among.get("names") if isinstance(among, dict) else None
        if isinstance(names, list) and namespace_of(item) not in names:
            continue
        if _keeps_port(job, spec):
            return True
    return False


def _keeps_port(job: dict[str, Any], spec: Node) -> bool:
    """Tell whether what a job keeps of the pods that it finds has a port of this one's."""
    names = [
        port.at("name").value
        for container in spec.at("containers").items()
        for port in container.at("ports").items()
    ]
    for step in job.get("relabel_configs") or ():
        if not isinstance(step, dict) or step.get("action") != "keep":
            continue
        labels = str(step.get("source_labels"))
        if "port_name" not in labels:
            return False  # It keeps by something that only a running cluster could tell.
        try:
            pattern = re.compile(str(step.get("regex")))
        except re.error:
            return False
        if not any(isinstance(one, str) and pattern.fullmatch(one) for one in names):
            return False
    return True


_FOR_ALL: Final = re.compile(
    r"\b(up|kube_(pod|deployment|statefulset|daemonset)_\w+)\b(?P<selector>\{[^}]*\})?"
)


def _watches(expression: str, name: str) -> bool:
    if name and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", expression):
        return True
    return any(
        not re.search(r"(job|pod|deployment|statefulset|container)\s*(=~?|!~|!=)", one["selector"] or "")
        for one in _FOR_ALL.finditer(expression)
    )


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="alerts-have-runbooks",
        description="Alerts must name the page that says what to do. Read are PrometheusRules, and files of "
        "rules in ConfigMaps.",
        remedy="Write the runbook, and name it in annotations.runbook.",
        severity=Severity.MEDIUM,
        framework=soc2("CC7.3"),
        anchors=("SOC2-CC7.3", "promise:every-alert-has-a-runbook"),
        selects=kinds(("core", "ConfigMap"), _RULES),
        check=check_runbooks,
    ),
    ObjectsPolicy(
        name="workloads-monitored",
        description="Workloads must be scraped, and have an alert, where the stack has a Prometheus; "
        "where it has none, this policy is about nothing.",
        remedy="Add the workload to a scrape job, and an alert that names it.",
        severity=Severity.MEDIUM,
        framework=soc2("CC7.2"),
        anchors=("SOC2-CC7.2", "kube-linter:dangling-servicemonitor"),
        selects=lambda token: has_pods(token) or is_kind(token, ("core", "ConfigMap"), _RULES, *_MONITORS),
        check=check_monitored,
    ),
)
