"""How the entrance knows that a caller is our zone at Cloudflare and nobody else's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from components.base import Component, Identity

HOURS_A_DAY: Final = 24
AUTHORITY_HOURS: Final = 3650 * HOURS_A_DAY
CERTIFICATE_HOURS: Final = 365 * HOURS_A_DAY
RENEWAL_HOURS: Final = 60 * HOURS_A_DAY
"""How long before its end the next `pulumi up` makes a new one."""

USES: Final = ("digital_signature", "key_encipherment", "client_auth")


@dataclass(frozen=True, kw_only=True)
class OriginPullsArgs:
    """The certificate that the edge shows to the entrance.

    Attributes:
        identity: whose it is.
        namespace: where the entrance reads its Secret.
        zone: the zone's id.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    zone: str


class OriginPulls(Component):
    """An authority of our own, one certificate of it at the edge, and the authority's for the entrance.

    Cloudflare has a certificate for this too, which it shows for every zone of every customer: whoever has an
    account could point a zone of theirs at our origin and come in past our rules. This one is our zone's.

    The order never shuts anybody out: the edge shows the certificate first, and only then does the entrance
    learn of the authority and ask. Renewal comes with a release, 60 days before the end; the authority stays,
    so that the old and the new certificate are both good. The keys are in the stack's state, encrypted.

    When it fails: every request through the edge ends with 520 or 525, while a call to the entrance's address
    shows a TLS alert; docs/runbooks/origin-reachable-directly.md.

    Source: https://developers.cloudflare.com/ssl/origin-configuration/authenticated-origin-pull/
    """

    TYPE = "fixia:edge:OriginPulls"

    authority: pulumi.Output[str]
    """The name of the Secret with the authority's certificate as `ca.crt`."""

    def __init__(self, name: str, args: OriginPullsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Here, for the imports take two seconds, and stacks without an edge need neither.
        from pulumi_cloudflare import AuthenticatedOriginPullsCertificate, AuthenticatedOriginPullsSettings
        from pulumi_tls import (
            CertRequest,
            CertRequestSubjectArgs,
            LocallySignedCert,
            PrivateKey,
            SelfSignedCert,
            SelfSignedCertSubjectArgs,
        )

        super().__init__(name, args.identity, opts)
        product = args.identity.product

        def key(role: str) -> PrivateKey:
            return PrivateKey(f"{name}-{role}-key", algorithm="RSA", rsa_bits=2048, opts=self.child())

        signer, shown = key("authority"), key("certificate")
        authority = SelfSignedCert(
            f"{name}-authority",
            private_key_pem=signer.private_key_pem,
            subject=SelfSignedCertSubjectArgs(common_name=f"{product} edge", organization=product),
            is_ca_certificate=True,
            validity_period_hours=AUTHORITY_HOURS,
            early_renewal_hours=CERTIFICATE_HOURS,
            allowed_uses=["cert_signing", "crl_signing"],
            opts=self.child(),
        )
        request = CertRequest(
            f"{name}-request",
            private_key_pem=shown.private_key_pem,
            subject=CertRequestSubjectArgs(common_name=f"{product} edge", organization=product),
            opts=self.child(),
        )
        certificate = LocallySignedCert(
            f"{name}-certificate",
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=signer.private_key_pem,
            ca_cert_pem=authority.cert_pem,
            validity_period_hours=CERTIFICATE_HOURS,
            early_renewal_hours=RENEWAL_HOURS,
            allowed_uses=list(USES),
            opts=self.child(),
        )
        at_the_edge = AuthenticatedOriginPullsCertificate(
            f"{name}-at-the-edge",
            zone_id=args.zone,
            certificate=certificate.cert_pem,
            private_key=shown.private_key_pem,
            opts=self.child(),
        )
        shows = AuthenticatedOriginPullsSettings(
            f"{name}-settings",
            zone_id=args.zone,
            enabled=True,
            opts=self.child(depends_on=[at_the_edge]),
        )
        self.authority = self._for_the_entrance(name, args, authority.cert_pem, after=[shows])
        self.finish()

    def _for_the_entrance(
        self,
        name: str,
        args: OriginPullsArgs,
        certificate: pulumi.Output[str],
        after: Sequence[pulumi.Resource],
    ) -> pulumi.Output[str]:
        return Secret(
            f"{name}-authority-secret",
            metadata=self.metadata(args.namespace),
            type="Opaque",
            immutable=True,
            string_data={"ca.crt": certificate},
            opts=self.child(depends_on=list(after)),
        ).metadata.name
