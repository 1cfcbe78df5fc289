"""The public certificate, by both ways: what is asked for, where it ends up, and what stays secret."""

import re
from typing import Any

import pulumi
import pulumi_cloudflare
import pulumi_kubernetes
import pulumi_tls
import pytest

from components.base import Identity
from components.ingress.certificate import (
    LETS_ENCRYPT,
    LETS_ENCRYPT_STAGING,
    Certificate,
    CertificateArgs,
    DnsChallenge,
    OriginCa,
)
from tests.recorder import Recording, is_pulumi_secret, provider_name, record

IDENTITY = Identity(product="shop", environment="test", owner="team", cost_centre="shop")
HOSTS = ("shop.example.com", "api.shop.example.com", "ws.shop.example.com", "grafana.shop.example.com")
TOKEN = "plain-text-of-the-token"
CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
ISSUER = "kubernetes:cert-manager.io/v1:Issuer"
SECRET = "kubernetes:core/v1:Secret"
ORIGIN = "cloudflare:index/originCaCertificate:OriginCaCertificate"


def certified(issuer: DnsChallenge | OriginCa) -> Recording:
    def program() -> None:
        providers = [
            pulumi_kubernetes.Provider("cluster", context="test"),
            pulumi_cloudflare.Provider("edge", api_token="t" * 40),
            pulumi_tls.Provider("keys"),
        ]
        Certificate(
            "public",
            CertificateArgs(identity=IDENTITY, namespace="shop-ingress", hosts=HOSTS, issuer=issuer),
            pulumi.ResourceOptions(providers=providers),
        )

    return record(program)


@pytest.fixture(scope="module")
def acme() -> Recording:
    return certified(DnsChallenge(token=TOKEN, email="ops@example.com"))


@pytest.fixture(scope="module")
def origin() -> Recording:
    return certified(OriginCa(validity_days=90))


def solver(recording: Recording) -> dict[str, Any]:
    acme: dict[str, Any] = recording.one(ISSUER, "public-issuer").inputs["spec"]["acme"]
    return acme


def test_the_issuer_proves_the_zone_by_dns_with_a_token_alone(acme: Recording) -> None:
    spec = solver(acme)
    assert spec["server"] == LETS_ENCRYPT
    assert spec["email"] == "ops@example.com"
    assert spec["privateKeySecretRef"] == {"name": "public-acme-account"}
    reference = {"name": "public-token-made-up", "key": "token"}
    assert spec["solvers"] == [{"dns01": {"cloudflare": {"apiTokenSecretRef": reference}}}]


def test_the_token_is_in_one_secret_of_the_same_namespace_and_stays_secret(acme: Recording) -> None:
    (secret,) = acme.of_type(SECRET)
    assert secret.inputs["metadata"]["namespace"] == "shop-ingress"
    assert is_pulumi_secret(secret.inputs["stringData"])
    assert secret.inputs["immutable"] is True
    assert TOKEN not in "".join(str(r.inputs) for r in acme.all.values() if r.type != SECRET)
    assert TOKEN not in repr(DnsChallenge(token=TOKEN, email="ops@example.com"))


def test_one_certificate_holds_every_host(acme: Recording) -> None:
    certificate = acme.one(CERTIFICATE, "public-certificate").inputs
    assert certificate["metadata"]["name"] == "public"
    assert certificate["metadata"]["namespace"] == "shop-ingress"
    spec = certificate["spec"]
    assert spec["dnsNames"] == list(HOSTS)
    assert spec["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "public"}
    assert spec["privateKey"]["algorithm"] == "ECDSA"
    assert spec["privateKey"]["size"] == 256
    assert spec["privateKey"]["rotationPolicy"] == "Always"
    assert spec["revisionHistoryLimit"] == 1
    assert spec["usages"] == ["digital signature", "server auth"]


def test_it_is_renewed_in_time_also_once_lets_encrypt_gives_45_days(acme: Recording) -> None:
    spec = acme.one(CERTIFICATE, "public-certificate").inputs["spec"]
    duration, before = (int(re.sub(r"h0m0s$", "", spec[name])) for name in ("duration", "renewBefore"))
    assert duration == 90 * 24
    assert before == 30 * 24
    assert before < 45 * 24


def test_another_directory_can_be_asked() -> None:
    trial = certified(DnsChallenge(token=TOKEN, email="ops@example.com", server=LETS_ENCRYPT_STAGING))
    assert solver(trial)["server"] == LETS_ENCRYPT_STAGING


def test_the_origin_ca_signs_a_request_for_every_host(origin: Recording) -> None:
    certificate = origin.one(ORIGIN, "public-certificate").inputs
    assert certificate["hostnames"] == sorted(HOSTS)
    assert certificate["requestType"] == "origin-ecc"
    assert certificate["requestedValidity"] == 90
    key = origin.one("tls:index/privateKey:PrivateKey", "public-key").inputs
    assert key == {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    request = origin.one("tls:index/certRequest:CertRequest", "public-request").inputs
    assert request["dnsNames"] == sorted(HOSTS)
    assert request["subject"] == {"organization": "shop"}


def test_the_origin_key_lands_in_a_secret_and_stays_secret(origin: Recording) -> None:
    (secret,) = origin.of_type(SECRET)
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.inputs["metadata"]["namespace"] == "shop-ingress"
    assert is_pulumi_secret(secret.inputs["stringData"])


def test_a_new_origin_certificate_does_not_take_the_old_one_away_first(origin: Recording) -> None:
    (secret,) = origin.of_type(SECRET)
    assert secret.inputs["immutable"] is True
    assert "name" not in secret.inputs["metadata"]


def test_the_origin_ca_needs_no_cert_manager_and_acme_no_cloudflare_provider(
    acme: Recording, origin: Recording
) -> None:
    assert not [r for r in origin.all.values() if "cert-manager" in r.type]
    assert not [r for r in acme.all.values() if r.custom and r.type.startswith(("cloudflare:", "tls:"))]


@pytest.mark.parametrize(
    ("way", "outputs"),
    [
        ("acme", {"issuer": "acme", "secret": "public-tls"}),
        ("origin", {"issuer": "origin-ca", "secret": "public-tls-made-up"}),
    ],
)
def test_either_way_the_entrance_learns_the_secrets_name(
    way: str, outputs: dict[str, str], request: pytest.FixtureRequest
) -> None:
    recording: Recording = request.getfixturevalue(way)
    assert recording.one("fixia:ingress:Certificate", "public").outputs == outputs


@pytest.mark.parametrize("way", ["acme", "origin"])
def test_every_object_is_labelled_has_its_parent_and_an_explicit_provider(
    way: str, request: pytest.FixtureRequest
) -> None:
    recording: Recording = request.getfixturevalue(way)
    (component,) = recording.of_type("fixia:ingress:Certificate")
    children = recording.children(component.urn)
    providers = {"kubernetes": "cluster", "cloudflare": "edge", "tls": "keys"}
    assert len(children) == (3 if way == "acme" else 4)
    for child in children:
        assert child.name.startswith("public-")
        assert provider_name(child) == providers[child.type.split(":")[0]], child.urn
        if child.type.startswith("kubernetes:"):
            labels = child.inputs["metadata"]["labels"]
            assert labels["owner"] == "team"
            assert labels["app.kubernetes.io/component"] == "ingress"
