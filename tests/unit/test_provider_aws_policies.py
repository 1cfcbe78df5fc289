"""The simulated IAM, KMS and S3: what the real ones refuse of a policy."""

import json
from typing import Any

import pytest

from simulator.providers.aws import Aws
from simulator.providers.core import Resource
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN

ROLE = "aws:iam/role:Role"
INLINE = "aws:iam/rolePolicy:RolePolicy"
MANAGED = "aws:iam/policy:Policy"
KEY = "aws:kms/key:Key"
BUCKET = "aws:s3/bucketPolicy:BucketPolicy"
OTHERS: dict[str, dict[str, Any]] = {
    ROLE: {},
    INLINE: {"role": "r"},
    MANAGED: {},
    KEY: {},
    BUCKET: {"bucket": "b"},
}
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.test/id/1"
ROOT = {"AWS": "arn:aws:iam::123456789012:root"}
SOUND: dict[str, dict[str, Any]] = {
    ROLE: {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "s3.amazonaws.com"}},
    INLINE: {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"},
    MANAGED: {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
    KEY: {"Effect": "Allow", "Action": "kms:*", "Principal": ROOT, "Resource": "*"},
    BUCKET: {
        "Effect": "Deny",
        "Action": "s3:*",
        "Principal": "*",
        "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
    },
}


def refused(token: str, statement: dict[str, Any], **more: Any) -> list[str]:
    """What is refused of a policy of one statement; None takes an element away."""
    aws = Aws(Store())
    aws.configure({"region": "eu-central-1"})
    known = {key: value for key, value in {**SOUND[token], **statement}.items() if value is not None}
    document = json.dumps({"Version": "2012-10-17", "Statement": [known]})
    inputs = {"assumeRolePolicy" if token == ROLE else "policy": document, **OTHERS[token], **more}
    resource = Resource(f"urn:pulumi:test::shop::{token}::one", token, "one")
    return [str(one) for one in aws.check(resource, {}, inputs, Naming(seed=b"seed")).failures]


@pytest.mark.parametrize("token", SOUND)
def test_a_sound_policy_passes(token: str) -> None:
    assert refused(token, {}) == []


@pytest.mark.parametrize(
    ("token", "statement", "expected"),
    [
        (
            ROLE,
            {"Principal": None, "Resource": "*"},
            "MalformedPolicyDocument: a trust policy must name a Principal",
        ),
        (ROLE, {"Resource": "*"}, "MalformedPolicyDocument: Has prohibited field Resource"),
        (ROLE, {"Action": "s3:GetObject"}, "MalformedPolicyDocument: AssumeRole policy may only specify STS"),
        (
            ROLE,
            {"Action": "sts:AssumeRoleWithWebIdentity"},
            "sts:AssumeRoleWithWebIdentity needs a Federated",
        ),
        (
            INLINE,
            {"Principal": "*"},
            "MalformedPolicyDocument: Policy document should not specify a principal.",
        ),
        (INLINE, {"Resource": None, "Principal": "*"}, "MalformedPolicyDocument: Policy document should not"),
        (MANAGED, {"Resource": "b/*"}, "MalformedPolicyDocument: Resource b/* must be in ARN format"),
        (MANAGED, {"Action": "GetObject"}, "MalformedPolicyDocument: Actions/Conditions must be prefaced"),
        (
            KEY,
            {"Principal": None},
            "MalformedPolicyDocumentException: Policy contains a statement with no principal",
        ),
        (
            KEY,
            {"Resource": None},
            "MalformedPolicyDocumentException: Policy contains a statement with no resource",
        ),
        (BUCKET, {"Principal": None}, "MalformedPolicy: Missing required field Principal"),
        (
            BUCKET,
            {"Resource": "arn:aws:s3:::bb/*"},
            "MalformedPolicy: Policy has invalid resource: arn:aws:s3:::bb/*",
        ),
        (BUCKET, {"Resource": "*"}, "MalformedPolicy: Policy has invalid resource"),
        (
            BUCKET,
            {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b/*"},
            "MalformedPolicy: Action does not apply",
        ),
        (
            BUCKET,
            {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"},
            "MalformedPolicy: Action does not apply",
        ),
        (BUCKET, {"Action": "s3:GetObjekt"}, "MalformedPolicy: Policy has invalid action: s3:GetObjekt"),
        (
            BUCKET,
            {"Action": "ec2:RunInstances"},
            "MalformedPolicy: Policy has invalid action: ec2:RunInstances",
        ),
    ],
)
def test_a_statement_is_refused_with_its_place(token: str, statement: dict[str, Any], expected: str) -> None:
    key = "assumeRolePolicy" if token == ROLE else "policy"
    found = refused(token, statement)
    assert any(one.startswith(f"{key}.Statement[0]: {expected}") for one in found), found


def test_a_federated_principal_may_take_a_role_over() -> None:
    web = {"Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": PROVIDER}}
    assert refused(ROLE, web) == []


@pytest.mark.parametrize(
    ("statement", "locked_out"),
    [
        ({"Action": ["kms:Decrypt", "kms:Encrypt"]}, True),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, True),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, True),
        ({"Effect": "Deny"}, True),
        ({"Action": "kms:Put*"}, False),
        (
            {"Action": ["kms:PutKeyPolicy"], "Principal": {"AWS": "arn:aws:iam::123456789012:role/admin"}},
            False,
        ),
        ({"Principal": {"AWS": "*"}}, False),
    ],
)
def test_a_key_policy_that_locks_everybody_out_is_refused(
    statement: dict[str, Any], *, locked_out: bool
) -> None:
    found = refused(KEY, statement)
    assert [
        one.startswith("policy: MalformedPolicyDocumentException: The new key policy will not")
        for one in found
    ] == ([True] if locked_out else [])
    assert refused(KEY, statement, bypassPolicyLockoutSafetyCheck=True) == []


@pytest.mark.parametrize(
    ("token", "largest"), [(ROLE, 2048), (INLINE, 10_240), (MANAGED, 6144), (BUCKET, 20_480)]
)
def test_a_policy_has_a_largest_size(token: str, largest: int) -> None:
    def padded(length: int) -> list[str]:
        return refused(token, {"Sid": "x" * length})

    bare = len(
        "".join(json.dumps({"Version": "2012-10-17", "Statement": [{**SOUND[token], "Sid": ""}]}).split())
    )
    assert padded(largest - bare) == []
    [found] = padded(largest - bare + 1)
    assert f"LimitExceeded: at most {largest} characters without blanks, found {largest + 1}" in found


def test_wildcards_stand_for_what_they_could() -> None:
    for action in ("s3:*", "s3:Get*", "*"):
        assert refused(BUCKET, {"Action": action}) == []
    assert refused(BUCKET, {"Action": "s3:PutBucket*", "Resource": "arn:aws:s3:::b"}) == []
    assert refused(BUCKET, {"Action": "s3:GetLifecycleConfiguration", "Resource": "arn:aws:s3:::b"}) == []


def test_a_policy_of_a_bucket_whose_name_is_not_known_passes() -> None:
    assert refused(BUCKET, {}, bucket=UNKNOWN) == []
