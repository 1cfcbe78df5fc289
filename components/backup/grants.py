"""Who may do what in the repository: data, and pure functions that make policy documents of it.

An action is named as IAM names it, which is not always the call's own name: HEAD is `s3:GetObject`, every
step of a multipart upload but its end by abort is `s3:PutObject`, a delete of many is `s3:DeleteObject` for
each.
Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

AUDIENCE: Final = "sts.amazonaws.com"
"""Whom a service account's token is for, when it is changed into a role's credentials."""

PGBACKREST: Final = "pgbackrest/*"
RESULTS: Final = "results/*"
DUMPS: Final = "dump/*"
CLOUDNATIVE_PG: Final = "cloudnative-pg/*"
"""What the operator CloudNativePG keeps, where it runs the database."""
WAL: Final = "pgbackrest/archive/*"
ARCHIVE_INFO: Final = "pgbackrest/archive/main/archive.info*"
BACKUP_INFO: Final = "pgbackrest/backup/main/backup.info*"
"""With its copy, `backup.info.copy`."""

Place = Literal["repository", "replica"]
PLACES: Final[tuple[Place, ...]] = ("repository", "replica")

LISTS: Final = ("s3:ListBucket", "s3:ListBucketVersions")
"""Actions on a bucket that say what part of it they are about."""
WRITES: Final = ("s3:PutObject",)
"""What needs a new data key of KMS; what is written in parts also needs the one that it began with."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action on some keys of one bucket.

    Attributes:
        action: as IAM names it, such as `s3:GetObject`.
        keys: which objects; for a list, which prefixes. `*` stands for any text, slashes too.
        place: which of the two buckets.
        rare: what it is for, if no everyday run makes the call; empty if each does.
    """

    action: str
    keys: tuple[str, ...]
    place: Place = "repository"
    rare: str = ""


@dataclass(frozen=True, kw_only=True)
class Location:
    """One bucket, for a policy.

    Attributes:
        bucket: its name.
        region: where it is.
        key: the ARN of the key that encrypts it.
    """

    bucket: str
    region: str
    key: str


def _reads(*keys: str, place: Place = "repository") -> Iterator[Grant]:
    yield Grant(action="s3:GetObject", keys=keys, place=place)
    yield Grant(action="s3:ListBucket", keys=keys, place=place)


def _writes(*keys: str) -> Iterator[Grant]:
    yield Grant(action="s3:PutObject", keys=keys)
    broken_off = "an upload in parts that broke off is taken back"
    yield Grant(action="s3:AbortMultipartUpload", keys=keys, rare=broken_off)


def _removes(*keys: str) -> Iterator[Grant]:
    yield Grant(action="s3:DeleteObject", keys=keys)


def _rescues(*keys: str) -> Iterator[Grant]:
    """Reading the replica, and either bucket as it was before a deletion (`--repo-target-time`)."""
    deleted, lost = "restoring what was deleted", "restoring when the repository's region is gone"
    for place in PLACES:
        yield Grant(action="s3:GetObjectVersion", keys=keys, place=place, rare=deleted)
        yield Grant(action="s3:ListBucketVersions", keys=keys, place=place, rare=deleted)
    yield from (Grant(action=one.action, keys=keys, place="replica", rare=lost) for one in _reads(*keys))


_REPORTS: Final = (*_reads(RESULTS), *_writes(RESULTS))
"""Each job adds what it found to what it had reported before."""

GRANTS: Final[Mapping[str, tuple[Grant, ...]]] = {
    # Archives, makes the stanza, and restores. It can't delete, nor write over a backup.
    "database": (*_reads(PGBACKREST), *_writes(WAL, BACKUP_INFO), *_rescues(PGBACKREST)),
    "backup": (*_reads(PGBACKREST), *_writes(PGBACKREST), *_removes(PGBACKREST), *_REPORTS),
    # A backup before a release; it expires nothing but clears away what an earlier one left unfinished.
    "snapshot": (*_reads(PGBACKREST), *_writes(PGBACKREST), *_removes(PGBACKREST), *_REPORTS),
    "dump": (*_reads(DUMPS), *_writes(DUMPS), *_removes(DUMPS), *_REPORTS),
    "restore-test": (*_reads(PGBACKREST), *_REPORTS),
    # Restores from the other region alone, and reports to where the others report.
    "drill": (*_reads(PGBACKREST, place="replica"), *_REPORTS),
    # By hand: a database beside the live one, or a table of a dump.
    "scratch": (*_reads(PGBACKREST), *_REPORTS),
    "restore-table": (*_reads(DUMPS), *_REPORTS),
    "freshness": (*_reads(PGBACKREST), *_REPORTS),
    "monitor": (
        Grant(action="s3:GetObject", keys=(ARCHIVE_INFO, BACKUP_INFO, RESULTS)),
        Grant(action="s3:ListBucket", keys=(PGBACKREST, RESULTS, DUMPS)),
        *_reads(RESULTS, place="replica"),
    ),
    # Instead of all the others, where the operator runs the database: the instances themselves archive, are
    # backed up, expire and are recovered. They can delete, though no version.
    "cloudnative-pg": (*_reads(CLOUDNATIVE_PG), *_writes(CLOUDNATIVE_PG), *_removes(CLOUDNATIVE_PG)),
}
"""Job -> what it may do, which is what it does. None deletes a version, so none deletes for good."""


def allowed(job: str, action: str, key: str, place: Place = "repository") -> bool:
    """Whether a job may do something with an object, or list a prefix.

    Args:
        job: one of `GRANTS`.
        action: as IAM names it.
        key: the object's key; for a list its prefix.
        place: in which bucket.
    """
    return any(
        grant.action == action and grant.place == place and any(fnmatchcase(key, one) for one in grant.keys)
        for grant in _of(job)
    )


def policy_document(job: str, repository: Location, replica: Location | None = None) -> dict[str, Any]:
    """What IAM lets a job do: its grants, and the use of the buckets' keys through S3 alone.

    Args:
        job: one of `GRANTS`.
        repository: the bucket that is written.
        replica: its copy; None where there is none, and then nothing is granted there.

    Raises:
        ValueError: there is no such job.
    """
    locations = {"repository": repository, "replica": replica}
    statements: list[dict[str, Any]] = []
    for place in PLACES:
        location = locations[place]
        grants = [grant for grant in _of(job) if grant.place == place]
        if location and grants:
            statements += _statements(grants, location, place.capitalize())
    return {"Version": "2012-10-17", "Statement": statements}


def trust_document(provider: str, issuer: str, namespace: str, account: str) -> dict[str, Any]:
    """Who may take a role over: the pods of one service account of one cluster.

    Args:
        provider: the ARN of the cluster's identity provider.
        issuer: the cluster's issuer without its scheme.
        namespace: the service account's namespace.
        account: the service account's name.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{issuer}:aud": AUDIENCE,
                        f"{issuer}:sub": f"system:serviceaccount:{namespace}:{account}",
                    }
                },
            }
        ],
    }


def replication_document(repository: Location, replica: Location) -> dict[str, Any]:
    """What S3 itself may do to keep the replica.

    With bucket keys, KMS is told the bucket and not the object, and S3 proves a bucket key by decrypting it.
    Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html
    """
    source, copy = bucket_arn(repository.bucket), bucket_arn(replica.bucket)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Source",
                "Effect": "Allow",
                "Action": ["s3:GetReplicationConfiguration", "s3:ListBucket"],
                "Resource": source,
            },
            {
                "Sid": "SourceVersions",
                "Effect": "Allow",
                "Action": [
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionTagging",
                    # The copy is locked until the day on which the original is.
                    "s3:GetObjectRetention",
                    "s3:GetObjectLegalHold",
                ],
                "Resource": f"{source}/*",
            },
            {
                "Sid": "Copies",
                "Effect": "Allow",
                "Action": ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"],
                "Resource": f"{copy}/*",
            },
            _key_use("SourceKey", repository, ["kms:Decrypt"], only_its_bucket=True),
            _key_use(
                "CopiesKey",
                replica,
                ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"],
                only_its_bucket=True,
            ),
        ],
    }


def bucket_arn(bucket: str) -> str:
    """A bucket's ARN, which has neither region nor account."""
    return f"arn:aws:s3:::{bucket}"


def _of(job: str) -> tuple[Grant, ...]:
    if job not in GRANTS:
        raise ValueError(f"there is no job {job!r}: one of {', '.join(GRANTS)}")
    return GRANTS[job]


def _statements(grants: list[Grant], location: Location, title: str) -> Iterator[dict[str, Any]]:
    """The grants of one bucket, one statement for the actions that share their keys."""
    arn = bucket_arn(location.bucket)
    lists: dict[str, set[str]] = {}
    objects: dict[tuple[str, ...], list[str]] = {}
    for grant in grants:
        if grant.action in LISTS:
            lists.setdefault(grant.action, set()).update(grant.keys)
        elif grant.action not in objects.setdefault(grant.keys, []):
            objects[grant.keys].append(grant.action)
    for action, prefixes in lists.items():
        yield {
            "Sid": f"{title}{action.removeprefix('s3:')}",
            "Effect": "Allow",
            "Action": action,
            "Resource": arn,
            # "IfExists": whoever asks for an object that is not there is told 404 only if he might list the
            # bucket, and such a request has no prefix. Else it is 403, which pgBackRest takes for a fault.
            "Condition": {"StringLikeIfExists": {"s3:prefix": sorted(prefixes)}},
        }
    for number, (keys, actions) in enumerate(objects.items(), start=1):
        yield {
            "Sid": f"{title}Objects{number}",
            "Effect": "Allow",
            "Action": actions,
            "Resource": [f"{arn}/{key}" for key in keys],
        }
    writes = any(grant.action in WRITES for grant in grants)
    use = ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])]
    yield _key_use(f"{title}Key", location, use)


def _key_use(
    title: str, location: Location, actions: list[str], *, only_its_bucket: bool = False
) -> dict[str, Any]:
    """The use of a bucket's key, by S3 on the caller's behalf and not by the caller."""
    condition: dict[str, Any] = {"StringEquals": {"kms:ViaService": f"s3.{location.region}.amazonaws.com"}}
    if only_its_bucket:
        arn = bucket_arn(location.bucket)
        condition["StringLike"] = {"kms:EncryptionContext:aws:s3:arn": [arn, f"{arn}/*"]}
    return {
        "Sid": title,
        "Effect": "Allow",
        "Action": actions,
        "Resource": location.key,
        "Condition": condition,
    }
