"""The internal authority: a root that outlives its leaves, and leaves under whoever shows them."""

import re
from typing import Any

import pulumi
import pulumi_kubernetes
import pytest

from components.base import Identity
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credentials, CredentialsArgs
from tests.recorder import ROOT, Recording, record

IDENTITY = Identity(product="shop", environment="test", owner="team", cost_centre="shop")
CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
ISSUER = "kubernetes:cert-manager.io/v1:Issuer"
CLUSTER_ISSUER = "kubernetes:cert-manager.io/v1:ClusterIssuer"
OWNER_LABELS = {
    "app.kubernetes.io/part-of": "shop",
    "environment": "test",
    "owner": "team",
    "cost-centre": "shop",
}


def hours(duration: str) -> int:
    found = re.fullmatch(r"(\d+)h0m0s", duration)
    assert found
    return int(found[1])


@pytest.fixture(scope="module")
def recording() -> Recording:
    def named(secret: str) -> str:
        assert secret == "database-tls"
        return secret

    def program() -> None:
        provider = pulumi_kubernetes.Provider("cluster", context="test")
        opts = pulumi.ResourceOptions(providers=[provider])
        authority = Authority("internal", AuthorityArgs(identity=IDENTITY), opts)
        Authority("internal-2", AuthorityArgs(identity=IDENTITY, namespace="pki"), opts)
        # Any component will do as an owner.
        owner = Credentials("database", CredentialsArgs(identity=IDENTITY, generated={}, given={}), opts)
        namespace = pulumi.Output.from_input("shop-data")
        names: list[pulumi.Input[str]] = ["database", pulumi.Output.concat("database.", namespace, ".svc")]
        secret = authority.issue(owner, "database", namespace, names, ip_addresses=["127.0.0.1"])
        pulumi.export("secret", secret.apply(named))
        authority.issue(owner, "database-replica", namespace, ["replica"], client=True)

    return record(program)


def spec(recording: Recording, name: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(CERTIFICATE, name).inputs["spec"]
    return found


def test_the_root_signs_itself_and_the_cluster_issuer_signs_with_it(recording: Recording) -> None:
    bootstrap = recording.one(ISSUER, "internal-bootstrap").inputs
    assert bootstrap["spec"] == {"selfSigned": {}}
    root = spec(recording, "internal-root")
    assert root["issuerRef"] == {
        "group": "cert-manager.io",
        "kind": "Issuer",
        "name": bootstrap["metadata"]["name"],
    }
    assert root["isCA"] is True
    assert root["commonName"] == "shop-test-internal"
    assert {"cert sign", "crl sign"} <= set(root["usages"])
    issuer = recording.one(CLUSTER_ISSUER, "internal-issuer").inputs
    assert issuer["spec"] == {"ca": {"secretName": root["secretName"]}}
    assert "namespace" not in issuer["metadata"]


def test_the_root_stands_where_cert_manager_looks_for_a_cluster_issuers_secret(recording: Recording) -> None:
    for name, namespace in (("internal", "cert-manager"), ("internal-2", "pki")):
        assert recording.one(CERTIFICATE, f"{name}-root").inputs["metadata"]["namespace"] == namespace
        assert recording.one(ISSUER, f"{name}-bootstrap").inputs["metadata"]["namespace"] == namespace


def test_the_root_lives_ten_years_and_keeps_its_key_when_it_is_renewed(recording: Recording) -> None:
    root = spec(recording, "internal-root")
    assert hours(root["duration"]) == 10 * 365 * 24
    assert root["privateKey"]["rotationPolicy"] == "Never"


def test_no_leaf_outlives_the_certificate_that_signed_it(recording: Recording) -> None:
    root, leaf = spec(recording, "internal-root"), spec(recording, "database-certificate")
    assert hours(leaf["duration"]) < hours(root["renewBefore"]) < hours(root["duration"])


def test_a_leaf_is_renewed_a_month_before_its_end_with_a_new_key(recording: Recording) -> None:
    leaf = spec(recording, "database-certificate")
    assert hours(leaf["duration"]) == 90 * 24
    assert hours(leaf["renewBefore"]) == 30 * 24
    assert leaf["privateKey"] == {
        "algorithm": "ECDSA",
        "size": 256,
        "encoding": "PKCS8",
        "rotationPolicy": "Always",
    }
    assert leaf["revisionHistoryLimit"] == 1
    assert leaf["isCA"] is False


def test_a_leaf_is_signed_by_the_authority_for_names_and_addresses(recording: Recording) -> None:
    leaf = spec(recording, "database-certificate")
    assert leaf["issuerRef"]["kind"] == "ClusterIssuer"
    assert (
        leaf["issuerRef"]["name"]
        == recording.one(CLUSTER_ISSUER, "internal-issuer").inputs["metadata"]["name"]
    )
    assert leaf["dnsNames"] == ["database", "database.shop-data.svc"]
    assert leaf["ipAddresses"] == ["127.0.0.1"]
    assert "commonName" not in leaf
    assert "ipAddresses" not in spec(recording, "database-replica-certificate")


def test_only_who_asks_for_it_may_call_with_its_certificate(recording: Recording) -> None:
    assert spec(recording, "database-certificate")["usages"] == ["digital signature", "server auth"]
    assert spec(recording, "database-replica-certificate")["usages"] == [
        "digital signature",
        "server auth",
        "client auth",
    ]


def test_a_leaf_and_its_secret_belong_to_the_owner(recording: Recording) -> None:
    (owner,) = recording.of_type("fixia:platform:Credentials")
    for name in ("database", "database-replica"):
        leaf = recording.one(CERTIFICATE, f"{name}-certificate")
        assert leaf.parent == owner.urn
        assert leaf.inputs["metadata"]["name"] == name
        assert leaf.inputs["metadata"]["namespace"] == "shop-data"
        assert leaf.inputs["spec"]["secretName"] == f"{name}-tls"
        assert leaf.inputs["spec"]["secretTemplate"]["labels"].items() >= OWNER_LABELS.items()


def test_every_object_carries_its_owners_labels(recording: Recording) -> None:
    objects = [resource for resource in recording.all.values() if resource.type.startswith("kubernetes:")]
    assert len(objects) == 8
    for resource in objects:
        assert resource.inputs["metadata"]["labels"].items() >= OWNER_LABELS.items(), resource.urn


def test_two_authorities_share_nothing(recording: Recording) -> None:
    one, two = spec(recording, "internal-root"), spec(recording, "internal-2-root")
    for field in ("secretName", "commonName"):
        assert one[field] != two[field]
    assert one["issuerRef"]["name"] != two["issuerRef"]["name"]


def test_the_authority_tells_its_issuer_and_its_secret_by_name(recording: Recording) -> None:
    component = recording.one("fixia:platform:Authority", "internal")
    assert component.outputs == {"issuer": "shop-internal", "secret": "shop-internal-ca"}


def test_the_runbook_names_the_authority_that_the_program_makes(recordings: dict[str, Recording]) -> None:
    made = recordings["production"].of_type(CLUSTER_ISSUER)
    (issuer,) = [each.inputs["metadata"]["name"] for each in made]
    runbook = (ROOT / "docs/runbooks/rotate-internal-ca.md").read_text(encoding="utf-8")
    assert f"ISSUER={issuer} " in runbook


def test_no_pod_is_made_before_the_certificates_that_it_mounts(recordings: dict[str, Recording]) -> None:
    for stack, recording in recordings.items():
        of = {
            (made.inputs["metadata"]["namespace"], made.inputs["spec"]["secretName"]): made.urn
            for made in recording.of_type(CERTIFICATE)
        }
        mounting = {
            (resource.name, certificate)
            for resource in recording.all.values()
            for secret in mounted(resource.inputs)
            if (certificate := of.get((resource.inputs["metadata"]["namespace"], secret)))
        }
        assert {"database-stateful-set", "api-deployment", "release-migrate-job", "release-snapshot-job"} <= {
            name for name, _ in mounting
        }
        late = {
            (name, certificate)
            for name, certificate in mounting
            if not any(
                certificate in resource.options["depends_on"]
                for resource in recording.all.values()
                if resource.name == name
            )
        }
        assert late == set(), stack


def mounted(inputs: dict[str, Any]) -> set[str]:
    """The Secrets that an object's pods mount, if it has any."""
    spec = inputs.get("spec")
    spec = spec.get("jobTemplate", {"spec": spec})["spec"] if isinstance(spec, dict) else {}
    template = spec.get("template") if isinstance(spec, dict) else None
    volumes = template["spec"].get("volumes", []) if isinstance(template, dict) and "spec" in template else []
    return {each["secret"]["secretName"] for each in volumes if "secret" in each}
