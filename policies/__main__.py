"""Serve the baseline to the engine: the only place where the pack is started.

``PolicyPack`` starts a gRPC server and blocks until the engine ends it, so nothing that a test imports
may construct one.
"""

from pulumi_policy import EnforcementLevel, PolicyPack

from baseline.adapter import as_pulumi_policies
from baseline.decoding import remember
from baseline.exemptions import Ledger
from baseline.pack import PACK_NAME, POLICIES

remember()
PolicyPack(
    name=PACK_NAME,
    policies=as_pulumi_policies(POLICIES, Ledger()),
    enforcement_level=EnforcementLevel.MANDATORY,
)
