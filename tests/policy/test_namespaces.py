"""The policies about namespaces, over their table, and whom they blame."""

import re
from collections.abc import Iterator
from pathlib import Path

import pulumi_kubernetes

from baseline.manifests import is_namespaced, kind_of
from baseline.model import StackPolicy
from tests.policy.cases.builders import (
    DEPLOYMENT,
    NAMESPACE,
    policy_named,
    resource,
    workload,
)


def test_default_deny_blames_the_namespace_before_its_pods() -> None:
    policy = policy_named("default-deny-per-namespace")
    assert isinstance(policy, StackPolicy)
    created = resource(NAMESPACE, {"metadata": {"name": "shop"}}, name="shop")
    (violation,) = policy.check([workload(DEPLOYMENT), created])
    assert violation.resource == created


def sdk_tokens() -> Iterator[str]:
    """Read the type tokens of the installed SDK's resources, without importing its hundreds of modules."""
    for file in Path(pulumi_kubernetes.__file__).parent.rglob("*.py"):
        yield from re.findall(r"'(kubernetes:[\w.]+/\w+:\w+)'", file.read_text(encoding="utf-8"))


def is_cluster_wide_by_name(name: str) -> bool:
    return name.startswith("Cluster") or name.endswith(("Class", "WebhookConfiguration", "AdmissionPolicy"))


def test_no_cluster_wide_kind_of_the_sdk_is_asked_for_a_namespace() -> None:
    tokens = set(sdk_tokens())
    assert len(tokens) > 300, "the SDK's tokens were not found where they used to be"
    wrong = {
        token
        for token in tokens
        if (kind := kind_of(token)) and is_namespaced(kind) and is_cluster_wide_by_name(kind.name)
    }
    assert wrong == set()
