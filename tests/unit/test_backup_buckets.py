"""Where the buckets of the backups are, and who may do what with them, read off the objects that are made."""

import json

import pytest

from components.backup.buckets import BucketsArgs
from components.backup.places import bucket_names
from tests.bucket_objects import (
    ACCOUNT,
    IDENTITY,
    KEYS,
    LOGS,
    PER_BUCKET,
    REGIONS,
    REPLICA,
    REPLICA_LOGS,
    REPOSITORY,
    STORES,
    of,
    recorded,
    statements,
)
from tests.recorder import Recording


@pytest.fixture(scope="module")
def buckets() -> Recording:
    return recorded()


def test_the_names_follow_from_the_settings_so_that_a_new_cluster_finds_them(buckets: Recording) -> None:
    assert set(of(buckets, "Bucket")) == set(REGIONS)
    names = bucket_names("shop", "production", ACCOUNT)
    assert (names.repository, names.replica) == (REPOSITORY, REPLICA)


def test_a_name_that_s3_would_refuse_is_refused_with_what_is_too_much() -> None:
    longest = "x" * (63 - len("-production-backups-replica-logs-") - len(ACCOUNT))
    assert len(bucket_names(longest, "production", ACCOUNT).replica_logs) == 63
    with pytest.raises(ValueError, match=r"1 characters less: the bucket x+-production-backups-replica-logs"):
        bucket_names(f"{longest}x", "production", ACCOUNT)


def test_what_is_not_said_is_safe() -> None:
    said = BucketsArgs(identity=IDENTITY, account=ACCOUNT, region="eu-central-1", replica_region="eu-west-1")
    assert (said.retention_days, said.log_days, said.lock, said.protect) == (30, 90, None, True)


def test_everything_is_in_its_buckets_region(buckets: Recording) -> None:
    for kind in ("Bucket", *PER_BUCKET):
        found = {bucket: inputs["region"] for bucket, inputs in of(buckets, kind).items()}
        assert found == REGIONS, kind
    for kind in ("BucketLogging", "BucketObjectLockConfiguration"):
        assert {bucket: one["region"] for bucket, one in of(buckets, kind).items()} == {
            bucket: REGIONS[bucket] for bucket in STORES
        }
    assert of(buckets, "BucketReplicationConfig")[REPOSITORY]["region"] == "eu-central-1"
    assert {key.inputs["region"] for key in buckets.of_type("aws:kms/key:Key")} == {
        "eu-central-1",
        "eu-west-1",
    }


def test_the_replica_is_in_another_region() -> None:
    with pytest.raises(ValueError, match="another region than eu-west-1"):
        recorded(region="eu-west-1")


def test_nothing_is_public(buckets: Recording) -> None:
    for bucket in REGIONS:
        blocked = of(buckets, "BucketPublicAccessBlock")[bucket]
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert [blocked[flag] for flag in flags] == [True] * 4
        owned = of(buckets, "BucketOwnershipControls")[bucket]
        assert owned["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_the_backups_are_encrypted_by_a_key_of_their_own_region_that_is_rotated(buckets: Recording) -> None:
    encryption = of(buckets, "BucketServerSideEncryptionConfiguration")
    for bucket in STORES:
        (rule,) = encryption[bucket]["rules"]
        assert rule == {
            "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEYS[bucket]},
            "bucketKeyEnabled": True,
            "blockedEncryptionTypes": ["SSE-C"],
        }
    for key in buckets.of_type("aws:kms/key:Key"):
        assert key.inputs["enableKeyRotation"] is True
        assert key.inputs["deletionWindowInDays"] == 30


def test_log_delivery_gets_the_only_encryption_that_it_supports(buckets: Recording) -> None:
    encryption = of(buckets, "BucketServerSideEncryptionConfiguration")
    for bucket in (LOGS, REPLICA_LOGS):
        (rule,) = encryption[bucket]["rules"]
        assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
        assert of(buckets, "Bucket")[bucket]["objectLockEnabled"] is False


def test_the_account_can_always_administer_its_keys(buckets: Recording) -> None:
    for key in buckets.of_type("aws:kms/key:Key"):
        (statement,) = json.loads(key.inputs["policy"])["Statement"]
        assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert (statement["Effect"], statement["Action"]) == ("Allow", "kms:*")


def test_a_key_is_found_by_its_buckets_name(buckets: Recording) -> None:
    aliases = {
        one.inputs["name"]: one.inputs["targetKeyId"] for one in buckets.of_type("aws:kms/alias:Alias")
    }
    assert aliases == {
        f"alias/{REPOSITORY}": "buckets-repository-key",
        f"alias/{REPLICA}": "buckets-replica-key",
    }


def test_plain_http_and_old_tls_are_denied_to_everybody_and_everywhere(buckets: Recording) -> None:
    for bucket in REGIONS:
        found = statements(buckets, bucket)
        both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        for title, condition in (
            ("NoPlainHttp", {"Bool": {"aws:SecureTransport": "false"}}),
            ("NoOldTls", {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        ):
            assert found[title] == {
                "Sid": title,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": both,
                "Condition": condition,
            }


def test_a_write_with_another_encryption_is_denied_and_one_that_names_none_is_not(buckets: Recording) -> None:
    header = "s3:x-amz-server-side-encryption"
    for bucket in STORES:
        found = statements(buckets, bucket)
        # Without "Null" an absent header would be another one, and every backup would be denied.
        for title, condition in (
            ("NoOtherEncryption", {"Null": {header: "false"}, "StringNotEquals": {header: "aws:kms"}}),
            ("NoOtherKey", {"Null": {f"{header}-aws-kms-key-id": "false"}}),
        ):
            assert found[title] == {
                "Sid": title,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{bucket}/*",
                "Condition": condition,
            }
        assert [one["Effect"] for one in found.values()] == ["Deny"] * 4


def test_only_log_delivery_of_the_one_bucket_writes_logs(buckets: Recording) -> None:
    for logs, source in ((LOGS, REPOSITORY), (REPLICA_LOGS, REPLICA)):
        (allowed,) = [one for one in statements(buckets, logs).values() if one["Effect"] == "Allow"]
        assert allowed["Principal"] == {"Service": "logging.s3.amazonaws.com"}
        assert allowed["Action"] == "s3:PutObject"
        assert allowed["Condition"] == {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        }
        logging = of(buckets, "BucketLogging")[source]
        assert logging["targetBucket"] == logs
        assert allowed["Resource"] == f"arn:aws:s3:::{logs}/{logging['targetPrefix']}*"


def test_logging_waits_until_it_may_write(buckets: Recording) -> None:
    for found in buckets.of_type("aws:s3/bucketLogging:BucketLogging"):
        policies = [
            one.urn
            for one in buckets.of_type("aws:s3/bucketPolicy:BucketPolicy")
            if one.inputs["bucket"] == found.inputs["targetBucket"]
        ]
        assert set(policies) <= set(found.options["depends_on"])
        assert policies


def test_the_copying_role_copies_and_nothing_else(buckets: Recording) -> None:
    role = buckets.one("aws:iam/role:Role", "buckets-replication-role")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust == {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = buckets.one("aws:iam/rolePolicy:RolePolicy", "buckets-replication-policy")
    found = {one["Sid"]: one for one in json.loads(policy.inputs["policy"])["Statement"]}
    source, copy = f"arn:aws:s3:::{REPOSITORY}", f"arn:aws:s3:::{REPLICA}"
    assert {title: one["Resource"] for title, one in found.items()} == {
        "Source": source,
        "SourceVersions": f"{source}/*",
        "Copies": f"{copy}/*",
        "SourceKey": KEYS[REPOSITORY],
        "CopiesKey": KEYS[REPLICA],
    }
    assert found["Source"]["Action"] == ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    assert found["Copies"]["Action"] == ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    assert set(found["SourceVersions"]["Action"]) == {
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionAcl",
        "s3:GetObjectVersionTagging",
        "s3:GetObjectRetention",
        "s3:GetObjectLegalHold",
    }
    assert found["SourceKey"]["Action"] == ["kms:Decrypt"]
    assert found["CopiesKey"]["Action"] == ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"]
    for title, region, arn in (("SourceKey", "eu-central-1", source), ("CopiesKey", "eu-west-1", copy)):
        assert found[title]["Condition"] == {
            "StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": [arn, f"{arn}/*"]},
        }


def test_what_costs_money_says_who_pays(buckets: Recording) -> None:
    tagged = [one for one in buckets.all.values() if "tags" in one.inputs]
    assert {one.type for one in tagged} == {"aws:s3/bucket:Bucket", "aws:kms/key:Key", "aws:iam/role:Role"}
    assert len(tagged) == 7
    for one in tagged:
        assert one.inputs["tags"] == IDENTITY.labels("buckets", "backup")


def test_the_outputs_are_what_the_repository_needs(buckets: Recording) -> None:
    (component,) = buckets.of_type("fixia:backup:Buckets")
    assert component.outputs == {
        "bucket": REPOSITORY,
        "region": "eu-central-1",
        "endpoint": "s3.eu-central-1.amazonaws.com",
        "key_arn": KEYS[REPOSITORY],
        "log_bucket": LOGS,
        "replica_bucket": REPLICA,
        "replica_region": "eu-west-1",
        "replica_endpoint": "s3.eu-west-1.amazonaws.com",
        "replica_key_arn": KEYS[REPLICA],
        "replica_log_bucket": REPLICA_LOGS,
    }


def test_every_resource_is_a_child_of_the_component(buckets: Recording) -> None:
    (component,) = buckets.of_type("fixia:backup:Buckets")
    others = [one for one in buckets.all.values() if one is not component]
    assert others
    assert {one.parent for one in others} == {component.urn}
    assert all(one.name.startswith("buckets-") for one in others)


def test_the_policies_wait_for_what_blocks_the_public(buckets: Recording) -> None:
    for found in buckets.of_type("aws:s3/bucketPolicy:BucketPolicy"):
        blocks = [
            one.urn
            for one in buckets.of_type("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
            if one.inputs["bucket"] == found.inputs["bucket"]
        ]
        assert blocks[0] in found.options["depends_on"]
