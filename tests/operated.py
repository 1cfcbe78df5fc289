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
POOLER = "kubernetes:postgresql.cnpg.io/v1:Pooler::database-pooler"
"""The type and the name in the program of the one that the pool is."""

QUOTA = {"cpu": "2", "memory": "4Gi", "pods": 25}
"""For three instances where there is one of our own, and the job that makes one."""


def levels(own: Mapping[str, Any]) -> dict[str, Any]:
    """The policies' levels of such a stack: what a team that takes the operator writes into its own.

    Args:
        own: as `policies/levels.<stack>.json` has them.
    """
    edited = copy.deepcopy(dict(own))
    edited["allowed-registries"]["registries"].append("ghcr.io/cloudnative-pg")
    del edited["backup-contract"]  # of jobs that are not there
    pooler = {"resource": POOLER, "owner": "platform-team", "expires": "2027-06-30"}
    edited["readiness-probe"] = {"exemptions": [pooler | {"reason": "The operator sets one of its own."}]}
    edited["sa-token-automount-off"] = {
        "exemptions": [pooler | {"reason": "The operator's manager in the pod calls the API server."}]
    }
    return edited


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
    if "fixia:backup" in edited and "fixia:release" in edited:
        edited["fixia:release"]["withoutSnapshot"] = "The operator makes the backups."
    return edited
