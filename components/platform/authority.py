"""The platform's own certificate authority, for encryption between its tiers; certificates by cert-manager.

cert-manager is a prerequisite of the cluster and not installed from here. It is there when this finds three:

    kubectl get crd issuers.cert-manager.io clusterissuers.cert-manager.io certificates.cert-manager.io
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.base import Component, Identity
from components.network import Endpoint
from components.watch import Target, Watch

CERT_MANAGER: Final = "cert-manager.io/v1"

METRICS_PORT: Final = 9402
"""Of cert-manager. Source: https://cert-manager.io/docs/devops-tips/prometheus-metrics/"""

AUTHORITY_DAYS: Final = 3650
AUTHORITY_RENEWAL_DAYS: Final = 365
"""More than a leaf lives: none is ever signed that outlives its signer's certificate."""
LEAF_DAYS: Final = 90
LEAF_RENEWAL_DAYS: Final = 30


@dataclass(frozen=True, kw_only=True)
class IssuerReference:
    """Who signs.

    Attributes:
        name: the issuer's name.
        kind: one namespace's own, or the whole cluster's.
    """

    name: str
    kind: Literal["Issuer", "ClusterIssuer"]


@dataclass(frozen=True, kw_only=True)
class KeptCertificate:
    """A certificate that cert-manager gets issued and renews in time, with an ECDSA P-256 key.

    Attributes:
        name: its name in the cluster, which the alerts say.
        issuer: who signs it.
        secret: the Secret that cert-manager writes: `tls.crt`, `tls.key`; of a private issuer also `ca.crt`.
        dns_names: the names that it is good for.
        ip_addresses: the addresses that it is good for.
        common_name: its subject; only an authority needs one.
        usages: what the key may be used for, in cert-manager's words.
        days: how long it is asked to be valid.
        renewal_days: how long before its end it is renewed.
        is_authority: whether it may sign others.
        keeps_key: whether a renewal keeps the key; else each has a new one.
    """

    name: str
    issuer: IssuerReference
    secret: str
    dns_names: Sequence[pulumi.Input[str]] = ()
    ip_addresses: Sequence[str] = ()
    common_name: str | None = None
    usages: Sequence[str] = ("digital signature", "server auth")
    days: int = LEAF_DAYS
    renewal_days: int = LEAF_RENEWAL_DAYS
    is_authority: bool = False
    keeps_key: bool = False


@dataclass(frozen=True, kw_only=True)
class AuthorityArgs:
    """The internal authority.

    Attributes:
        identity: whose it is.
        namespace: where cert-manager looks for what a ClusterIssuer needs: its own namespace, unless it was
            started with another `--cluster-resource-namespace`.
    """

    identity: Identity
    namespace: pulumi.Input[str] = "cert-manager"


class Authority(Component):
    """A private authority whose certificates any namespace can have: the tiers trust it and nobody else.

    A self-signed root (ten years, ECDSA) stands in the namespace where cert-manager looks for what a
    ClusterIssuer needs, and its key never leaves the cluster: it is in no state and no configuration. Its
    renewal, a year before the end, keeps the key, so that what it has signed and who trusts it go on. Losing
    its Secret, or changing the key after a leak, is `docs/runbooks/rotate-internal-ca.md`.

    A leaf is renewed by cert-manager with a new key. The kubelet brings the new files into running pods
    within about two minutes (never to a `subPath` mount), and each server takes them up by its own means:
    PostgreSQL by `SELECT pg_reload_conf()`, PgBouncer by `RELOAD`, Valkey by `CONFIG SET tls-cert-file` to
    the same path. Whoever owns the server sees to that too. A pod whose Secret is not issued yet waits in
    `ContainerCreating` and starts by itself.

    Sources: https://cert-manager.io/docs/configuration/ca/, https://cert-manager.io/docs/usage/certificate/
    """

    TYPE = "fixia:platform:Authority"

    issuer: str
    """The name of the ClusterIssuer; fixed, because certificates refer to it."""
    secret: str
    """The name of the Secret with the root's certificate and key, in the authority's namespace."""

    def __init__(self, name: str, args: AuthorityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.issuer = f"{args.identity.product}-{name}"
        self.secret = f"{self.issuer}-ca"
        bootstrap = CustomResource(
            f"{name}-bootstrap",
            api_version=CERT_MANAGER,
            kind="Issuer",
            metadata=self.metadata(args.namespace, name=f"{self.issuer}-bootstrap"),
            spec={"selfSigned": {}},
            opts=self.child(),
        )
        root = kept_certificate(
            self,
            f"{name}-root",
            args.namespace,
            KeptCertificate(
                name=self.issuer,
                issuer=IssuerReference(name=f"{self.issuer}-bootstrap", kind="Issuer"),
                secret=self.secret,
                # Distinct from a second authority's, or a chain might be built over the wrong one of the two.
                common_name=f"{args.identity.product}-{args.identity.environment}-{name}",
                usages=("cert sign", "crl sign", "digital signature"),
                days=AUTHORITY_DAYS,
                renewal_days=AUTHORITY_RENEWAL_DAYS,
                is_authority=True,
                keeps_key=True,
            ),
            needs=[bootstrap],
        )
        self._cluster_issuer = CustomResource(
            f"{name}-issuer",
            api_version=CERT_MANAGER,
            kind="ClusterIssuer",
            metadata=self.metadata(name=self.issuer),
            spec={"ca": {"secretName": self.secret}},
            opts=self.child(depends_on=[root]),
        )
        cert_manager = Endpoint(
            name="cert-manager",
            namespace=args.namespace,
            # As its makers' manifests and charts name them.
            pods={"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"},
            port=METRICS_PORT,
            foreign=True,
        )
        self.watch = Watch(
            name=name, targets=[Target(job="cert-manager", endpoint=cert_manager, honor_labels=True)]
        )
        self.finish()

    def issue(
        self,
        owner: Component,
        name: str,
        namespace: pulumi.Input[str],
        dns_names: Sequence[pulumi.Input[str]],
        *,
        ip_addresses: Sequence[str] = (),
        client: bool = False,
    ) -> pulumi.Output[str]:
        """Have a leaf certificate issued and kept: 90 days, renewed 30 days before, each time with a new key.

        Args:
            owner: the component that shows it; the Certificate is its child.
            name: the component's name; what it is called in the cluster too.
            namespace: where its pods run.
            dns_names: every name that callers use, such as a Service's with and without its namespace.
            ip_addresses: addresses that callers use, such as 127.0.0.1 for an exporter in the same pod.
            client: whether the owner also shows it where it calls.

        Returns:
            The Secret's name, `<name>-tls`: `tls.crt`, `tls.key`, and `ca.crt` to trust the others by. Mount
            it with `default_mode=0o440`: PostgreSQL refuses a key that others may read. Whoever mounts it
            comes after its Certificate.
        """
        return issued(
            owner,
            f"{name}-certificate",
            namespace,
            KeptCertificate(
                name=name,
                issuer=IssuerReference(name=self.issuer, kind="ClusterIssuer"),
                secret=f"{name}-tls",
                dns_names=dns_names,
                ip_addresses=ip_addresses,
                usages=("digital signature", "server auth", *(("client auth",) if client else ())),
            ),
            needs=[self._cluster_issuer],
        )


def issued(
    owner: Component,
    resource: str,
    namespace: pulumi.Input[str],
    certificate: KeptCertificate,
    *,
    needs: Sequence[pulumi.Resource] = (),
) -> pulumi.Output[str]:
    """As `kept_certificate`; the Secret's name, known once the Certificate is there.

    A pod that began before it would wait for its Secret, and be waited for, while nobody had asked for that.
    """
    kept = kept_certificate(owner, resource, namespace, certificate, needs=needs)
    # The one output that a preview knows, too.
    return kept.urn.apply(lambda _: certificate.secret)


def kept_certificate(
    owner: Component,
    resource: str,
    namespace: pulumi.Input[str],
    certificate: KeptCertificate,
    *,
    needs: Sequence[pulumi.Resource] = (),
) -> CustomResource:
    """The Certificate object of one certificate; its Secret carries the owner's labels.

    Args:
        owner: the component that it belongs to.
        resource: the name of the resource, `<owner>-<role>`.
        namespace: where the object lives and the Secret is written.
        certificate: what is wanted.
        needs: what must be there before.
    """
    metadata = owner.metadata(namespace, name=certificate.name)
    spec: dict[str, Any] = {
        "secretName": certificate.secret,
        "secretTemplate": {"labels": metadata.labels},
        "issuerRef": {
            "group": CERT_MANAGER.partition("/")[0],
            "kind": certificate.issuer.kind,
            "name": certificate.issuer.name,
        },
        "isCA": certificate.is_authority,
        "duration": _hours(certificate.days),
        "renewBefore": _hours(certificate.renewal_days),
        # The spent requests; the last one tells how the current certificate came about.
        "revisionHistoryLimit": 1,
        "privateKey": {
            "algorithm": "ECDSA",
            "size": 256,
            # PKCS #8 is what every server's and every language's library reads.
            "encoding": "PKCS8",
            "rotationPolicy": "Never" if certificate.keeps_key else "Always",
        },
        "usages": list(certificate.usages),
    }
    if certificate.common_name:
        spec["commonName"] = certificate.common_name
    if certificate.dns_names:
        spec["dnsNames"] = list(certificate.dns_names)
    if certificate.ip_addresses:
        spec["ipAddresses"] = list(certificate.ip_addresses)
    return CustomResource(
        resource,
        api_version=CERT_MANAGER,
        kind="Certificate",
        metadata=metadata,
        spec=spec,
        opts=owner.child(depends_on=list(needs)),
    )


def _hours(days: int) -> str:
    """A duration as Go writes it, so that cert-manager has nothing to rewrite; it knows no days."""
    return f"{days * 24}h0m0s"
