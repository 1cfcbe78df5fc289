"""The tables: for each policy, what passes it and what it finds."""

from tests.policy.cases import namespaces, pods
from tests.policy.cases.builders import Case

ALL: tuple[Case, ...] = (*pods.CASES, *namespaces.CASES)
