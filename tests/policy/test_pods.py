"""The pod policies, over their table and over every kind that holds a pod."""

import pytest

from baseline.manifests import has_pods, kind_of
from baseline.model import UNKNOWN, Resource, ResourcePolicy
from baseline.pods import POLICIES
from baseline.tree import MalformedError
from tests.policy.cases.builders import (
    DEPLOYMENT,
    POD,
    TEMPLATES,
    findings,
    pod_object,
    policy_named,
    resource,
    spec_path,
    workload,
)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("type_token", TEMPLATES)
def test_hardened_pod_passes_in_every_kind(policy: ResourcePolicy, type_token: str) -> None:
    assert policy.applies_to(type_token)
    assert findings(policy, workload(type_token)) == {}


@pytest.mark.parametrize("type_token", TEMPLATES)
def test_fault_is_found_in_every_kind(type_token: str) -> None:
    bad = workload(type_token, {"containers[0].securityContext.privileged": True})
    path = f"{spec_path(type_token)}.containers[0].securityContext.privileged"
    assert findings(policy_named("no-privileged-containers"), bad) == {path: True}


@pytest.mark.parametrize(
    "type_token",
    [token for token in TEMPLATES if not token.endswith("Patch") and "/v1:" in token],
)
def test_fault_is_found_in_every_list(type_token: str) -> None:
    bad = pod_object(type_token, {"hostPID": True})
    many = resource(f"{type_token}List", {"items": [pod_object(type_token), bad]})
    assert findings(policy_named("no-host-namespaces"), many) == {
        f"items[1].{spec_path(type_token)}.hostPID": True
    }


def test_unknown_list_is_undecided() -> None:
    many = resource(f"{POD}List", {"items": UNKNOWN})
    assert findings(policy_named("no-host-ports"), many) == {
        f"items[*].spec.{name}[*].ports[*].hostPort": UNKNOWN
        for name in ("initContainers", "containers", "ephemeralContainers")
    }


def test_unknown_template_is_undecided() -> None:
    unknown = resource(DEPLOYMENT, {"spec": {"template": UNKNOWN}})
    for policy in POLICIES:
        found = findings(policy, unknown)
        assert found, f"{policy.name} passes a pod that it can't see"
        assert set(found.values()) == {UNKNOWN}


def test_patch_of_the_pods_labels_touches_no_container() -> None:
    patch = resource(f"{DEPLOYMENT}Patch", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})
    assert {policy.name: findings(policy, patch) for policy in POLICIES} == {
        policy.name: {} for policy in POLICIES
    }


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ({"containers": {"name": "app"}}, "spec.containers"),
        ({"containers": "app"}, "spec.containers"),
        ({"containers": ["app"]}, "spec.containers[0]"),
        ({"containers[0].securityContext": "strict"}, "spec.containers[0].securityContext"),
    ],
)
def test_wrong_shape_is_refused(edits: dict[str, str], path: str) -> None:
    policy = policy_named("no-privileged-containers")
    with pytest.raises(MalformedError) as error:
        findings(policy, workload(POD, edits))
    assert error.value.violation.path == path


@pytest.mark.parametrize(
    "type_token",
    [
        "kubernetes:core/v1:Service",
        "kubernetes:batch.volcano.sh/v1alpha1:Job",  # a custom resource with a template of its own shape
        "kubernetes:apps/v1:ControllerRevision",
        "pulumi:providers:kubernetes",
        "aws:ecs/service:Service",
        "fixia:application:Deployment",
    ],
)
def test_other_kinds_hold_no_pods(type_token: str) -> None:
    assert not has_pods(type_token)
    for policy in POLICIES:
        assert not policy.applies_to(type_token)


def test_provider_and_malformed_tokens_are_no_kinds() -> None:
    assert [kind_of(token) for token in ("pulumi:providers:kubernetes", "kubernetes:Pod", "")] == [None] * 3


def test_label_is_kind_and_name() -> None:
    assert Resource(DEPLOYMENT, "web", "urn", {}).label == "Deployment/web"
