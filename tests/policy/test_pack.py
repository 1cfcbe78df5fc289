"""The pack's integrity: what each policy must say, and which cases it must have."""

import re
from collections import Counter

import pytest
from pulumi_policy import EnforcementLevel

from baseline import model, pods
from baseline.model import UNKNOWN, Policy, ResourcePolicy, Violation
from baseline.pack import POLICIES
from baseline.subjects import ContainerPolicy
from tests.policy.cases import ALL
from tests.policy.cases.builders import Case, Kind, resource

EVERY_POLICY = frozenset({Kind.PASS, Kind.FAIL, Kind.MISSING, Kind.UNKNOWN})
POD_POLICY = EVERY_POLICY | {Kind.NESTED}
READS_CONTAINERS = POD_POLICY | {Kind.INIT, Kind.EPHEMERAL}

READS_NO_CONTAINER = frozenset({"restricted-volume-types"})
"""Policies of pods.py that look at the pod alone."""

by_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def required_kinds(policy: Policy) -> frozenset[Kind]:
    """Say which cases a policy must have."""
    if isinstance(policy, ContainerPolicy):
        return READS_CONTAINERS
    if policy in pods.POLICIES:
        return POD_POLICY if policy.name in READS_NO_CONTAINER else READS_CONTAINERS
    return EVERY_POLICY


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(policy.name for policy in POLICIES).items() if count > 1] == []


@by_policy
def test_policy_says_everything(policy: Policy) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", policy.name)
    assert re.fullmatch(r"[A-Z].+\.", policy.description), "a sentence"
    assert re.fullmatch(r"[A-Z].+\.", policy.remedy), "a sentence"
    assert "\n" not in policy.description + policy.remedy
    assert policy.anchors
    assert all(re.fullmatch(r"\S+", anchor) for anchor in policy.anchors)
    assert policy.framework.name
    assert re.fullmatch(r"[0-9.]+", policy.framework.reference)
    assert policy.framework.url.startswith("https://")
    assert policy.level is EnforcementLevel.MANDATORY


@by_policy
def test_policy_has_the_required_cases(policy: Policy) -> None:
    kinds = {case.kind for case in ALL if case.policy == policy.name}
    assert required_kinds(policy) - kinds == set()


def test_every_case_is_of_a_policy_and_has_a_title_of_its_own() -> None:
    assert {case.policy for case in ALL} == {policy.name for policy in POLICIES}
    assert [title for title, count in Counter(map(str, ALL)).items() if count > 1] == []


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case_is_what_it_says(case: Case) -> None:
    found = list(case.found.values())
    if case.kind is Kind.PASS:
        assert not found
    elif case.kind is Kind.UNKNOWN:
        assert UNKNOWN in found
    elif case.kind is not Kind.MISSING:
        assert found
        assert UNKNOWN not in found


@by_policy
def test_message_holds_everything_in_two_lines(policy: Policy) -> None:
    blamed = resource("kubernetes:apps/v1:Deployment", {})
    message = policy.message(Violation("spec.a[0].b", True, "absent or false", resource=blamed))
    assert message.splitlines() == [
        "Deployment/web: spec.a[0].b is true; valid: absent or false.",
        f"Remedy: {policy.remedy}",
    ]


def test_remedy_of_a_violation_comes_before_the_policys() -> None:
    message = POLICIES[0].message(Violation("a", None, "b", "Do this."))
    assert message == "a is absent; valid: b.\nRemedy: Do this."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "absent"),
        (False, "false"),
        (0, "0"),
        (0.5, "0.5"),
        ("a", '"a"'),
        ("x" * 200, f'"{"x" * 79}...'),
        ({"password": "hunter2"}, "a block with password"),
        ({}, "a block with nothing in it"),
        (["hunter2"], "a list of 1"),
        (UNKNOWN, "unknown until the update"),
    ],
)
def test_values_are_described_without_the_content_of_blocks(value: model.Value, text: str) -> None:
    assert model.describe(value) == text


def test_resource_policies_and_stack_policies_are_as_agreed() -> None:
    stack = {policy.name for policy in POLICIES if not isinstance(policy, ResourcePolicy)}
    assert stack == {"default-deny-per-namespace"}
    assert len(POLICIES) == 12
