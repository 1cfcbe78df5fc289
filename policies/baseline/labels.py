"""Every object says whose it is, and every object is seen."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import kubernetes, soc2
from baseline.manifests import kind_of, manifests
from baseline.model import UNKNOWN, Policy, Resource, Violation
from baseline.subjects import PlainPolicy
from baseline.tree import Node

_TAGGED: Final = re.compile(
    r"aws:(s3/bucket(V2)?:Bucket(V2)?|kms/key:Key|iam/(role|policy|user|openIdConnectProvider):\w+|sns/topic:Topic"
    r"|sqs/queue:Queue|rds/(instance|cluster):\w+|ec2/(instance|vpc|volume|securityGroup):\w+|dynamodb/table:Table"
    r"|ecr/repository:Repository|eks/cluster:Cluster|cloudwatch/(logGroup|metricAlarm):\w+"
    r"|secretsmanager/secret:Secret|lambda/function:Function)"
)
"""AWS resources that have tags, as far as platforms of this sort use them."""

_OTHERS: Final = (("apiextensions.k8s.io", "CustomResourceDefinition"), ("helm.sh", "Release"))
"""Kinds that come as somebody else wrote them, or whose objects nobody sees."""


def _plain(name: str) -> str:
    """Tags are written in many ways: CostCentre, cost-centre, cost_centre."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_labelled(type_token: str) -> bool:
    """Select what can say whose it is."""
    kind = kind_of(type_token)
    return _TAGGED.fullmatch(type_token) is not None or (kind is not None and not kind.is_any(*_OTHERS[:1]))


def check_labels(resource: Resource, *, labels: Sequence[str]) -> Iterator[Violation]:
    """Require the labels of an object, or the tags of a resource of AWS."""
    if _TAGGED.fullmatch(resource.type):
        tags, every_tag = Node(resource.properties).at("tags"), Node(resource.properties).at("tagsAll")
        yield from _required(labels, [tags, every_tag], tags)
        return
    for manifest in manifests(resource):
        if manifest.kind.patch or (manifest.kind.group, manifest.kind.name) in _OTHERS:
            continue
        block = manifest.root.at("metadata", "labels")
        yield from _required(labels, [block], block)


def _required(names: Sequence[str], blocks: Sequence[Node], where: Node) -> Iterator[Violation]:
    fields = [field for block in blocks for field in block.fields()]
    for name in names:
        values = [field.value for field in fields if _plain(_key(field)) == _plain(name)]
        if any(isinstance(value, str) and value for value in values):
            continue
        if any(block.value is UNKNOWN for block in blocks):
            yield Violation(where.path, UNKNOWN, f"with {', '.join(names)}")
            return
        node = where.at(name)
        yield Violation(node.path, UNKNOWN if UNKNOWN in values else node.value, "a text that says it")


def _key(field: Node) -> str:
    return field.path.rpartition('["')[2].rstrip('"]') if field.path.endswith('"]') else field.key


def check_helm_release(resource: Resource) -> Iterator[Violation]:
    """Refuse releases: the engine, and so this pack, sees none of the objects that one makes."""
    chart = Node(resource.properties).at("chart")
    yield Violation(chart.path, chart.value, "no kubernetes:helm.sh/v3:Release in the program")


POLICIES: Final[tuple[Policy, ...]] = (
    PlainPolicy(
        name="required-labels-tags",
        description="Objects and cloud resources must say who owns them, where they belong and who pays. "
        "The option `labels` names what is required.",
        remedy="Add the label, or on AWS the tag.",
        severity=Severity.LOW,
        framework=soc2("CC6.1"),
        anchors=("kyverno:require-labels", "kube-linter:required-label-owner", "C-0076"),
        options={"labels": ("owner", "environment", "cost-centre")},
        selects=is_labelled,
        check=check_labels,
    ),
    PlainPolicy(
        name="no-opaque-helm-release",
        description="Charts must be rendered into objects of the stack, which policies can see.",
        remedy="Use kubernetes:helm.sh/v4:Chart, which renders the chart into resources, or plain objects.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Objects", "concepts/overview/working-with-objects/"),
        anchors=("promise:every-object-is-checked",),
        selects=lambda token: token in ("kubernetes:helm.sh/v3:Release",),
        check=check_helm_release,
    ),
)
