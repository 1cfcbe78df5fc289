"""What cloud identities may do, and who may become one."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from pulumi_policy import Severity

from baseline.documents import Statement, is_unknown, statements
from baseline.frameworks import security_hub
from baseline.model import UNKNOWN, Policy, Resource, Violation
from baseline.subjects import PlainPolicy
from baseline.tree import Node, must

_DOCUMENTS: Final = {
    "aws:iam/policy:Policy": "policy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
}
_ROLE: Final = "aws:iam/role:Role"
_ATTACHMENT: Final = re.compile(r"aws:iam/(role|user|group)?[pP]olicyAttachment:\w+")

_UNBOUNDED: Final = frozenset(
    {
        "ec2:Describe*",
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "cloudwatch:GetMetricData",
        "cloudwatch:ListMetrics",
        "s3:ListAllMyBuckets",
        "sts:GetCallerIdentity",
        "kms:ListAliases",
    }
)
"""Actions that AWS knows no resource for. Source: the service authorization reference."""


def _read(document: Node, check: Callable[[Statement], Iterator[Violation]]) -> Iterator[Violation]:
    if document.value is None:
        return
    if is_unknown(document):
        yield Violation(document.path, UNKNOWN, "a policy document")
        return
    for statement in statements(document):
        yield from check(statement)


def check_privilege(resource: Resource) -> Iterator[Violation]:
    """Refuse asterisks for actions and resources, and the administrators' policies."""
    root = Node(resource.properties)
    if _ATTACHMENT.fullmatch(resource.type):
        arn = root.at("policyArn")
        yield from must(
            arn,
            lambda value: (
                not (
                    isinstance(value, str)
                    and re.search(r":policy/(AdministratorAccess|IAMFullAccess|PowerUserAccess)$", value)
                )
            ),
            "a policy with what is needed",
        )
        return
    if resource.type == _ROLE:
        for policy in root.at("inlinePolicies").items():
            yield from _read(policy.at("policy"), _check_statement)
        for arn in root.at("managedPolicyArns").items():
            yield from must(
                arn, lambda value: not str(value).endswith(":policy/AdministratorAccess"), "what is needed"
            )
        return
    yield from _read(root.at(_DOCUMENTS[resource.type]), _check_statement)


def _check_statement(statement: Statement) -> Iterator[Violation]:
    if not statement.allows:
        return
    for key in ("NotAction", "NotResource"):
        if key in statement.fields:
            yield Violation(f"{statement.path}.{key}", f"an Allow with {key}", "what is needed, by name")
    actions = statement.texts("Action")
    for action in actions:
        service, _, name = action.partition(":")
        if action == "*" or name == "*" or service == "*":
            yield Violation(f"{statement.path}.Action", action, "actions by name")
    for resource in statement.texts("Resource"):
        if resource == "*" and not all(action in _UNBOUNDED for action in actions):
            yield Violation(f"{statement.path}.Resource", resource, "resources by ARN")


def check_trust(resource: Resource) -> Iterator[Violation]:
    """Refuse roles that anybody, or any workload of an identity provider, may take."""
    yield from _read(Node(resource.properties).at("assumeRolePolicy"), _check_trust)


def _check_trust(statement: Statement) -> Iterator[Violation]:
    if not statement.allows:
        return
    where = f"{statement.path}.Principal"
    conditions = list(statement.conditions())
    if "NotPrincipal" in statement.fields:
        yield Violation(f"{statement.path}.NotPrincipal", "an Allow with NotPrincipal", "principals by name")
    for kind, name in statement.principals():
        if name == "*":
            yield Violation(where, name, "principals by name")
        elif kind == "AWS" and name.endswith(":root") and not conditions:
            yield Violation(where, name, "a role of the account, or a condition")
        elif kind == "Federated" and ":oidc-provider/" in name:
            fixed = [
                values
                for operator, key, values in conditions
                if key.endswith(":sub")
                and operator.removeprefix("ForAnyValue:") in ("StringEquals", "StringLike")
            ]
            if not any(values and all(_is_fixed(value) for value in values) for values in fixed):
                yield Violation(
                    f"{statement.path}.Condition",
                    fixed[0][0] if fixed and fixed[0] else None,
                    "a condition on the provider's :sub, without an asterisk",
                )


def _is_fixed(subject: str) -> bool:
    return subject != "" and "*" not in subject and "?" not in subject


POLICIES: Final[tuple[Policy, ...]] = (
    PlainPolicy(
        name="iam-least-privilege",
        description="Policies of AWS must name their actions and resources.",
        remedy="List the actions that are needed, on the ARNs that they are needed for.",
        severity=Severity.HIGH,
        framework=security_hub("IAM.21"),
        anchors=(
            *("CKV_AWS_63", "CKV_AWS_274", "CKV_AWS_290", "CKV_AWS_355"),
            *("SecurityHub-IAM.1", "SecurityHub-IAM.21", "SOC2-CC6.3"),
        ),
        selects=lambda token: (
            token in _DOCUMENTS or token == _ROLE or _ATTACHMENT.fullmatch(token) is not None
        ),
        check=check_privilege,
    ),
    PlainPolicy(
        name="iam-trust-scoped",
        description="Roles of AWS must say who may take them, without an asterisk, by OIDC too.",
        remedy="Name the principal, and for OIDC the service account in a StringEquals condition on :sub.",
        severity=Severity.CRITICAL,
        framework=security_hub("IAM.21"),
        anchors=("CKV_AWS_60", "CKV_AWS_61", "CKV_AWS_358", "SOC2-CC6.3"),
        selects=lambda token: token == _ROLE,
        check=check_trust,
    ),
)
