"""The simulated aws provider: names, ARNs, policies and what only a replacement can change."""

import json
from typing import Any

import pytest

from simulator.providers.aws import Aws
from simulator.providers.core import ProviderError, Resource
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN, Secret

BUCKET = "aws:s3/bucket:Bucket"
ROLE = "aws:iam/role:Role"
KEY = "aws:kms/key:Key"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        ],
    }
)
SEED = Naming(seed=b"seed")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    provider = Aws(Store())
    provider.configure({"region": "eu-central-1", "defaultTags": '{"tags": {"owner": "web"}}'})
    return provider


def resource(token: str, name: str = "Backups") -> Resource:
    return Resource(f"urn:pulumi:test::shop::{token}::{name}", token, name)


def accepted(aws: Aws, token: str, news: dict[str, Any], olds: Any = None) -> dict[str, Any]:
    checked = aws.check(resource(token), olds or {}, news, SEED)
    assert checked.failures == []
    return checked.inputs


def refused(aws: Aws, token: str, news: dict[str, Any]) -> list[str]:
    return [str(failure) for failure in aws.check(resource(token), {}, news, SEED).failures]


def test_a_bucket_is_named_once_and_in_small_letters(aws: Aws) -> None:
    first = accepted(aws, BUCKET, {})
    assert first["bucket"].startswith("backups-")
    assert len(first["bucket"]) == len("backups-") + 7
    again = aws.check(resource(BUCKET), first, {"forceDestroy": True}, Naming(seed=b"other"))
    assert again.inputs["bucket"] == first["bucket"]
    chosen = aws.check(resource(BUCKET), first, {"bucket": "chosen"}, Naming(seed=b"other"))
    assert chosen.inputs == {"bucket": "chosen"}


def test_a_bucket_looks_like_a_real_one(aws: Aws) -> None:
    bucket_id, outputs = aws.create(
        resource(BUCKET), accepted(aws, BUCKET, {"bucket": "backups", "tags": {"a": "b"}})
    )
    assert bucket_id == "backups"
    assert outputs["arn"] == "arn:aws:s3:::backups"
    assert outputs["bucketRegionalDomainName"] == "backups.s3.eu-central-1.amazonaws.com"
    assert outputs["tagsAll"] == {"owner": "web", "a": "b"}
    with pytest.raises(ProviderError, match="BucketAlreadyOwnedByYou"):
        aws.create(resource(BUCKET, "second"), {"bucket": "backups"})


def test_a_prefix_makes_the_name_at_creation(aws: Aws) -> None:
    inputs = accepted(aws, BUCKET, {"bucketPrefix": "shop-"})
    assert "bucket" not in inputs
    bucket_id, outputs = aws.create(resource(BUCKET), inputs)
    assert bucket_id.startswith("shop-")
    assert outputs["bucket"] == bucket_id


def test_identities(aws: Aws) -> None:
    role_id, role = aws.create(
        resource(ROLE), accepted(aws, ROLE, {"name": "backup", "assumeRolePolicy": TRUST})
    )
    assert (role_id, role["arn"]) == ("backup", "arn:aws:iam::123456789012:role/backup")
    assert (role["path"], role["maxSessionDuration"]) == ("/", 3600)
    policy = "aws:iam/policy:Policy"
    allow = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    inputs = accepted(aws, policy, {"name": "p", "path": "/shop/", "policy": json.dumps(allow)})
    policy_id, _ = aws.create(resource(policy), inputs)
    assert policy_id == "arn:aws:iam::123456789012:policy/shop/p"
    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    inputs = accepted(aws, attachment, {"role": role_id, "policyArn": policy_id})
    assert aws.create(resource(attachment), inputs)[0] == f"backup/{policy_id}"
    with pytest.raises(ProviderError, match="EntityAlreadyExists: role 'backup'"):
        aws.create(resource(ROLE, "other"), {"name": "backup", "assumeRolePolicy": TRUST})


def test_keys_have_invented_ids_that_do_not_change(aws: Aws) -> None:
    inputs = accepted(aws, KEY, {})
    first, outputs = aws.create(resource(KEY), inputs)
    assert outputs["arn"] == f"arn:aws:kms:eu-central-1:123456789012:key/{first}"
    assert outputs["keyUsage"] == "ENCRYPT_DECRYPT"
    second, _ = aws.create(resource(KEY), inputs)
    assert second != first, "a replacement stands beside the old key for a while"
    other = Aws(Store())
    other.configure({"region": "eu-central-1"})
    assert other.create(resource(KEY), inputs)[0] == first
    alias = "aws:kms/alias:Alias"
    inputs = accepted(aws, alias, {"name": "alias/backups", "targetKeyId": first})
    alias_id, outputs = aws.create(resource(alias), inputs)
    assert (alias_id, outputs["targetKeyArn"]) == (
        "alias/backups",
        f"arn:aws:kms:eu-central-1:123456789012:key/{first}",
    )
    assert outputs["arn"].endswith(":123456789012:alias/backups")


def test_a_preview_knows_tags_and_region_but_no_arn(aws: Aws) -> None:
    outputs = aws.preview_create(
        resource(BUCKET), accepted(aws, BUCKET, {"bucket": "backups", "tags": {"a": "b"}})
    )
    assert outputs["bucket"] == "backups"
    assert outputs["tagsAll"] == {"owner": "web", "a": "b"}
    assert outputs["region"] == "eu-central-1"
    assert outputs["arn"] is UNKNOWN
    assert "acl" not in outputs, "what the program may set and has not is absent, not unknown"


def test_an_update_keeps_what_was_computed(aws: Aws) -> None:
    old_inputs = accepted(aws, BUCKET, {"bucket": "backups", "tags": {"a": "b"}})
    bucket_id, old = aws.create(resource(BUCKET), old_inputs)
    news = accepted(aws, BUCKET, {"bucket": "backups", "tags": {"a": "c"}}, old_inputs)
    expected = aws.preview_update(resource(BUCKET), (old_inputs, old), news)
    assert expected == aws.update(resource(BUCKET), bucket_id, old, news)
    assert expected["tagsAll"] == {"owner": "web", "a": "c"}
    assert aws.read(resource(BUCKET), bucket_id, news, expected) == (bucket_id, news, expected)


@pytest.mark.parametrize(
    ("token", "olds", "news", "replaced"),
    [
        (BUCKET, {"bucket": "one"}, {"bucket": "two"}, ["bucket"]),
        (BUCKET, {"bucket": "one"}, {"bucket": "one", "tags": {"a": "b"}}, []),
        (BUCKET, {"bucket": "one"}, {"bucket": "one", "region": "us-east-1"}, ["region"]),
        (ROLE, {"name": "a"}, {"name": "a", "path": "/b/"}, ["path"]),
        (ROLE, {"name": "a"}, {"name": "a", "description": "b"}, []),
        (KEY, {"keyUsage": "SIGN_VERIFY"}, {"keyUsage": "ENCRYPT_DECRYPT"}, ["keyUsage"]),
        (KEY, {}, {"enableKeyRotation": True}, []),
        ("aws:iam/user:User", {"name": "a"}, {"name": "b"}, []),
        ("aws:sns/topic:Topic", {"name": "a"}, {"name": "b"}, ["name"]),
        ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "a"}, {"bucket": "b"}, ["bucket"]),
    ],
)
def test_replacements(
    aws: Aws, token: str, olds: dict[str, Any], news: dict[str, Any], replaced: list[str]
) -> None:
    found = aws.diff(resource(token), olds, news)
    assert found.changes
    assert [change.path for change in found.replaces] == replaced


def test_a_name_of_the_program_must_go_first(aws: Aws) -> None:
    role = {"name": "a", "assumeRolePolicy": TRUST}
    assert aws.diff(resource(ROLE), role, {**role, "path": "/b/"}).delete_first
    named = accepted(aws, ROLE, {"assumeRolePolicy": TRUST})
    assert not aws.diff(resource(ROLE), named, {**named, "path": "/b/"}).delete_first


def test_a_policy_given_as_an_object_becomes_its_text(aws: Aws) -> None:
    inputs = accepted(aws, ROLE, {"assumeRolePolicy": Secret(json.loads(TRUST))})
    assert isinstance(inputs["assumeRolePolicy"], Secret)
    assert json.loads(inputs["assumeRolePolicy"].value) == json.loads(TRUST)


@pytest.mark.parametrize(
    ("token", "news", "expected"),
    [
        (BUCKET, {"bucket": "Backups"}, "bucket: expected 3 to 63"),
        (BUCKET, {"bucket": "a..b"}, "bucket: expected 3 to 63"),
        (BUCKET, {"bucket": 5}, "bucket: expected a string, found an integer 5"),
        (BUCKET, {"forceDestory": True}, "forceDestory: unknown property; did you mean forceDestroy?"),
        (ROLE, {}, "assumeRolePolicy: missing required property"),
        (ROLE, {"assumeRolePolicy": "{"}, "assumeRolePolicy: contains an invalid JSON policy"),
        (ROLE, {"assumeRolePolicy": "[]"}, "assumeRolePolicy: expected a policy document with a Statement"),
        (ROLE, {"assumeRolePolicy": TRUST.replace("Allow", "allow")}, "assumeRolePolicy.Statement[0].Effect"),
        (
            ROLE,
            {"assumeRolePolicy": TRUST.replace("2012", "2013")},
            "assumeRolePolicy.Version: expected one of",
        ),
        (
            ROLE,
            {"assumeRolePolicy": TRUST.replace("Principal", "Principl")},
            "assumeRolePolicy.Statement[0]: ",
        ),
        (ROLE, {"assumeRolePolicy": TRUST, "name": "a b"}, "name: expected at most 64"),
        (
            ROLE,
            {"assumeRolePolicy": TRUST, "maxSessionDuration": 60},
            "maxSessionDuration: expected a number from",
        ),
        (KEY, {"deletionWindowInDays": 5}, "deletionWindowInDays: expected a number from 7 to 30, found 5"),
        ("aws:kms/alias:Alias", {"targetKeyId": "k", "name": "backups"}, "name: expected alias/"),
        ("aws:s3/bukket:Bukket", {}, "pulumi-aws 7"),
    ],
)
def test_refusals(aws: Aws, token: str, news: dict[str, Any], expected: str) -> None:
    [found] = refused(aws, token, news)
    assert found.startswith(expected)


def test_what_is_not_known_passes(aws: Aws) -> None:
    unknown = {"name": UNKNOWN, "assumeRolePolicy": Secret(UNKNOWN), "maxSessionDuration": UNKNOWN}
    assert refused(aws, ROLE, unknown) == []


def test_a_region_must_come_from_somewhere(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    [failure] = aws.check_config({}).failures
    assert str(failure).startswith("region: missing required property")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert aws.check_config({}).failures == []


def test_the_account_answers(aws: Aws) -> None:
    assert aws.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "123456789012"
    assert aws.invoke("aws:index/getRegion:getRegion", {})["region"] == "eu-central-1"
    assert aws.invoke("aws:index/getPartition:getPartition", {})["partition"] == "aws"
    with pytest.raises(ProviderError, match="does not answer aws:ec2/getAmi:getAmi"):
        aws.invoke("aws:ec2/getAmi:getAmi", {})


def test_the_account_is_the_one_that_the_program_allows(aws: Aws) -> None:
    other = Aws(Store())
    other.configure({"region": "eu-central-1", "allowedAccountIds": '["210987654321"]'})
    assert other.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["arn"] == (
        "arn:aws:iam::210987654321:user/simulated"
    )
    inputs = accepted(other, ROLE, {"name": "backup", "assumeRolePolicy": TRUST})
    assert other.create(resource(ROLE), inputs)[1]["arn"] == "arn:aws:iam::210987654321:role/backup"
    root = {"AWS": "arn:aws:iam::210987654321:root"}
    policy = {"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": root}}
    key = accepted(other, KEY, {"policy": json.dumps(policy)})
    assert ":210987654321:key/" in other.create(resource(KEY), key)[1]["arn"]
    assert refused(aws, KEY, {"policy": json.dumps(policy)}), "the other account's root is nobody here"
    several = Aws(Store())
    several.configure({"region": "eu-central-1", "allowedAccountIds": '["210987654321", "1"]'})
    assert several.account() == "123456789012"


def test_a_policy_document_is_rendered(aws: Aws) -> None:
    answer = aws.invoke(
        "aws:iam/getPolicyDocument:getPolicyDocument",
        {
            "policyId": "p",
            "statements": [
                {
                    "sid": "Read",
                    "actions": ["s3:GetObject", "s3:DeleteObject"],
                    "resources": ["arn:aws:s3:::b/*"],
                    "principals": [{"type": "AWS", "identifiers": ["arn:b", "arn:a"]}],
                    "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]}],
                },
                {"effect": "Deny", "notActions": ["s3:*"], "notResources": ["*"]},
                {"actions": ["a:b"], "principals": [{"type": "*", "identifiers": ["*"]}]},
            ],
        },
    )
    document = {
        "Version": "2012-10-17",
        "Id": "p",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": ["s3:DeleteObject", "s3:GetObject"],
                "Resource": "arn:aws:s3:::b/*",
                "Principal": {"AWS": ["arn:a", "arn:b"]},
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            },
            {"Effect": "Deny", "NotAction": "s3:*", "NotResource": "*"},
            {"Effect": "Allow", "Action": "a:b", "Principal": "*"},
        ],
    }
    assert json.loads(answer["json"]) == document
    assert json.loads(answer["minifiedJson"]) == document


def test_documents_are_laid_over_each_other(aws: Aws) -> None:
    def document(sid: str, effect: str) -> str:
        return json.dumps({"Statement": [{"Sid": sid, "Effect": effect, "Action": "a", "Resource": "*"}]})

    answer = aws.invoke(
        "aws:iam/getPolicyDocument:getPolicyDocument",
        {
            "sourcePolicyDocuments": [document("one", "Allow"), document("two", "Allow")],
            "overridePolicyDocuments": [document("one", "Deny")],
        },
    )
    found = [(one["Sid"], one["Effect"]) for one in json.loads(answer["json"])["Statement"]]
    assert found == [("one", "Deny"), ("two", "Allow")]


def test_an_access_key_is_secret(aws: Aws) -> None:
    key = "aws:iam/accessKey:AccessKey"
    _, outputs = aws.create(resource(key), accepted(aws, key, {"user": "web"}))
    assert isinstance(outputs["secret"], Secret)
    assert isinstance(outputs["sesSmtpPasswordV4"], Secret)
