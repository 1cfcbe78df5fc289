"""Where the backups are kept, for how long, and what is promised of them."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from settings.section import Section
from settings.types import Image, Name, matching

_REGION: Final = re.compile(r"(?!cn-|us-gov-|us-iso)[a-z]{2}(-[a-z]+){1,2}-\d")
_ACCOUNT: Final = re.compile(r"\d{12}")
_BUCKET: Final = re.compile(r"(?!xn--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ENDPOINT: Final = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{2,5})?")
_ISSUER: Final = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[A-Za-z0-9._~-]+)*")


def _in_quotes(value: object) -> object:
    # A bare number has lost the zeros that it began with.
    if not isinstance(value, str):
        raise ValueError("an AWS account's number: twelve digits, in quotes")  # noqa: TRY004 pydantic's way
    return value


Region = Annotated[
    str,
    matching(_REGION, "a region of AWS, such as eu-central-1; none of China or of a government's"),
    Field(examples=["eu-central-1"]),
]

Account = Annotated[
    str,
    BeforeValidator(_in_quotes, json_schema_input_type=str),
    matching(_ACCOUNT, "an AWS account's number: twelve digits, in quotes"),
    Field(examples=["123456789012"]),
]

BucketName = Annotated[
    str,
    # No dots: the certificates of S3 stand for one label.
    matching(_BUCKET, "a bucket's name: 3 to 63 lower-case letters, digits and dashes"),
    Field(examples=["fixia-backups"]),
]

Endpoint = Annotated[
    str,
    matching(_ENDPOINT, "an address by HTTPS and no path: pgBackRest speaks nothing else"),
    Field(examples=["https://objects.fixia.app"]),
]


class ObjectLock(Section):
    """For how long nobody can delete what was written."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(
        description="`GOVERNANCE` yields to whoever has the right to bypass it, `COMPLIANCE` to nobody."
    )
    days: Annotated[int, Field(ge=1, le=3650)] = Field(description="At most `retentionDays`.")


class Oidc(Section):
    """The identity provider of the cluster, whose service accounts take over roles."""

    issuer: Annotated[str, matching(_ISSUER, "an issuer's URL by https://, without a slash at its end")] = (
        Field(description="As `kubectl get --raw /.well-known/openid-configuration` says it.")
    )
    create: bool = Field(
        default=False, description="Whether AWS has no record of it yet, and this stack makes that."
    )


class Keys(Section):
    """An access key that somebody made, where no identity provider is set."""

    key: Name = Field(description="The secret with its id.")
    secret: Name = Field(description="The secret with its secret.")


class Aws(Section):
    """Buckets that this stack makes: the repository, a replica in a second region, their logs."""

    account: Account = Field(description="The account's number; part of the buckets' names.")
    region: Region = Field(description="Where the repository is.")
    replica_region: Region = Field(description="Where its copy is.")
    oidc: Oidc | None = Field(default=None, description="Left out: `keys` are used.")
    keys: Keys | None = Field(default=None, description="Only without `oidc`.")
    object_lock: ObjectLock | None = Field(
        default=None, description="Left out, nothing is locked; production must lock."
    )
    log_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=90, description="How long access logs are kept."
    )

    @model_validator(mode="after")
    def _is_reached_in_one_way(self) -> Self:
        if (self.oidc is None) == (self.keys is None):
            raise ValueError("either oidc or keys")
        return self


class ExternalPlace(Section):
    """A bucket that somebody else made, of AWS or of anything that speaks its protocol."""

    bucket: BucketName = Field(description="The bucket's name.")
    endpoint: Endpoint = Field(description="Where it is served, by HTTPS.")
    region: Annotated[str, Field(min_length=1)] = Field(description="What requests are signed for.")
    path_style: bool = Field(
        default=False, description="Whether the bucket is named in the path instead of the host."
    )
    authority: Name | None = Field(
        default=None, description="The secret with the PEM text of a private authority's certificate."
    )


class External(ExternalPlace):
    """Buckets that this stack only uses."""

    keys: Keys
    replica: ExternalPlace | None = Field(
        default=None, description="Its copy elsewhere, kept by whoever made it, for the drill; same keys."
    )


class Backup(Section):
    """Backups of the database. Their times are fixed in the program."""

    image: Image = Field(description="What the jobs run; see images/backup.")
    cipher: Name = Field(
        default="backup-cipher",
        description="The secret that all is encrypted with; keep a copy of it elsewhere.",
    )
    aws: Aws | None = Field(default=None, description="Buckets that this stack makes; or else `external`.")
    external: External | None = Field(default=None, description="Buckets that somebody else has made.")
    restore_namespace: Name = Field(
        default="restore",
        description="One of `platform.namespaces`: where copies are restored, and nothing else runs.",
    )
    retention_days: Annotated[int, Field(ge=7, le=365)] = Field(
        default=30, description="For how long one can go back to any second."
    )
    promised_rpo_seconds: Annotated[int, Field(ge=120, le=86_400)] = Field(
        default=300, description="How much may be lost at most; what is measured is shown beside it."
    )
    promised_rto_seconds: Annotated[int, Field(ge=60, le=86_400)] = Field(
        default=1800, description="How long a restore may take."
    )

    @model_validator(mode="after")
    def _is_kept_in_one_place(self) -> Self:
        if (self.aws is None) == (self.external is None):
            raise ValueError("either aws or external")
        return self

    def secret_names(self) -> Iterator[tuple[str, str]]:
        """Every secret that is named, with its path below this section."""
        yield "cipher", self.cipher
        for section, keys in (
            ("aws", self.aws.keys if self.aws else None),
            ("external", self.external.keys if self.external else None),
        ):
            if keys:
                yield f"{section}.keys.key", keys.key
                yield f"{section}.keys.secret", keys.secret
        places = {"external": self.external, "external.replica": self.external and self.external.replica}
        for path, place in places.items():
            if place and place.authority:
                yield f"{path}.authority", place.authority
