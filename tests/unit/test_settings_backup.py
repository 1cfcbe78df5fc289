"""The settings of the backups: what is read, what is refused and with which path, and what becomes of it."""

import json
import subprocess
import sys
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from components.backup.access import Access
from components.backup.buckets import Buckets
from components.backup.grants import GRANTS
from components.backup.places import ObjectLock
from components.backup.repository import Place, Repository, StaticKeys, WebIdentity
from components.base import Identity
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credentials, CredentialsArgs
from settings.arguments import Ground, backup
from settings.load import SettingsError, parse
from settings.model import Settings
from tests import recorder
from tests.recorder import ROOT, record, stack_config

IMAGE = "ghcr.io/fixia/backup:2.55.1-1"
ISSUER = "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"
AWS: dict[str, Any] = {
    "account": "123456789012",
    "region": "eu-central-1",
    "replicaRegion": "eu-west-1",
    "oidc": {"issuer": ISSUER},
    "objectLock": {"mode": "GOVERNANCE", "days": 14},
}
EXTERNAL: dict[str, Any] = {
    "bucket": "backups",
    "endpoint": "https://objects.fixia.app:9000",
    "region": "here",
    "pathStyle": True,
    "authority": "s3-authority",
    "keys": {"key": "s3-key", "secret": "s3-secret"},
    "replica": {"bucket": "copies", "endpoint": "https://objects.fixia.app:9000", "region": "there"},
}
SECRETS: dict[str, Any] = {
    "backup-cipher": {"value": "c" * 32},
    "s3-key": {"value": "the-id"},
    "s3-secret": {"value": "the-secret-of-the-id"},
    "s3-authority": {"value": "PEM"},
}


def sections(section: dict[str, Any], stack: str = "production") -> dict[str, Any]:
    """A stack with that section `backup` and the secrets that it could name."""
    data = {
        key.removeprefix("fixia:"): json.loads(value)
        for key, value in stack_config(stack).items()
        if key.startswith("fixia:")
    }
    data["secrets"] |= SECRETS
    # What runs there is not what is asked here.
    for tier in data["platform"]["namespaces"].values():
        tier["quota"] = {"cpu": "99", "memory": "999Gi", "pods": 999}
    return {**data, "backup": section}


def with_aws(**changes: Any) -> dict[str, Any]:
    return {"image": IMAGE, "aws": {key: one for key, one in {**AWS, **changes}.items() if one is not None}}


def with_external(**changes: Any) -> dict[str, Any]:
    return {"image": IMAGE, "external": {**EXTERNAL, **changes}}


def read(data: dict[str, Any]) -> Settings:
    raw = {key: json.dumps(value) for key, value in data.items()}
    return parse(raw, file="Pulumi.test.yaml", project="fixia", encrypted=frozenset({"secrets"}))


def faults(data: dict[str, Any]) -> dict[str, tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(data)
    return {fault.path: (fault.found, fault.valid) for fault in caught.value.faults}


def test_little_is_needed_and_what_was_promised_is_the_default() -> None:
    found = read(sections(with_aws())).backup
    assert found is not None
    assert (found.retention_days, found.promised_rpo_seconds, found.promised_rto_seconds) == (30, 300, 1800)
    assert found.cipher == "backup-cipher"
    assert found.aws is not None
    assert found.aws.log_days == 90
    assert found.aws.oidc is not None
    assert not found.aws.oidc.create


def test_buckets_of_somebody_elses_are_enough() -> None:
    found = read(sections(with_external())).backup
    assert found is not None
    assert found.external is not None
    assert found.external.replica is not None
    assert found.external.replica.bucket == "copies"


@pytest.mark.parametrize(
    ("section", "path", "found", "valid"),
    [
        (with_aws(account=123456789012), "aws.account", "123456789012", "twelve digits, in quotes"),
        (with_aws(account="12345678901"), "aws.account", "12345678901", "twelve digits, in quotes"),
        (with_aws(region="eu-central"), "aws.region", "eu-central", "a region of AWS"),
        (with_aws(region="cn-north-1"), "aws.region", "cn-north-1", "none of China"),
        (with_aws(region="us-gov-west-1"), "aws.region", "us-gov-west-1", "or of a government's"),
        (with_aws(replicaRegion="eu-central-1"), "aws.replicaRegion", "'eu-central-1'", "another region"),
        (with_aws(replicaRegion="frankfurt"), "aws.replicaRegion", "frankfurt", "a region of AWS"),
        (with_aws(objectLock=None), "aws.objectLock", "nothing", "a lock in production"),
        (with_aws(objectLock={"mode": "STRICT", "days": 3}), "aws.objectLock.mode", "STRICT", "'GOVERNANCE'"),
        (with_aws(objectLock={"mode": "GOVERNANCE", "days": 0}), "aws.objectLock.days", "0", "equal to 1"),
        (
            with_aws(objectLock={"mode": "COMPLIANCE", "days": 31}),
            "aws.objectLock.days",
            "31",
            "at most retentionDays, 30",
        ),
        (with_aws(oidc={"issuer": "http://oidc.test"}), "aws.oidc.issuer", "http://oidc.test", "by https://"),
        (with_aws(oidc={"issuer": f"{ISSUER}/"}), "aws.oidc.issuer", ISSUER, "without a slash at its end"),
        (with_aws(oidc=None), "aws", "", "either oidc or keys"),
        (with_aws(keys={"key": "s3-key", "secret": "s3-secret"}), "aws", "", "either oidc or keys"),
        (
            with_aws(oidc=None, keys={"key": "s3-kye", "secret": "s3-secret"}),
            "aws.keys.key",
            "'s3-kye'",
            "s3-key",
        ),
        (with_aws(oidc=None, keys={"key": "s3-key", "secret": "s3"}), "aws.keys.secret", "'s3'", "s3-secret"),
        (with_aws(logDays=0), "aws.logDays", "0", "equal to 1"),
        (with_aws(zone="a"), "aws.zone", "an unknown key", "one of account"),
        ({"image": IMAGE}, "", "", "either aws or external"),
        ({**with_aws(), **with_external()}, "", "", "either aws or external"),
        ({**with_aws(), "cipher": "cypher"}, "cipher", "'cypher'", "one of `secrets`: backup-cipher"),
        ({**with_aws(), "cipher": "jwt-secret"}, "cipher", "'jwt-secret'", "a generated one is lost with"),
        ({**with_aws(), "retentionDays": 3}, "retentionDays", "3", "greater than or equal to 7"),
        ({**with_aws(), "promisedRpoSeconds": 60}, "promisedRpoSeconds", "60", "equal to 120"),
        ({**with_aws(), "promisedRtoSeconds": 0}, "promisedRtoSeconds", "0", "equal to 60"),
        ({**with_aws(), "image": "backup"}, "image", "backup", "with its registry's name"),
        (
            with_external(endpoint="http://objects.test"),
            "external.endpoint",
            "http://objects.test",
            "by HTTPS",
        ),
        (with_external(endpoint="objects.test"), "external.endpoint", "objects.test", "by HTTPS"),
        (with_external(endpoint="https://objects.test/s3"), "external.endpoint", "/s3", "and no path"),
        (with_external(bucket="Backups"), "external.bucket", "Backups", "lower-case letters"),
        (with_external(bucket="my.backups"), "external.bucket", "my.backups", "lower-case letters"),
        (with_external(bucket="b" * 64), "external.bucket", "bbb", "3 to 63"),
        (with_external(authority="ca"), "external.authority", "'ca'", "one of `secrets`"),
        (with_external(keys={"key": "nope", "secret": "s3-secret"}), "external.keys.key", "'nope'", "s3-key"),
        (with_external(keys={"key": "s3-key", "secret": "nope"}), "external.keys.secret", "'nope'", "s3-key"),
        (
            with_external(replica={**EXTERNAL["replica"], "bucket": "backups"}),
            "external.replica.bucket",
            "'backups'",
            "another bucket than the repository's",
        ),
        (
            with_external(replica={**EXTERNAL["replica"], "endpoint": "http://x.test"}),
            "external.replica.endpoint",
            "http://x.test",
            "by HTTPS",
        ),
        (
            with_external(replica={**EXTERNAL["replica"], "authority": "ca"}),
            "external.replica.authority",
            "'ca'",
            "one of `secrets`",
        ),
    ],
)
def test_a_wrong_setting_is_told_with_its_path(
    section: dict[str, Any], path: str, found: str, valid: str
) -> None:
    told = faults(sections(section))
    where = f"fixia:backup.{path}" if path else "fixia:backup"
    assert set(told) == {where}
    assert found in told[where][0]
    assert valid in told[where][1]


def test_names_that_make_a_bucket_too_long_are_refused_at_the_product() -> None:
    data = sections(with_aws())
    data["stack"]["product"] = "a-product-with-a-long-name"
    (found, valid) = faults(data)["fixia:stack.product"]
    assert found == "'a-product-with-a-long-name'"
    assert "a shorter one, by 8 characters less: the bucket a-product-with-a-long-name-production-" in valid


def test_backups_need_a_database() -> None:
    data = sections(with_aws())
    del data["database"]
    assert faults(data)["fixia:backup"] == (
        "backups without a database",
        "no `backup`, or a section `database`",
    )


def test_elsewhere_than_in_production_nothing_must_be_locked_and_the_cipher_may_be_made() -> None:
    data = sections(with_aws(objectLock=None), "staging")
    data["secrets"]["backup-cipher"] = {"generate": 48}
    assert read(data).backup is not None


def test_all_faults_are_told_at_once() -> None:
    section = with_aws(replicaRegion="eu-central-1", objectLock={"mode": "GOVERNANCE", "days": 99})
    assert set(faults(sections({**section, "cipher": "no"}))) == {
        "fixia:backup.aws.replicaRegion",
        "fixia:backup.aws.objectLock.days",
        "fixia:backup.cipher",
    }


class WithArns(recorder._Echo):
    """What AWS would number."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        resource_id, outputs = super().new_resource(args)
        return resource_id, outputs | ({"arn": f"arn:{args.name}"} if args.typ.startswith("aws:") else {})


def ground(environment: str) -> Ground:
    identity = Identity(product="fixia", environment=environment, owner="team", cost_centre="core")
    given = {name: secret["value"] for name, secret in SECRETS.items()}
    return Ground(
        identity=identity,
        namespaces={"data": "fixia-data"},
        priorities={},
        authority=Authority("authority", AuthorityArgs(identity=identity)),
        credentials=Credentials("credentials", CredentialsArgs(identity=identity, generated={}, given=given)),
    )


def composed(section: dict[str, Any], stack: str = "production") -> tuple[Repository, dict[str, Any]]:
    """The repository that the settings lead to, and what its outputs are."""
    settings = read(sections(section, stack)).backup
    assert settings is not None
    kept: dict[str, Any] = {}

    def program() -> pulumi.Output[Any]:
        on = ground(stack)
        args = backup.of_buckets(settings, on)
        buckets = Buckets("buckets", args) if args else None
        jobs = dict.fromkeys(GRANTS, "fixia-data")
        roles = backup.of_access(settings, on, buckets, jobs) if buckets else None
        access = Access("access", roles) if roles else None
        repository = backup.of_repository(settings, on, buckets, access)
        kept["repository"] = repository
        places = [repository.place, *([repository.replica] if repository.replica else [])]
        shown = [
            [place.bucket, place.region, place.endpoint, place.path_style, place.authority]
            for place in places
        ]
        who = {
            job: one.role if isinstance(one, WebIdentity) else [one.key.current, one.secret.current]
            for job, one in repository.access.items()
        }
        return pulumi.Output.all(places=shown, who=who, cipher=repository.cipher.current).apply(kept.update)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder, "_Echo", WithArns)
        record(program)
    return kept["repository"], kept


def test_the_repository_is_what_the_stack_made() -> None:
    repository, known = composed(with_aws())
    assert known["places"] == [
        [
            "fixia-production-backups-123456789012",
            "eu-central-1",
            "s3.eu-central-1.amazonaws.com",
            False,
            None,
        ],
        [
            "fixia-production-backups-replica-123456789012",
            "eu-west-1",
            "s3.eu-west-1.amazonaws.com",
            False,
            None,
        ],
    ]
    assert known["who"] == {job: f"arn:access-{job}-role" for job in GRANTS}
    assert known["cipher"] == "c" * 32
    assert repository.retention_days == 30


def test_without_an_identity_provider_everybody_uses_the_keys_of_the_settings() -> None:
    repository, known = composed(with_aws(oidc=None, keys={"key": "s3-key", "secret": "s3-secret"}))
    assert all(isinstance(one, StaticKeys) for one in repository.access.values())
    assert known["who"] == {job: ["the-id", "the-secret-of-the-id"] for job in GRANTS}
    assert known["places"][0][0] == "fixia-production-backups-123456789012"


def test_the_repository_is_what_somebody_else_made() -> None:
    repository, known = composed({**with_external(), "retentionDays": 60})
    assert known["places"] == [
        ["backups", "here", "objects.fixia.app:9000", True, "PEM"],
        ["copies", "there", "objects.fixia.app:9000", False, None],
    ]
    assert known["who"] == {job: ["the-id", "the-secret-of-the-id"] for job in GRANTS}
    assert repository.retention_days == 60
    repository, _ = composed(with_external(replica=None))
    assert repository.replica is None
    assert isinstance(repository.place, Place)


def test_the_buckets_are_as_set() -> None:
    section = read(sections({**with_aws(logDays=30), "retentionDays": 60})).backup
    elsewhere = read(sections(with_aws(objectLock=None), "staging")).backup
    somewhere = read(sections(with_external())).backup
    assert section
    assert elsewhere
    assert somewhere
    found: list[Any] = []

    def program() -> None:
        found.append(backup.of_buckets(section, ground("production")))

    def staging() -> None:
        found.append(backup.of_buckets(elsewhere, ground("staging")))
        found.append(backup.of_buckets(somewhere, ground("staging")))

    record(program)
    record(staging)
    production, other, none = found
    assert (production.account, production.region, production.replica_region) == (
        "123456789012",
        "eu-central-1",
        "eu-west-1",
    )
    assert (production.retention_days, production.log_days) == (60, 30)
    assert production.lock == ObjectLock(mode="GOVERNANCE", days=14)
    assert production.protect
    assert other.lock is None
    assert not other.protect
    assert none is None


def test_a_role_is_bound_to_the_fixed_name_of_its_service_account() -> None:
    section = read(sections(with_aws(oidc={"issuer": ISSUER, "create": True}))).backup
    assert section
    found: list[Any] = []

    def program() -> None:
        on = ground("production")
        args = backup.of_buckets(section, on)
        assert args
        made = Buckets("buckets", args)
        found.append(
            backup.of_access(section, on, made, {"dump": "fixia-data", "restore-test": "fixia-scratch"})
        )

    record(program)
    (args,) = found
    assert {job: (one.namespace, one.account) for job, one in args.subjects.items()} == {
        "dump": ("fixia-data", "backup-dump"),
        "restore-test": ("fixia-scratch", "backup-restore-test"),
    }
    assert (args.account, args.oidc.issuer, args.oidc.create) == ("123456789012", ISSUER, True)


def test_a_composition_that_forgets_a_part_is_told() -> None:
    section = read(sections(with_aws())).backup
    assert section
    told: list[str] = []

    def program() -> None:
        on = ground("production")
        args = backup.of_buckets(section, on)
        assert args
        made = Buckets("buckets", args)
        roles = backup.of_access(section, on, made, {"dump": "fixia-data"})
        assert roles
        access = Access("access", roles)
        for parts in ((made, None), (None, access)):
            with pytest.raises(ValueError, match="missing") as caught:
                backup.of_repository(section, on, *parts)
            told.append(str(caught.value))

    record(program)
    assert told == ["the roles of the jobs are missing", "the buckets are missing"]


def test_only_who_has_buckets_made_waits_for_the_import_of_awss_provider() -> None:
    asked = "import sys, settings.arguments, settings.arguments.backup; print('pulumi_aws' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
