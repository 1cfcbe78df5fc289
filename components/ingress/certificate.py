"""The public certificate of a stack's hosts: from Let's Encrypt, or from Cloudflare's Origin CA."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret
from pulumi_tls import CertRequest, CertRequestSubjectArgs, PrivateKey

from components.base import Component, Identity
from components.platform.authority import CERT_MANAGER, IssuerReference, KeptCertificate, issued

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"
"""For trials: its certificates are trusted by nobody, and its rate limits are generous."""

ValidityDays = Literal[7, 30, 90, 365, 730, 1095, 5475]
"""How long Cloudflare's Origin CA lets a certificate live."""


@dataclass(frozen=True, kw_only=True)
class DnsChallenge:
    """By cert-manager from an ACME authority, which asks for a DNS record as proof (DNS-01).

    The zone stays the proof even while nothing serves yet; asking by HTTP would need the entrance first.

    Attributes:
        token: a Cloudflare API token of the zone, with Zone / Zone / Read and Zone / DNS / Edit alone.
        email: whom the authority writes to about the account.
        server: the authority's ACME directory.
    """

    token: pulumi.Input[str] = field(repr=False)
    email: str
    server: str = LETS_ENCRYPT


@dataclass(frozen=True, kw_only=True)
class OriginCa:
    """From Cloudflare's Origin CA: trusted by Cloudflare's edge and by no browser.

    Nothing renews it: it is made anew by hand, in time, when the alert of `components.ingress.alerts` comes.
    The provider's API token needs Zone / SSL and Certificates / Edit.

    Attributes:
        validity_days: how long it is valid.
    """

    validity_days: ValidityDays = 365


@dataclass(frozen=True, kw_only=True)
class CertificateArgs:
    """The certificate of some hosts.

    Attributes:
        identity: whose it is.
        namespace: where the entrance reads its Secret.
        hosts: the names that it is good for; `*.example.com` is good for one level.
        issuer: who signs it.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    hosts: Sequence[str]
    issuer: DnsChallenge | OriginCa


class Certificate(Component):
    """A TLS certificate for all of a stack's hosts, in a Secret that the entrance reads.

    From Let's Encrypt, cert-manager (a prerequisite of the cluster: see `components.platform.authority`)
    renews it a month before its end, with a new key that never leaves the cluster. Let's Encrypt decides
    itself how long it is valid: 90 days, 64 from February 2027 and 45 from February 2028, all of which leave
    room for the month. The entrance's own key pair of the Origin CA is in the stack's state, encrypted.

    Sources: https://cert-manager.io/docs/configuration/acme/dns01/cloudflare/,
    https://letsencrypt.org/2025/12/02/from-90-to-45,
    https://developers.cloudflare.com/ssl/origin-configuration/origin-ca/
    """

    TYPE = "fixia:ingress:Certificate"

    secret: pulumi.Output[str]
    """The name of the Secret with `tls.crt` and `tls.key`."""
    issuer: Literal["acme", "origin-ca"]
    """Which kind of authority signs it."""

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        if isinstance(args.issuer, DnsChallenge):
            self.issuer = "acme"
            self.secret = self._from_acme(name, args, args.issuer)
        else:
            self.issuer = "origin-ca"
            self.secret = self._from_origin_ca(name, args, args.issuer)
        self.finish()

    def _from_acme(self, name: str, args: CertificateArgs, challenge: DnsChallenge) -> pulumi.Output[str]:
        token = Secret(
            f"{name}-token",
            metadata=self.metadata(args.namespace),
            type="Opaque",
            immutable=True,
            string_data={"token": pulumi.Output.secret(challenge.token)},
            opts=self.child(),
        )
        reference = {"name": token.metadata.name, "key": "token"}
        issuer = CustomResource(
            f"{name}-issuer",
            api_version=CERT_MANAGER,
            kind="Issuer",
            # Of this namespace and not of the cluster: nobody else can spend the token.
            metadata=self.metadata(args.namespace, name=name),
            spec={
                "acme": {
                    "server": challenge.server,
                    "email": challenge.email,
                    # The account's key; cert-manager makes it at the first use.
                    "privateKeySecretRef": {"name": f"{name}-acme-account"},
                    "solvers": [{"dns01": {"cloudflare": {"apiTokenSecretRef": reference}}}],
                }
            },
            opts=self.child(),
        )
        return issued(
            self,
            f"{name}-certificate",
            args.namespace,
            KeptCertificate(
                name=name,
                issuer=IssuerReference(name=name, kind="Issuer"),
                secret=f"{name}-tls",
                dns_names=args.hosts,
            ),
            needs=[issuer],
        )

    def _from_origin_ca(self, name: str, args: CertificateArgs, origin: OriginCa) -> pulumi.Output[str]:
        # Here, for the import takes two seconds, and only this way needs it.
        from pulumi_cloudflare import OriginCaCertificate

        # In order, so that hosts that merely change places don't make a new certificate.
        hosts = sorted(args.hosts)
        key = PrivateKey(f"{name}-key", algorithm="ECDSA", ecdsa_curve="P256", opts=self.child())
        request = CertRequest(
            f"{name}-request",
            private_key_pem=key.private_key_pem,
            dns_names=hosts,
            subject=CertRequestSubjectArgs(organization=args.identity.product),
            opts=self.child(),
        )
        certificate = OriginCaCertificate(
            f"{name}-certificate",
            csr=request.cert_request_pem,
            hostnames=hosts,
            request_type="origin-ecc",
            requested_validity=origin.validity_days,
            opts=self.child(),
        )
        # Named by the engine: a new certificate comes under a new name, and the old one, which Cloudflare
        # revokes, goes only when the entrance has turned to the new.
        return Secret(
            f"{name}-tls",
            metadata=self.metadata(args.namespace),
            type="kubernetes.io/tls",
            immutable=True,
            string_data={
                "tls.crt": certificate.certificate,
                "tls.key": key.private_key_pem,
            },
            opts=self.child(),
        ).metadata.name
