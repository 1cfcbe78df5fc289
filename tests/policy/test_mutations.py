"""Every promise broken once on a real stack: that policy fires, and no other but those listed."""

from functools import cache
from typing import Any

import pytest

from baseline.adapter import EXEMPTIONS_CURRENT
from baseline.pack import POLICIES
from tests.policy.bases import BASES
from tests.policy.mutations import MUTATIONS, Mutation
from tests.policy.programs import Finding, Program, judge, levels


@cache
def base(name: str) -> tuple[Program, frozenset[Finding]]:
    program = BASES[name]()
    return program, frozenset(judge(program, levels("production")))


def fired(mutation: Mutation) -> list[Finding]:
    """What the pack says of the mutation and did not say of its base."""
    program, before = base(mutation.base)
    config: dict[str, Any] = {**levels("production"), **(mutation.config or {})}
    return [one for one in judge(mutation.change(program), config) if one not in before]


def test_every_policy_is_broken_once() -> None:
    assert {mutation.policy for mutation in MUTATIONS} == {policy.name for policy in POLICIES}


@pytest.mark.parametrize("name", BASES)
def test_base_breaks_no_mandatory_policy(name: str) -> None:
    assert [one for one in base(name)[1] if one.level == "mandatory"] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.policy}: {one.title}")
def test_mutation_is_found_by_its_policy_alone(mutation: Mutation) -> None:
    assert {one.policy for one in fired(mutation)} == {mutation.policy, *mutation.also}


def test_expired_exemption_of_a_real_stack_is_found() -> None:
    config = levels("production")
    for exemption in config["rbac-no-secret-reads"]["exemptions"]:
        exemption["expires"] = "2020-01-01"
    program, before = base("production")
    found = {one.policy for one in judge(program, config) if one not in before}
    assert found == {"rbac-no-secret-reads", EXEMPTIONS_CURRENT}
