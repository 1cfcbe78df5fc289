"""Cases of the policies about buckets."""

import json
from collections.abc import Mapping
from typing import Final

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import ABSENT, Block, Case, Kind, Row, cases, edited, resource, urn

PASS, FAIL, MISSING, UNKNOWN_VALUE, _, _, _ = Kind

BUCKET: Final = "aws:s3/bucket:Bucket"
LOGS: Final = "shop-logs"


def bucket(edits: Mapping[str, Value] | None = None, name: str = "backups", **options: bool) -> Resource:
    """A bucket with backups."""
    return resource(
        BUCKET,
        edited({"bucket": f"shop-{name}", "objectLockEnabled": True}, edits or {}),
        name,
        protected=options.get("protected", True),
    )


def part(kind: str, properties: Block, *, linked: bool = False) -> Resource:
    """A setting of the bucket with backups, known by its name or by the engine's links."""
    token = f"aws:s3/b{kind[1:]}:{kind}"
    if linked:
        links = {"bucket": (urn(BUCKET, "backups"),)}
        return resource(token, {"bucket": UNKNOWN, **properties}, kind, links=links)
    return resource(token, {"bucket": "shop-backups", **properties}, kind)


def once(
    kind: str, path: str, properties: Block, bad: Block, found: Value, *, alias: str = ""
) -> tuple[Row, ...]:
    """Rows of a policy that asks one thing of one setting."""
    old = part(kind, properties)
    old = resource(f"{old.type.replace(':Bucket', 'V2:Bucket')}V2", old.properties, kind)
    return (
        (PASS, "by name", (bucket(), part(kind, properties)), {}),
        (PASS, "by link", (bucket({"bucket": UNKNOWN}), part(kind, properties, linked=True)), {}),
        (
            PASS,
            "under the names of version 6",
            (resource("aws:s3/bucketV2:BucketV2", bucket().properties, "backups"), old),
            {},
        ),
        (FAIL, "the wrong value", (bucket(), part(kind, bad)), {path: found}),
        (
            FAIL,
            "of another bucket",
            (bucket(), resource(part(kind, {}).type, {"bucket": "other", **properties})),
            {alias or f"{kind}.{path}": ABSENT},
        ),
        (MISSING, "the resource", (bucket(),), {alias or f"{kind}.{path}": ABSENT}),
        (
            UNKNOWN_VALUE,
            "whose it is",
            (bucket(), resource(part(kind, {}).type, {"bucket": UNKNOWN, **properties})),
            {alias or f"{kind}.{path}": UNKNOWN},
        ),
    )


FLAGS: Block = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)
BLOCK = "BucketPublicAccessBlock"
NO_FLAGS: Block = {f"{BLOCK}.{flag}": ABSENT for flag in FLAGS}
PUBLIC = cases(
    "s3-public-access-block",
    (PASS, "all four", (bucket(), part(BLOCK, FLAGS)), {}),
    (PASS, "by link", (bucket({"bucket": UNKNOWN}), part(BLOCK, FLAGS, linked=True)), {}),
    (
        PASS,
        "of the account",
        (bucket(), resource("aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock", FLAGS)),
        {},
    ),
    (
        FAIL,
        "one is false",
        (bucket(), part(BLOCK, {**FLAGS, "blockPublicAcls": False})),
        {"blockPublicAcls": False},
    ),
    (MISSING, "the block", (bucket(),), NO_FLAGS),
    (
        MISSING,
        "one flag",
        (bucket(), part(BLOCK, {**FLAGS, "ignorePublicAcls": ABSENT})),
        {"ignorePublicAcls": ABSENT},
    ),
    (
        UNKNOWN_VALUE,
        "one flag",
        (bucket(), part(BLOCK, {**FLAGS, "ignorePublicAcls": UNKNOWN})),
        {"ignorePublicAcls": UNKNOWN},
    ),
)

VERSIONING = cases(
    "s3-versioning",
    *once(
        "BucketVersioning",
        "versioningConfiguration.status",
        {"versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        "Suspended",
    ),
    (PASS, "in the bucket itself", (bucket({"versioning": {"enabled": True}}),), {}),
    (
        FAIL,
        "in the bucket itself",
        (bucket({"versioning": {"enabled": False}}),),
        {"versioning.enabled": False},
    ),
)


def encrypted(algorithm: Value) -> Block:
    """An encryption's settings."""
    return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]}


SSE = "BucketServerSideEncryptionConfiguration"
ALGORITHM = "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm"
TAKES_LOGS = (
    resource(BUCKET, {"bucket": LOGS}, "logs"),
    resource("aws:s3/bucketLogging:BucketLogging", {"bucket": "other", "targetBucket": LOGS}),
    resource(f"aws:s3/b{SSE[1:]}:{SSE}", {"bucket": LOGS, **encrypted("AES256")}),
)
ENCRYPTION = cases(
    "s3-sse-kms",
    *once(
        SSE,
        ALGORITHM,
        encrypted("aws:kms"),
        encrypted("AES256"),
        "AES256",
        alias=f"{SSE}.rules.applyServerSideEncryptionByDefault.sseAlgorithm",
    ),
    (PASS, "logs can have no key", TAKES_LOGS, {}),
    (
        MISSING,
        "an empty list",
        (bucket(), part(SSE, {"rules": []})),
        {"rules.applyServerSideEncryptionByDefault.sseAlgorithm": ABSENT},
    ),
)

DENY: Block = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
NOT_DENIED = "a policy without that statement"


def document(*statements: Block) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


TLS = cases(
    "s3-tls-only",
    *once("BucketPolicy", "policy", {"policy": document(DENY)}, {"policy": document()}, NOT_DENIED),
    (PASS, "as a block", (bucket(), part("BucketPolicy", {"policy": {"Statement": DENY}})), {}),
    (
        FAIL,
        "it allows",
        (bucket(), part("BucketPolicy", {"policy": document({**DENY, "Effect": "Allow"})})),
        {"policy": NOT_DENIED},
    ),
    (
        FAIL,
        "of one account",
        (bucket(), part("BucketPolicy", {"policy": document({**DENY, "Principal": {"AWS": "1"}})})),
        {"policy": NOT_DENIED},
    ),
    (
        UNKNOWN_VALUE,
        "the document",
        (bucket(), part("BucketPolicy", {"policy": UNKNOWN})),
        {"policy": UNKNOWN},
    ),
)

CYCLE = "BucketLifecycleConfiguration"
RULE: Block = {
    "status": "Enabled",
    "noncurrentVersionExpiration": {"noncurrentDays": 30},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
}


def cycle(edits: Mapping[str, Value] | None = None) -> Resource:
    """A lifecycle that is right, but for the edits of its rule."""
    return part(CYCLE, {"rules": [edited(RULE, edits or {})]})


OLD, UPLOADS = "rules: noncurrentVersionExpiration", "rules: abortIncompleteMultipartUpload"
LIFECYCLE = cases(
    "s3-lifecycle",
    (PASS, "both", (bucket(), cycle()), {}),
    (
        PASS,
        "in the bucket itself",
        (
            bucket(
                {
                    "lifecycleRules": [
                        {
                            "enabled": True,
                            "noncurrentVersionExpiration": {"days": 9},
                            "abortIncompleteMultipartUploadDays": 1,
                        }
                    ]
                }
            ),
        ),
        {},
    ),
    (
        PASS,
        "logs expire",
        (
            bucket({"objectLockEnabled": False, "bucket": "shop-logs"}, "logs"),
            resource(cycle().type, {"bucket": "shop-logs", "rules": [{**RULE, "expiration": {"days": 90}}]}),
        ),
        {},
    ),
    (
        FAIL,
        "current backups expire",
        (bucket(), cycle({"expiration.days": 90})),
        {"rules[0].expiration.days": 90},
    ),
    (FAIL, "switched off", (bucket(), cycle({"status": "Disabled"})), {OLD: ABSENT, UPLOADS: ABSENT}),
    (FAIL, "no uploads", (bucket(), cycle({"abortIncompleteMultipartUpload": ABSENT})), {UPLOADS: ABSENT}),
    (MISSING, "the resource", (bucket(),), {f"{CYCLE}.{OLD}": ABSENT, f"{CYCLE}.{UPLOADS}": ABSENT}),
    (UNKNOWN_VALUE, "the rules", (bucket(), part(CYCLE, {"rules": UNKNOWN})), {"rules": UNKNOWN}),
)

LOCK = "BucketObjectLockConfiguration"


def lock(**retention: Value) -> Resource:
    """A lock of so many days."""
    return part(LOCK, {"rule": {"defaultRetention": {"mode": "COMPLIANCE", **retention}}})


RETENTION = "rule.defaultRetention"
LOCKED = cases(
    "s3-object-lock",
    (PASS, "for a week", (bucket(), lock(days=7), cycle()), {}),
    (PASS, "no backups, no lock", (bucket({"objectLockEnabled": ABSENT, "bucket": "logs"}, "logs"),), {}),
    (FAIL, "not at all", (bucket({"objectLockEnabled": False}), lock(days=7)), {"objectLockEnabled": False}),
    (FAIL, "longer than versions are kept", (bucket(), lock(days=60), cycle()), {f"{RETENTION}.days": 60}),
    (FAIL, "in years", (bucket(), lock(years=1), cycle()), {f"{RETENTION}.days": 365}),
    (MISSING, "the resource", (bucket(),), {f"{LOCK}.{RETENTION}": ABSENT}),
    (
        MISSING,
        "the lock",
        (bucket({"objectLockEnabled": ABSENT}), lock(days=7)),
        {"objectLockEnabled": ABSENT},
    ),
    (UNKNOWN_VALUE, "the days", (bucket(), lock(days=UNKNOWN)), {RETENTION: UNKNOWN}),
)

ACCESS = cases(
    "s3-access-logging",
    *once("BucketLogging", "targetBucket", {"targetBucket": "shop-logs"}, {"targetBucket": ""}, "")[:-1],
    (PASS, "logs need none", (TAKES_LOGS[0], TAKES_LOGS[1]), {}),
    (
        UNKNOWN_VALUE,
        "whose it is",
        (bucket(), resource(part("BucketLogging", {}).type, {"bucket": UNKNOWN, "targetBucket": "a"})),
        {"BucketLogging.targetBucket": UNKNOWN},
    ),
)

OWNER = cases(
    "s3-bucket-owner-enforced",
    *once(
        "BucketOwnershipControls",
        "rule.objectOwnership",
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "ObjectWriter"}},
        "ObjectWriter",
    )[:2],
    *once(
        "BucketOwnershipControls",
        "rule.objectOwnership",
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "ObjectWriter"}},
        "ObjectWriter",
    )[3:],
)

DESTROY = cases(
    "s3-no-force-destroy",
    (PASS, "protected", (bucket(),), {}),
    (FAIL, "with all that is in it", (bucket({"forceDestroy": True}),), {"forceDestroy": True}),
    (FAIL, "not protected", (bucket(protected=False),), {"options.protect": False}),
    (MISSING, "forceDestroy is false", (bucket(),), {}),
    (UNKNOWN_VALUE, "forceDestroy", (bucket({"forceDestroy": UNKNOWN}),), {"forceDestroy": UNKNOWN}),
)

CASES: tuple[Case, ...] = (
    *PUBLIC,
    *VERSIONING,
    *ENCRYPTION,
    *TLS,
    *LIFECYCLE,
    *LOCKED,
    *ACCESS,
    *OWNER,
    *DESTROY,
)
