"""Every policy over its tables."""

import pytest

from tests.policy.cases import ALL
from tests.policy.cases.builders import Case, findings, policy_named


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case(case: Case) -> None:
    assert findings(policy_named(case.policy), *case.resources) == case.found
