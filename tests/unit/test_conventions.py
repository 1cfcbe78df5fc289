"""The house rules, held on the whole program."""

from collections import Counter
from inspect import get_annotations
from types import NoneType
from typing import get_args

from components.application.release import Release, Step
from components.application.workload import Workload
from components.backup.access import Access
from components.backup.buckets import Buckets
from components.backup.schedule import Backups
from components.backup.snapshot import Snapshot
from components.base import Component, Identity
from components.data.cache import Cache
from components.data.cloudnative_pg import CloudNativeDatabase
from components.data.maintenance import Maintenance
from components.data.pgbouncer import Pool
from components.data.postgres import Database
from components.edge.cloudflare import CloudflareEdge
from components.edge.origin_pulls import OriginPulls
from components.ingress.certificate import Certificate
from components.ingress.entrance import Entrance
from components.ingress.routes import Routes
from components.monitoring.alertmanager import Alertmanager
from components.monitoring.blackbox import Blackbox
from components.monitoring.collector import Collector
from components.monitoring.deployed import Deployed
from components.monitoring.grafana import Grafana
from components.monitoring.kube_state_metrics import KubeStateMetrics
from components.monitoring.logs import Logs
from components.monitoring.node_exporter import NodeExporter
from components.monitoring.prometheus import Prometheus
from components.monitoring.status_page import StatusPage
from components.monitoring.traces import Traces
from components.network import Connections
from components.platform.authority import Authority
from components.platform.credentials import Credentials
from components.platform.namespace import Namespace
from components.platform.priorities import Priorities
from tests.recorder import ROOT, Recording, provider_name, record

COMPONENTS: list[type[Component]] = [
    *(Access, Alertmanager, Authority, Backups, Blackbox, Buckets, Cache, Certificate, CloudflareEdge),
    *(Collector, Connections, Credentials, Database, Deployed, Entrance, Grafana, KubeStateMetrics, Logs),
    *(Maintenance, Namespace, NodeExporter, OriginPulls, Pool, Priorities, Prometheus, Release, Routes),
    *(Snapshot, StatusPage, Step, Traces, Workload),
]
IN_NO_STACK: set[type[Component]] = {CloudNativeDatabase}
"""Alternatives that no stack of this repository has chosen; their own tests hold what is held here."""

TOKENS = {
    "fixia:backup:Access",
    "fixia:backup:Backups",
    "fixia:backup:Buckets",
    "fixia:backup:Snapshot",
    "fixia:application:Release",
    "fixia:application:Step",
    "fixia:application:Workload",
    "fixia:data:Cache",
    "fixia:data:Database",
    "fixia:data:Maintenance",
    "fixia:data:Pool",
    "fixia:edge:CloudflareEdge",
    "fixia:edge:OriginPulls",
    "fixia:ingress:Certificate",
    "fixia:ingress:Entrance",
    "fixia:ingress:Routes",
    "fixia:monitoring:Alertmanager",
    "fixia:monitoring:Blackbox",
    "fixia:monitoring:Collector",
    "fixia:monitoring:Deployed",
    "fixia:monitoring:Grafana",
    "fixia:monitoring:KubeStateMetrics",
    "fixia:monitoring:Logs",
    "fixia:monitoring:NodeExporter",
    "fixia:monitoring:Prometheus",
    "fixia:monitoring:StatusPage",
    "fixia:monitoring:Traces",
    "fixia:network:Connections",
    "fixia:platform:Authority",
    "fixia:platform:Credentials",
    "fixia:platform:Namespace",
    "fixia:platform:Priorities",
}
ASKED_FROM_OUTSIDE = {"fixia:monitoring:Blackbox", "fixia:monitoring:StatusPage"}
"""What a stack has not whose hosts have no address that the world knows."""
AT_CLOUDFLARE = {"fixia:edge:CloudflareEdge", "fixia:edge:OriginPulls"}
"""What a stack that nobody reaches from outside has not."""
KEPT_WHERE_THERE_IS_ROOM = {"fixia:monitoring:Traces"}
"""What production, whose quotas leave no memory for it, has not."""
AT_AWS = {"fixia:backup:Access", "fixia:backup:Buckets"}
"""What a stack whose backups are kept in somebody else's buckets has not."""

MANDATORY_LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "environment",
    "owner",
    "cost-centre",
}


def test_every_component_is_checked_here() -> None:
    ours = {each for each in Component.__subclasses__() if each.__module__.startswith("components.")}
    assert ours == {*COMPONENTS, *IN_NO_STACK}


def test_type_tokens_are_unique_and_what_they_always_were() -> None:
    assert {component.TYPE for component in COMPONENTS} == TOKENS
    assert len(TOKENS) == len(COMPONENTS)


def test_every_custom_resource_has_a_component_as_its_parent(recording: Recording) -> None:
    components = {urn for urn, resource in recording.all.items() if not resource.custom}
    orphans = [
        urn
        for urn, resource in recording.all.items()
        if resource.custom
        and not resource.type.startswith("pulumi:providers:")
        and resource.parent not in components
    ]
    assert orphans == []


def test_every_component_registers_what_it_annotates(recording: Recording) -> None:
    by_token = {component.TYPE: component for component in COMPONENTS}
    components = [resource for resource in recording.all.values() if not resource.custom]
    made = {resource.type for resource in components}
    assert made in (
        TOKENS,
        TOKENS - KEPT_WHERE_THERE_IS_ROOM,
        TOKENS - AT_CLOUDFLARE - AT_AWS - ASKED_FROM_OUTSIDE,
    )
    for resource in components:
        annotated = set(by_token[resource.type].outputs())
        assert annotated, f"{resource.type} declares no output"
        assert resource.outputs is not None, f"{resource.urn} never registered its outputs"
        optional = {
            name
            for name, hint in get_annotations(by_token[resource.type]).items()
            if NoneType in get_args(hint)
        }
        assert annotated - optional <= set(resource.outputs) <= annotated


def test_every_custom_resource_is_made_by_an_explicit_provider(recording: Recording) -> None:
    expected = {
        "aws": {"cloud"},
        "cloudflare": {"edge"},
        "kubernetes": {"cluster", "cluster-in-place"},
        "random": {"random"},
        "tls": {"tls"},
    }
    for resource in recording.all.values():
        if resource.custom and not resource.type.startswith("pulumi:providers:"):
            assert provider_name(resource) in expected[resource.type.split(":")[0]], resource.urn


def test_children_are_named_after_their_component_and_without_the_stack(recording: Recording) -> None:
    for resource in recording.all.values():
        parent = recording.all.get(resource.parent)
        if parent is not None and resource.custom:
            assert resource.name.startswith(f"{parent.name}-"), resource.urn
        assert not any(stack in resource.name for stack in ("staging", "production", "local")), resource.urn


def test_names_are_unique_within_a_type(recording: Recording) -> None:
    counts = Counter((resource.type, resource.name) for resource in recording.all.values())
    assert [pair for pair, count in counts.items() if count > 1] == []


def test_every_kubernetes_object_carries_its_owner(recording: Recording) -> None:
    objects = [resource for resource in recording.all.values() if resource.type.startswith("kubernetes:")]
    assert len(objects) >= 20
    for resource in objects:
        assert set(resource.inputs["metadata"]["labels"]) >= MANDATORY_LABELS, resource.urn


class Odd(Component):
    """A component that tries to be somebody else's."""

    TYPE = "fixia:test:Odd"

    def __init__(self, name: str) -> None:
        super().__init__(
            name, Identity(product="shop", environment="test", owner="us", cost_centre="c"), None
        )
        self.labels = self.metadata(labels={"owner": "them", "tier": "gold"}).labels
        self.finish()


def test_mandatory_labels_cannot_be_overridden() -> None:
    seen: list[object] = []
    record(lambda: seen.append(Odd("odd").labels))
    (labels,) = seen
    assert isinstance(labels, dict)
    assert labels["owner"] == "us"
    assert labels["tier"] == "gold"


def test_the_composition_stays_short() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 120
