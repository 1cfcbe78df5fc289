"""Where backups are kept: a bucket, its copy in a second region, and the logs of who reached for either."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.backup.grants import Location, bucket_arn, replication_document
from components.backup.places import (
    LOG_PREFIX,
    ObjectLock,
    bucket_names,
    endpoint,
    key_policy,
    log_policy,
    repository_policy,
    service_trust,
)
from components.base import Component, Identity

ABORT_UPLOADS_DAYS: Final = 7
"""After this an upload that never ended is thrown away; its parts cost as much as objects."""
LOG_VERSION_DAYS: Final = 7
"""For how long a log lives on that somebody deleted."""
REPLICATION_MINUTES: Final = 15
"""What S3 promises for all but one object in a thousand; no other value is offered.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html
"""
KEY_DELETION_DAYS: Final = 30
"""The longest time in which a key's deletion can be taken back: without it the backups are noise."""

Rule = aws.s3.BucketLifecycleConfigurationRuleArgsDict


@dataclass(frozen=True, kw_only=True)
class BucketsArgs:
    """The buckets of one stack's backups.

    Attributes:
        identity: whose they are.
        account: the AWS account's number, twelve digits.
        region: where the repository is.
        replica_region: where its copy is; another region.
        retention_days: how long an object lives on after it was deleted or written over.
        lock: what nobody may delete; None locks nothing, and can be changed to a lock at any time.
        log_days: how long the logs are kept.
        protect: refuses to delete buckets and keys, and to empty them.
    """

    identity: Identity
    account: str
    region: str
    replica_region: str
    retention_days: int = 30
    lock: ObjectLock | None = None
    log_days: int = 90
    protect: bool = True


class Buckets(Component):
    """The repository, its replica in a second region, and a bucket for each one's access logs.

    Everything in them is encrypted, versioned, private and reached by TLS 1.2 or newer. Nothing here ever
    expires a current object of the repository: pgBackRest alone knows what a backup still needs. What it
    deletes, or anybody else with its rights, lives on as an older version for the retention; with a lock,
    nobody can delete that either.

    Deletions are replicated, as markers: else the replica would keep every segment of WAL for ever, and
    what may be expired is said nowhere in it. So a deleted backup is deleted in both, and survives in both as
    an older version, which `pgbackrest --repo-target-time` restores from. The deletion of a version, by which
    data is lost, is never replicated.

    Nothing denies a write that names no encryption, because pgBackRest and rclone name none and get the
    bucket's own. A write that names another, or any key, is denied. The log buckets are encrypted by S3's own
    key and can't be locked: log delivery supports neither KMS nor Object Lock.

    Losing the repository's region: restore from the replica (its names are in the settings). Losing a key:
    all of its bucket is lost, so deleting one takes thirty days. Moving to another region is a new pair of
    buckets; the old pair stays until its backups are past their retention.

    Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    TYPE = "fixia:backup:Buckets"

    bucket: pulumi.Output[str]
    """The repository's name."""
    region: str
    """Where it is."""
    endpoint: str
    """The host that serves it, by HTTPS."""
    key_arn: pulumi.Output[str]
    """The key that encrypts it."""
    log_bucket: pulumi.Output[str]
    """The bucket with its access logs."""
    replica_bucket: pulumi.Output[str]
    """The replica's name."""
    replica_region: str
    """Where it is."""
    replica_endpoint: str
    """The host that serves it."""
    replica_key_arn: pulumi.Output[str]
    """The key that encrypts it."""
    replica_log_bucket: pulumi.Output[str]
    """The bucket with its access logs."""

    def __init__(self, name: str, args: BucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if args.region == args.replica_region:
            raise ValueError(f"{name}: the replica must be in another region than {args.region}")
        if args.lock and args.lock.days > args.retention_days:
            raise ValueError(f"{name}: a lock of {args.lock.days} days, longer than the retention")
        super().__init__(name, args.identity, opts)
        self._args = args
        names = bucket_names(args.identity.product, args.identity.environment, args.account)
        source = self._stored(name, "repository", args.region, names.repository, names.logs)
        copy = self._stored(name, "replica", args.replica_region, names.replica, names.replica_logs)
        self._replicated(name, source, copy)
        self.bucket, self.replica_bucket = source.bucket.bucket, copy.bucket.bucket
        self.log_bucket, self.replica_log_bucket = source.logs.bucket, copy.logs.bucket
        self.key_arn, self.replica_key_arn = source.key.arn, copy.key.arn
        self.region, self.replica_region = args.region, args.replica_region
        self.endpoint, self.replica_endpoint = endpoint(args.region), endpoint(args.replica_region)
        self.finish()

    def _stored(self, name: str, role: str, region: str, bucket_name: str, log_name: str) -> "_Stored":
        """One bucket with its key, its rules and its log bucket."""
        args = self._args
        logs = self._logs(name, f"{role}-logs", region, log_name, of=bucket_name)
        key = self._key(f"{name}-{role}-key", region, bucket_name)
        bucket = self._bucket(f"{name}-{role}", region, bucket_name, can_be_locked=True)
        resource = f"{name}-{role}"
        settled = self._closed(resource, region, bucket, json.dumps(repository_policy(bucket_name)))
        settled.append(
            aws.s3.BucketServerSideEncryptionConfiguration(
                f"{resource}-encryption",
                bucket=bucket.bucket,
                region=region,
                rules=[
                    {
                        "apply_server_side_encryption_by_default": {
                            "sse_algorithm": "aws:kms",
                            "kms_master_key_id": key.arn,
                        },
                        # One call to KMS for many objects, not one for each.
                        "bucket_key_enabled": True,
                        # A key that only the caller has makes a backup that only the caller can read.
                        "blocked_encryption_types": ["SSE-C"],
                    }
                ],
                opts=self.child(),
            )
        )
        versioning = self._versioned(resource, region, bucket)
        settled.append(versioning)
        settled.append(
            aws.s3.BucketLifecycleConfiguration(
                f"{resource}-lifecycle",
                bucket=bucket.bucket,
                region=region,
                rules=[_old_versions(args.retention_days), _LEFT_MARKERS, _LEFT_UPLOADS],
                opts=self.child(depends_on=[versioning]),
            )
        )
        if args.lock:
            settled.append(
                aws.s3.BucketObjectLockConfiguration(
                    f"{resource}-lock",
                    bucket=bucket.bucket,
                    region=region,
                    rule={"default_retention": {"mode": args.lock.mode, "days": args.lock.days}},
                    opts=self.child(depends_on=[versioning]),
                )
            )
        aws.s3.BucketLogging(
            f"{resource}-logging",
            bucket=bucket.bucket,
            region=region,
            target_bucket=logs.bucket.bucket,
            target_prefix=LOG_PREFIX,
            opts=self.child(depends_on=logs.settled),
        )
        return _Stored(bucket=bucket, key=key, logs=logs.bucket, settled=settled)

    def _logs(self, name: str, role: str, region: str, log_name: str, *, of: str) -> "_Logs":
        """The bucket of one bucket's access logs, in the same region, as S3 demands."""
        resource = f"{name}-{role}"
        bucket = self._bucket(resource, region, log_name, can_be_locked=False)
        policy = json.dumps(log_policy(log_name, of, self._args.account))
        versioning = self._versioned(resource, region, bucket)
        settled = [*self._closed(resource, region, bucket, policy), versioning]
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{resource}-encryption",
            bucket=bucket.bucket,
            region=region,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self.child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{resource}-lifecycle",
            bucket=bucket.bucket,
            region=region,
            rules=[
                {
                    "id": "logs",
                    "status": "Enabled",
                    "filter": {},
                    "expiration": {"days": self._args.log_days},
                },
                # No rule for markers beside it: the expiry of logs removes those by itself.
                _old_versions(LOG_VERSION_DAYS),
                _LEFT_UPLOADS,
            ],
            opts=self.child(depends_on=[versioning]),
        )
        return _Logs(bucket=bucket, settled=settled)

    def _bucket(self, resource: str, region: str, bucket: str, *, can_be_locked: bool) -> aws.s3.Bucket:
        return aws.s3.Bucket(
            resource,
            bucket=bucket,
            region=region,
            # At creation and even where nothing is locked: it costs nothing, and turning it on later would
            # ask for another bucket.
            object_lock_enabled=can_be_locked,
            force_destroy=not self._args.protect,
            tags=self._labels,
            opts=self.child(protect=self._args.protect),
        )

    def _key(self, resource: str, region: str, bucket: str) -> aws.kms.Key:
        key = aws.kms.Key(
            resource,
            region=region,
            description=f"Encrypts the bucket {bucket}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=json.dumps(key_policy(self._args.account)),
            tags=self._labels,
            opts=self.child(protect=self._args.protect),
        )
        aws.kms.Alias(
            f"{resource}-alias",
            region=region,
            name=f"alias/{bucket}",
            target_key_id=key.key_id,
            opts=self.child(),
        )
        return key

    def _closed(
        self, resource: str, region: str, bucket: aws.s3.Bucket, policy: str
    ) -> list[pulumi.Resource]:
        """What keeps a bucket private: no ACLs, nothing public, encrypted transport."""
        blocked = aws.s3.BucketPublicAccessBlock(
            f"{resource}-private",
            bucket=bucket.bucket,
            region=region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        owned = aws.s3.BucketOwnershipControls(
            f"{resource}-ownership",
            bucket=bucket.bucket,
            region=region,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.child(),
        )
        # One after the other: S3 refuses two changes of who may do what in one bucket at a time.
        policed = aws.s3.BucketPolicy(
            f"{resource}-policy",
            bucket=bucket.bucket,
            region=region,
            policy=policy,
            opts=self.child(depends_on=[blocked, owned]),
        )
        return [blocked, owned, policed]

    def _versioned(self, resource: str, region: str, bucket: aws.s3.Bucket) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            f"{resource}-versioning",
            bucket=bucket.bucket,
            region=region,
            versioning_configuration={"status": "Enabled"},
            opts=self.child(),
        )

    def _replicated(self, name: str, source: "_Stored", copy: "_Stored") -> None:
        """The copying, by a role that S3 takes over and that can do nothing else."""
        args = self._args
        role = aws.iam.Role(
            f"{name}-replication-role",
            description=f"Copies the backups of {args.identity.product} to {args.replica_region}",
            assume_role_policy=json.dumps(service_trust("s3.amazonaws.com")),
            tags=self._labels,
            opts=self.child(),
        )
        policy = aws.iam.RolePolicy(
            f"{name}-replication-policy",
            role=role.name,
            policy=pulumi.Output.all(
                source.bucket.bucket, source.key.arn, copy.bucket.bucket, copy.key.arn
            ).apply(
                lambda known: json.dumps(
                    replication_document(
                        Location(bucket=known[0], region=args.region, key=known[1]),
                        Location(bucket=known[2], region=args.replica_region, key=known[3]),
                    )
                )
            ),
            opts=self.child(),
        )
        aws.s3.BucketReplicationConfig(
            f"{name}-replication",
            bucket=source.bucket.bucket,
            region=args.region,
            role=role.arn,
            rules=[
                {
                    "id": "everything",
                    "status": "Enabled",
                    "priority": 0,
                    "filter": {"prefix": ""},
                    "delete_marker_replication": {"status": "Enabled"},
                    "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
                    "destination": {
                        "bucket": copy.bucket.bucket.apply(bucket_arn),
                        "encryption_configuration": {"replica_kms_key_id": copy.key.arn},
                        "replication_time": {"status": "Enabled", "time": {"minutes": REPLICATION_MINUTES}},
                        "metrics": {
                            "status": "Enabled",
                            "event_threshold": {"minutes": REPLICATION_MINUTES},
                        },
                    },
                }
            ],
            opts=self.child(depends_on=[policy, *source.settled, *copy.settled]),
        )


@dataclass(frozen=True, kw_only=True)
class _Logs:
    """A log bucket, and what makes it ready to be written."""

    bucket: aws.s3.Bucket
    settled: Sequence[pulumi.Resource]


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """A bucket of backups with its key and its log bucket, and what makes it ready to be written."""

    bucket: aws.s3.Bucket
    key: aws.kms.Key
    logs: aws.s3.Bucket
    settled: Sequence[pulumi.Resource]


def _old_versions(days: int) -> Rule:
    """What was deleted or written over goes for good."""
    return {
        "id": "old-versions",
        "status": "Enabled",
        "filter": {},
        "noncurrent_version_expiration": {"noncurrent_days": days},
    }


_LEFT_MARKERS: Final[Rule] = {
    # A marker of a deletion that is left alone, its versions gone. It touches no object.
    "id": "left-markers",
    "status": "Enabled",
    "filter": {},
    "expiration": {"expired_object_delete_marker": True},
}
_LEFT_UPLOADS: Final[Rule] = {
    "id": "left-uploads",
    "status": "Enabled",
    "filter": {},
    "abort_incomplete_multipart_upload": {"days_after_initiation": ABORT_UPLOADS_DAYS},
}
