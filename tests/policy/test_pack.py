"""The pack's integrity: what each policy must say, and which cases it must have."""

import re
from collections import Counter

import pytest
from pulumi_policy import EnforcementLevel

from baseline import model
from baseline.model import UNKNOWN, Policy, ResourcePolicy, Violation
from baseline.pack import POLICIES
from baseline.subjects import ContainerPolicy, PodPolicy
from tests.policy.cases import ALL
from tests.policy.cases.builders import Case, Kind, resource

EVERY_POLICY = frozenset({Kind.PASS, Kind.FAIL, Kind.MISSING, Kind.UNKNOWN})
POD_POLICY = EVERY_POLICY | {Kind.NESTED}
READS_CONTAINERS = POD_POLICY | {Kind.INIT, Kind.EPHEMERAL}

MORE_KINDS = {
    **dict.fromkeys(("image-digest-pinned", "no-latest-tag", "allowed-registries"), READS_CONTAINERS),
    **dict.fromkeys(("no-plaintext-credentials", "secrets-as-files", "tls-between-tiers"), READS_CONTAINERS),
    **dict.fromkeys(("readiness-probe", "liveness-probe"), EVERY_POLICY | {Kind.INIT}),
    "restricted-volume-types": POD_POLICY,
    "resource-requests-limits": POD_POLICY | {Kind.INIT},
    "pull-secrets-for-private-registries": EVERY_POLICY | {Kind.INIT},
    "sa-token-automount-off": POD_POLICY,
    "dedicated-service-account": POD_POLICY,
    "exporter-for-every-store": EVERY_POLICY,
}
"""What a policy reads of pods, where its class or module does not say it."""

NAMES = """
no-privileged-containers no-host-namespaces no-privilege-escalation run-as-non-root drop-all-capabilities
seccomp-runtime-default read-only-root-filesystem restricted-volume-types no-host-ports
namespace-pss-restricted no-default-namespace no-opaque-helm-release readiness-probe liveness-probe
resource-requests-limits min-replicas pdb-per-workload pdb-allows-eviction topology-spread hpa-valid
selectors-resolve default-deny-per-namespace pods-have-networkpolicy ingress-tls ingress-safe-routing
no-nodeport-loadbalancer no-external-ips rbac-no-wildcards rbac-no-cluster-admin rbac-no-secret-reads
rbac-no-escalation sa-token-automount-off dedicated-service-account no-plaintext-credentials
secrets-as-files image-digest-pinned no-latest-tag allowed-registries s3-public-access-block s3-versioning
s3-sse-kms s3-tls-only s3-lifecycle s3-object-lock s3-access-logging s3-bucket-owner-enforced
s3-no-force-destroy iam-least-privilege iam-trust-scoped cf-ssl-strict cf-min-tls-1-2 cf-https-hsts
cf-waf-managed cf-rate-limit cf-records-proxied workloads-monitored backup-contract required-labels-tags
"""
"""The security baseline: names that configurations and exemptions may rest on."""

PROMISES = """
high-user-id tls-between-tiers backup-retention-agrees alerts-have-runbooks connection-budget
pull-secrets-for-private-registries stateful-resources-protected exporter-for-every-store
"""
"""What this platform promises beyond it."""

OF_STACKS = """
default-deny-per-namespace min-replicas pdb-per-workload pdb-allows-eviction hpa-valid selectors-resolve
pods-have-networkpolicy dedicated-service-account pull-secrets-for-private-registries connection-budget
s3-public-access-block s3-versioning s3-sse-kms s3-tls-only s3-lifecycle s3-object-lock s3-access-logging
s3-bucket-owner-enforced cf-ssl-strict cf-min-tls-1-2 cf-https-hsts cf-waf-managed cf-rate-limit
workloads-monitored backup-contract backup-retention-agrees
"""
ONLY_ADVISED = (
    "high-user-id liveness-probe topology-spread secrets-as-files image-digest-pinned s3-access-logging"
)
OF_PRODUCTION = (
    "min-replicas pdb-per-workload stateful-resources-protected s3-object-lock s3-no-force-destroy"
)

by_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def required_kinds(policy: Policy) -> frozenset[Kind]:
    """Say which cases a policy must have."""
    if policy.name in MORE_KINDS:
        return MORE_KINDS[policy.name]
    return READS_CONTAINERS if isinstance(policy, ContainerPolicy | PodPolicy) else EVERY_POLICY


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
    assert policy.framework.reference
    assert policy.framework.url.startswith("https://")
    assert policy.level in (EnforcementLevel.MANDATORY, EnforcementLevel.ADVISORY)
    assert not (policy.production_only and policy.level is EnforcementLevel.ADVISORY)


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
    assert stack == set(OF_STACKS.split())


def test_the_whole_baseline_is_there_and_what_was_promised_beyond_it() -> None:
    assert {policy.name for policy in POLICIES} == {*NAMES.split(), *PROMISES.split()}
    advisory = {policy.name for policy in POLICIES if policy.level is EnforcementLevel.ADVISORY}
    assert advisory == set(ONLY_ADVISED.split())
    assert {policy.name for policy in POLICIES if policy.production_only} == set(OF_PRODUCTION.split())
