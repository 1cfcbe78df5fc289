"""The pack over a file of objects, as the engine asks it: one request for each resource, then one for all."""

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from baseline.adapter import as_pulumi_policies
from baseline.decoding import remember
from baseline.exemptions import Ledger
from baseline.pack import PACK_NAME, POLICIES


def main(file: Path) -> None:
    """Ask about every object of a file."""
    remember()
    policies = as_pulumi_policies(POLICIES, Ledger())
    servicer: Any = _PolicyAnalyzerServicer(PACK_NAME, "1", policies, EnforcementLevel.MANDATORY)
    resources = []
    for number, one in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        version = one["apiVersion"]
        token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{one['kind']}"
        properties = struct_pb2.Struct()
        properties.update(one)
        known = {
            "type": token,
            "name": f"o{number}",
            "urn": f"urn::{token}::o{number}",
            "properties": properties,
        }
        servicer.Analyze(analyzer_pb2.AnalyzeRequest(**known), None)
        resources.append(analyzer_pb2.AnalyzerResource(**known))
    servicer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=resources), None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
