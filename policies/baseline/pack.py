"""All policies of the baseline. A policy that is not in this list does not exist."""

from typing import Final

from baseline import namespaces, pods
from baseline.model import Policy

PACK_NAME: Final = "fixia-baseline"

POLICIES: Final[tuple[Policy, ...]] = (
    *pods.POLICIES,
    *namespaces.POLICIES,
)
