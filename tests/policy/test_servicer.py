"""The pack behind the SDK's own servicer, with requests as the engine sends them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi import StringAsset
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel, Severity
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from baseline.adapter import EXEMPTIONS_CURRENT, as_pulumi_policies, as_pulumi_policy, to_plain
from baseline.decoding import remember
from baseline.exemptions import Ledger
from baseline.model import UNKNOWN, Policy, Resource, StackPolicy, Value, Violation
from baseline.pack import PACK_NAME, POLICIES
from baseline.subjects import ObjectPolicy
from tests.policy.cases import ALL
from tests.policy.cases.builders import DEPLOYMENT, NAMESPACE, POD, Case, policy_named, resource, workload
from tests.policy.cases.namespaces import wall

assert remember(), "the SDK has changed: see decoding.py"

PRIVILEGED = "containers[0].securityContext.privileged"


def servicer(policies: Iterable[Policy] = POLICIES) -> Any:
    """Build what `PolicyPack` would serve, without serving it."""
    served = as_pulumi_policies(policies, Ledger())
    return _PolicyAnalyzerServicer(PACK_NAME, "0.1.0", served, EnforcementLevel.MANDATORY)


def on_the_wire(value: Value) -> Any:
    """Write unknown values as the engine does, and drop absent ones."""
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Mapping):
        return {key: on_the_wire(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [on_the_wire(one) for one in value]
    return value


def secret(value: object) -> dict[str, object]:
    """Wrap a value as the engine sends secrets."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def struct(properties: Mapping[str, Any]) -> Any:
    result = struct_pb2.Struct()
    result.update(properties)
    return result


def request(one: Resource) -> Any:
    """Write a resource as the engine sends it to resource policies."""
    return analyzer_pb2.AnalyzeRequest(
        type=one.type,
        name=one.name,
        urn=one.urn,
        properties=struct(on_the_wire(one.properties)),
        options=analyzer_pb2.AnalyzerResourceOptions(protect=bool(one.protected)),
    )


def stack_request(resources: Iterable[Resource]) -> Any:
    """Write resources as the engine sends them to stack policies."""
    return analyzer_pb2.AnalyzeStackRequest(
        resources=[
            analyzer_pb2.AnalyzerResource(
                type=one.type,
                name=one.name,
                urn=one.urn,
                properties=struct(on_the_wire(one.properties)),
                options=analyzer_pb2.AnalyzerResourceOptions(protect=bool(one.protected)),
                propertyDependencies={
                    key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
                    for key, urns in one.links.items()
                },
            )
            for one in resources
        ]
    )


def analyze(one: Resource, policies: Iterable[Policy] = POLICIES) -> Any:
    return servicer(policies).Analyze(request(one), None)


def analyze_stack(*resources: Resource, policies: Iterable[Policy] = POLICIES) -> Any:
    return servicer(policies).AnalyzeStack(stack_request(resources), None)


def level_names(response: Any) -> list[str]:
    return [analyzer_pb2.EnforcementLevel.Name(found.enforcementLevel) for found in response.diagnostics]


ON_THE_WIRE = [case for case in ALL if all(one.protected is not None for one in case.resources)]
"""The engine always says whether a resource is protected; only manifests don't."""


@pytest.mark.parametrize("case", ON_THE_WIRE, ids=str)
def test_case_through_the_servicer(case: Case) -> None:
    policy = policy_named(case.policy)
    if isinstance(policy, StackPolicy):
        responses = [analyze_stack(*case.resources, policies=[policy])]
    else:
        responses = [analyze(one, [policy]) for one in case.resources]
    diagnostics = [found for response in responses for found in response.diagnostics]
    failed = [found.message for found in diagnostics if "undecided until" not in found.message]
    advised = [found.message for found in diagnostics if "undecided until" in found.message]
    wrong = [path for path, value in case.found.items() if value is not UNKNOWN]
    undecided = [path for path, value in case.found.items() if value is UNKNOWN]
    assert len(failed) == len(wrong)
    assert all(any(f": {path} is " in message for message in failed) for path in wrong)
    assert len(advised) == bool(undecided)
    assert all(f": {path}" in advised[0] for path in undecided)


def test_violation_says_everything() -> None:
    response = analyze(workload(edits={PRIVILEGED: True}))
    (found,) = response.diagnostics
    assert found.message.splitlines() == [
        "Containers must not be privileged.",
        f"Deployment/web: spec.template.spec.{PRIVILEGED} is true; valid: absent or false.",
        f"Remedy: {policy_named('no-privileged-containers').remedy}",
    ]
    assert found.policyName == "no-privileged-containers"
    assert found.policyPackName == PACK_NAME
    assert found.urn == workload().urn
    assert found.severity == analyzer_pb2.POLICY_SEVERITY_CRITICAL
    assert level_names(response) == ["MANDATORY"]


def test_unknown_value_does_not_hide_the_faults_after_it() -> None:
    response = analyze(
        workload(edits={"initContainers[0].securityContext.privileged": UNKNOWN, PRIVILEGED: True}),
        [policy_named("no-privileged-containers")],
    )
    assert level_names(response) == ["MANDATORY", "ADVISORY"]
    assert response.diagnostics[1].message == (
        f"can't run policy 'no-privileged-containers' from policy pack '{PACK_NAME}@v0.1.0' during preview: "
        "undecided until the update: "
        "Deployment/web: spec.template.spec.initContainers[0].securityContext.privileged"
    )


def test_unknown_value_that_no_policy_reads_is_of_no_concern() -> None:
    assert level_names(analyze(workload(edits={"containers[0].imagePullPolicy": UNKNOWN}))) == []


def test_unknown_value_in_one_resource_does_not_hide_the_next() -> None:
    response = analyze_stack(
        resource(NAMESPACE, {"metadata": {"name": UNKNOWN}}, name="later"),
        resource(NAMESPACE, {"metadata": {"name": "cache"}}, name="cache"),
        wall(),
    )
    assert level_names(response) == ["MANDATORY", "ADVISORY"]
    assert response.diagnostics[0].urn.endswith("::cache")
    assert "Namespace/later: metadata.name" in response.diagnostics[1].message


def test_secret_is_read_like_any_value() -> None:
    properties = on_the_wire(workload(edits={PRIVILEGED: True}).properties)
    properties["spec"] = secret(properties["spec"])
    request = analyzer_pb2.AnalyzeRequest(
        type=DEPLOYMENT, name="web", urn="urn", properties=struct(properties)
    )
    assert [found.policyName for found in servicer().Analyze(request, None).diagnostics] == [
        "no-privileged-containers"
    ]


def test_unknown_secret_is_undecided() -> None:
    properties = {"metadata": {"namespace": secret(UNKNOWN_STRING_VALUE)}}
    request = analyzer_pb2.AnalyzeRequest(
        type="kubernetes:core/v1:Secret", name="key", urn="urn", properties=struct(properties)
    )
    response = servicer([policy_named("no-default-namespace")]).Analyze(request, None)
    assert level_names(response) == ["ADVISORY"]
    assert "Secret/key: metadata.namespace" in response.diagnostics[0].message


def test_policies_of_other_kinds_are_not_applicable_rather_than_passed() -> None:
    response = analyze(resource("aws:s3/bucketMetric:Metric", {"bucket": UNKNOWN}))
    assert level_names(response) == []
    assert {skipped.policy_name for skipped in response.not_applicable} == {
        policy.name for policy in POLICIES if not isinstance(policy, StackPolicy)
    }
    assert [skipped.policy_name for skipped in analyze_stack().not_applicable] == [
        policy.name for policy in POLICIES if isinstance(policy, StackPolicy)
    ]


def test_wrong_shape_is_a_violation() -> None:
    response = analyze(workload(POD, {"containers": "app"}), [policy_named("no-host-ports")])
    (found,) = response.diagnostics
    assert 'Pod/web: spec.containers is "app"; valid: a list.' in found.message
    assert level_names(response) == ["MANDATORY"]


def test_wrong_shape_in_a_stack_is_a_violation() -> None:
    response = analyze_stack(resource(NAMESPACE, {"metadata": "shop"}))
    (found,) = response.diagnostics
    assert 'metadata is "shop"; valid: a block.' in found.message
    assert level_names(response) == ["MANDATORY"]


def broken(_: object) -> Iterator[Violation]:
    """A check with a fault of its own, after a finding."""
    yield Violation("a", 1, "2")
    raise KeyError("spec")


def test_fault_of_a_resource_policy_is_a_violation_that_says_so() -> None:
    policy = ObjectPolicy(
        **{**vars(policy_named("no-default-namespace")), "name": "broken-one", "check": broken}
    )
    response = analyze(workload(), [policy])
    assert level_names(response) == ["MANDATORY", "MANDATORY"]
    message = response.diagnostics[1].message
    assert "broken-one could not check web: KeyError: 'spec'." in message
    assert "a fault of the policy pack" in message
    assert "Traceback" not in message


def test_fault_of_a_stack_policy_is_a_violation_that_says_so() -> None:
    original = policy_named("default-deny-per-namespace")
    assert isinstance(original, StackPolicy)
    response = analyze_stack(resource(NAMESPACE, {}), policies=[replace(original, check=broken)])
    assert level_names(response) == ["MANDATORY", "MANDATORY"]
    assert (
        "default-deny-per-namespace could not check the stack: KeyError: 'spec'."
        in response.diagnostics[1].message
    )


def test_pack_describes_itself_to_the_engine() -> None:
    described = {info.name: info for info in servicer().GetAnalyzerInfo(None, None).policies}
    assert list(described) == [*(policy.name for policy in POLICIES), EXEMPTIONS_CURRENT]
    for policy in POLICIES:
        info = described[policy.name]
        level = analyzer_pb2.EnforcementLevel.Name(info.enforcementLevel)
        assert level == policy.level.name
        assert set(info.configSchema.properties) == {"exemptions", *policy.options}
        assert list(info.tags) == list(policy.anchors)
        assert info.remediation_steps == policy.remedy
        assert info.framework.reference == policy.framework.reference
        assert info.url == policy.framework.url
        assert info.severity != analyzer_pb2.POLICY_SEVERITY_UNSPECIFIED
    stack = {name for name, info in described.items() if info.policy_type == analyzer_pb2.POLICY_TYPE_STACK}
    assert stack == {policy.name for policy in POLICIES if isinstance(policy, StackPolicy)} | {
        EXEMPTIONS_CURRENT
    }


def test_policy_of_no_known_sort_is_refused() -> None:
    class Odd(Policy):
        def applies_to(self, type_token: str) -> bool:
            return bool(type_token)

    framework = POLICIES[0].framework
    odd = Odd(
        name="odd-one", description="A.", remedy="B.", severity=Severity.LOW, framework=framework, anchors=()
    )
    with pytest.raises(TypeError, match="odd-one"):
        as_pulumi_policy(odd, Ledger())


def test_proxies_become_plain_data() -> None:
    proxy = unknown_checking_proxy(
        {
            "a": [1.0, 0.5, True, None, "x", UNKNOWN_STRING_VALUE],
            "b": {"c": UNKNOWN_OBJECT_VALUE},
            "d": StringAsset("s"),
        }
    )
    plain = to_plain(proxy)
    assert plain == {"a": [1, 0.5, True, None, "x", UNKNOWN], "b": {"c": UNKNOWN}, "d": "<StringAsset>"}
    assert isinstance(plain, dict)
    assert isinstance(plain["a"], list)
    assert [type(value) for value in plain["a"][:3]] == [int, float, bool]
