"""Who may do what with the backups: the grants as data, and the roles that are made of them."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pulumi.runtime import mocks

from components.backup.access import Access, AccessArgs, Oidc, Subject
from components.backup.buckets import Buckets, BucketsArgs
from components.backup.grants import GRANTS, Location, Place, allowed, policy_document, trust_document
from components.backup.repository import Access as Who
from components.base import Identity
from tests import recorder
from tests.recorder import Recording, record

ACCOUNT = "123456789012"
ISSUER = "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"
HOST = ISSUER.removeprefix("https://")
IDENTITY = Identity(product="shop", environment="production", owner="team", cost_centre="core")
KEY, REPLICA_KEY = "arn:aws:kms:eu-central-1:1:key/here", "arn:aws:kms:eu-west-1:1:key/there"
HERE = Location(bucket="here", region="eu-central-1", key=KEY)
THERE = Location(bucket="there", region="eu-west-1", key=REPLICA_KEY)

WAL = "pgbackrest/archive/main/17-1/0000000100000000/000000010000000000000001-ab.zst"
ARCHIVE_INFO = "pgbackrest/archive/main/archive.info"
BACKUP = "pgbackrest/backup/main/20261120-020000F/bundle/1"
BACKUP_INFO = "pgbackrest/backup/main/backup.info.copy"
RESULT = "results/backup.json"
DUMP = "dump/shop/20261120T040000Z/toc.dat"
KEYS = (WAL, ARCHIVE_INFO, BACKUP, BACKUP_INFO, RESULT, DUMP)
OPERATED = "cloudnative-pg/database/base/20261120T020000/data.tar.gz"
PUT, GET, DELETE, LIST = "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"


def may(job: str, action: str, place: Place = "repository") -> set[str]:
    return {key for key in (*KEYS, OPERATED) if allowed(job, action, key, place)}


@pytest.mark.parametrize(
    ("job", "reads", "writes", "deletes"),
    [
        ("database", {WAL, ARCHIVE_INFO, BACKUP, BACKUP_INFO}, {WAL, ARCHIVE_INFO, BACKUP_INFO}, set()),
        ("backup", {*KEYS} - {DUMP}, {*KEYS} - {DUMP}, {WAL, ARCHIVE_INFO, BACKUP, BACKUP_INFO}),
        ("snapshot", {*KEYS} - {DUMP}, {*KEYS} - {DUMP}, {WAL, ARCHIVE_INFO, BACKUP, BACKUP_INFO}),
        ("dump", {DUMP, RESULT}, {DUMP, RESULT}, {DUMP}),
        ("restore-test", {*KEYS} - {DUMP}, {RESULT}, set()),
        ("drill", {RESULT}, {RESULT}, set()),
        ("freshness", {*KEYS} - {DUMP}, {RESULT}, set()),
        ("monitor", {ARCHIVE_INFO, BACKUP_INFO, RESULT}, set(), set()),
        ("cloudnative-pg", {OPERATED}, {OPERATED}, {OPERATED}),
    ],
)
def test_each_job_does_its_own_and_no_more(
    job: str, reads: set[str], writes: set[str], deletes: set[str]
) -> None:
    assert may(job, GET) == reads
    assert may(job, PUT) == writes
    assert may(job, DELETE) == deletes
    assert may(job, "s3:AbortMultipartUpload") == writes, "who writes in parts takes parts back"


def test_the_replica_is_read_and_never_written() -> None:
    assert may("drill", GET, "replica") == {WAL, ARCHIVE_INFO, BACKUP, BACKUP_INFO}
    assert may("monitor", GET, "replica") == {RESULT}
    assert may("database", GET, "replica") == may("database", GET)
    assert [job for job in GRANTS if may(job, GET, "replica")] == ["database", "drill", "monitor"]
    for job in GRANTS:
        for action in (PUT, DELETE, "s3:AbortMultipartUpload"):
            assert may(job, action, "replica") == set()


def test_nobody_deletes_a_version_or_gets_around_a_lock() -> None:
    actions = {grant.action for grants in GRANTS.values() for grant in grants}
    assert actions == {
        *(GET, PUT, DELETE, LIST, "s3:AbortMultipartUpload"),
        *("s3:GetObjectVersion", "s3:ListBucketVersions"),
    }


def test_what_was_deleted_can_be_restored_by_the_database_alone() -> None:
    for place in get_args(Place):
        assert [job for job in GRANTS if may(job, "s3:GetObjectVersion", place)] == ["database"]
        assert [job for job in GRANTS if may(job, "s3:ListBucketVersions", place)] == ["database"]


def test_what_no_everyday_run_calls_says_what_it_is_for() -> None:
    everyday = {grant.action for grants in GRANTS.values() for grant in grants if not grant.rare}
    assert everyday == {GET, PUT, DELETE, LIST}
    assert [
        job
        for job, grants in GRANTS.items()
        if any(one.place == "replica" and not one.rare for one in grants)
    ] == [
        "drill",
        "monitor",
    ]


def test_whoever_uses_the_repository_has_grants() -> None:
    assert set(GRANTS) == set(get_args(Who))


def test_whoever_reads_may_list_what_he_reads() -> None:
    for job in GRANTS:
        for place in get_args(Place):
            assert may(job, GET, place) <= may(job, LIST, place)
    assert may("monitor", LIST) == set(KEYS), "it says how large each part is"


def by_title(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {one["Sid"]: one for one in document["Statement"]}
    assert len(found) == len(document["Statement"])
    return found


def test_a_policy_says_the_grants_and_the_use_of_the_key() -> None:
    assert policy_document("drill", HERE, THERE) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RepositoryListBucket",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::here",
                "Condition": {"StringLikeIfExists": {"s3:prefix": ["results/*"]}},
            },
            {
                "Sid": "RepositoryObjects1",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                "Resource": ["arn:aws:s3:::here/results/*"],
            },
            {
                "Sid": "RepositoryKey",
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": KEY,
                "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}},
            },
            {
                "Sid": "ReplicaListBucket",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::there",
                "Condition": {"StringLikeIfExists": {"s3:prefix": ["pgbackrest/*"]}},
            },
            {
                "Sid": "ReplicaObjects1",
                "Effect": "Allow",
                "Action": ["s3:GetObject"],
                "Resource": ["arn:aws:s3:::there/pgbackrest/*"],
            },
            {
                "Sid": "ReplicaKey",
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": REPLICA_KEY,
                "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
            },
        ],
    }


def granted(job: str) -> Iterator[tuple[str, str]]:
    """Every action of a job's policy with each of its resources."""
    for statement in policy_document(job, HERE, THERE)["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for one in [resources] if isinstance(resources, str) else resources:
                yield action, one


@pytest.mark.parametrize("job", GRANTS)
def test_a_policy_says_each_grant_once_and_nothing_else(job: str) -> None:
    arns = {"repository": "arn:aws:s3:::here", "replica": "arn:aws:s3:::there"}
    expected = {
        (grant.action, arns[grant.place] + ("" if grant.action.startswith("s3:List") else f"/{key}"))
        for grant in GRANTS[job]
        for key in grant.keys
    }
    found = [pair for pair in granted(job) if pair[0].startswith("s3:")]
    assert set(found) == expected
    assert len(found) == len(set(found))
    for statement in policy_document(job, HERE, THERE)["Statement"]:
        if isinstance(statement["Action"], str):
            place = "repository" if statement["Resource"] == arns["repository"] else "replica"
            prefixes = {
                key
                for grant in GRANTS[job]
                if grant.action == statement["Action"] and grant.place == place
                for key in grant.keys
            }
            assert statement["Condition"] == {"StringLikeIfExists": {"s3:prefix": sorted(prefixes)}}


@pytest.mark.parametrize("job", GRANTS)
def test_no_policy_has_a_bare_wildcard(job: str) -> None:
    document = policy_document(job, HERE, THERE)
    assert {one["Effect"] for one in document["Statement"]} == {"Allow"}
    for action, resource in granted(job):
        assert "*" not in action
        assert resource not in ("*", "arn:aws:s3:::here/*", "arn:aws:s3:::there/*")
    assert len(json.dumps(document)) < 6144, "it would fit in a policy of any kind"


def test_only_who_writes_gets_new_keys() -> None:
    makers = [job for job in GRANTS if ("kms:GenerateDataKey", KEY) in granted(job)]
    assert makers == [job for job in GRANTS if may(job, PUT)]
    assert not any(("kms:GenerateDataKey", REPLICA_KEY) in granted(job) for job in GRANTS)
    assert {resource for action, resource in granted("dump") if action.startswith("kms:")} == {KEY}


def test_without_a_replica_nothing_is_granted_there() -> None:
    document = policy_document("database", HERE)
    assert not [title for title in by_title(document) if title.startswith("Replica")]
    assert by_title(document).keys() == {
        title
        for title in by_title(policy_document("database", HERE, THERE))
        if title.startswith("Repository")
    }


def test_a_job_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="there is no job 'bakcup': one of database, backup"):
        policy_document("bakcup", HERE)
    with pytest.raises(ValueError, match="there is no job 'bakcup'"):
        allowed("bakcup", GET, WAL)


def test_a_role_is_for_one_service_account_of_one_cluster() -> None:
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
    assert trust_document(provider, HOST, "shop-data", "backup-dump") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{HOST}:aud": "sts.amazonaws.com",
                        f"{HOST}:sub": "system:serviceaccount:shop-data:backup-dump",
                    }
                },
            }
        ],
    }


class WithArns(recorder._Echo):
    """What AWS would number."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        resource_id, outputs = super().new_resource(args)
        if args.typ == "aws:kms/key:Key":
            outputs |= {"arn": f"arn:aws:kms:{args.inputs['region']}:1:key/{args.name}", "keyId": args.name}
        if args.typ == "aws:iam/role:Role":
            outputs |= {"arn": f"arn:aws:iam::{ACCOUNT}:role/{args.name}", "name": f"{args.name}-1a2b3c4"}
        return resource_id, outputs


def recorded(*, create: bool = False, jobs: tuple[str, ...] = tuple(GRANTS)) -> Recording:
    def program() -> None:
        where: dict[str, Any] = {"account": ACCOUNT, "region": "eu-central-1", "replica_region": "eu-west-1"}
        Access(
            "access",
            AccessArgs(
                identity=IDENTITY,
                account=ACCOUNT,
                oidc=Oidc(issuer=ISSUER, create=create),
                subjects={job: Subject(namespace="shop-data", account=f"backup-{job}") for job in jobs},
                buckets=Buckets("buckets", BucketsArgs(identity=IDENTITY, **where)),
            ),
        )

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder, "_Echo", WithArns)
        return record(program)


@pytest.fixture(scope="module")
def access() -> Recording:
    return recorded()


def test_there_is_one_role_for_each_job_with_its_policy(access: Recording) -> None:
    buckets = {
        "repository": Location(
            bucket=f"shop-production-backups-{ACCOUNT}",
            region="eu-central-1",
            key="arn:aws:kms:eu-central-1:1:key/buckets-repository-key",
        ),
        "replica": Location(
            bucket=f"shop-production-backups-replica-{ACCOUNT}",
            region="eu-west-1",
            key="arn:aws:kms:eu-west-1:1:key/buckets-replica-key",
        ),
    }
    for job in GRANTS:
        role = access.one("aws:iam/role:Role", f"access-{job}-role")
        provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
        assert json.loads(role.inputs["assumeRolePolicy"]) == trust_document(
            provider, HOST, "shop-data", f"backup-{job}"
        )
        policy = access.one("aws:iam/rolePolicy:RolePolicy", f"access-{job}-policy")
        assert policy.inputs["role"] == f"access-{job}-role-1a2b3c4"
        assert json.loads(policy.inputs["policy"]) == policy_document(job, **buckets)
    ours = [one for one in access.of_type("aws:iam/role:Role") if one.name.startswith("access-")]
    assert len(ours) == len(GRANTS)


def test_the_roles_are_what_the_pods_are_told(access: Recording) -> None:
    (component,) = access.of_type("fixia:backup:Access")
    assert component.outputs == {
        "roles": {job: f"arn:aws:iam::{ACCOUNT}:role/access-{job}-role" for job in GRANTS}
    }


def test_no_user_and_no_key_is_ever_made(access: Recording) -> None:
    kinds = {one.type for one in access.all.values() if one.type.startswith("aws:iam/")}
    assert kinds == {"aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"}


def test_nobody_may_write_before_the_buckets_are_complete(access: Recording) -> None:
    settings = {one.urn for one in access.all.values() if one.type.startswith("aws:s3/")}
    assert len(settings) > 20
    for policy in access.of_type("aws:iam/rolePolicy:RolePolicy"):
        if policy.name.startswith("access-"):
            assert settings <= set(policy.options["depends_on"])


def test_the_issuer_is_recorded_where_aws_does_not_know_it() -> None:
    recording = recorded(create=True, jobs=("backup",))
    (provider,) = recording.of_type("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    assert provider.inputs["url"] == ISSUER
    assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]
    role = recording.one("aws:iam/role:Role", "access-backup-role")
    assert provider.urn in role.options["depends_on"]
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"}


def test_roles_say_who_pays(access: Recording) -> None:
    for role in access.of_type("aws:iam/role:Role"):
        if role.name.startswith("access-"):
            assert role.inputs["tags"] == IDENTITY.labels("access", "backup")


def test_nobody_records_an_issuer_unasked() -> None:
    assert not Oidc(issuer=ISSUER).create


def test_a_subject_without_grants_is_refused() -> None:
    with pytest.raises(ValueError, match="access: there is no job 'bakcup': one of database"):
        recorded(jobs=("bakcup",))
