"""The vocabulary of a stack's settings: names, quantities, images, addresses.

Each type refuses a value with the words that say what would be valid; `settings.load` prints them beside
the value's dotted path.
"""

import re
from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

_CPU: Final = re.compile(r"\d+(\.\d{1,3})?|\d+m")
_BYTES: Final = re.compile(r"\d+(Ki|Mi|Gi|Ti)")
_DNS_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_DOMAIN: Final = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_SUBDOMAIN: Final = re.compile(r"@|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_PATH: Final = re.compile(r"/[A-Za-z0-9/._~-]*")
_IMAGE: Final = re.compile(
    r"(?P<registry>[a-z0-9.-]+\.[a-z]+(:\d+)?|localhost(:\d+)?)/(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})(@sha256:[0-9a-f]{64})?"
)


def _whole_number_as_text(value: object) -> object:
    # YAML reads `cpu: 2` as a number, and nobody means anything else by it.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def matching(pattern: re.Pattern[str], valid: str) -> AfterValidator:
    """Take what the whole pattern matches, and refuse all else with the words of what would be valid."""

    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError(valid)
        return value

    return AfterValidator(check)


def _image(value: str) -> str:
    found = _IMAGE.fullmatch(value)
    if found is None:
        raise ValueError(
            "registry/path:tag, by preference with @sha256:<64 hex digits>, all with its registry's name"
        )
    if found["tag"] == "latest":
        raise ValueError("a tag that names one version: `latest` says nothing of what runs")
    return value


def tag_of(image: str) -> str:
    """The tag of an image that is valid here: what somebody calls its version."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise ValueError(f"{image!r} is no image")
    return found["tag"]


def _cidr(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise ValueError("a range of addresses with no host bits set, such as 10.0.0.0/16") from None
    return value


def _proxies(value: str) -> str:
    return value if value == "cloudflare" else _cidr(value)


Cpu = Annotated[
    str,
    BeforeValidator(_whole_number_as_text, json_schema_input_type=str | int),
    matching(_CPU, "a CPU quantity: thousandths such as 250m, or cores such as 1 or 1.5"),
    Field(examples=["250m", "1"]),
]
"""Cores or thousandths of one."""

Bytes = Annotated[
    str,
    matching(_BYTES, "a binary quantity: a whole number with Ki, Mi, Gi or Ti, such as 512Mi"),
    Field(examples=["512Mi", "1Gi"]),
]
"""Memory or storage, in powers of 1,024."""

Name = Annotated[
    str,
    matching(_DNS_LABEL, "a name of 1 to 40 lower-case letters, digits and dashes, with a letter first"),
    Field(examples=["api"]),
]
"""A name that fits in every Kubernetes name, with room left for a role's suffix."""

LabelValue = Annotated[
    str,
    matching(_LABEL_VALUE, "a Kubernetes label's value: up to 63 letters, digits, `.`, `_`, `-`"),
    Field(examples=["platform-team"]),
]
"""What Kubernetes takes as the value of a label, and AWS as that of a tag."""

EnvName = Annotated[
    str,
    matching(_ENV_NAME, "an environment variable's name: capitals, digits and underscores"),
    Field(examples=["LOG_LEVEL"]),
]

HttpPath = Annotated[str, matching(_PATH, "a path that begins with /"), Field(examples=["/health"])]

Image = Annotated[str, AfterValidator(_image), Field(examples=["ghcr.io/fixia/api:1.4.2"])]
"""A container image with its registry and a tag, and its digest once that is locked."""

Domain = Annotated[
    str,
    matching(_DOMAIN, "a domain name in lower case, such as staging.fixia.app"),
    Field(examples=["fixia.app"]),
]

Subdomain = Annotated[
    str,
    matching(_SUBDOMAIN, "one label in lower case, such as api, or @ for the site itself"),
    Field(examples=["api"]),
]
"""A host as its first label below the stack's domain; `@` is the domain itself."""

Cidr = Annotated[str, AfterValidator(_cidr), Field(examples=["10.0.0.0/16"])]
"""A range of IPv4 or IPv6 addresses."""

Proxies = Annotated[str, AfterValidator(_proxies), Field(examples=["cloudflare", "10.0.0.0/16"])]
"""A range of addresses, or `cloudflare` for all of that edge's."""

Port = Annotated[int, Field(ge=1024, le=65535, description="A port that needs no privilege to listen on.")]

Percent = Annotated[int, Field(ge=1, le=100)]

Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=500)]
"""What somebody has to say in words, such as a reason."""
