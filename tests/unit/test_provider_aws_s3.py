"""The simulated S3: what the real one refuses of a bucket's settings, by themselves and beside each other."""

import json
from typing import Any

import pytest

from simulator.providers.aws import Aws
from simulator.providers.core import ProviderError, Resource
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN

SEED = Naming(seed=b"seed")
EVERYTHING: dict[str, Any] = {}
VERSIONED = {"versioningConfiguration": {"status": "Enabled"}}
LOCKED = {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 7}}}
ROLE = "arn:aws:iam::123456789012:role/replication"
KEY_THERE = "arn:aws:kms:eu-west-1:123456789012:key/there"


@pytest.fixture
def aws() -> Aws:
    provider = Aws(Store())
    provider.configure({"region": "eu-central-1"})
    return provider


def resource(kind: str, name: str = "one") -> Resource:
    token = f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"
    return Resource(f"urn:pulumi:test::shop::{token}::{name}", token, name)


def made(aws: Aws, kind: str, inputs: dict[str, Any]) -> None:
    checked = aws.check(resource(kind), {}, inputs, SEED)
    assert checked.failures == []
    aws.create(resource(kind, inputs["bucket"]), checked.inputs)


def refused(aws: Aws, kind: str, inputs: dict[str, Any]) -> list[str]:
    return [str(one) for one in aws.check(resource(kind), {}, {"bucket": "own", **inputs}, SEED).failures]


def rule(**parts: Any) -> dict[str, Any]:
    return {"id": "r", "status": "Enabled", "filter": EVERYTHING, **parts}


def copying(target: str = "copy", key: str = KEY_THERE, **parts: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "status": "Enabled",
        "priority": 0,
        "filter": {"prefix": ""},
        "deleteMarkerReplication": {"status": "Enabled"},
        "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
        "destination": {
            "bucket": f"arn:aws:s3:::{target}",
            "encryptionConfiguration": {"replicaKmsKeyId": key},
            "replicationTime": {"status": "Enabled", "time": {"minutes": 15}},
            "metrics": {"status": "Enabled", "eventThreshold": {"minutes": 15}},
        },
        **parts,
    }


def towards(**destination: Any) -> dict[str, Any]:
    return {"destination": {**copying()["destination"], **destination}}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], "rules: MalformedXML: expected at least one rule"),
        ([rule()], "rules[0]: InvalidRequest: At least one action"),
        (
            [rule(expiration={"days": 0})],
            "rules[0].expiration.days: InvalidArgument: days must be a positive",
        ),
        (
            [rule(expiration={"days": 9, "expiredObjectDeleteMarker": True})],
            "rules[0].expiration: MalformedXML",
        ),
        ([rule(expiration={"expiredObjectDeleteMarker": False})], "rules[0].expiration: MalformedXML"),
        (
            [rule(expiration={"days": 30}, transitions=[{"days": 30, "storageClass": "GLACIER"}])],
            "rules[0].expiration.days: InvalidArgument: days must be greater than the transitions', 30",
        ),
        (
            [rule(noncurrentVersionExpiration={"noncurrentDays": 0})],
            "rules[0].noncurrentVersionExpiration.noncurrentDays: InvalidArgument",
        ),
        (
            [rule(abortIncompleteMultipartUpload={"daysAfterInitiation": 0})],
            "rules[0].abortIncompleteMultipartUpload.daysAfterInitiation: InvalidArgument",
        ),
        (
            [
                rule(
                    abortIncompleteMultipartUpload={"daysAfterInitiation": 7},
                    filter={"tag": {"key": "a", "value": "own"}},
                )
            ],
            "rules[0]: InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with tags",
        ),
        (
            [
                rule(
                    abortIncompleteMultipartUpload={"daysAfterInitiation": 7},
                    filter={"and": {"prefix": "a", "objectSizeGreaterThan": 9}},
                )
            ],
            "rules[0]: InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with tags",
        ),
        ([rule(expiration={"days": 9}, prefix="a")], "rules[0]: MalformedXML: either filter or prefix"),
        (
            [rule(expiration={"days": 9}, filter={"prefix": "a", "objectSizeLessThan": 9})],
            "rules[0].filter: MalformedXML: objectSizeLessThan and prefix belong together in `and`",
        ),
        (
            [rule(expiration={"days": 9}, status="On")],
            "rules[0].status: MalformedXML: expected one of Disabled",
        ),
        ([rule(expiration={"days": 9}, id="r" * 256)], "rules[0].id: InvalidArgument"),
    ],
)
def test_a_lifecycle_rule_is_refused(aws: Aws, rules: list[Any], expected: str) -> None:
    [found] = refused(aws, "BucketLifecycleConfiguration", {"rules": rules})
    assert found.startswith(expected)


def test_two_lifecycle_rules_have_two_ids(aws: Aws) -> None:
    same = [rule(expiration={"days": 9}), rule(expiration={"days": 10})]
    assert len(refused(aws, "BucketLifecycleConfiguration", {"rules": same})) == 2
    other = [rule(expiration={"days": 9}), rule(expiration={"days": 10}, id="s")]
    assert refused(aws, "BucketLifecycleConfiguration", {"rules": other}) == []


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        (
            "BucketVersioning",
            {"versioningConfiguration": {"status": "On"}},
            "versioningConfiguration.status: MalformedXML: expected one of Disabled, Enabled, Suspended",
        ),
        (
            "BucketOwnershipControls",
            {"rule": {"objectOwnership": "Mine"}},
            "rule.objectOwnership: MalformedXML: expected one of BucketOwnerEnforced",
        ),
        (
            "BucketServerSideEncryptionConfiguration",
            {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:sse"}}]},
            "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm: MalformedXML",
        ),
        (
            "BucketServerSideEncryptionConfiguration",
            {
                "rules": [
                    {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256", "kmsMasterKeyId": "k"}}
                ]
            },
            "rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId: InvalidArgument",
        ),
        (
            "BucketObjectLockConfiguration",
            {"rule": {"defaultRetention": {"mode": "Strict", "days": 7}}},
            "rule.defaultRetention.mode: MalformedXML: expected one of COMPLIANCE, GOVERNANCE",
        ),
        (
            "BucketObjectLockConfiguration",
            {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 0}}},
            "rule.defaultRetention.days: InvalidArgument: expected a number from 1 to 36500, found 0",
        ),
        (
            "BucketObjectLockConfiguration",
            {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "years": 101}}},
            "rule.defaultRetention.years: InvalidArgument: expected a number from 1 to 100",
        ),
        (
            "BucketObjectLockConfiguration",
            {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 7, "years": 1}}},
            "rule.defaultRetention: MalformedXML: expected either days or years",
        ),
        (
            "BucketObjectLockConfiguration",
            {"rule": {"defaultRetention": {"mode": "GOVERNANCE"}}},
            "rule.defaultRetention: MalformedXML: expected either days or years",
        ),
    ],
)
def test_a_setting_is_refused(aws: Aws, kind: str, inputs: dict[str, Any], expected: str) -> None:
    [found] = refused(aws, kind, inputs)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([copying(status="on")], "rules[0].status: MalformedXML"),
        ([copying(filter=None)], "rules[0]: MalformedXML: deleteMarkerReplication needs a filter"),
        (
            [copying(deleteMarkerReplication=None)],
            "rules[0]: InvalidRequest: DeleteMarkerReplication must be",
        ),
        (
            [copying(filter={"tag": {"key": "a", "value": "own"}})],
            "rules[0]: InvalidRequest: delete markers are not replicated by tag",
        ),
        ([copying(sourceSelectionCriteria=None)], "rules[0]: InvalidRequest: SseKmsEncryptedObjects and"),
        (
            [copying(**towards(encryptionConfiguration=None))],
            "rules[0]: InvalidRequest: SseKmsEncryptedObjects",
        ),
        (
            [copying(**towards(metrics=None))],
            "rules[0].destination: InvalidRequest: Metrics must be specified",
        ),
        (
            [copying(**towards(replicationTime={"status": "Enabled", "time": {"minutes": 5}}))],
            "rules[0].destination.replicationTime.time.minutes: InvalidRequest: expected 15, found 5",
        ),
        (
            [copying(**towards(metrics={"status": "Enabled", "eventThreshold": {"minutes": 30}}))],
            "rules[0].destination.metrics.eventThreshold.minutes: InvalidRequest: expected 15, found 30",
        ),
        (
            [copying(**towards(bucket="copy"))],
            "rules[0].destination.bucket: InvalidArgument: expected a bucket's",
        ),
    ],
)
def test_a_replication_rule_is_refused(aws: Aws, rules: list[Any], expected: str) -> None:
    [found] = refused(aws, "BucketReplicationConfig", {"role": ROLE, "rules": rules})
    assert found.startswith(expected)


def test_replication_needs_a_role_and_rules_that_can_be_told_apart(aws: Aws) -> None:
    kind = "BucketReplicationConfig"
    [found] = refused(aws, kind, {"role": "replication", "rules": [copying()]})
    assert found.startswith("role: InvalidArgument: expected the ARN of a role")
    twice = [copying(), copying(id="s")]
    assert len(refused(aws, kind, {"role": ROLE, "rules": twice})) == 2
    assert refused(aws, kind, {"role": ROLE, "rules": [copying(), copying(id="s", priority=1)]}) == []


def test_what_is_not_known_yet_passes(aws: Aws) -> None:
    assert refused(aws, "BucketLifecycleConfiguration", {"rules": [rule(expiration={"days": UNKNOWN})]}) == []
    assert refused(aws, "BucketReplicationConfig", {"role": UNKNOWN, "rules": UNKNOWN}) == []
    assert refused(aws, "BucketReplicationConfig", {"role": UNKNOWN, "rules": [copying(key=UNKNOWN)]}) == []  # type: ignore[arg-type]
    assert refused(aws, "BucketPolicy", {"policy": UNKNOWN}) == []


def test_a_setting_needs_its_bucket_and_its_region(aws: Aws) -> None:
    with pytest.raises(ProviderError, match=r"NoSuchBucket: .* exist: own$"):
        made(aws, "BucketVersioning", {"bucket": "own", **VERSIONED})
    made(aws, "Bucket", {"bucket": "own", "region": "eu-west-1"})
    with pytest.raises(
        ProviderError, match=r"PermanentRedirect: the bucket own is in eu-west-1, not in eu-central-1"
    ):
        made(aws, "BucketVersioning", {"bucket": "own", **VERSIONED})
    made(aws, "BucketVersioning", {"bucket": "own", "region": "eu-west-1", **VERSIONED})


def test_logs_stay_in_their_region(aws: Aws) -> None:
    made(aws, "Bucket", {"bucket": "own"})
    with pytest.raises(ProviderError, match=r"InvalidTargetBucketForLogging: .* does not exist: logs"):
        made(aws, "BucketLogging", {"bucket": "own", "targetBucket": "logs", "targetPrefix": ""})
    made(aws, "Bucket", {"bucket": "logs", "region": "eu-west-1"})
    with pytest.raises(
        ProviderError, match=r"CrossLocationLoggingProhibitted: .* eu-central-1, .* in eu-west-1"
    ):
        made(aws, "BucketLogging", {"bucket": "own", "targetBucket": "logs", "targetPrefix": ""})
    made(aws, "Bucket", {"bucket": "near"})
    made(aws, "BucketLogging", {"bucket": "own", "targetBucket": "near", "targetPrefix": ""})


def test_logs_are_not_delivered_where_objects_are_locked_or_encrypted_by_kms(aws: Aws) -> None:
    made(aws, "Bucket", {"bucket": "own"})
    made(aws, "Bucket", {"bucket": "locked", "objectLockEnabled": True})
    made(aws, "Bucket", {"bucket": "kms"})
    by_kms = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]
    made(aws, "BucketServerSideEncryptionConfiguration", {"bucket": "kms", "rules": by_kms})
    for target, why in (("locked", "which can be locked"), ("kms", "does not encrypt by KMS")):
        with pytest.raises(ProviderError, match=why):
            made(aws, "BucketLogging", {"bucket": "own", "targetBucket": target, "targetPrefix": ""})


def test_a_lock_needs_versions(aws: Aws) -> None:
    made(aws, "Bucket", {"bucket": "own"})
    with pytest.raises(ProviderError, match="InvalidBucketState: Versioning must be 'Enabled'"):
        made(aws, "BucketObjectLockConfiguration", {"bucket": "own", **LOCKED})
    made(aws, "BucketVersioning", {"bucket": "own", **VERSIONED})
    made(aws, "BucketObjectLockConfiguration", {"bucket": "own", **LOCKED})
    made(aws, "Bucket", {"bucket": "from-birth", "objectLockEnabled": True})
    made(aws, "BucketObjectLockConfiguration", {"bucket": "from-birth", **LOCKED})


def test_to_let_a_bucket_be_locked_later_makes_another_bucket(aws: Aws) -> None:
    found = aws.diff(resource("Bucket"), {"bucket": "own"}, {"bucket": "own", "objectLockEnabled": True})
    assert [change.path for change in found.replaces] == ["objectLockEnabled"]


@pytest.mark.parametrize("kind", ["lock", "replication"])
def test_versions_can_not_be_given_up_while_something_needs_them(aws: Aws, kind: str) -> None:
    versioning = resource("BucketVersioning", "own")
    made(aws, "Bucket", {"bucket": "own"})
    made(aws, "BucketVersioning", {"bucket": "own", **VERSIONED})
    if kind == "lock":
        made(aws, "BucketObjectLockConfiguration", {"bucket": "own", **LOCKED})
    else:
        made(aws, "Bucket", {"bucket": "copy", "region": "eu-west-1", "objectLockEnabled": True})
        made(aws, "BucketReplicationConfig", {"bucket": "own", "role": ROLE, "rules": [copying()]})
    suspended = {"bucket": "own", "versioningConfiguration": {"status": "Suspended"}}
    with pytest.raises(ProviderError, match="InvalidBucketState"):
        aws.update(versioning, "own", {"bucket": "own", **VERSIONED}, suspended)
    assert aws.read(versioning, "own", suspended, {})[1]["versioningConfiguration"]["status"] == "Enabled"


def test_replication_needs_versions_and_locks_on_both_sides(aws: Aws) -> None:
    config = {"bucket": "own", "role": ROLE, "rules": [copying()]}
    made(aws, "Bucket", {"bucket": "own"})
    with pytest.raises(ProviderError, match="Versioning must be 'Enabled' on the bucket own"):
        made(aws, "BucketReplicationConfig", config)
    made(aws, "BucketVersioning", {"bucket": "own", **VERSIONED})
    with pytest.raises(ProviderError, match="Destination bucket must exist: copy"):
        made(aws, "BucketReplicationConfig", config)
    made(aws, "Bucket", {"bucket": "copy", "region": "eu-west-1"})
    with pytest.raises(ProviderError, match="Destination bucket must have versioning enabled: copy"):
        made(aws, "BucketReplicationConfig", config)
    made(aws, "BucketVersioning", {"bucket": "copy", "region": "eu-west-1", **VERSIONED})
    with pytest.raises(ProviderError, match="the replica's key must be in its region, eu-west-1"):
        made(
            aws,
            "BucketReplicationConfig",
            {**config, "rules": [copying(key=KEY_THERE.replace("west", "north"))]},
        )
    with pytest.raises(ProviderError, match="cannot be the same"):
        made(aws, "BucketReplicationConfig", {**config, "rules": [copying(target="own")]})
    made(aws, "BucketReplicationConfig", config)
    made(aws, "Bucket", {"bucket": "lockable", "objectLockEnabled": True})
    with pytest.raises(ProviderError, match="must have Object Lock enabled, as its source has: copy"):
        made(aws, "BucketReplicationConfig", {**config, "bucket": "lockable"})


def test_a_public_policy_is_blocked(aws: Aws) -> None:
    def policy(**parts: Any) -> dict[str, Any]:
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::own/*",
        }
        return {"bucket": "own", "policy": json.dumps({"Statement": [{**statement, **parts}]})}

    made(aws, "Bucket", {"bucket": "own"})
    made(aws, "BucketPublicAccessBlock", {"bucket": "own", "blockPublicPolicy": True})
    for principal in ("*", {"AWS": "*"}):
        with pytest.raises(ProviderError, match="AccessDenied: public policies are blocked"):
            made(aws, "BucketPolicy", policy(Principal=principal))
    made(aws, "BucketPolicy", policy(Effect="Deny"))
