"""For how long the buckets of the backups keep what, and where a copy goes, read off the objects that are made."""

import pytest

from components.backup.places import ObjectLock
from tests.bucket_objects import (
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
    rules,
)
from tests.recorder import Recording


@pytest.fixture(scope="module")
def buckets() -> Recording:
    return recorded()


def test_every_bucket_keeps_versions(buckets: Recording) -> None:
    found = of(buckets, "BucketVersioning")
    assert set(found) == set(REGIONS)
    assert all(one["versioningConfiguration"] == {"status": "Enabled"} for one in found.values())


def test_no_current_backup_ever_expires(buckets: Recording) -> None:
    for bucket in STORES:
        for rule in rules(buckets, bucket):
            assert rule["status"] == "Enabled"
            assert rule["filter"] == {}
            assert set(rule.get("expiration", {})) <= {"expiredObjectDeleteMarker"}, rule
            assert not rule.get("transitions")


def test_old_versions_go_after_the_retention_and_uploads_that_never_ended_after_a_week() -> None:
    recording = recorded(retention_days=45)
    for bucket in STORES:
        by_id = {rule["id"]: rule for rule in rules(recording, bucket)}
        assert set(by_id) == {"old-versions", "left-markers", "left-uploads"}
        assert by_id["old-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 45}
        assert by_id["left-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
        assert by_id["left-markers"]["expiration"] == {"expiredObjectDeleteMarker": True}


def test_logs_do_expire() -> None:
    recording = recorded(log_days=60)
    for bucket in (LOGS, REPLICA_LOGS):
        by_id = {rule["id"]: rule for rule in rules(recording, bucket)}
        assert by_id["logs"]["expiration"] == {"days": 60}
        assert by_id["old-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
        assert by_id["left-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}


def test_the_lock_is_as_set_in_both_regions(buckets: Recording) -> None:
    locks = of(buckets, "BucketObjectLockConfiguration")
    assert set(locks) == set(STORES)
    lock = {"mode": "COMPLIANCE", "days": 14}
    assert all(one["rule"] == {"defaultRetention": lock} for one in locks.values())


def test_a_bucket_can_be_locked_later_without_being_made_anew() -> None:
    recording = recorded(lock=None)
    assert of(recording, "BucketObjectLockConfiguration") == {}
    assert [of(recording, "Bucket")[bucket]["objectLockEnabled"] for bucket in STORES] == [True, True]


def test_a_lock_outlives_no_backup() -> None:
    with pytest.raises(ValueError, match="a lock of 31 days, longer than the retention"):
        recorded(lock=ObjectLock(mode="GOVERNANCE", days=31))


def test_everything_is_copied_and_in_time_and_so_are_deletions(buckets: Recording) -> None:
    ((bucket, config),) = of(buckets, "BucketReplicationConfig").items()
    assert bucket == REPOSITORY
    (rule,) = config["rules"]
    assert rule == {
        "id": "everything",
        "status": "Enabled",
        "priority": 0,
        "filter": {"prefix": ""},
        "deleteMarkerReplication": {"status": "Enabled"},
        "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
        "destination": {
            "bucket": f"arn:aws:s3:::{REPLICA}",
            "encryptionConfiguration": {"replicaKmsKeyId": KEYS[REPLICA]},
            "replicationTime": {"status": "Enabled", "time": {"minutes": 15}},
            "metrics": {"status": "Enabled", "eventThreshold": {"minutes": 15}},
        },
    }


def test_what_is_deleted_survives_in_the_replica_for_the_retention(buckets: Recording) -> None:
    """A marker is copied, the loss of a version never is; so the copy's versions must outlive the marker."""
    (rule,) = [one for one in rules(buckets, REPLICA) if "noncurrentVersionExpiration" in one]
    assert rule["noncurrentVersionExpiration"]["noncurrentDays"] == 30
    assert of(buckets, "BucketVersioning")[REPLICA]["versioningConfiguration"]["status"] == "Enabled"


def test_copying_begins_when_both_sides_are_complete(buckets: Recording) -> None:
    (found,) = buckets.of_type("aws:s3/bucketReplicationConfig:BucketReplicationConfig")
    needed = {
        one.urn
        for kind in ("BucketVersioning", "BucketObjectLockConfiguration", *PER_BUCKET)
        for one in buckets.of_type(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")
        if one.inputs["bucket"] in STORES
    }
    needed |= {one.urn for one in buckets.of_type("aws:iam/rolePolicy:RolePolicy")}
    assert needed <= set(found.options["depends_on"])


def test_the_lock_and_the_rules_wait_for_versions(buckets: Recording) -> None:
    versioned = {
        one.inputs["bucket"]: one.urn for one in buckets.of_type("aws:s3/bucketVersioning:BucketVersioning")
    }
    for kind in ("BucketObjectLockConfiguration", "BucketLifecycleConfiguration"):
        for found in buckets.of_type(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"):
            assert versioned[found.inputs["bucket"]] in found.options["depends_on"]


def test_in_production_nothing_can_be_deleted_or_emptied(buckets: Recording) -> None:
    kept = [*buckets.of_type("aws:s3/bucket:Bucket"), *buckets.of_type("aws:kms/key:Key")]
    assert len(kept) == 6
    assert all(one.options["protect"] for one in kept)
    assert [one["forceDestroy"] for one in of(buckets, "Bucket").values()] == [False] * 4


def test_elsewhere_a_stack_can_be_taken_away_with_its_buckets() -> None:
    recording = recorded(protect=False)
    assert not any(one.options["protect"] for one in recording.all.values())
    assert [one["forceDestroy"] for one in of(recording, "Bucket").values()] == [True] * 4
