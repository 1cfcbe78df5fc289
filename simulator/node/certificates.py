"""What stands in for cert-manager on a node: certificates as their objects ask, from local authorities.

The definitions are cert-manager's own. Its controller can't be built from Go's registry, which lacks the
modules of its commands. Issuers sign by themselves, by an authority's Secret or, in the place of ACME, by an
authority that nobody trusts. There are no orders and no requests; a Certificate's Secret and status are all.
"""

import base64
import contextlib
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.node.client import Client, Manifest, Refused

GROUP: Final = "cert-manager.io/v1"
NAMESPACE: Final = "cert-manager"
"""Where cert-manager looks for what a ClusterIssuer needs."""

MANAGER: Final = "cert-manager"
STAND_IN: Final = (
    "a controller of the node's own; what ACME would sign is signed by an authority nobody trusts"
)

_ISSUED_FOR: Final = "fixia.app/issued-for"
ACME: Final = "fixia-acme-stand-in"
"""The Secret of who signs in the place of ACME."""
_SKEW: Final = timedelta(minutes=5)
_DURATION: Final = re.compile(r"(\d+)(h|m|s)")
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}
_EXPIRATION: Final = "certmanager_certificate_expiration_timestamp_seconds"
_READY: Final = "certmanager_certificate_ready_status"
_EXTENDED: Final = {
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
_PLAIN: Final = {
    "digital signature": "digital_signature",
    "key encipherment": "key_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
}


class _NotYet(Exception):
    """What a certificate needs is not there: it is tried again."""


@dataclass(frozen=True)
class _Signer:
    """A certificate and its key; None where something signs itself."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    shown: bool
    """Whether the Secret says whom to trust."""


class Certificates:
    """Keeps the Secrets of all Certificate objects.

    Args:
        client: an administrator of the cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._metrics = ""

    def serve(self) -> None:
        """Issue what is missing or about to end.

        Raises:
            Refused: the API server does not let us.
            OSError: it can't be reached.
        """
        for kind in ("issuers", "clusterissuers"):
            for issuer in self._list(kind):
                self._tell(kind.removesuffix("s"), issuer, {})
        certificates = self._list("certificates")
        for certificate in certificates:
            with contextlib.suppress(_NotYet):
                self._see_to(certificate)
        self._tell_prometheus(metrics(certificates))

    def _see_to(self, manifest: Manifest) -> None:
        spec, namespace = manifest["spec"], manifest["metadata"]["namespace"]
        wanted = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
        present = self._secret(namespace, spec["secretName"])
        certificate = _certificate_in(present)
        asked = (present or {}).get("metadata", {}).get("annotations", {}).get(_ISSUED_FOR)
        renewal = _seconds(spec.get("renewBefore", "")) or _lifetime(spec) / 3
        if certificate and asked == wanted and certificate.not_valid_after_utc - renewal > datetime.now(UTC):
            self._tell("certificate", manifest, _times(certificate, renewal))
            return
        keeps = spec.get("privateKey", {}).get("rotationPolicy") == "Never"
        key = (_key_in(present) if keeps else None) or ec.generate_private_key(ec.SECP256R1())
        signer = self._signer(spec["issuerRef"], namespace)
        made = _signed(spec, key, signer)
        top = signer.certificate if signer else made
        data = {"tls.crt": _pem(made), "tls.key": _key_pem(key)}
        if signer is None or signer.shown:
            data["ca.crt"] = _pem(top)
        self._write(namespace, spec["secretName"], data, spec.get("secretTemplate") or {}, wanted)

    def _signer(self, reference: Mapping[str, str], namespace: str) -> _Signer | None:
        """Who signs for an issuer; None if what it signs signs itself."""
        everywhere = reference.get("kind") == "ClusterIssuer"
        plural = "clusterissuers" if everywhere else f"namespaces/{namespace}/issuers"
        answer = self._client.request("GET", f"/apis/{GROUP}/{plural}/{reference['name']}")
        if not answer.accepted:
            raise _NotYet
        spec = answer.body["spec"]
        if "selfSigned" in spec:
            return None
        place = NAMESPACE if everywhere else namespace
        if "ca" in spec:
            return self._authority(place, spec["ca"]["secretName"], shown=True)
        if self._secret(NAMESPACE, ACME) is None:
            own = {
                "commonName": "Nobody's authority in the place of ACME",
                "isCA": True,
                "duration": "87600h",
            }
            key = ec.generate_private_key(ec.SECP256R1())
            data = {"tls.crt": _pem(_signed(own, key, None)), "tls.key": _key_pem(key)}
            self._write(NAMESPACE, ACME, data, {}, "")
        return self._authority(NAMESPACE, ACME, shown=False)

    def _authority(self, namespace: str, name: str, *, shown: bool) -> _Signer:
        secret = self._secret(namespace, name)
        certificate, key = _certificate_in(secret), _key_in(secret)
        if certificate is None or key is None:
            raise _NotYet
        return _Signer(certificate, key, shown)

    def _write(
        self, namespace: str, name: str, data: dict[str, str], template: Mapping[str, Any], wanted: str
    ) -> None:
        annotations = {**(template.get("annotations") or {}), _ISSUED_FOR: wanted}
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": {**(template.get("labels") or {}), "controller.cert-manager.io/fao": "true"},
            "annotations": annotations,
        }
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "kubernetes.io/tls",
            "data": encoded,
        }
        answer = self._client.apply(secret, manager=MANAGER, force=True)
        if not answer.accepted:
            raise Refused(f"apply the Secret {namespace}/{name}", answer)

    def _tell(self, what: str, manifest: Manifest, more: dict[str, Any]) -> None:
        """Say in an object's status that it is ready, once."""
        told = manifest.get("status") or {}
        ready = _is_ready(told)
        if ready and all(told.get(key) == value for key, value in more.items()):
            return
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "by the node's stand-in for cert-manager",
            "lastTransitionTime": _time(datetime.now(UTC)),
            "observedGeneration": manifest["metadata"].get("generation", 1),
        }
        status = {**told, **more, "conditions": [condition]}
        metadata = manifest["metadata"]
        place = f"namespaces/{metadata['namespace']}/{what}s" if "namespace" in metadata else f"{what}s"
        body = {**manifest, "apiVersion": GROUP, "kind": _KINDS[what], "status": status}
        self._client.request("PUT", f"/apis/{GROUP}/{place}/{metadata['name']}/status", body)

    def _tell_prometheus(self, text: str) -> None:
        """Write down what `manifests/cert-manager.yaml` serves."""
        if text == self._metrics:
            return
        body = {"data": {"metrics": text}}
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/certificate-metrics"
        answer = self._client.request("PATCH", path, body, content_type="application/merge-patch+json")
        if answer.accepted:
            self._metrics = text

    def _secret(self, namespace: str, name: str) -> Manifest | None:
        answer = self._client.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return answer.body if answer.accepted else None

    def _list(self, plural: str) -> list[Manifest]:
        answer = self._client.request("GET", f"/apis/{GROUP}/{plural}")
        items: list[Manifest] = answer.body.get("items") or []  # none, where there are no definitions
        return items


def metrics(certificates: Sequence[Manifest]) -> str:
    """Return what cert-manager tells Prometheus of certificates.

    Args:
        certificates: all of the cluster's.

    Source: https://cert-manager.io/docs/devops-tips/prometheus-metrics/
    """
    lines = [f"# TYPE {_EXPIRATION} gauge", f"# TYPE {_READY} gauge"]
    for manifest in certificates:
        metadata, issuer, told = (
            manifest["metadata"],
            manifest["spec"]["issuerRef"],
            manifest.get("status") or {},
        )
        labels = (
            f'name="{metadata["name"]}",namespace="{metadata["namespace"]}",issuer_name="{issuer["name"]}",'
            f'issuer_kind="{issuer.get("kind", "Issuer")}",issuer_group="cert-manager.io"'
        )
        end = told.get("notAfter")
        moment = datetime.fromisoformat(end).timestamp() if end else 0
        lines.append(f"{_EXPIRATION}{{{labels}}} {moment:.0f}")
        ready = _is_ready(told)
        now = "True" if ready else "False"
        lines += [
            f'{_READY}{{condition="{each}",{labels}}} {int(each == now)}'
            for each in ("True", "False", "Unknown")
        ]
    return "\n".join(lines) + "\n"


def _is_ready(status: Manifest) -> bool:
    """Whether an object's status says that it is ready."""
    conditions = status.get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


_KINDS: Final = {"issuer": "Issuer", "clusterissuer": "ClusterIssuer", "certificate": "Certificate"}


def _signed(
    spec: Mapping[str, Any], key: ec.EllipticCurvePrivateKey, signer: _Signer | None
) -> x509.Certificate:
    """Sign what a Certificate's specification describes."""
    names = spec.get("dnsNames") or []
    common = spec.get("commonName")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    usages = set(spec.get("usages") or ["digital signature", "key encipherment"])
    is_authority = bool(spec.get("isCA"))
    if is_authority:
        usages |= {"cert sign"}
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _lifetime(spec))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_key_usage(usages), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if extended := [oid for name, oid in _EXTENDED.items() if name in usages]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [
        x509.IPAddress(ipaddress.ip_address(address)) for address in spec.get("ipAddresses") or []
    ]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=not common)
    if signer:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(signer.key if signer else key, hashes.SHA256())


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            "content_commitment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
            *_PLAIN.values(),
        ),
        False,
    )
    return x509.KeyUsage(**{**none, **{field: True for name, field in _PLAIN.items() if name in usages}})


def _certificate_in(secret: Manifest | None) -> x509.Certificate | None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return x509.load_pem_x509_certificate(base64.b64decode((secret or {})["data"]["tls.crt"]))
    return None


def _key_in(secret: Manifest | None) -> ec.EllipticCurvePrivateKey | None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        key = load_pem_private_key(base64.b64decode((secret or {})["data"]["tls.key"]), None)
        return key if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return None


def _lifetime(spec: Mapping[str, Any]) -> timedelta:
    return _seconds(spec.get("duration", "")) or timedelta(days=90)


def _seconds(duration: str) -> timedelta:
    """A duration as Go writes it."""
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration)))


def _times(certificate: x509.Certificate, renewal: timedelta) -> dict[str, Any]:
    end = certificate.not_valid_after_utc
    return {
        "notBefore": _time(certificate.not_valid_before_utc),
        "notAfter": _time(end),
        "renewalTime": _time(end - renewal),
        "revision": 1,
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
