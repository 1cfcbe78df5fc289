"""The tables: for each policy, what passes it and what it finds."""

from itertools import chain

from tests.policy.cases import (
    access,
    cloud,
    containers,
    credentials,
    data,
    images,
    monitoring,
    namespaces,
    network,
    pods,
    s3,
    workloads,
)
from tests.policy.cases.builders import Case

MODULES = (
    pods,
    namespaces,
    containers,
    images,
    credentials,
    workloads,
    network,
    access,
    data,
    s3,
    cloud,
    monitoring,
)

ALL: tuple[Case, ...] = tuple(chain.from_iterable(module.CASES for module in MODULES))
