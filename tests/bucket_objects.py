"""The buckets of the backups, recorded: for the tests of who may use them, and of how long they keep what."""

import json
from typing import Any

import pytest
from pulumi.runtime import mocks

from components.backup.buckets import Buckets, BucketsArgs
from components.backup.places import ObjectLock
from components.base import Identity
from tests import recorder
from tests.recorder import Recording, record

ACCOUNT = "123456789012"
IDENTITY = Identity(product="shop", environment="production", owner="team", cost_centre="core")
STEM = "shop-production-backups"
REPOSITORY, REPLICA = f"{STEM}-{ACCOUNT}", f"{STEM}-replica-{ACCOUNT}"
LOGS, REPLICA_LOGS = f"{STEM}-logs-{ACCOUNT}", f"{STEM}-replica-logs-{ACCOUNT}"
REGIONS = {
    REPOSITORY: "eu-central-1",
    LOGS: "eu-central-1",
    REPLICA: "eu-west-1",
    REPLICA_LOGS: "eu-west-1",
}
STORES = (REPOSITORY, REPLICA)
PER_BUCKET = (
    *("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy", "BucketVersioning"),
    *("BucketServerSideEncryptionConfiguration", "BucketLifecycleConfiguration"),
)


class WithArns(recorder._Echo):
    """Keys and roles have ARNs, which policies are made of."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        resource_id, outputs = super().new_resource(args)
        if args.typ == "aws:kms/key:Key":
            outputs |= {"arn": key_arn(args.name, args.inputs["region"]), "keyId": args.name}
        if args.typ == "aws:iam/role:Role":
            outputs |= {"arn": f"arn:aws:iam::{ACCOUNT}:role/{args.name}", "name": args.name}
        return resource_id, outputs


def key_arn(name: str, region: str) -> str:
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{name}"


KEYS = {
    REPOSITORY: key_arn("buckets-repository-key", "eu-central-1"),
    REPLICA: key_arn("buckets-replica-key", "eu-west-1"),
}


def args(**changes: Any) -> BucketsArgs:
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "account": ACCOUNT,
        "region": "eu-central-1",
        "replica_region": "eu-west-1",
        "retention_days": 30,
        "lock": ObjectLock(mode="COMPLIANCE", days=14),
    }
    return BucketsArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder, "_Echo", WithArns)
        return record(lambda: Buckets("buckets", args(**changes)) and None)


def of(recording: Recording, kind: str) -> dict[str, dict[str, Any]]:
    """The inputs of each resource of a kind, by the bucket that it is about."""
    token = f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"
    return {found.inputs["bucket"]: found.inputs for found in recording.of_type(token)}


def rules(recording: Recording, bucket: str) -> list[dict[str, Any]]:
    return list(of(recording, "BucketLifecycleConfiguration")[bucket]["rules"])


def statements(recording: Recording, bucket: str) -> dict[str, dict[str, Any]]:
    policy = json.loads(of(recording, "BucketPolicy")[bucket]["policy"])
    return {one["Sid"]: one for one in policy["Statement"]}
