"""Exemptions: what one lets through, and what becomes of one that is old, wrong or needless."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from baseline.adapter import EXEMPTIONS_CURRENT, as_pulumi_policies
from baseline.exemptions import ExemptionError, Ledger, parse
from baseline.model import Policy, Resource, StackPolicy, Violation
from baseline.pack import POLICIES
from tests.policy.cases import ALL
from tests.policy.cases.builders import Case, Kind, policy_named, workload
from tests.policy.test_servicer import request, stack_request

TODAY = date(2026, 3, 1)
FAILING = {case.policy: case for case in reversed(ALL) if case.kind is Kind.FAIL}
"""The first failing case of each policy."""


def entry(of: Resource, **changes: str) -> dict[str, str]:
    return {
        "resource": f"{of.type}::{of.name}",
        "reason": "It is replaced in the next release.",
        "owner": "platform-team",
        "expires": "2026-03-01",
        **changes,
    }


class Run:
    """The pack with one policy and its configuration, answering as the engine asks."""

    def __init__(self, policy: Policy, *exemptions: Mapping[str, Any]) -> None:
        served = as_pulumi_policies([policy], Ledger(clock=lambda: TODAY))
        self.servicer: Any = _PolicyAnalyzerServicer("pack", "1", served, EnforcementLevel.MANDATORY)
        config = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.MANDATORY)
        config.properties.update({"exemptions": list(exemptions)})
        configure: Any = self.servicer.Configure
        configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={policy.name: config}), None)

    def found(self, *resources: Resource) -> list[tuple[str, str]]:
        responses = [self.servicer.Analyze(request(one), None) for one in resources]
        responses.append(self.servicer.AnalyzeStack(stack_request(resources), None))
        return [(one.policyName, one.message) for response in responses for one in response.diagnostics]


def blamed(case: Case) -> Resource:
    policy = policy_named(case.policy)
    selected = [one for one in case.resources if policy.applies_to(one.type)]
    if isinstance(policy, StackPolicy):
        first: Violation = next(iter(policy.evaluate(selected)))
        assert first.resource is not None
        return first.resource
    return next(one for one in selected if list(policy.evaluate(one)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_exemption_lets_one_resource_through(policy: Policy) -> None:
    case = FAILING[policy.name]
    policy = policy_named(policy.name)
    before = Run(policy).found(*case.resources)
    one = blamed(case)
    after = Run(policy, entry(one)).found(*case.resources)
    assert len(after) < len(before)
    assert not [message for _, message in after if f"{one.label}: " in message]


def test_exemption_is_of_no_other_resource() -> None:
    bad = workload(edits={"hostPID": True})
    other = replace(bad, name="api", urn=bad.urn.replace("::web", "::api"))
    (left,) = Run(policy_named("no-host-namespaces"), entry(bad)).found(bad, other)
    assert left[0] == "no-host-namespaces"
    assert "Deployment/api: " in left[1]


def test_exemption_of_a_property_is_of_nothing_else() -> None:
    bad = workload(edits={"hostPID": True, "hostIPC": True})
    exemption = entry(bad, property="spec.template.spec.hostPID")
    (left,) = Run(policy_named("no-host-namespaces"), exemption).found(bad)
    assert "spec.template.spec.hostIPC is true" in left[1]
    part = entry(bad, property="spec.template.spec.host")
    assert len(Run(policy_named("no-host-namespaces"), part).found(bad)) == 3, "two, and a needless exemption"


def test_exemption_counts_below_a_component_too() -> None:
    bad = workload(edits={"hostPID": True})
    below = replace(bad, urn=f"urn:pulumi:dev::shop::fixia:data:Pool${bad.type}::web")
    assert Run(policy_named("no-host-namespaces"), entry(bad)).found(below) == []


@pytest.mark.parametrize("name", ["eb", "web2", "Deployment::web"])
def test_part_of_a_name_is_another_name(name: str) -> None:
    bad = workload(edits={"hostPID": True})
    token = bad.type if name != "Deployment::web" else "kubernetes:core/v1:Pod"
    found = Run(policy_named("no-host-namespaces"), entry(bad, resource=f"{token}::{name}")).found(bad)
    assert {policy for policy, _ in found} == {"no-host-namespaces", EXEMPTIONS_CURRENT}


def test_expired_exemption_fails_twice() -> None:
    bad = workload(edits={"hostPID": True})
    found = Run(policy_named("no-host-namespaces"), entry(bad, expires="2026-02-28")).found(bad)
    assert [policy for policy, _ in found] == ["no-host-namespaces", EXEMPTIONS_CURRENT]
    assert (
        "the exemption of kubernetes:apps/v1:Deployment::web from no-host-namespaces (owner: platform-team) "
        "expired on 2026-02-28" in found[1][1]
    )


def test_needless_exemption_fails() -> None:
    (found,) = Run(policy_named("no-host-namespaces"), entry(workload())).found(workload())
    assert found[0] == EXEMPTIONS_CURRENT
    assert "matches nothing" in found[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reason": "because"}, "the reason must be a sentence"),
        ({"owner": " "}, "needs an owner"),
        ({"expires": "tomorrow"}, 'expires is "tomorrow"'),
        ({"expires": "2026-02-30"}, 'expires is "2026-02-30"'),
        ({"resource": "Deployment/web"}, "as a URN ends"),
        ({"until": "2027"}, "got expires, owner, reason, resource, until"),
    ],
)
def test_malformed_exemption_fails_and_lets_nothing_through(changes: dict[str, str], message: str) -> None:
    bad = workload(edits={"hostPID": True})
    with pytest.raises(ExemptionError, match=message):
        parse("no-host-namespaces", entry(bad, **changes))
    found = Run(policy_named("no-host-namespaces"), entry(bad, **changes)).found(bad)
    assert [policy for policy, _ in found] == ["no-host-namespaces", EXEMPTIONS_CURRENT]


@pytest.mark.parametrize("value", [None, "all", 3, [None], ["web"], {"web": 1}])
def test_whatever_stands_there_breaks_nothing(value: object) -> None:
    ledger = Ledger()
    assert ledger.enter("no-host-namespaces", value) == []
