"""Who is who in a cluster of one's own: a certificate authority that lives as long as the cluster does."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = timedelta(days=1)
"""Of every certificate, the authority's too, unless told: nothing here is meant to outlive a run."""

_SKEW: Final = timedelta(minutes=5)
"""A clock may be set back a little while we run."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate and its key, as files in PEM.

    Attributes:
        certificate: the certificate's file.
        key: the private key's file, for its owner alone.
    """

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A key without a certificate, as files in PEM.

    Attributes:
        private: signs.
        public: verifies.
    """

    private: Path
    public: Path


class Authority:
    """A certificate authority in a folder.

    Args:
        folder: where all that it makes is written to; only we may read it.
        lifetime: how long its certificates hold, and its own.
        kept: whether its key is kept in the folder too, for the next authority there to be the same; else no
            file has it.
    """

    def __init__(self, folder: Path, *, lifetime: timedelta = LIFETIME, kept: bool = False) -> None:
        self._folder = folder
        self._lifetime = lifetime
        file = folder / "ca.key"
        before = load_pem_private_key(file.read_bytes(), None) if kept and file.exists() else None
        self._key = (
            before
            if isinstance(before, ec.EllipticCurvePrivateKey)
            else ec.generate_private_key(ec.SECP256R1())
        )
        if kept and not before:
            self._write_key("ca", self._key)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated-cluster")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "ca.crt"
        """The file by which its certificates are verified."""
        self.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(self, name: str, hosts: Sequence[str]) -> Identity:
        """Issue the certificate of a server.

        Args:
            name: its common name, and its files' name.
            hosts: the DNS names and IP addresses that it is reached by.
        """
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(name, (), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str, groups: Sequence[str] = ()) -> Identity:
        """Issue the certificate of a client.

        Args:
            name: the user's name, and its files' name.
            groups: the groups that it is a member of, such as `system:masters`.
        """
        return self._issue(name, groups, ExtendedKeyUsageOID.CLIENT_AUTH)

    def key_pair(self, name: str) -> KeyPair:
        """Make a key that signs tokens.

        Args:
            name: its files' name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        public = self._folder / f"{name}.pub"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return KeyPair(private=self._write_key(name, key), public=public)

    def _issue(
        self,
        name: str,
        groups: Sequence[str],
        purpose: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        builder = (
            self._builder(x509.Name(subject), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if alternatives:
            builder = builder.add_extension(alternatives, critical=False)
        file = self._folder / f"{name}.crt"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return Identity(certificate=file, key=self._write_key(name, key))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + self._lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
        file = self._folder / f"{name}.key"
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return file


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
