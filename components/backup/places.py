"""The buckets' names, and who may reach for what is in them: data, without any resource."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from components.backup.grants import bucket_arn

LONGEST_NAME: Final = 63
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""

LOG_PREFIX: Final = "access/"
"""What the names of access logs begin with."""

LOG_DELIVERY: Final = "logging.s3.amazonaws.com"
ENCRYPTION: Final = "s3:x-amz-server-side-encryption"
"""What a write says of its encryption; absent if it says nothing, whatever the bucket does then."""


@dataclass(frozen=True, kw_only=True)
class BucketNames:
    """What the four buckets are called.

    Attributes:
        repository: what is written.
        replica: its copy.
        logs: who reached for the repository.
        replica_logs: who reached for the replica.
    """

    repository: str
    replica: str
    logs: str
    replica_logs: str


@dataclass(frozen=True, kw_only=True)
class ObjectLock:
    """For how long no version of an object can be deleted, whoever asks for it.

    Attributes:
        mode: `GOVERNANCE` yields to whoever has `s3:BypassGovernanceRetention`; `COMPLIANCE` yields to
            nobody, the account's root and AWS's support included, until the days are over.
        days: from an object's writing; at most the retention, or expired backups are paid for.
    """

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    days: int


def bucket_names(product: str, environment: str, account: str) -> BucketNames:
    """Names that follow from the settings alone.

    A new cluster with an empty state must find the backups of the lost one: what S3 or the engine would make
    up is known to nobody then. The account's number keeps others from having taken the name: bucket names are
    one list for all of AWS.

    Raises:
        ValueError: a name is longer than S3 takes.
    """
    stem = f"{product}-{environment}-backups"
    names = BucketNames(
        repository=f"{stem}-{account}",
        replica=f"{stem}-replica-{account}",
        logs=f"{stem}-logs-{account}",
        replica_logs=f"{stem}-replica-logs-{account}",
    )
    over = len(names.replica_logs) - LONGEST_NAME
    if over > 0:
        raise ValueError(
            f"{over} characters less: the bucket {names.replica_logs} would have more than {LONGEST_NAME}"
        )
    return names


def endpoint(region: str) -> str:
    """The host that serves a region's buckets.

    Source: https://docs.aws.amazon.com/general/latest/gr/s3.html
    """
    return f"s3.{region}.amazonaws.com"


def repository_policy(bucket: str) -> dict[str, Any]:
    """The policy of a bucket that is encrypted by a key of our own.

    A write that names no encryption gets the bucket's own, and passes: pgBackRest and rclone name none. The
    condition `Null` lets it pass; without that, a name that is absent differs from every other one. A write
    that names a key is denied, whichever it is, so that this can be read before the key is made.

    Args:
        bucket: its name.
    """
    named = {"Null": {f"{ENCRYPTION}-aws-kms-key-id": "false"}}
    other = {"Null": {ENCRYPTION: "false"}, "StringNotEquals": {ENCRYPTION: "aws:kms"}}
    return _policy(
        *_encrypted_transport(bucket),
        _no_write(bucket, "NoOtherEncryption", other),
        _no_write(bucket, "NoOtherKey", named),
    )


def log_policy(bucket: str, source: str, account: str) -> dict[str, Any]:
    """The policy of a bucket that another one's access logs are delivered to.

    Args:
        bucket: its name.
        source: the bucket whose logs come in.
        account: the account that has both.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    return _policy(
        *_encrypted_transport(bucket),
        {
            "Sid": "LogDelivery",
            "Effect": "Allow",
            "Principal": {"Service": LOG_DELIVERY},
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn(bucket)}/{LOG_PREFIX}*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": bucket_arn(source)},
                "StringEquals": {"aws:SourceAccount": account},
            },
        },
    )


def key_policy(account: str) -> dict[str, Any]:
    """The policy of a key: the account's own IAM says who uses it.

    Without this statement IAM could grant nothing on the key, and if its last user went, nobody could.
    Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return _policy(
        {
            "Sid": "ByTheAccount",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    )


def service_trust(service: str) -> dict[str, Any]:
    """Who may take a role over: a service of AWS."""
    return _policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _encrypted_transport(bucket: str) -> list[dict[str, Any]]:
    """No plain HTTP and no TLS older than 1.2, for anybody.

    Log delivery and replication happen inside S3; the first says that it is encrypted, neither has a version.
    """
    arn = bucket_arn(bucket)
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    return [
        {"Sid": "NoPlainHttp", **denied, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Sid": "NoOldTls", **denied, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]


def _no_write(bucket: str, title: str, condition: dict[str, Any]) -> dict[str, Any]:
    """No write on that condition, for anybody."""
    return {
        "Sid": title,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{bucket_arn(bucket)}/*",
        "Condition": condition,
    }
