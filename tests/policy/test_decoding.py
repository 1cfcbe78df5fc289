"""Decoding once per request: the same answers, and nothing remembered after one."""

from collections import Counter
from typing import Any

import pytest
from pulumi_policy.policy import _PolicyAnalyzerServicer

from baseline import decoding
from tests.policy.cases.builders import DEPLOYMENT, POD, workload
from tests.policy.test_servicer import request, servicer, stack_request


def diagnostics(response: Any) -> list[tuple[str, str]]:
    return sorted((one.policyName, one.message) for one in response.diagnostics)


def test_the_sdk_is_as_it_was() -> None:
    assert decoding.remember(), "names that decoding.py rests on are gone: the pack decodes for each policy"


@pytest.mark.parametrize("edits", [{}, {"containers[0].securityContext.privileged": True, "hostPID": True}])
def test_answers_are_the_same_without_remembering(edits: dict[str, bool]) -> None:
    one = workload(edits=edits)
    forgetful: Any = _PolicyAnalyzerServicer.Analyze.__wrapped__  # type: ignore[attr-defined]
    assert diagnostics(servicer().Analyze(request(one), None)) == diagnostics(
        forgetful(servicer(), request(one), None)
    )
    forgetful = _PolicyAnalyzerServicer.AnalyzeStack.__wrapped__  # type: ignore[attr-defined]
    asked = stack_request([one, workload(POD)])
    assert diagnostics(servicer().AnalyzeStack(asked, None)) == diagnostics(
        forgetful(servicer(), asked, None)
    )


def test_each_resource_is_decoded_once_in_a_request() -> None:
    seen: Counter[int] = Counter()

    @decoding.once
    def decode(subject: list[str]) -> int:
        seen[id(subject)] += 1
        return len(subject)

    def ask(*_: object) -> None:
        one, other = ["a"], ["b", "c"]
        assert [decode(one), decode(other), decode(one)] == [1, 2, 1]
        assert sorted(seen.values()) == [1, 1]

    decoding._one_request(ask)()
    seen.clear()
    subject = ["a"]
    decode(subject)
    decode(subject)
    assert list(seen.values()) == [2], "outside of a request nothing is remembered"


def test_nothing_is_left_of_a_request() -> None:
    servicer().Analyze(request(workload(DEPLOYMENT)), None)
    assert decoding._memory.get() is None
