"""What Traefik is told, as text: pure functions from routes to files."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, Final

from components.ingress.route import CLASS_NAME, RateLimit, Route
from components.pods import ENDPOINT_REMOVAL_SECONDS

STATIC_FOLDER: Final = "/etc/entrance/static"
DYNAMIC_FOLDER: Final = "/etc/entrance/dynamic"

PORTS: Final = MappingProxyType({"web": 8000, "websecure": 8443, "ping": 8080, "metrics": 9100})
"""Entry point -> the TCP port that it listens on."""

TIMEOUT_SECONDS: Final = 60
"""How long a request may take to arrive, and the application to begin its answer."""

DRAIN_SECONDS: Final = 60
"""How long a stopping pod waits for the requests that it has: as long as the slowest may take."""

_YEAR_SECONDS: Final = 31_536_000

_HARDENED: Final = {
    "stsSeconds": _YEAR_SECONDS,
    "stsIncludeSubdomains": True,
    "contentTypeNosniff": True,
    "frameDeny": True,
    "referrerPolicy": "strict-origin-when-cross-origin",
    "permissionsPolicy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "customResponseHeaders": {"Server": "", "X-Powered-By": ""},
    # Whoever asks through the proxy can write these. X-Forwarded-For alone says who it is: its last entry is
    # our peer's address, the one before is what our peer saw.
    "customRequestHeaders": {"X-Real-Ip": "", "CF-Connecting-IP": "", "True-Client-IP": ""},
}

_TLS: Final = {
    "minVersion": "VersionTLS12",
    # Who asks for no host of ours, or for none, gets no certificate to look at.
    "sniStrict": True,
    # For TLS 1.2: forward secret and authenticated. TLS 1.3 has no others.
    "cipherSuites": [
        f"TLS_ECDHE_{key}_WITH_{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
    ],
}


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where Traefik listens, and how long it takes to stop.

    Attributes:
        addresses: entry point (`web`, `websecure`, `ping`, `metrics`) -> `host:port`; without a host, all.
        removal_seconds: how long it goes on accepting after it was asked to stop.
        drain_seconds: how long it then waits for the requests that it has.
        timeout_seconds: how long a request may take to arrive, and its answer to begin.
    """

    addresses: Mapping[str, str] = field(
        default_factory=lambda: {name: f":{port}" for name, port in PORTS.items()}
    )
    removal_seconds: int = ENDPOINT_REMOVAL_SECONDS
    drain_seconds: int = DRAIN_SECONDS
    timeout_seconds: int = TIMEOUT_SECONDS


def static(
    *,
    namespaces: Sequence[str],
    trusted_ranges: Sequence[str],
    class_name: str = CLASS_NAME,
    dynamic_folder: str = DYNAMIC_FOLDER,
    listening: Listening | None = None,
) -> str:
    """The static configuration: what can only change with a restart.

    Args:
        namespaces: where Ingress objects are looked for.
        trusted_ranges: the proxies in front, whose word on the client's address is taken.
        class_name: the ingress class.
        dynamic_folder: the folder of the dynamic configuration.
        listening: where, and how long; as in the pod unless told.

    Returns:
        The content of a YAML file.
    """
    listening = listening or Listening()
    template = Template((Path(__file__).parent / "traefik.yaml").read_text(encoding="utf-8"))
    # JSON is YAML too, and quotes whatever needs it.
    return template.substitute(
        {name: json.dumps(address) for name, address in listening.addresses.items()},
        removal_seconds=listening.removal_seconds,
        drain_seconds=listening.drain_seconds,
        timeout_seconds=listening.timeout_seconds,
        trusted_ranges=json.dumps(list(trusted_ranges)),
        namespaces=json.dumps(sorted(namespaces)),
        class_name=json.dumps(class_name),
        dynamic_folder=json.dumps(dynamic_folder),
    )


def dynamic(
    routes: Sequence[Route],
    *,
    trusted_ranges: Sequence[str],
    certificates: int,
    client_authority: bool = False,
    folder: str = DYNAMIC_FOLDER,
) -> str:
    """The dynamic configuration: the middlewares of each route, and TLS.

    Args:
        routes: the routes; each gets a chain under its own name.
        trusted_ranges: as in `static`. With some, nobody else is let in; with none, clients come directly.
        certificates: how many there are; each is a pair of files, see `certificate_files`.
        client_authority: whether callers must show a certificate that `client_authority_file` signed.
        folder: where the files are.

    Returns:
        The content of a YAML file.
    """
    middlewares: dict[str, Any] = {
        # Below this size, compressing costs more than it saves; an event must not wait for the next.
        "compress": {
            "compress": {"minResponseBodyBytes": 1024, "excludedContentTypes": ["text/event-stream"]}
        },
        # Only while nothing has been sent to the pod, so that no request is made twice, whatever its method.
        # Each attempt takes the next turn, which under load may be the same pod's: of n pods, one that died
        # unannounced costs 1/n^4 of the requests until the cluster says it is gone (bench: `crash`).
        "retry": {"retry": {"attempts": 4}},
    }
    if trusted_ranges:
        # By the address of the peer, which nobody can write into a header.
        middlewares["trusted"] = {"ipAllowList": {"sourceRange": list(trusted_ranges)}}
    for route in routes:
        middlewares |= _middlewares(route, behind_proxy=bool(trusted_ranges))
    options: dict[str, Any] = dict(_TLS)
    if client_authority:
        options["clientAuth"] = {
            "caFiles": [f"{folder}/{client_authority_file()}"],
            "clientAuthType": "RequireAndVerifyClientCert",
        }
    pairs = [certificate_files(number) for number in range(certificates)]
    files = [{"certFile": f"{folder}/{cert}", "keyFile": f"{folder}/{key}"} for cert, key in pairs]
    tls = {"options": {"default": options}, "certificates": files}
    return json.dumps({"http": {"middlewares": middlewares}, "tls": tls}, indent=2)


def certificate_files(number: int) -> tuple[str, str]:
    """The names of a certificate's file and its key's, within the dynamic configuration's folder."""
    return f"certificate-{number}.crt", f"certificate-{number}.key"


def client_authority_file() -> str:
    """The name of the file with the certificates that sign the callers'."""
    return "client-authority.crt"


def _middlewares(route: Route, *, behind_proxy: bool) -> dict[str, Any]:
    """The middlewares of one route and, under the route's own name, their chain.

    The headers come first, so that refusals carry them too; the limits come before what costs something.
    """
    headers = {**_HARDENED, "contentSecurityPolicy": route.content_security_policy}
    own: dict[str, Any] = {f"{route.name}-headers": {"headers": headers}}
    if route.hidden:
        own[f"{route.name}-hidden"] = {
            "replacePathRegex": {"regex": _spelt(route.hidden), "replacement": "/"}
        }
    if route.rate_limit:
        own[f"{route.name}-rate"] = {"rateLimit": _rate(route.rate_limit, behind_proxy=behind_proxy)}
    if route.max_body_bytes is not None:
        own[f"{route.name}-body"] = {"buffering": {"maxRequestBodyBytes": route.max_body_bytes}}
    there = {*own, "compress", "retry", *(["trusted"] if behind_proxy else [])}
    order = ("{}-headers", "{}-hidden", "trusted", "{}-rate", "compress", "{}-body", "retry")
    chain = [name for name in (place.format(route.name) for place in order) if name in there]
    return {**own, route.name: {"chain": {"middlewares": chain}}}


def _spelt(path: str) -> str:
    """A path of one part in every spelling: a server decodes `%6detrics` before it looks."""
    letters = "".join(f"(?:{re.escape(letter)}|%{ord(letter):02x})" for letter in path.removeprefix("/"))
    return f"(?i)^/{letters}$"


def _rate(limit: RateLimit, *, behind_proxy: bool) -> dict[str, Any]:
    # A home has a whole /64 of IPv6 addresses to take turns with.
    client: dict[str, Any] = {"ipv6Subnet": 64}
    if behind_proxy:
        # The last entry of X-Forwarded-For is what the proxy itself saw; those before are anybody's words.
        # CF-Connecting-IP says the same, but can't be cut to a network.
        client["depth"] = 1
    return {
        "average": limit.average,
        "burst": limit.burst,
        "period": "1s",
        "sourceCriterion": {"ipStrategy": client},
    }
