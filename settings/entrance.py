"""How the stack is reached from outside: the entrance, its certificate, who stands in front of it."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from settings.section import Section
from settings.types import Cidr, Image, Name, Port, Proxies, Subdomain
from settings.workload import Autoscaling, Resources

CLOUDFLARE: Final = (
    *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18"),
    *("108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17"),
    *("162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22"),
    *("2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32"),
    *("2a06:98c0::/29", "2c0f:f248::/32"),
)
"""Where Cloudflare's edge calls from. Source: https://www.cloudflare.com/ips/"""


class LetsEncrypt(Section):
    """From Let's Encrypt by cert-manager, with a DNS record at Cloudflare as the proof."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = Field(
        description="Whom Let's Encrypt writes to."
    )
    token: Name = Field(description="The secret with the zone's API token: Zone Read and DNS Edit alone.")


class OriginCa(Section):
    """From Cloudflare's Origin CA: trusted by Cloudflare's edge alone, and renewed by a release."""

    validity_days: Literal[7, 30, 90, 365, 730, 1095, 5475] = 365


class Certificate(Section):
    """Who signs the certificate of the stack's hosts."""

    lets_encrypt: LetsEncrypt | None = None
    origin_ca: OriginCa | None = None

    @model_validator(mode="after")
    def _comes_from_one_authority(self) -> Self:
        if (self.lets_encrypt is None) == (self.origin_ca is None):
            raise ValueError("either letsEncrypt or originCa")
        return self


class ForeignRoute(Section):
    """A host that leads to pods which another program runs in one of the stack's namespaces."""

    host: Subdomain
    namespace: Name = Field(description="One of `platform.namespaces`.")
    app: Name = Field(description="The pods' label `app.kubernetes.io/name`.")
    port: Port = Field(description="Where they listen for HTTP.")
    service: Name = Field(description="Their Service, in that namespace; its port is called `http`.")
    content_security_policy: str | None = Field(default=None, description="What its pages may load.")


class Entrance(Section):
    """Traefik, or the Ingress objects for a controller that the cluster has already."""

    namespace: Name = Field(default="ingress", description="One of `platform.namespaces`.")
    class_name: Name = Field(
        default="entrance", description="Another name: that controller serves, and none is installed."
    )
    image: Image = Field(description="Traefik 3.5.")
    resources: Resources
    autoscaling: Autoscaling
    service_type: Literal["LoadBalancer", "ClusterIP"] = Field(
        default="LoadBalancer", description="`ClusterIP` where something else leads traffic to it."
    )
    service_annotations: dict[str, str] = Field(
        default_factory=dict, description="What the cloud's load balancer wants to be told."
    )
    node_ports: bool = Field(
        default=False,
        description="Whether that load balancer sends to ports of the nodes; most send to pods.",
    )
    trusted_ranges: list[Proxies] = Field(
        default=["cloudflare"],
        description="Who stands in front and says who the client is; nobody else is let in. Or empty.",
    )
    api_server: list[Cidr] = Field(
        min_length=1, description="Where the API server is, behind its Service: the entrance watches it."
    )
    api_server_port: Annotated[int, Field(ge=1, le=65535)] = 6443
    certificate: Certificate
    foreign_routes: dict[Name, ForeignRoute] = Field(
        default_factory=dict, description="Hosts of what this program does not run."
    )

    def trusted(self) -> list[str]:
        """The trusted ranges as addresses."""
        return [
            cidr
            for named in self.trusted_ranges
            for cidr in (CLOUDFLARE if named == "cloudflare" else [named])
        ]
