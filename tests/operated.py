"""A stack whose database the operator CloudNativePG runs: one of the repository's own, edited."""

import copy
from collections.abc import Mapping
from typing import Any

OPERATED: dict[str, Any] = {
    "engine": "cloudnative-pg",
    "operator": {"apiServer": ["10.0.0.0/16"]},
    "image": "ghcr.io/cloudnative-pg/postgresql:17.6",
    "standbys": 2,
}
POOL_IMAGE = "ghcr.io/cloudnative-pg/pgbouncer:1.24.1"
QUOTA = {"cpu": "2", "memory": "4Gi", "pods": 25}
"""For three instances where there is one of our own, and the job that makes one."""


def operated(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a stack with the other engine.

    Args:
        config: as `Pulumi.<stack>.yaml` has it under `config`.
    """
    edited = copy.deepcopy(dict(config))
    database = edited["fixia:database"]
    del database["exporterImage"], database["pool"]["exporterImage"], database["scramIterations"]
    database.update(copy.deepcopy(OPERATED))
    database["pool"]["image"] = POOL_IMAGE
    edited["fixia:platform"]["namespaces"]["data"]["quota"] = dict(QUOTA)
    return edited
