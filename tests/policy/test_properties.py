"""Whatever a resource holds, no policy breaks: it finds something, or nothing, or that a shape is wrong."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baseline.documents import statements
from baseline.exemptions import Ledger
from baseline.files import documents, sections
from baseline.files import settings as settings_of
from baseline.images import parse
from baseline.model import UNKNOWN, Policy, Resource, ResourcePolicy, StackPolicy, Value
from baseline.offline import Snapshot, run
from baseline.pack import POLICIES
from baseline.tree import MalformedError, Node
from tests.policy.cases import ALL
from tests.policy.cases.builders import urn

TOKENS = sorted(
    {one.type for case in ALL for one in case.resources}
    | {"kubernetes:core/v1:List", "aws:s3/bucketV2:BucketV2"}
)


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_keys(one) for one in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(_keys(one) for one in value))
    return set()


WORDS = sorted({key for case in ALL for one in case.resources for key in _keys(one.properties)})
"""Every key of the tables: random words would never get past the first block."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(
        ["*", "get", "0%", "Deployment", "web", "shop", "redis://a", "a\nb: [", "[x]\ny = 1\n", "groups: 1"]
    ),
    st.just(UNKNOWN),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=25,
)
blocks: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(WORDS), values, max_size=5)

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def evaluate(policy: Policy, resources: list[Resource]) -> None:
    """Run a policy to its end; only what the adapter reports as a violation may be raised."""
    selected = [one for one in resources if policy.applies_to(one.type)]
    try:
        if isinstance(policy, StackPolicy):
            found = list(policy.evaluate(selected))
        else:
            assert isinstance(policy, ResourcePolicy)
            found = [violation for one in selected for violation in policy.evaluate(one)]
    except MalformedError:
        return
    for violation in found:
        assert violation.path
        assert policy.message(violation).count("Remedy: ") == 1


def _mutated(draw: st.DrawFn, value: Value) -> Value:
    """A block of the tables with some of its values replaced."""
    if isinstance(value, dict):
        return {key: _mutated(draw, one) for key, one in value.items()}
    if isinstance(value, list):
        return [_mutated(draw, one) for one in value]
    return value if draw(st.integers(0, 4)) else draw(values)


@st.composite
def near_misses(draw: st.DrawFn) -> list[Resource]:
    """The resources of a case, with anything in the place of some values or blocks."""
    case = draw(st.sampled_from(ALL))
    resources = []
    for one in case.resources:
        properties = _mutated(draw, one.properties)
        assert isinstance(properties, dict)
        replacing: bool = draw(st.booleans())
        if properties and replacing:
            properties[draw(st.sampled_from(sorted(properties)))] = draw(values)
        resources.append(Resource(one.type, one.name, one.urn, properties, one.protected, one.links))
    return resources


@RELAXED
@given(near_misses())
def test_no_policy_breaks_on_what_is_nearly_right(resources: list[Resource]) -> None:
    for policy in POLICIES:
        evaluate(policy, resources)


@RELAXED
@given(st.lists(st.tuples(st.sampled_from(TOKENS), blocks), min_size=1, max_size=4))
def test_no_policy_breaks_on_anything(given_resources: list[tuple[str, dict[str, Any]]]) -> None:
    resources = [
        Resource(token, str(index), urn(token, str(index)), block, None)
        for index, (token, block) in enumerate(given_resources)
    ]
    for policy in POLICIES:
        evaluate(policy, resources)


@RELAXED
@given(blocks)
def test_a_run_without_an_engine_ends_as_well(block: dict[str, Any]) -> None:
    one = Resource(
        "kubernetes:apps/v1:Deployment", "web", "a::kubernetes:apps/v1:Deployment::web", block, None
    )
    for finding in run(POLICIES, [Snapshot(one, one)], {}, Ledger()):
        assert finding.level in ("mandatory", "advisory", "undecided")


@RELAXED
@given(st.text())
def test_texts_are_read_or_not(text: str) -> None:
    settings_of(text)
    sections(text)
    documents(text)
    parse(text)


@RELAXED
@given(values)
def test_documents_are_read_or_refused(value: Any) -> None:
    for content in (value, json.dumps(value, default=str)):
        try:
            found = statements(Node(content, "policy"))
        except MalformedError:
            continue
        for one in found:
            one.principals()
            list(one.conditions())
            one.texts("Action")


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: one.name)
def test_policy_reads_an_unknown_resource_as_undecided_or_not_at_all(policy: Policy) -> None:
    for token in TOKENS:
        if not policy.applies_to(token):
            continue
        properties: dict[str, Value] = dict.fromkeys(("metadata", "spec", "data", "rules"), UNKNOWN)
        one = Resource(token, "web", urn(token, "web"), properties, None)
        found = list(policy.evaluate([one]) if isinstance(policy, StackPolicy) else policy.evaluate(one))  # type: ignore[attr-defined]
        if token.startswith("kubernetes:") and not token.startswith("kubernetes:helm.sh"):
            decided = [violation for violation in found if not violation.undecided]
            assert decided == [] or policy.name in LOOKS_ELSEWHERE, (
                f"{policy.name} decides about {token}: {decided}"
            )


LOOKS_ELSEWHERE = frozenset({"rbac-no-cluster-admin", "sa-token-automount-off"})
"""Policies that read properties beside those that are unknown here."""
