"""The simulated tls provider makes real keys and requests; the simulated Origin CA signs them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from simulator.providers.cloudflare import Cloudflare
from simulator.providers.core import ProviderError, Resource
from simulator.providers.differ import Change
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.tls import Tls
from simulator.providers.values import UNKNOWN, Properties, Secret, reveal, secret

KEY = "tls:index/privateKey:PrivateKey"
REQUEST = "tls:index/certRequest:CertRequest"
ORIGIN = "cloudflare:index/originCaCertificate:OriginCaCertificate"
HOSTS = ["shop.example.com", "*.shop.example.com"]


def resource(token: str) -> Resource:
    return Resource(f"urn:pulumi:test::shop::{token}::one", token, "one")


def make(token: str, inputs: Properties) -> tuple[str, Properties]:
    return Tls(Store(None)).create(resource(token), inputs)


def key(**inputs: Any) -> Properties:
    return make(KEY, {"algorithm": "ECDSA", "ecdsaCurve": "P256"} | inputs)[1]


def request(**inputs: Any) -> Properties:
    return make(REQUEST, {"privateKeyPem": key()["privateKeyPem"], "dnsNames": HOSTS} | inputs)[1]


def refusals(provider: Tls | Cloudflare, token: str, inputs: Properties) -> list[str]:
    checked = provider.check(resource(token), {}, inputs, Naming())
    return [f"{failure.path}: {failure.reason}" for failure in checked.failures]


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, ec.EllipticCurvePrivateKey),
        ({"algorithm": "RSA", "rsaBits": 2048}, rsa.RSAPrivateKey),
        ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey),
    ],
)
def test_a_key_is_of_its_kind_in_every_form(inputs: dict[str, Any], kind: type) -> None:
    made = reveal(make(KEY, inputs)[1])
    public = load_pem_public_key(made["publicKeyPem"].encode()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    forms = [
        load_pem_private_key(made[name].encode(), None) for name in ("privateKeyPem", "privateKeyPemPkcs8")
    ]
    forms.append(load_ssh_private_key(made["privateKeyOpenssh"].encode(), None))
    for private in forms:
        assert isinstance(private, kind)
        assert private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public
    assert re.fullmatch(r"SHA256:[\w+/]{43}", made["publicKeyFingerprintSha256"])
    assert re.fullmatch(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", made["publicKeyFingerprintMd5"])


def test_an_elliptic_key_is_of_the_wanted_curve_and_of_p224_by_default() -> None:
    for inputs, curve in (({"ecdsaCurve": "P384"}, "secp384r1"), ({"ecdsaCurve": None}, "secp224r1")):
        made = reveal(key(**inputs))
        private = load_pem_private_key(made["privateKeyPem"].encode(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        assert private.curve.name == curve
        assert bool(made["publicKeyOpenssh"]) == (curve != "secp224r1")


def test_two_keys_differ() -> None:
    assert reveal(key()["privateKeyPem"]) != reveal(key()["privateKeyPem"])


def test_private_keys_are_secret_and_nothing_else_is() -> None:
    marked = {name for name, value in key().items() if isinstance(value, Secret)}
    assert marked == {"privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"}
    asked = request()
    assert isinstance(asked["privateKeyPem"], Secret)
    assert not isinstance(asked["certRequestPem"], Secret)


def test_at_a_preview_nothing_is_known_that_is_yet_to_be_made() -> None:
    provider = Tls(Store(None))
    outputs = provider.preview_create(resource(KEY), {"algorithm": "ECDSA", "ecdsaCurve": "P256"})
    assert outputs["privateKeyPem"] is UNKNOWN
    assert outputs["ecdsaCurve"] == "P256"
    outputs = provider.preview_create(resource(REQUEST), {"privateKeyPem": secret(UNKNOWN)})
    assert outputs["certRequestPem"] is UNKNOWN
    assert refusals(provider, REQUEST, {"privateKeyPem": secret(UNKNOWN), "dnsNames": HOSTS}) == []


def test_a_request_says_its_names_and_is_signed_by_its_key() -> None:
    private = key()
    _, made = make(
        REQUEST,
        {
            "privateKeyPem": private["privateKeyPem"],
            "dnsNames": HOSTS,
            "ipAddresses": ["10.0.0.1"],
            "subject": {"commonName": "shop.example.com", "organization": "shop"},
        },
    )
    asked = x509.load_pem_x509_csr(made["certRequestPem"].encode())
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert asked.subject.rfc4514_string() == "O=shop,CN=shop.example.com"
    assert asked.is_signature_valid
    assert asked.public_key() == load_pem_public_key(private["publicKeyPem"].encode())
    assert made["keyAlgorithm"] == "ECDSA"


def test_a_write_only_key_is_not_given_back() -> None:
    made = make(REQUEST, {"privateKeyPemWo": key()["privateKeyPem"], "privateKeyPemWoVersion": 1})[1]
    assert "BEGIN CERTIFICATE REQUEST" in made["certRequestPem"]
    assert "privateKeyPemWo" not in made


@pytest.mark.parametrize(
    ("token", "inputs", "found"),
    [
        (KEY, {"algorithm": "DSA"}, "algorithm: expected one of ECDSA, ED25519, RSA, found DSA"),
        (
            KEY,
            {"algorithm": "ECDSA", "ecdsaCurve": "P-256"},
            "ecdsaCurve: expected one of P224, P256, P384, P521, found P-256",
        ),
        (
            REQUEST,
            {"dnsNames": HOSTS},
            "privateKeyPem: expected exactly one of privateKeyPem and privateKeyPemWo",
        ),
    ],
)
def test_what_the_real_one_refuses_is_refused(token: str, inputs: Properties, found: str) -> None:
    assert refusals(Tls(Store(None)), token, inputs) == [found]


def test_no_key_is_said_without_quoting_it() -> None:
    with pytest.raises(ProviderError, match=r"^privateKeyPem: no private key in PEM format$"):
        make(REQUEST, {"privateKeyPem": "-----BEGIN NONSENSE-----"})
    with pytest.raises(ProviderError, match="does not make"):
        make("tls:index/certificate:Certificate", {})


def test_every_change_makes_a_new_one_and_a_refresh_changes_nothing() -> None:
    provider, inputs = Tls(Store(None)), {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    difference = provider.diff(resource(KEY), inputs, {**inputs, "ecdsaCurve": "P384"})
    assert [change.keys for change in difference.replaces] == [("ecdsaCurve",)]
    assert all(isinstance(change, Change) for change in difference.changes)
    made, outputs = provider.create(resource(KEY), inputs)
    assert provider.read(resource(KEY), made, inputs, outputs) == (made, inputs, outputs)


def test_the_origin_ca_signs_the_request_for_the_hostnames_and_the_days() -> None:
    asked = request()["certRequestPem"]
    inputs = {"csr": asked, "hostnames": HOSTS, "requestType": "origin-ecc", "requestedValidity": 90}
    _, made = Cloudflare(Store(None)).create(resource(ORIGIN), inputs)
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert certificate.public_key() == x509.load_pem_x509_csr(asked.encode()).public_key()
    assert "SIMULATED" in certificate.issuer.rfc4514_string()
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=90)
    expires = datetime.strptime(made["expiresOn"], "%Y-%m-%d %H:%M:%S +0000 UTC").replace(tzinfo=UTC)
    assert expires == certificate.not_valid_after_utc


def test_the_origin_ca_refuses_what_it_does_not_sell() -> None:
    provider = Cloudflare(Store(None))
    inputs = {"csr": "none", "hostnames": HOSTS, "requestType": "origin-ecc", "requestedValidity": 60}
    assert refusals(provider, ORIGIN, inputs) == [
        "requestedValidity: expected one of 7, 30, 90, 365, 730, 1095, 5475, found 60"
    ]
    with pytest.raises(ProviderError, match="could not be parsed"):
        provider.create(resource(ORIGIN), {**inputs, "requestedValidity": 90})


AUTHORITY = "tls:index/selfSignedCert:SelfSignedCert"
SIGNED = "tls:index/locallySignedCert:LocallySignedCert"


def authority() -> tuple[str, Properties]:
    """A key, and the authority's certificate that it signed."""
    pem = key()["privateKeyPem"]
    asked = {
        "privateKeyPem": pem,
        "subject": {"commonName": "shop"},
        "isCaCertificate": True,
        "validityPeriodHours": 48,
        "allowedUses": ["cert_signing"],
    }
    return pem, make(AUTHORITY, asked)[1]


def signed(pem: str, certificate: str, **changes: Any) -> Properties:
    asked = {
        "certRequestPem": request()["certRequestPem"],
        "caPrivateKeyPem": pem,
        "caCertPem": certificate,
        "validityPeriodHours": 24,
        "allowedUses": ["digital_signature", "client_auth"],
    }
    return make(SIGNED, asked | changes)[1]


def test_an_authority_signs_itself_and_then_others() -> None:
    pem, outputs = authority()
    root = x509.load_pem_x509_certificate(outputs["certPem"].encode())
    root.verify_directly_issued_by(root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is True
    leaf = x509.load_pem_x509_certificate(signed(pem, outputs["certPem"])["certPem"].encode())
    leaf.verify_directly_issued_by(root)
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(hours=24)


def test_only_the_authoritys_own_key_signs() -> None:
    _, outputs = authority()
    with pytest.raises(ProviderError, match="not the key of the certificate"):
        signed(key()["privateKeyPem"], outputs["certPem"])
    pem, _ = authority()
    with pytest.raises(ProviderError, match="no certificate or request"):
        signed(pem, "-----BEGIN NONSENSE-----")


def test_a_use_that_there_is_not_is_refused() -> None:
    inputs = {"allowedUses": ["client_auth", "clients"], "validityPeriodHours": 1}
    (found,) = refusals(Tls(Store(None)), AUTHORITY, inputs)
    assert found.startswith("allowedUses[1]: expected one of digital_signature")
