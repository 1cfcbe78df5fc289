"""The simulated tls provider: real keys, signing requests and certificates, no cloud.

As with the real one, what it makes lives in the stack's state only: nothing is stored, a refresh finds
nothing changed, and a change of any input makes a new one.
"""
# ruff: noqa: ARG002 - the core's hooks

import base64
import contextlib
import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.providers.core import ProviderError, Resource
from simulator.providers.state_only import Maker, StateOnly
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, get, reveal

type_of_key: Final[Mapping[type, str]] = {
    rsa.RSAPrivateKey: "RSA",
    ec.EllipticCurvePrivateKey: "ECDSA",
    ed25519.Ed25519PrivateKey: "ED25519",
}
CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}
DEFAULT_CURVE: Final = "P224"
DEFAULT_BITS: Final = 2048
SUBJECT: Final[Mapping[str, x509.ObjectIdentifier]] = {
    "commonName": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "country": NameOID.COUNTRY_NAME,
    "postalCode": NameOID.POSTAL_CODE,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
"""The parts of a distinguished name; `streetAddresses` is the one that may be said more than once."""

KEY_USES: Final = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
}
"""A use as the provider calls it -> as X.509 does."""
EXTENDED_USES: Final = {
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
}
USES: Final = (*KEY_USES, *EXTENDED_USES)
"""Of the real provider's uses, those that this one knows."""

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Tls(StateOnly):
    """The provider of the `tls` package: private keys, certificate signing requests and certificates."""

    package: ClassVar[str] = "tls"
    write_only: ClassVar[frozenset[str]] = frozenset({"privateKeyPemWo", "caPrivateKeyPemWo"})

    def makers(self) -> Mapping[str, Maker]:
        """What is made, by the last part of its type."""
        return MAKERS

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """Refuse unknown algorithms and curves, and a request without exactly one key."""
        plain = reveal(inputs)
        for name, valid in (("algorithm", sorted(type_of_key.values())), ("ecdsaCurve", sorted(CURVES))):
            value = plain.get(name)
            if isinstance(value, str) and value not in valid:
                yield Failure(name, f"expected one of {', '.join(valid)}, found {value}")
        uses = plain.get("allowedUses")
        for number, use in enumerate(uses if isinstance(uses, list) else ()):
            if isinstance(use, str) and use not in USES:
                yield Failure(f"allowedUses[{number}]", f"expected one of {', '.join(USES)}, found {use}")
        given = [name for name in ("privateKeyPem", "privateKeyPemWo") if plain.get(name) is not None]
        if _kind(resource) == "CertRequest" and len(given) != 1:
            yield Failure("privateKeyPem", "expected exactly one of privateKeyPem and privateKeyPemWo")


def _kind(resource: Resource) -> str:
    return resource.type.rpartition(":")[2]


def _private_key(inputs: Properties) -> tuple[str, Properties]:
    curve, bits = inputs.get("ecdsaCurve") or DEFAULT_CURVE, inputs.get("rsaBits") or DEFAULT_BITS
    key = _generate(inputs["algorithm"], curve, bits)
    public = key.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # OpenSSH has no P224: the real provider leaves these empty.
    speaks_ssh = not (isinstance(key, ec.EllipticCurvePrivateKey) and curve == "P224")
    ssh = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) if speaks_ssh else b""
    blob = base64.b64decode(ssh.split()[1]) if ssh else b""
    sha256 = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    md5 = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return _sha1(der), {
        "ecdsaCurve": curve,
        "rsaBits": bits,
        "privateKeyPem": _pem(key, _traditional(key)),
        "privateKeyPemPkcs8": _pem(key, PrivateFormat.PKCS8),
        "privateKeyOpenssh": _pem(key, PrivateFormat.OpenSSH) if speaks_ssh else "",
        "publicKeyPem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "publicKeyOpenssh": f"{ssh.decode()}\n" if ssh else "",
        "publicKeyFingerprintMd5": ":".join(md5[i : i + 2] for i in range(0, 32, 2)) if ssh else "",
        "publicKeyFingerprintSha256": f"SHA256:{sha256}" if ssh else "",
    }


def _cert_request(inputs: Properties) -> tuple[str, Properties]:
    key = _load(inputs.get("privateKeyPem") or inputs["privateKeyPemWo"])
    builder = x509.CertificateSigningRequestBuilder(_subject(inputs))
    if names := _alternative_names(inputs):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = builder.sign(key, algorithm)
    return _sha1(request.public_bytes(Encoding.DER)), {
        "certRequestPem": request.public_bytes(Encoding.PEM).decode(),
        "keyAlgorithm": _algorithm(key),
    }


def _self_signed(inputs: Properties) -> tuple[str, Properties]:
    key = _load(inputs.get("privateKeyPem") or inputs["privateKeyPemWo"])
    subject = _subject(inputs)
    made = _certificate(inputs, subject, key.public_key(), _alternative_names(inputs), (subject, key))
    return _told(made, {"keyAlgorithm": _algorithm(key)})


def _locally_signed(inputs: Properties) -> tuple[str, Properties]:
    signer = _load(inputs.get("caPrivateKeyPem") or inputs["caPrivateKeyPemWo"], "caPrivateKeyPem")
    try:
        authority = x509.load_pem_x509_certificate(inputs["caCertPem"].encode())
        request = x509.load_pem_x509_csr(inputs["certRequestPem"].encode())
    except ValueError:
        raise ProviderError("caCertPem or certRequestPem: no certificate or request in PEM format") from None
    if authority.public_key() != signer.public_key():
        raise ProviderError("caPrivateKeyPem: not the key of the certificate in caCertPem")
    names: list[x509.GeneralName] = []
    with contextlib.suppress(x509.ExtensionNotFound):
        names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    signing = (authority.subject, signer)
    made = _certificate(inputs, request.subject, request.public_key(), names, signing)
    return _told(made, {"caKeyAlgorithm": _algorithm(signer)})


def _told(made: x509.Certificate, more: Properties) -> tuple[str, Properties]:
    return str(made.serial_number), {
        "certPem": made.public_bytes(Encoding.PEM).decode(),
        "readyForRenewal": False,
        "validityStartTime": f"{made.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "validityEndTime": f"{made.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        **more,
    }


def _key_uses(uses: list[str]) -> dict[str, bool]:
    said = {known: name in uses for name, known in KEY_USES.items()}
    return {**said, "encipher_only": False, "decipher_only": False}


def _algorithm(key: Key) -> str:
    return next(name for kind, name in type_of_key.items() if isinstance(key, kind))


def _certificate(
    inputs: Properties,
    subject: x509.Name,
    public: CertificatePublicKeyTypes,
    names: list[x509.GeneralName],
    signer: tuple[x509.Name, Key],
) -> x509.Certificate:
    """A certificate that is valid from now, with the uses that were asked for."""
    start = datetime.now(UTC).replace(microsecond=0)
    uses = inputs["allowedUses"]
    authority = bool(inputs.get("isCaCertificate"))
    builder = (
        x509.CertificateBuilder(signer[0], subject, public, x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(hours=inputs["validityPeriodHours"]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**_key_uses(uses)), critical=True)
    )
    if extended := [EXTENDED_USES[use] for use in uses if use in EXTENDED_USES]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(signer[1], ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer[1], algorithm)


def _generate(algorithm: str, curve: str, bits: int) -> Key:
    if algorithm == "ECDSA":
        return ec.generate_private_key(CURVES[curve]())
    if algorithm == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return ed25519.Ed25519PrivateKey.generate()


def _traditional(key: Key) -> PrivateFormat:
    """The format of `privateKeyPem`: SEC 1 and PKCS #1, and PKCS #8 for what has nothing older."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateFormat.PKCS8
    return PrivateFormat.TraditionalOpenSSL


def _pem(key: Key, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _load(pem: str, where: str = "privateKeyPem") -> Key:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ProviderError(f"{where}: no private key in PEM format") from None
    if not isinstance(key, Key):
        raise ProviderError(f"{where}: expected a key of {', '.join(type_of_key.values())}")
    return key


def _subject(inputs: Properties) -> x509.Name:
    said = get(inputs, "subject") or {}
    parts = [(oid, said[name]) for name, oid in SUBJECT.items() if said.get(name)]
    parts += [(NameOID.STREET_ADDRESS, street) for street in said.get("streetAddresses") or ()]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _alternative_names(inputs: Properties) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in inputs.get("dnsNames") or ()),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in inputs.get("ipAddresses") or ()),
        *(x509.UniformResourceIdentifier(uri) for uri in inputs.get("uris") or ()),
    ]


def _sha1(data: bytes) -> str:
    """The id of what was made, as the real provider gives it."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


MAKERS: Final[Mapping[str, Maker]] = {
    "PrivateKey": _private_key,
    "CertRequest": _cert_request,
    "SelfSignedCert": _self_signed,
    "LocallySignedCert": _locally_signed,
}
