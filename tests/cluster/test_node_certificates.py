"""What stands in for cert-manager, before a real API server with cert-manager's own definitions."""

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from simulator.node.certificates import NAMESPACE, Certificates
from simulator.node.client import Client, Manifest
from simulator.node.control_plane import ControlPlane
from simulator.node.node import holds
from tests.artifact.pod import eventually

pytestmark = pytest.mark.cluster

VERSION = "cert-manager.io/v1"
HERE = "certified"


@pytest.fixture(scope="module")
def client(servers: dict[str, Path], crds: list[dict[str, Any]]) -> Iterator[Client]:
    with ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as running:
        for crd in crds:
            assert running.client.apply(crd, manager="test").accepted
            eventually(partial(served, running.client, crd), "the kind is served")
        for name in (HERE, NAMESPACE):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.client.apply(namespace, manager="test").accepted
        for manifest in (
            issuer("Issuer", "bootstrap", {"selfSigned": {}}),
            certificate("root", NAMESPACE, ("Issuer", "bootstrap"), isCA=True, commonName="a root"),
            issuer("ClusterIssuer", "inner", {"ca": {"secretName": "root-tls"}}),
        ):
            apply(running.client, manifest)
        for _ in range(2):
            Certificates(running.client).serve()
        yield running.client


def served(client: Client, crd: Manifest) -> bool:
    return holds(client.get(crd).body, "Established")


def issuer(kind: str, name: str, spec: dict[str, Any]) -> Manifest:
    metadata = {"name": name} | ({"namespace": NAMESPACE} if kind == "Issuer" else {})
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def certificate(name: str, namespace: str, signer: tuple[str, str], **spec: Any) -> Manifest:
    reference = {"group": "cert-manager.io", "kind": signer[0], "name": signer[1]}
    key = {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"}
    body = {"secretName": f"{name}-tls", "issuerRef": reference, "privateKey": key, "duration": "2160h0m0s"}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": VERSION, "kind": "Certificate", "metadata": metadata, "spec": {**body, **spec}}


def apply(client: Client, manifest: Manifest) -> None:
    answer = client.apply(manifest, manager="test")
    assert answer.accepted, answer.message


def secret(client: Client, name: str, namespace: str = HERE) -> dict[str, bytes]:
    found = client.get(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    )
    assert found.accepted, found.message
    return {key: base64.b64decode(value) for key, value in found.body["data"].items()}


def test_a_leaf_is_signed_by_the_authority_that_its_secret_names(client: Client) -> None:
    apply(
        client,
        certificate(
            "leaf",
            HERE,
            ("ClusterIssuer", "inner"),
            dnsNames=["data.shop.svc"],
            ipAddresses=["127.0.0.1"],
            usages=["digital signature", "server auth"],
            secretTemplate={"labels": {"owner": "test"}},
        ),
    )
    Certificates(client).serve()
    Certificates(client).serve()

    data = secret(client, "leaf-tls")
    leaf, root = (x509.load_pem_x509_certificate(data[name]) for name in ("tls.crt", "ca.crt"))
    leaf.verify_directly_issued_by(root)
    assert data["ca.crt"] == secret(client, "root-tls", NAMESPACE)["tls.crt"]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["data.shop.svc"]
    manifest = {"apiVersion": VERSION, "kind": "Certificate", "metadata": {"name": "leaf", "namespace": HERE}}
    told = client.get(manifest).body["status"]
    assert [(c["type"], c["status"]) for c in told["conditions"]] == [("Ready", "True")]
    assert told["notAfter"] == leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_is_issued_stays_until_something_else_is_asked_for(client: Client) -> None:
    asked = certificate("steady", HERE, ("ClusterIssuer", "inner"), dnsNames=["one"])
    apply(client, asked)
    certificates = Certificates(client)
    certificates.serve()
    first = secret(client, "steady-tls")
    certificates.serve()
    assert secret(client, "steady-tls") == first

    apply(client, {**asked, "spec": {**asked["spec"], "dnsNames": ["two"]}})
    certificates.serve()

    assert secret(client, "steady-tls")["tls.crt"] != first["tls.crt"]


def test_what_is_about_to_end_is_renewed_with_another_key(client: Client) -> None:
    apply(
        client,
        certificate(
            "ending",
            HERE,
            ("ClusterIssuer", "inner"),
            dnsNames=["x"],
            duration="1h0m0s",
            renewBefore="59m59s",
        ),
    )
    certificates = Certificates(client)
    certificates.serve()
    first = secret(client, "ending-tls")

    def renewed() -> bool:
        certificates.serve()
        return secret(client, "ending-tls")["tls.key"] != first["tls.key"]

    eventually(renewed, "a second later it is renewed")


def test_in_the_place_of_acme_somebody_signs_whom_nobody_trusts(client: Client) -> None:
    server = {"server": "https://acme.example.test", "privateKeySecretRef": {"name": "key"}}
    solver = {"dns01": {"cloudflare": {"apiTokenSecretRef": {"name": "token", "key": "token"}}}}
    acme = issuer("Issuer", "acme", {"acme": {**server, "solvers": [solver]}})
    apply(client, {**acme, "metadata": {"name": "acme", "namespace": HERE}})
    apply(client, certificate("outer", HERE, ("Issuer", "acme"), dnsNames=["shop.test"]))

    Certificates(client).serve()

    data = secret(client, "outer-tls")
    assert "Nobody" in x509.load_pem_x509_certificate(data["tls.crt"]).issuer.rfc4514_string()
    assert "ca.crt" not in data


def test_without_its_issuer_a_certificate_waits(client: Client) -> None:
    apply(client, certificate("waiting", HERE, ("ClusterIssuer", "missing"), dnsNames=["x"]))

    Certificates(client).serve()

    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "waiting-tls", "namespace": HERE}}
    assert client.get(manifest).status == 404
