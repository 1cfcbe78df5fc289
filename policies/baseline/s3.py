"""What every bucket of S3 must have."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.buckets import Bucket, buckets, s3_kind
from baseline.documents import Statement, is_unknown, statements
from baseline.files import whole
from baseline.frameworks import security_hub, soc2
from baseline.model import UNKNOWN, Policy, Resource, StackPolicy, Value, Violation
from baseline.subjects import PlainPolicy
from baseline.tree import Node, guarded, must, must_be

_FLAGS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


Check = Callable[[Bucket], Iterator[Violation]]


def _each(check: Check) -> Callable[[Sequence[Resource]], Iterator[Violation]]:
    """Turn a check of one bucket into one of a stack."""

    def check_all(resources: Sequence[Resource]) -> Iterator[Violation]:
        for bucket in buckets(resources):
            yield from guarded(bucket.resource, check(bucket))

    return check_all


def _blame(resource: Resource, findings: Iterator[Violation]) -> Iterator[Violation]:
    yield from guarded(resource, findings)


def check_public_access(bucket: Bucket) -> Iterator[Violation]:
    """Require all four flags, of the bucket or of the whole account."""
    kind = "BucketPublicAccessBlock"
    if kind not in bucket.parts and "AccountPublicAccessBlock" in bucket.parts:
        kind = "AccountPublicAccessBlock"
    for flag in _FLAGS:
        resource, node = bucket.find(kind, flag)
        yield from _blame(resource, must_be(node, True))


def check_versioning(bucket: Bucket) -> Iterator[Violation]:
    """Require versioning."""
    inline = ("versioning", "enabled")
    resource, node = bucket.find("BucketVersioning", "versioningConfiguration", "status", inline=inline)
    yield from _blame(resource, must_be(node, "Enabled", *([True] if node.path == ".".join(inline) else [])))


def check_encryption(bucket: Bucket) -> Iterator[Violation]:
    """Require a key of KMS; buckets that take access logs can't have one."""
    inline = ("serverSideEncryptionConfiguration", "rule")
    resource, rules = bucket.find("BucketServerSideEncryptionConfiguration", "rules", inline=inline)
    valid = ["aws:kms", "aws:kms:dsse", *(["AES256"] if bucket.takes_logs is not False else [])]
    listed = rules.items() if isinstance(rules.value, list) else [rules]
    for rule in listed or [Node(None, rules.path)]:
        algorithm = rule.at("applyServerSideEncryptionByDefault", "sseAlgorithm")
        yield from _blame(resource, must_be(algorithm, *valid))


def check_tls_only(bucket: Bucket) -> Iterator[Violation]:
    """Require a statement that denies whatever does not come over TLS."""
    resource, document = bucket.find("BucketPolicy", "policy", inline=("policy",))
    valid = "a policy that denies s3:* to everybody unless aws:SecureTransport"
    if document.value is None or is_unknown(document):
        found = None if document.value is None else UNKNOWN
        yield Violation(document.path, found, valid, resource=resource)
    elif not any(_denies_plain(one) for one in statements(document)):
        yield Violation(document.path, "a policy without that statement", valid, resource=resource)


def _denies_plain(statement: Statement) -> bool:
    everybody = any(name == "*" for _, name in statement.principals())
    everything = any(action in ("*", "s3:*") for action in statement.texts("Action"))
    plain = any(
        operator == "Bool" and key == "aws:securetransport" and values == ["false"]
        for operator, key, values in statement.conditions()
    )
    return statement.fields.get("Effect") == "Deny" and everybody and everything and plain


def _lifecycle(bucket: Bucket) -> tuple[Resource, list[Node], Node]:
    resource, rules = bucket.find("BucketLifecycleConfiguration", "rules", inline=("lifecycleRules",))
    enabled = [
        rule
        for rule in rules.items()
        if rule.value is UNKNOWN
        or rule.at("status").value in ("Enabled", UNKNOWN)
        or rule.at("enabled").value is True
    ]
    return resource, enabled, rules


def _noncurrent(rule: Node) -> Node:
    expiry = rule.at("noncurrentVersionExpiration")
    days = expiry.at("noncurrentDays")
    return expiry.at("days") if days.value is None and expiry.at("days").value is not None else days


def check_lifecycle(bucket: Bucket) -> Iterator[Violation]:
    """Require that old versions and unfinished uploads end, and that no backup does that is in use."""
    resource, enabled, rules = _lifecycle(bucket)
    if any(rule.value is UNKNOWN for rule in enabled):
        yield Violation(
            rules.path, UNKNOWN, "rules for noncurrent versions and unfinished uploads", resource=resource
        )
        return
    uploads = [
        *(rule.at("abortIncompleteMultipartUpload", "daysAfterInitiation").value for rule in enabled),
        *(rule.at("abortIncompleteMultipartUploadDays").value for rule in enabled),
    ]
    wanted = (
        ("noncurrentVersionExpiration", [_noncurrent(rule).value for rule in enabled]),
        ("abortIncompleteMultipartUpload", uploads),
    )
    for name, days in wanted:
        if not any(one is not None for one in days):
            yield Violation(
                f"{rules.path}: {name}",
                None,
                "a number of days, in a rule that is enabled",
                resource=resource,
            )
    if bucket.keeps_backups:
        for rule in enabled:
            for key in ("days", "date"):
                current = rule.at("expiration", key)
                yield from _blame(
                    resource, must(current, lambda value: not value, "absent: the backups' tool expires them")
                )


def check_object_lock(bucket: Bucket) -> Iterator[Violation]:
    """Require that backups can't be deleted for a while, but no longer than they are kept anyway."""
    if not bucket.keeps_backups:
        return
    yield from must_be(bucket.root.at("objectLockEnabled"), True)
    keys = ("rule", "defaultRetention")
    resource, retention = bucket.find(
        "BucketObjectLockConfiguration", *keys, inline=("objectLockConfiguration", *keys)
    )
    days = lock_days(retention)
    if days is None:
        found = (
            UNKNOWN
            if retention.value is UNKNOWN or retention.at("days").value is UNKNOWN
            else retention.value
        )
        yield Violation(retention.path, found, "a mode, and days or years", resource=resource)
        return
    _, enabled, _ = _lifecycle(bucket)
    expiries = [end for rule in enabled if (end := whole(_noncurrent(rule).value)) is not None]
    if expiries and days > min(expiries):
        valid = f"at most {min(expiries)} days, when versions expire that are not current"
        yield Violation(f"{retention.path}.days", days, valid, resource=resource)


def lock_days(retention: Node) -> int | None:
    """Read how long objects are locked, in days; None if not at all or not yet known."""
    days, years = whole(retention.at("days").value), whole(retention.at("years").value)
    return days if days is not None else years * 365 if years is not None else None


def check_access_logging(bucket: Bucket) -> Iterator[Violation]:
    """Advise to log who reads and writes."""
    if bucket.takes_logs is True:
        return
    resource, target = bucket.find("BucketLogging", "targetBucket", inline=("logging", "targetBucket"))
    yield from _blame(resource, must(target, bool, "a bucket for access logs"))


def check_owner(bucket: Bucket) -> Iterator[Violation]:
    """Require that the bucket's owner owns all objects, which switches access lists off."""
    resource, node = bucket.find("BucketOwnershipControls", "rule", "objectOwnership")
    yield from _blame(resource, must_be(node, "BucketOwnerEnforced"))


def check_destroy(resource: Resource) -> Iterator[Violation]:
    """Refuse that deleting a bucket deletes its objects, and require the engine's protection."""
    yield from must_be(Node(resource.properties).at("forceDestroy"), None, False)
    protected: Value = UNKNOWN if resource.protected is None else resource.protected
    yield from must_be(Node(protected, "options.protect"), True)


def _is_bucket(type_token: str) -> bool:
    return s3_kind(type_token) == "Bucket"


def _about(type_token: str) -> bool:
    return s3_kind(type_token) is not None


POLICIES: Final[tuple[Policy, ...]] = (
    StackPolicy(
        name="s3-public-access-block",
        description="Buckets must refuse every sort of public access.",
        remedy="Add a BucketPublicAccessBlock with all four flags true.",
        severity=Severity.CRITICAL,
        framework=security_hub("S3.8"),
        anchors=(
            *("CKV2_AWS_6", "CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"),
            *("SecurityHub-S3.8", "SOC2-CC6.1"),
        ),
        selects=_about,
        check=_each(check_public_access),
    ),
    StackPolicy(
        name="s3-versioning",
        description="Buckets must keep old versions of their objects.",
        remedy="Add a BucketVersioning whose status is Enabled.",
        severity=Severity.HIGH,
        framework=security_hub("S3.14"),
        anchors=("CKV_AWS_21", "SecurityHub-S3.14", "SOC2-A1.1"),
        selects=_about,
        check=_each(check_versioning),
    ),
    StackPolicy(
        name="s3-sse-kms",
        description="Buckets must encrypt with a key of KMS, except those that take access logs.",
        remedy="Add a BucketServerSideEncryptionConfiguration with sseAlgorithm aws:kms.",
        severity=Severity.HIGH,
        framework=security_hub("S3.17"),
        anchors=("CKV_AWS_145", "SecurityHub-S3.17", "SOC2-PI1.4"),
        selects=_about,
        check=_each(check_encryption),
    ),
    StackPolicy(
        name="s3-tls-only",
        description="Buckets must refuse requests without TLS.",
        remedy="Add a BucketPolicy that denies s3:* where aws:SecureTransport is false.",
        severity=Severity.HIGH,
        framework=security_hub("S3.5"),
        anchors=("CKV_AWS_379", "SecurityHub-S3.5"),
        selects=_about,
        check=_each(check_tls_only),
    ),
    StackPolicy(
        name="s3-lifecycle",
        description="Buckets must let go of old versions and unfinished uploads, never of current backups.",
        remedy="Add rules for noncurrentVersionExpiration and abortIncompleteMultipartUpload alone.",
        severity=Severity.MEDIUM,
        framework=security_hub("S3.13"),
        anchors=("CKV2_AWS_61", "CKV_AWS_300", "SecurityHub-S3.10", "SecurityHub-S3.13"),
        selects=_about,
        check=_each(check_lifecycle),
    ),
    StackPolicy(
        name="s3-object-lock",
        description="Buckets with backups must lock objects, no longer than until old versions expire. A "
        "bucket has backups if its name or a tag says so.",
        remedy="Set objectLockEnabled, and a BucketObjectLockConfiguration with a default retention.",
        severity=Severity.HIGH,
        framework=security_hub("S3.15"),
        anchors=("CKV_AWS_143", "SecurityHub-S3.15", "SOC2-PI1.5"),
        production_only=True,
        selects=_about,
        check=_each(check_object_lock),
    ),
    StackPolicy(
        name="s3-access-logging",
        description="Buckets should log who reads and writes, except those that take the logs.",
        remedy="Add a BucketLogging with a targetBucket.",
        severity=Severity.LOW,
        framework=security_hub("S3.9"),
        anchors=("CKV_AWS_18", "SecurityHub-S3.9", "SOC2-CC7.2"),
        level=EnforcementLevel.ADVISORY,
        selects=_about,
        check=_each(check_access_logging),
    ),
    StackPolicy(
        name="s3-bucket-owner-enforced",
        description="Buckets must own their objects, without access lists.",
        remedy="Add BucketOwnershipControls with objectOwnership BucketOwnerEnforced.",
        severity=Severity.MEDIUM,
        framework=security_hub("S3.12"),
        anchors=("CKV2_AWS_65", "SecurityHub-S3.12"),
        selects=_about,
        check=_each(check_owner),
    ),
    PlainPolicy(
        name="s3-no-force-destroy",
        description="Buckets must not be deleted with what is in them.",
        remedy="Remove forceDestroy, and set the resource option protect to true.",
        severity=Severity.HIGH,
        framework=soc2("A1.2"),
        anchors=("SOC2-A1.2", "promise:protected-state"),
        production_only=True,
        selects=_is_bucket,
        check=check_destroy,
    ),
)
