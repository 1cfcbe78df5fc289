"""What AWS refuses of a policy beyond its shape: sizes, principals, lockouts, resources of another bucket."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from simulator.providers.aws_policy import check_document
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, join, text

LARGEST_INLINE: Final = 10_240
LARGEST_MANAGED: Final = 6_144
LARGEST_TRUST: Final = 2_048
"""Characters, blanks not counted; the last one can be raised on request.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
LARGEST_OF_BUCKET: Final = 20 * 1024
WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
PUT_KEY_POLICY: Final = "kms:PutKeyPolicy"

OBJECT_ACTIONS: Final = (
    *("s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*", "s3:RestoreObject", "s3:UpdateObjectEncryption"),
    *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:BypassGovernanceRetention"),
    *("s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags", "s3:InitiateReplication"),
    "s3:ObjectOwnerOverrideToBucketOwner",
)
BUCKET_ACTIONS: Final = (
    *("s3:CreateBucket", "s3:DeleteBucket*", "s3:GetBucket*", "s3:PutBucket*", "s3:ListBucket*"),
    *("s3:Get*Configuration", "s3:Put*Configuration"),
)
"""Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""

Statement = dict[str, Any]
Rule = Callable[[list[Statement], Properties], Iterator[tuple[int | None, str]]]
"""From statements and the other inputs to what is refused: the statement's index, and the answer."""


def check_policy(type_token: str, inputs: Properties, key: str, account: str) -> Iterator[Failure]:
    """Refuse what AWS would refuse of one policy.

    Args:
        type_token: the type of the resource that has it.
        inputs: the resource's inputs, revealed.
        key: the property with the policy.
        account: the account's number.
    """
    value = inputs.get(key)
    malformed = list(check_document(value, key))
    yield from malformed
    if malformed or not isinstance(value, str):
        return
    statements = _list(json.loads(value)["Statement"])
    rule = RULES.get(type_token)
    for index, answer in rule(statements, {**inputs, "account": account}) if rule else ():
        yield Failure(key if index is None else join(join(key, "Statement"), index), answer)
    largest = SIZES.get(type_token)
    size = len("".join(value.split()))
    if largest and size > largest:
        yield Failure(key, f"LimitExceeded: at most {largest} characters without blanks, found {size}")


def is_public(policy: str) -> bool:
    """Whether a bucket's policy lets everybody do something, as `blockPublicPolicy` sees it."""
    return any(
        one["Effect"] == "Allow"
        and _principals(one) & {("*", "*"), ("AWS", "*")}
        and not one.get("Condition")
        for one in _list(json.loads(policy)["Statement"])
    )


def _of_trust(statements: list[Statement], _: Properties) -> Iterator[tuple[int | None, str]]:
    for index, one in enumerate(statements):
        actions = _list(one.get("Action", []))
        if not _principals(one):
            yield index, "MalformedPolicyDocument: a trust policy must name a Principal"
        if "Resource" in one:
            yield index, "MalformedPolicyDocument: Has prohibited field Resource"
        if any(not action.startswith("sts:") for action in actions):
            yield index, "MalformedPolicyDocument: AssumeRole policy may only specify STS AssumeRole actions."
        if WEB_IDENTITY in actions and not any(kind == "Federated" for kind, _ in _principals(one)):
            yield index, f"{WEB_IDENTITY} needs a Federated principal: nobody could take the role over"


def _of_identity(statements: list[Statement], _: Properties) -> Iterator[tuple[int | None, str]]:
    for index, one in enumerate(statements):
        if _principals(one):
            yield index, "MalformedPolicyDocument: Policy document should not specify a principal."
        if not one.keys() & {"Resource", "NotResource"}:
            yield index, "MalformedPolicyDocument: Policy statement must contain resources."
        for resource in _list(one.get("Resource", [])):
            if resource != "*" and not resource.startswith("arn:"):
                yield index, f'MalformedPolicyDocument: Resource {resource} must be in ARN format or "*".'
        for action in _list(one.get("Action", [])):
            if action != "*" and ":" not in action:
                yield index, "MalformedPolicyDocument: Actions/Conditions must be prefaced by a vendor"


def _of_key(statements: list[Statement], inputs: Properties) -> Iterator[tuple[int | None, str]]:
    for index, one in enumerate(statements):
        if not _principals(one):
            yield index, "MalformedPolicyDocumentException: Policy contains a statement with no principal"
        if "Resource" not in one:
            yield index, "MalformedPolicyDocumentException: Policy contains a statement with no resource"
    ours = f"arn:aws:iam::{inputs['account']}:"
    keeps = any(
        one["Effect"] == "Allow"
        and any(fnmatchcase(PUT_KEY_POLICY, action) for action in _list(one.get("Action", [])))
        and any(
            name == "*" or name == inputs["account"] or name.startswith(ours) for _, name in _principals(one)
        )
        for one in statements
    )
    if not keeps and not inputs.get("bypassPolicyLockoutSafetyCheck"):
        yield (
            None,
            "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy"
            " in the future.",
        )


def _of_bucket(statements: list[Statement], inputs: Properties) -> Iterator[tuple[int | None, str]]:
    bucket = text(inputs, "bucket")
    own = re.compile(rf"arn:aws:s3:::{re.escape(bucket)}(/.*)?")
    for index, one in enumerate(statements):
        if not _principals(one):
            yield index, "MalformedPolicy: Missing required field Principal"
        resources = _list(one.get("Resource", []))
        for resource in resources:
            # What is not known yet, as the bucket's own name, is nobody's fault.
            if bucket and not own.fullmatch(resource):
                yield index, f"MalformedPolicy: Policy has invalid resource: {resource} is not of {bucket}"
        for action in _list(one.get("Action", [])):
            of_objects = _could_be(action, OBJECT_ACTIONS)
            of_buckets = _could_be(action, BUCKET_ACTIONS)
            if not of_objects and not of_buckets:
                yield index, f"MalformedPolicy: Policy has invalid action: {action}"
            elif resources and not any(of_objects if "/" in one else of_buckets for one in resources):
                yield (
                    index,
                    f"MalformedPolicy: Action does not apply to any resource(s) in statement: {action}",
                )


def _could_be(action: str, patterns: tuple[str, ...]) -> bool:
    """Whether an action, itself perhaps with a `*`, is one of those."""
    return any(fnmatchcase(action, one) or fnmatchcase(one.replace("*", ""), action) for one in patterns)


def _principals(statement: Statement) -> set[tuple[str, str]]:
    """Every principal of a statement, as its kind and its name."""
    found: Any = statement.get("Principal", statement.get("NotPrincipal", {}))
    if isinstance(found, str):
        return {(found, found)}
    return {(kind, name) for kind, names in found.items() for name in _list(names)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


RULES: Final[Mapping[str, Rule]] = {
    "aws:iam/policy:Policy": _of_identity,
    "aws:iam/role:Role": _of_trust,
    "aws:iam/rolePolicy:RolePolicy": _of_identity,
    "aws:iam/userPolicy:UserPolicy": _of_identity,
    "aws:kms/key:Key": _of_key,
    "aws:s3/bucketPolicy:BucketPolicy": _of_bucket,
}
SIZES: Final[Mapping[str, int]] = {
    "aws:iam/policy:Policy": LARGEST_MANAGED,
    "aws:iam/role:Role": LARGEST_TRUST,
    "aws:iam/rolePolicy:RolePolicy": LARGEST_INLINE,
    "aws:iam/userPolicy:UserPolicy": 2_048,
    "aws:s3/bucketPolicy:BucketPolicy": LARGEST_OF_BUCKET,
}
