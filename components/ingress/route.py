"""What is reached from outside, under which name, and within which limits."""

import json
from dataclasses import dataclass
from typing import Final

import pulumi

from components.network import Endpoint

CLASS_NAME: Final = "entrance"
"""The ingress class that our own controller serves; a cluster with another controller names that one's."""

COOKIE: Final = {"name": "entrance", "secure": True, "httpOnly": True, "sameSite": "lax"}
"""The cookie that keeps a client on one pod, in Traefik's words. It holds a hash of the pod's address."""

NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""A content security policy for what is no page: a browser that renders an answer loads nothing for it."""

_ANNOTATION: Final = "traefik.ingress.kubernetes.io"


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """How many requests one client may make, on each pod of the entrance.

    Attributes:
        average: requests a second, over time.
        burst: how many may come at once.
    """

    average: int = 10
    burst: int = 20


@dataclass(frozen=True, kw_only=True)
class Route:
    """One host name, and the pods behind it.

    Attributes:
        name: unique among the routes; it names the Ingress and its middlewares.
        host: the DNS name.
        backend: the pods that answer.
        service: the name of their Service, in their namespace. To keep a client on one pod, give the Service
            `sticky_annotations()`.
        service_port: the name of its port.
        rate_limit: for each client; none unless told.
        max_body_bytes: larger request bodies are refused. Such a route holds each request and each answer
            until they are complete, so none that streams or upgrades has a limit here; None is no limit.
        content_security_policy: the header's value.
        hidden: a path of one part that is not for the public, such as `/metrics` of a server that tells them
            where it serves its pages; asked for, the site's first page comes instead. None unless told.
    """

    name: str
    host: str
    backend: Endpoint
    service: pulumi.Input[str]
    service_port: str = "http"
    rate_limit: RateLimit | None = None
    max_body_bytes: int | None = None
    content_security_policy: str = NOTHING
    hidden: str | None = None


def ingress_annotations(route: Route) -> dict[str, str]:
    """How our controller is told, on an Ingress, what to do with the route's requests."""
    return {f"{_ANNOTATION}/router.middlewares": f"{route.name}@file"}


def sticky_annotations() -> dict[str, str]:
    """How our controller is told, on a Service, to keep each client on one pod, as Socket.IO needs."""
    cookie = f"{_ANNOTATION}/service.sticky.cookie"
    # JSON writes `true` as annotations want it, and text as it is but for the quotes.
    parts = {f"{cookie}.{key.lower()}": json.dumps(value).strip('"') for key, value in COOKIE.items()}
    return {cookie: "true", **parts}
