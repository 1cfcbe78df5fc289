"""What S3 refuses of a bucket's settings: by themselves, and beside what the account already has."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from simulator.providers.aws_policy_rules import is_public
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, get, join, text

ENABLED: Final = "Enabled"
KMS: Final = ("aws:kms", "aws:kms:dsse")
ACTIONS: Final = (
    *("abortIncompleteMultipartUpload", "expiration", "noncurrentVersionExpiration"),
    *("noncurrentVersionTransitions", "transitions"),
)
"""What a lifecycle rule can do."""
REPLICATION_MINUTES: Final = 15
LONGEST_LOCK_DAYS: Final = 36_500
LONGEST_ID: Final = 255

CHOICES: Final[Mapping[str, Mapping[tuple[str, ...], tuple[str, ...]]]] = {
    "BucketObjectLockConfiguration": {("rule", "defaultRetention", "mode"): ("COMPLIANCE", "GOVERNANCE")},
    "BucketOwnershipControls": {
        ("rule", "objectOwnership"): ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
    },
    "BucketVersioning": {("versioningConfiguration", "status"): ("Disabled", ENABLED, "Suspended")},
}
"""What a text must be one of, by the last part of a type and the text's path."""


class Account(Protocol):
    """What else is in the account."""

    def setting(self, kind: str, bucket: str) -> Properties | None:
        """The inputs of one setting of a bucket, or of the bucket itself; None if there is none."""

    def region_of(self, inputs: Properties) -> str:
        """The region that a resource is in."""


def check_setting(kind: str, inputs: Properties) -> Iterator[Failure]:
    """Refuse what S3 would refuse of one setting, whatever else there is.

    Args:
        kind: the last part of the type, such as `BucketVersioning`.
        inputs: the setting's inputs, revealed.
    """
    for path, valid in CHOICES.get(kind, {}).items():
        found = text(inputs, *path)
        if found and found not in valid:
            yield Failure(
                ".".join(path), f"MalformedXML: expected one of {', '.join(valid)}, found {found!r}"
            )
    check = CHECKS.get(kind)
    if check:
        yield from check(inputs)


def refuse_setting(kind: str, inputs: Properties, account: Account) -> str:
    """Why S3 would refuse a setting beside what the account has; empty if it would not.

    Args:
        kind: the last part of the type.
        inputs: the setting's inputs, revealed and known.
        account: what else there is.
    """
    bucket = account.setting("Bucket", text(inputs, "bucket"))
    if bucket is None:
        return f"NoSuchBucket: The specified bucket does not exist: {text(inputs, 'bucket')}"
    here, there = account.region_of(inputs), account.region_of(bucket)
    if here != there:
        return f"PermanentRedirect: the bucket {text(inputs, 'bucket')} is in {there}, not in {here}"
    refusal = REFUSALS.get(kind)
    return refusal(inputs, bucket, account) if refusal else ""


# --- by themselves ---


def _lock(inputs: Properties) -> Iterator[Failure]:
    retention = get(inputs, "rule", "defaultRetention")
    if not isinstance(retention, dict):
        return
    days, years = retention.get("days"), retention.get("years")
    path = "rule.defaultRetention"
    if (days is None) == (years is None):
        yield Failure(path, "MalformedXML: expected either days or years")
    for key, number, longest in (("days", days, LONGEST_LOCK_DAYS), ("years", years, 100)):
        if isinstance(number, int) and not 1 <= number <= longest:
            answer = f"InvalidArgument: expected a number from 1 to {longest}, found {number}"
            yield Failure(f"{path}.{key}", answer)


def _encryption(inputs: Properties) -> Iterator[Failure]:
    for index, rule in _each(inputs, "rules"):
        path = join(join("rules", index), "applyServerSideEncryptionByDefault")
        algorithm = get(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm")
        key = get(rule, "applyServerSideEncryptionByDefault", "kmsMasterKeyId")
        if isinstance(algorithm, str) and algorithm not in ("AES256", *KMS):
            answer = f"MalformedXML: expected one of AES256, {', '.join(KMS)}, found {algorithm!r}"
            yield Failure(f"{path}.sseAlgorithm", answer)
        elif algorithm == "AES256" and key is not None:
            answer = "InvalidArgument: a KMSMasterKeyID is not applicable if the algorithm is not aws:kms"
            yield Failure(f"{path}.kmsMasterKeyId", answer)


def _lifecycle(inputs: Properties) -> Iterator[Failure]:
    rules = list(_each(inputs, "rules"))
    if inputs.get("rules") == []:
        yield Failure("rules", "MalformedXML: expected at least one rule")
    yield from _identified(rules)
    for index, rule in rules:
        path = join("rules", index)
        if not any(rule.get(action) not in (None, []) for action in ACTIONS):
            yield Failure(path, "InvalidRequest: At least one action needs to be specified in a rule")
        if rule.get("filter") is not None and rule.get("prefix") is not None:
            yield Failure(path, "MalformedXML: either filter or prefix")
        yield from _filter(rule.get("filter"), f"{path}.filter")
        yield from _expiration(rule, path)
        for keys in (
            ("noncurrentVersionExpiration", "noncurrentDays"),
            ("abortIncompleteMultipartUpload", "daysAfterInitiation"),
        ):
            days = get(rule, *keys)
            if isinstance(days, int) and days < 1:
                answer = f"InvalidArgument: {keys[1]} must be a positive integer, found {days}"
                yield Failure(f"{path}.{'.'.join(keys)}", answer)
        if rule.get("abortIncompleteMultipartUpload") and _narrows(rule.get("filter")):
            answer = "InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with tags or sizes"
            yield Failure(path, answer)


def _expiration(rule: Properties, path: str) -> Iterator[Failure]:
    expiration = rule.get("expiration")
    if not isinstance(expiration, dict):
        return
    path = f"{path}.expiration"
    said = [key for key in ("date", "days", "expiredObjectDeleteMarker") if expiration.get(key)]
    days = expiration.get("days")
    if isinstance(days, int) and days < 1:
        yield Failure(f"{path}.days", f"InvalidArgument: days must be a positive integer, found {days}")
    elif len(said) != 1:
        yield Failure(path, "MalformedXML: exactly one of date, days and expiredObjectDeleteMarker")
    moves = [move["days"] for move in rule.get("transitions") or [] if isinstance(get(move, "days"), int)]
    if isinstance(days, int) and any(days <= move for move in moves):
        yield Failure(f"{path}.days", f"InvalidArgument: days must be greater than the transitions', {days}")


def _filter(found: Any, path: str) -> Iterator[Failure]:
    if isinstance(found, dict):
        said = [key for key, value in found.items() if value is not None]
        if len(said) > 1:
            yield Failure(path, f"MalformedXML: {' and '.join(sorted(said))} belong together in `and`")


def _narrows(found: Any) -> bool:
    """Whether a filter looks at more than the key's prefix."""
    inside = get(found, "and") if isinstance(found, dict) else None
    every = {**(found or {}), **(inside or {})} if isinstance(found, dict) else {}
    return any(
        every.get(key) is not None for key in ("tag", "tags", "objectSizeGreaterThan", "objectSizeLessThan")
    )


def _replication(inputs: Properties) -> Iterator[Failure]:
    role = inputs.get("role")
    if isinstance(role, str) and ":role/" not in role:
        yield Failure("role", f"InvalidArgument: expected the ARN of a role, found {role!r}")
    rules = list(_each(inputs, "rules"))
    yield from _identified(rules)
    priorities = Counter(rule.get("priority", 0) for _, rule in rules if rule.get("filter") is not None)
    for index, rule in rules:
        path = join("rules", index)
        yield from _filter(rule.get("filter"), f"{path}.filter")
        if rule.get("filter") is not None and priorities[rule.get("priority", 0)] > 1:
            yield Failure(f"{path}.priority", "InvalidRequest: Found duplicate priority")
        marks = text(rule, "deleteMarkerReplication", "status")
        if rule.get("filter") is not None and not rule.get("deleteMarkerReplication"):
            yield Failure(path, "InvalidRequest: DeleteMarkerReplication must be specified beside a Filter")
        elif rule.get("filter") is None and rule.get("deleteMarkerReplication"):
            yield Failure(path, "MalformedXML: deleteMarkerReplication needs a filter, an empty one at least")
        elif marks == ENABLED and _narrows(rule.get("filter")):
            yield Failure(path, "InvalidRequest: delete markers are not replicated by tag")
        yield from _destination(rule, path)


def _destination(rule: Properties, path: str) -> Iterator[Failure]:
    target = rule.get("destination")
    if not isinstance(target, dict):
        return
    bucket = target.get("bucket")
    where = f"{path}.destination"
    if isinstance(bucket, str) and not bucket.startswith("arn:aws:s3:::"):
        yield Failure(f"{where}.bucket", f"InvalidArgument: expected a bucket's ARN, found {bucket!r}")
    for keys in (("replicationTime", "time", "minutes"), ("metrics", "eventThreshold", "minutes")):
        minutes = get(target, *keys)
        if isinstance(minutes, int) and minutes != REPLICATION_MINUTES:
            answer = f"InvalidRequest: expected {REPLICATION_MINUTES}, found {minutes}"
            yield Failure(f"{where}.{'.'.join(keys)}", answer)
    timed = text(target, "replicationTime", "status") == ENABLED
    if timed and text(target, "metrics", "status") != ENABLED:
        yield Failure(where, "InvalidRequest: Metrics must be specified if ReplicationTime is specified")
    encrypted = text(rule, "sourceSelectionCriteria", "sseKmsEncryptedObjects", "status") == ENABLED
    if encrypted != (target.get("encryptionConfiguration") is not None):
        answer = "InvalidRequest: SseKmsEncryptedObjects and EncryptionConfiguration need each other"
        yield Failure(path, answer)


def _identified(rules: list[tuple[int, Properties]]) -> Iterator[Failure]:
    """Rules have a status, and ids that differ."""
    ids = Counter(rule["id"] for _, rule in rules if isinstance(rule.get("id"), str))
    for index, rule in rules:
        name, status = rule.get("id"), rule.get("status")
        path = join("rules", index)
        if isinstance(name, str) and (ids[name] > 1 or len(name) > LONGEST_ID):
            answer = f"InvalidArgument: a rule's id is unique and at most {LONGEST_ID} long, found {name!r}"
            yield Failure(f"{path}.id", answer)
        if isinstance(status, str) and status not in ("Disabled", ENABLED):
            answer = f"MalformedXML: expected one of Disabled, {ENABLED}, found {status!r}"
            yield Failure(f"{path}.status", answer)


def _each(inputs: Properties, key: str) -> Iterator[tuple[int, Properties]]:
    found = inputs.get(key)
    for index, rule in enumerate(found if isinstance(found, list) else []):
        if isinstance(rule, dict):
            yield index, rule


# --- beside what there is ---


def _is_versioned(bucket: str, account: Account) -> bool:
    found = account.setting("Bucket", bucket) or {}
    versioning = account.setting("BucketVersioning", bucket) or {}
    # A bucket that can be locked is versioned from its creation.
    return bool(found.get("objectLockEnabled")) or text(versioning, "versioningConfiguration", "status") == (
        ENABLED
    )


def _no_lock(inputs: Properties, _: Properties, account: Account) -> str:
    if _is_versioned(text(inputs, "bucket"), account):
        return ""
    return (
        "InvalidBucketState: Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
    )


def _no_versioning(inputs: Properties, bucket: Properties, account: Account) -> str:
    name = text(inputs, "bucket")
    if text(inputs, "versioningConfiguration", "status") == ENABLED:
        return ""
    if bucket.get("objectLockEnabled") or account.setting("BucketObjectLockConfiguration", name):
        return (
            "InvalidBucketState: An Object Lock configuration is present on this bucket, so the versioning"
            " state cannot be changed."
        )
    if account.setting("BucketReplicationConfig", name):
        return "InvalidBucketState: Versioning cannot be suspended on a bucket that is replicated"
    return ""


def _no_logging(inputs: Properties, bucket: Properties, account: Account) -> str:
    name = text(inputs, "targetBucket")
    target = account.setting("Bucket", name)
    if target is None:
        return f"InvalidTargetBucketForLogging: The target bucket for logging does not exist: {name}"
    here, there = account.region_of(bucket), account.region_of(target)
    if here != there:
        return (
            f"CrossLocationLoggingProhibitted: Cross S3 location logging not allowed: the bucket is in"
            f" {here}, its log bucket {name} in {there}"
        )
    # The last two S3 may take, and then deliver nothing.
    if target.get("objectLockEnabled"):
        return f"InvalidTargetBucketForLogging: log delivery does not write to {name}, which can be locked"
    for _, rule in _each(account.setting("BucketServerSideEncryptionConfiguration", name) or {}, "rules"):
        if text(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm") in KMS:
            return f"InvalidTargetBucketForLogging: log delivery does not encrypt by KMS, as {name} does"
    return ""


def _no_replication(inputs: Properties, bucket: Properties, account: Account) -> str:
    source = text(inputs, "bucket")
    if not _is_versioned(source, account):
        return f"InvalidRequest: Versioning must be 'Enabled' on the bucket {source} to replicate it"
    for _, rule in _each(inputs, "rules"):
        name = text(rule, "destination", "bucket").removeprefix("arn:aws:s3:::")
        target = account.setting("Bucket", name)
        if target is None:
            return f"InvalidRequest: Destination bucket must exist: {name}"
        if name == source:
            return "InvalidRequest: Destination bucket cannot be the same as the source bucket"
        if not _is_versioned(name, account):
            return f"InvalidRequest: Destination bucket must have versioning enabled: {name}"
        if bucket.get("objectLockEnabled") and not target.get("objectLockEnabled"):
            return (
                f"InvalidRequest: Destination bucket must have Object Lock enabled, as its source has: {name}"
            )
        key = text(rule, "destination", "encryptionConfiguration", "replicaKmsKeyId")
        if key and key.split(":")[3:4] != [account.region_of(target)]:
            return (
                f"InvalidRequest: the replica's key must be in its region, {account.region_of(target)}: {key}"
            )
    return ""


def _no_policy(inputs: Properties, _: Properties, account: Account) -> str:
    blocked = account.setting("BucketPublicAccessBlock", text(inputs, "bucket")) or {}
    if blocked.get("blockPublicPolicy") and is_public(text(inputs, "policy")):
        return (
            "AccessDenied: public policies are blocked by the BlockPublicPolicy block public access setting."
        )
    return ""


CHECKS: Final[Mapping[str, Callable[[Properties], Iterator[Failure]]]] = {
    "BucketLifecycleConfiguration": _lifecycle,
    "BucketObjectLockConfiguration": _lock,
    "BucketReplicationConfig": _replication,
    "BucketServerSideEncryptionConfiguration": _encryption,
}
REFUSALS: Final[Mapping[str, Callable[[Properties, Properties, Account], str]]] = {
    "BucketLogging": _no_logging,
    "BucketObjectLockConfiguration": _no_lock,
    "BucketPolicy": _no_policy,
    "BucketReplicationConfig": _no_replication,
    "BucketVersioning": _no_versioning,
}
