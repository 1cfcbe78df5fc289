"""What mutations start from: the real production stack, and additions for what is not in it yet.

An addition is as small as it can be and breaks no policy.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache

from baseline.model import Resource
from tests.policy.cases.builders import Block
from tests.policy.programs import Program, recorded
from tests.recorder import record_stack

DIGEST = f"@sha256:{'0' * 64}"
TAGS: Block = {"owner": "platform-team", "environment": "production", "cost-centre": "platform"}


@lru_cache(maxsize=1)
def production() -> Program:
    """The real stack."""
    return recorded(record_stack("production"))


def pinned() -> Program:
    """The real stack, with the digests that a lock file will give its images."""
    program = production()
    for one in production():
        text = json.dumps(one.properties)
        if '"image":' in text:
            found = re.sub(r'("image": "[^"@]+)"', rf'\1{DIGEST}"', text)
            program = program.put(Resource(one.type, one.name, one.urn, json.loads(found), one.protected))
    return program


BASES: dict[str, Callable[[], Program]] = {
    "production": production,
    "production, images pinned": pinned,
}
