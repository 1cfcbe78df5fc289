"""The simulated aws provider: one account in one region, with names, ARNs and refusals as the real one's."""
# ruff: noqa: ARG002 - the core's hooks

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

from simulator.providers.aws_policy import render
from simulator.providers.aws_policy_rules import check_policy
from simulator.providers.aws_s3 import check_setting, refuse_setting
from simulator.providers.core import Checked, Provider, ProviderError, Resource
from simulator.providers.differ import Change
from simulator.providers.invention import invented
from simulator.providers.naming import Naming, named
from simulator.providers.sdk import Primitive
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, Secret, digest, get, is_known, reveal, text

ACCOUNT: Final = "123456789012"
PARTITION: Final = "aws"
CALLER: Final = "user/simulated"
REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
DIGITS: Final = 7
"""Hexadecimal digits that an automatic name ends with."""

NAME: Final[Mapping[str, str]] = {"aws:s3/bucket:Bucket": "bucket", "aws:s3/bucketV2:BucketV2": "bucket"}
"""The property that holds the physical name, where it is not `name`."""

ID: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:iam/instanceProfile:InstanceProfile": ("name",),
    "aws:iam/role:Role": ("name",),
    "aws:iam/rolePolicy:RolePolicy": ("role", "name"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
    "aws:iam/user:User": ("name",),
    "aws:kms/alias:Alias": ("name",),
    "aws:s3/bucket:Bucket": ("bucket",),
    "aws:s3/bucketObject:BucketObject": ("bucket", "key"),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("bucket", "key"),
}
"""The inputs that make a resource's id. Any other `aws:s3/bucket...` is one setting of one bucket, whose name
is its id: in the real cloud two owners of one setting fight for ever, here the second is refused."""

FORCES_NEW: Final[Mapping[str, frozenset[str]]] = {
    "aws:iam/accessKey:AccessKey": frozenset({"user", "pgpKey"}),
    "aws:iam/instanceProfile:InstanceProfile": frozenset({"name", "namePrefix", "path"}),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": frozenset({"url"}),
    "aws:iam/policy:Policy": frozenset({"name", "namePrefix", "path", "description"}),
    "aws:iam/role:Role": frozenset({"name", "namePrefix", "path"}),
    "aws:iam/rolePolicy:RolePolicy": frozenset({"name", "namePrefix", "role"}),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": frozenset({"role", "policyArn"}),
    "aws:iam/user:User": frozenset(),
    "aws:kms/alias:Alias": frozenset({"name", "namePrefix"}),
    "aws:kms/key:Key": frozenset(
        {"keyUsage", "customerMasterKeySpec", "customKeyStoreId", "multiRegion", "xksKeyId"}
    ),
    "aws:s3/bucket:Bucket": frozenset({"bucket", "bucketPrefix", "bucketNamespace", "objectLockEnabled"}),
    "aws:s3/bucketObject:BucketObject": frozenset({"bucket", "key"}),
    "aws:s3/bucketObjectv2:BucketObjectv2": frozenset({"bucket", "key"}),
}
FORCES_NEW_ANYWHERE: Final = frozenset({"name", "namePrefix", "bucket", "expectedBucketOwner"})
"""The rule for types that are not in the table; `region` forces a new resource in every type."""

DEFAULTS: Final[Mapping[str, Properties]] = {
    "aws:iam/policy:Policy": {"path": "/"},
    "aws:iam/role:Role": {"path": "/", "maxSessionDuration": 3600},
    "aws:iam/user:User": {"path": "/"},
    "aws:kms/key:Key": {
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
        "multiRegion": False,
    },
}
"""What AWS itself says where the program says nothing."""

SETTINGS: Final = frozenset(
    {
        *("BucketLifecycleConfiguration", "BucketLogging", "BucketObjectLockConfiguration", "BucketPolicy"),
        *("BucketOwnershipControls", "BucketPublicAccessBlock", "BucketReplicationConfig"),
        *("BucketServerSideEncryptionConfiguration", "BucketVersioning"),
    }
)
"""What is said of one bucket, and is nothing without it."""

POLICIES: Final = frozenset({"policy", "assumeRolePolicy"})
RANGES: Final[Mapping[tuple[str, str], tuple[int, int]]] = {
    ("aws:iam/role:Role", "maxSessionDuration"): (3600, 43200),
    ("aws:kms/key:Key", "deletionWindowInDays"): (7, 30),
    ("aws:kms/key:Key", "rotationPeriodInDays"): (90, 2560),
}
NAMES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "aws:iam/policy:Policy": (re.compile(r"[\w+=,.@-]{1,128}"), "at most 128 of A-Z, a-z, 0-9 and +=,.@_-"),
    "aws:iam/role:Role": (re.compile(r"[\w+=,.@-]{1,64}"), "at most 64 of A-Z, a-z, 0-9 and +=,.@_-"),
    "aws:kms/alias:Alias": (
        re.compile(r"alias/(?!aws/)[\w/-]{1,250}"),
        "alias/ and a name that is not aws/...",
    ),
    "aws:s3/bucket:Bucket": (
        re.compile(r"(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
        "3 to 63 of a-z, 0-9, - and .",
    ),
}


class Aws(Provider):
    """The provider of the `aws` package."""

    package: ClassVar[str] = "aws"
    replacing_config: ClassVar[frozenset[str]] = frozenset({"region"})

    def check_config(self, news: Properties) -> Checked:
        """Check the settings; a region must come from somewhere."""
        checked = super().check_config(news)
        if news.get("region") is None and not any(os.environ.get(name) for name in REGIONS):
            checked.failures.append(
                Failure("region", "missing required property: set aws:region or AWS_REGION")
            )
        return checked

    def region(self, inputs: Properties | None = None) -> str:
        """The region of a resource, or of the provider."""
        fallback = next((os.environ[name] for name in REGIONS if os.environ.get(name)), "us-east-1")
        return text(inputs or {}, "region") or text(self.config, "region") or fallback

    def account(self) -> str:
        """The account that the program allows, if it allows one alone; else one account for all."""
        allowed = get(self.config, "allowedAccountIds")
        alone = allowed[0] if isinstance(allowed, list) and len(allowed) == 1 else None
        return alone if isinstance(alone, str) else ACCOUNT

    def complete(self, resource: Resource, olds: Properties, news: Properties, naming: Naming) -> Properties:
        """Name the resource, and turn a policy given as an object into its text."""
        inputs = news
        name = self._name_property(resource)
        if name and news.get(f"{name}Prefix") is None:
            stem = resource.name.lower() if name == "bucket" else resource.name
            stem = f"alias/{stem}" if resource.type == "aws:kms/alias:Alias" else stem
            inputs = named(olds, inputs, name, naming, stem, DIGITS)
        for key in POLICIES & inputs.keys():
            if isinstance(reveal(inputs[key]), dict) and is_known(inputs[key]):
                written = json.dumps(reveal(inputs[key]))
                inputs = {**inputs, key: Secret(written) if isinstance(inputs[key], Secret) else written}
        return inputs

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """Refuse malformed names, policies and numbers out of range."""
        plain = reveal(inputs)
        for key in sorted(POLICIES & plain.keys()):
            yield from check_policy(resource.type, plain, key, self.account())
        if setting := _setting(resource):
            yield from check_setting(setting, plain)
        pattern, valid = NAMES.get(resource.type, (None, ""))
        name = self._name_property(resource)
        if pattern and name and isinstance(plain.get(name), str) and not pattern.fullmatch(plain[name]):
            yield Failure(name, f"expected {valid}, found {plain[name]!r}")
        for (kind, key), (low, high) in RANGES.items():
            number = plain.get(key)
            if kind == resource.type and isinstance(number, int) and not low <= number <= high:
                yield Failure(key, f"expected a number from {low} to {high}, found {number}")

    def admit(self, resource: Resource, inputs: Properties) -> None:
        """Refuse a bucket's setting that does not go with what the account has."""
        setting = _setting(resource)
        refusal = refuse_setting(setting, reveal(inputs), self) if setting else ""
        if refusal:
            raise ProviderError(refusal)

    def update(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties
    ) -> Properties:
        """A change is refused for the same reasons."""
        self.admit(resource, news)
        return super().update(resource, resource_id, old_state, news)

    def setting(self, kind: str, bucket: str) -> Properties | None:
        """The inputs of one setting of a bucket, or of the bucket itself; None if there is none."""
        record = self.store.read(f"s3.{kind}", bucket)
        return record.inputs if record else None

    def region_of(self, inputs: Properties) -> str:
        """The region that a resource is in."""
        return self.region(inputs)

    def forces_replacement(
        self, resource: Resource, change: Change, olds: Properties, news: Properties
    ) -> bool:
        """Whether AWS has no way to change the property."""
        names = FORCES_NEW.get(resource.type, FORCES_NEW_ANYWHERE)
        return change.keys[0] == "region" or change.keys[0] in names

    def identity(self, resource: Resource, inputs: Properties) -> str | None:
        """The id that the physical name makes."""
        if resource.type == "aws:iam/policy:Policy":
            return self._arn(resource, text(inputs, "name") or self._prefixed(resource, inputs), inputs)
        if resource.type == "aws:iam/openIdConnectProvider:OpenIdConnectProvider":
            return self._arn(resource, text(inputs, "url").removeprefix("https://"), inputs)
        keys = ID.get(resource.type)
        if keys is None and resource.type.startswith("aws:s3/bucket"):
            keys = ("bucket",)
        if keys is None:
            return None
        parts = [text(inputs, key) or self._prefixed(resource, inputs) for key in keys]
        return (":" if keys == ("role", "name") else "/").join(parts)

    def new_id(self, resource: Resource, attempt: int) -> str:
        """A UUID, which is what most services invent."""
        return str(uuid.UUID(hex=super().new_id(resource, attempt)))

    def already_exists(self, resource: Resource, resource_id: str) -> str:
        """Each service's own error."""
        service, kind = _service(resource)
        if (service, kind) == ("s3", "bucket"):
            return f"BucketAlreadyOwnedByYou: bucket {resource_id!r} already exists"
        code = {"iam": "EntityAlreadyExists", "kms": "AlreadyExistsException"}.get(service, "AlreadyExists")
        return f"{code}: {kind} {resource_id!r} already exists"

    def pending(self, resource: Resource, inputs: Properties) -> Properties:
        """The outputs before creation; tags and defaults are known already."""
        return {**super().pending(resource, inputs), **self._planned(resource, inputs)}

    def preview_update(
        self, resource: Resource, old: tuple[Properties, Properties], news: Properties
    ) -> Properties:
        """The outputs after an update, with the tags that it brings."""
        return {**super().preview_update(resource, old, news), **self._planned(resource, news)}

    def computed(
        self, resource: Resource, resource_id: str, inputs: Properties, previous: Properties
    ) -> Properties:
        """ARNs, domain names and ids."""
        known = self.resource_class(resource)
        outputs = invented(known, f"{resource.urn}|{resource_id}", inputs) | previous
        outputs |= self._planned(resource, inputs)
        name = self._name_property(resource)
        physical = resource_id if name is None else text(inputs, name) or self._prefixed(resource, inputs)
        if name and inputs.get(name) is None:
            outputs[name] = physical
        if known and "arn" in known.outputs and "arn" not in inputs:
            outputs["arn"] = (
                resource_id if resource_id.startswith("arn:") else self._arn(resource, physical, inputs)
            )
        return outputs | self._special(resource.type, resource_id, inputs)

    def _special(self, type_token: str, resource_id: str, inputs: Properties) -> Properties:
        """The outputs that only one type has."""
        region = self.region(inputs)
        target = text(inputs, "targetKeyId")
        by_type: Mapping[str, Properties] = {
            "aws:iam/accessKey:AccessKey": {"secret": Secret(digest("secret", resource_id, length=40))},
            "aws:iam/role:Role": {"uniqueId": f"AROA{digest(resource_id, length=17).upper()}"},
            "aws:kms/alias:Alias": {
                "targetKeyArn": target
                if target.startswith("arn:")
                else f"arn:{PARTITION}:kms:{region}:{self.account()}:key/{target}"
            },
            "aws:kms/key:Key": {"keyId": resource_id},
            "aws:s3/bucket:Bucket": {
                "bucketDomainName": f"{resource_id}.s3.amazonaws.com",
                "bucketRegion": region,
                "bucketRegionalDomainName": f"{resource_id}.s3.{region}.amazonaws.com",
                "hostedZoneId": "Z3AQBSTGFYJSTF",
            },
        }
        return by_type.get(type_token, {})

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer the functions that a program asks about its account, and render policies."""
        region = self.region(args)
        answers: Mapping[str, Properties] = {
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": self.account(),
                "arn": f"arn:{PARTITION}:iam::{self.account()}:{CALLER}",
                "id": self.account(),
                "userId": "AIDASIMULATEDSIMULATE",
            },
            "aws:index/getPartition:getPartition": {
                "dnsSuffix": "amazonaws.com",
                "id": PARTITION,
                "partition": PARTITION,
                "reverseDnsPrefix": "com.amazonaws",
            },
            "aws:index/getRegion:getRegion": {
                "description": region,
                "endpoint": f"ec2.{region}.amazonaws.com",
                "id": region,
                "name": region,
                "region": region,
            },
        }
        if token == "aws:iam/getPolicyDocument:getPolicyDocument":  # noqa: S105 - a type token
            return render(reveal(args))
        return answers[token] if token in answers else super().invoke(token, args)

    def _name_property(self, resource: Resource) -> str | None:
        """The property that is named automatically: one that the SDK does not require."""
        known = self.resource_class(resource)
        name = NAME.get(resource.type, "name")
        field = known.inputs.get(name) if known else None
        return name if field and not field.required and field.type == Primitive("str") else None

    def _prefixed(self, resource: Resource, inputs: Properties) -> str:
        prefix = text(inputs, "namePrefix") or text(inputs, "bucketPrefix")
        return prefix + digest(resource.urn, length=26)

    def _planned(self, resource: Resource, inputs: Properties) -> Properties:
        """What is known of the outputs before AWS is asked."""
        known = self.resource_class(resource)
        if known is None:
            return {}
        planned = {key: value for key, value in DEFAULTS.get(resource.type, {}).items() if key not in inputs}
        if "tagsAll" in known.outputs:
            planned["tagsAll"] = {
                **(get(self.config, "defaultTags", "tags") or {}),
                **(inputs.get("tags") or {}),
            }
        if "region" in known.inputs and "region" not in inputs:
            planned["region"] = self.region()
        return planned

    def _arn(self, resource: Resource, name: str, inputs: Properties) -> str:
        service, kind = _service(resource)
        if service == "s3":
            return f"arn:{PARTITION}:s3:::{name}"
        if service == "iam":
            kind = {"openIdConnectProvider": "oidc-provider", "instanceProfile": "instance-profile"}.get(
                kind, kind
            )
            return f"arn:{PARTITION}:iam::{self.account()}:{kind}{text(inputs, 'path') or '/'}{name}"
        place = f"arn:{PARTITION}:{service}:{self.region(inputs)}:{self.account()}"
        return f"{place}:{name}" if name.startswith(f"{kind}/") else f"{place}:{kind}/{name}"


def _service(resource: Resource) -> tuple[str, str]:
    """The service and the kind in a type token such as `aws:s3/bucket:Bucket`."""
    service, _, kind = resource.type.split(":")[1].partition("/")
    return service, kind


def _setting(resource: Resource) -> str:
    """The kind of a bucket's setting, such as `BucketVersioning`; empty for the rest."""
    kind = resource.type.rpartition(":")[2]
    return kind if _service(resource)[0] == "s3" and kind in SETTINGS else ""
