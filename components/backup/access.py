"""Who may reach for the backups: one role of AWS for each job, for the one service account that runs it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.backup.buckets import Buckets
from components.backup.grants import AUDIENCE, GRANTS, Location, policy_document, trust_document
from components.base import Component, Identity

SCHEME = "https://"


@dataclass(frozen=True, kw_only=True)
class Oidc:
    """The cluster's identity provider, as AWS knows it.

    Attributes:
        issuer: the URL that the cluster puts into its service accounts' tokens.
        create: whether to make AWS's record of it; False where it has one, as with most managed clusters. An
            account has one record for an issuer, so two stacks of one cluster can't both make it.
    """

    issuer: str
    create: bool = False

    @property
    def host(self) -> str:
        """The issuer without its scheme, as policies and ARNs have it."""
        return self.issuer.removeprefix(SCHEME)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The service account that runs a job.

    Attributes:
        namespace: where it is.
        account: its name; fixed, because a trust outside the cluster says it.
    """

    namespace: pulumi.Input[str]
    account: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """Who runs what.

    Attributes:
        identity: whose the roles are.
        account: the AWS account's number, twelve digits.
        oidc: who vouches for service accounts.
        subjects: job, one of `grants.GRANTS` -> the service account that runs it.
        buckets: what they reach for.
    """

    identity: Identity
    account: str
    oidc: Oidc
    subjects: Mapping[str, Subject]
    buckets: Buckets


class Access(Component):
    """One role for each job, with exactly its grants, and nobody else's.

    A pod shows the token of its service account and gets credentials for an hour; there is no key to keep, to
    rotate or to lose. A role is given rights when the buckets are complete, not before: what is written
    earlier would be neither locked nor encrypted by the right key.

    Where no identity provider is set, this component is not made: keys that somebody made come from the
    stack's secrets then, and no user of AWS is made for them.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
    """

    TYPE = "fixia:backup:Access"

    roles: dict[str, pulumi.Output[str]]
    """Job -> the ARN of its role."""

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        for job in args.subjects:
            if job not in GRANTS:
                raise ValueError(f"{name}: there is no job {job!r}: one of {', '.join(GRANTS)}")
        super().__init__(name, args.identity, opts)
        self._args = args
        issuer = [self._issuer(name)] if args.oidc.create else []
        self.roles = {
            job: self._role(f"{name}-{job}", job, subject, issuer) for job, subject in args.subjects.items()
        }
        self.finish()

    def _issuer(self, name: str) -> pulumi.Resource:
        """AWS's record of the cluster's issuer."""
        return aws.iam.OpenIdConnectProvider(
            f"{name}-issuer",
            url=self._args.oidc.issuer,
            client_id_lists=[AUDIENCE],
            tags=self._labels,
            opts=self.child(),
        )

    def _role(
        self, resource: str, job: str, subject: Subject, issuer: Sequence[pulumi.Resource]
    ) -> pulumi.Output[str]:
        host, buckets = self._args.oidc.host, self._args.buckets
        # Put together here and not read off the record, so that a preview shows who is trusted.
        provider = f"arn:aws:iam::{self._args.account}:oidc-provider/{host}"
        trust = pulumi.Output.all(subject.namespace, subject.account).apply(
            lambda known: json.dumps(trust_document(provider, host, known[0], known[1]))
        )
        grants = pulumi.Output.all(
            buckets.bucket, buckets.key_arn, buckets.replica_bucket, buckets.replica_key_arn
        ).apply(
            lambda known: json.dumps(
                policy_document(
                    job,
                    Location(bucket=known[0], region=buckets.region, key=known[1]),
                    Location(bucket=known[2], region=buckets.replica_region, key=known[3]),
                )
            )
        )
        role = aws.iam.Role(
            f"{resource}-role",
            description=f"Backups of {self._args.identity.product}: {job}",
            assume_role_policy=trust,
            tags=self._labels,
            opts=self.child(depends_on=issuer),
        )
        aws.iam.RolePolicy(
            f"{resource}-policy",
            role=role.name,
            policy=grants,
            opts=self.child(depends_on=[buckets]),
        )
        return role.arn
